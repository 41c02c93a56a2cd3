"""Results as tables: an object as names and values, a list of objects as rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from rich import box
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from timecoin.cli.output.jsontext import json_text
from timecoin.cli.output.sanitize import visible

INDENT = 2
GOOD = frozenset(("final", "archived", "active", "ok", "receive", "reward", "generate"))
WAITING = frozenset(
    ("seen", "pending", "certified", "immature", "warn", "silent", "joining", "waiting")
)
BAD = frozenset(("rejected", "expired", "conflicted", "fail", "jailed"))
TIME_NAMES = frozenset(("time", "mediantime", "blocktime", "timereceived", "conntime"))
"""Fields with seconds since 1970: the date stands beside them."""
LONGEST_LINE = 10_000
LAST_SECOND = 253_402_300_799


def shown(value: object, console: Console, indent: int = 0) -> RenderableType:
    """How ``value``, a JSON value, looks on ``console``, so many columns from its left."""
    match value:
        case Mapping():
            return _fields(value, console, indent)
        case list() if value and all(isinstance(item, Mapping) for item in value):
            return _rows(value, console, indent)
        case list() if any(isinstance(item, Mapping | list) for item in value):
            return _lines((Text(visible(line)) for line in json_text(value).split("\n")), indent)
        case list():
            return _lines((_scalar("", item) for item in value), indent)
        case _:
            return _lines([_scalar("", value)], indent)


def _fields(value: Mapping[str, object], console: Console, indent: int) -> RenderableType:
    """A line for each field; long values run on, so that they can be copied whole."""
    parts: list[RenderableType] = []
    margin = " " * indent
    width = max((len(visible(name)) for name in value), default=0)
    for name, member in value.items():
        line = Text(margin, no_wrap=True, overflow="ignore")
        line.append(visible(name), "cyan")
        if _is_block(member):
            parts += [line, shown(member, console, indent + INDENT)]
        else:
            line.append(" " * (width - len(visible(name)) + INDENT))
            parts.append(line.append_text(_inline(name, member)))
    return Group(*parts)


def _is_block(member: object) -> bool:
    """Whether it takes lines of its own."""
    return bool(member) and (
        isinstance(member, Mapping) or (isinstance(member, list) and not _is_short(member))
    )


def _lines(texts: Iterable[Text], indent: int) -> RenderableType:
    """One line each, of any length."""
    return Group(
        *(Text(" " * indent, no_wrap=True, overflow="ignore").append_text(text) for text in texts)
    )


def _is_short(member: object) -> bool:
    """Whether a list fits into one line: few values, all plain."""
    return (
        isinstance(member, list)
        and len(member) <= 4
        and not any(isinstance(item, Mapping | list) for item in member)
    )


def _rows(value: Sequence[Mapping[str, object]], console: Console, indent: int) -> RenderableType:
    """One line an item if they fit, else one block an item."""
    names = list(dict.fromkeys(name for item in value for name in item))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold cyan")
    for name in names:
        numbers = all(
            isinstance(item.get(name), int | Decimal) and not isinstance(item.get(name), bool)
            for item in value
        )
        table.add_column(visible(name), justify="right" if numbers else "left", no_wrap=True)
    for item in value:
        table.add_row(*(_inline(name, item.get(name), date=False) for name in names))
    unbounded = console.options.update(max_width=LONGEST_LINE)  # it measures no more than fits
    if Measurement.get(console, unbounded, table).minimum <= console.width - indent:
        return Padding(table, (0, 0, 0, indent))
    blocks: list[RenderableType] = []
    for item in value:
        blocks += [_fields(item, console, indent), Text("")]
    return Group(*blocks[:-1])


def _inline(name: str, value: object, date: bool = True) -> Text:
    """One cell."""
    match value:
        case [] | {} if not value:
            return Text("-", "dim")
        case list() if not any(isinstance(item, Mapping | list) for item in value):
            return Text(", ").join([_scalar(name, item) for item in value])
        case Mapping() | list():
            return Text(visible(" ".join(json_text(value).split())))
        case _:
            text = _scalar(name, value)
    if date and name in TIME_NAMES and isinstance(value, int) and 0 < value <= LAST_SECOND:
        text.append(f"  {datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC", "dim")
    return text


def _scalar(name: str, value: object) -> Text:
    match value:
        case None:
            return Text("-", "dim")
        case bool():
            return Text("yes" if value else "no", "green" if value else "red")
        case Decimal():
            return Text(f"{value:f}", "bold")
        case str():
            return Text(visible(value), _style(name, value))
        case _:
            return Text(str(value))


def _style(name: str, value: str) -> str:
    return "yellow" if name == "warnings" else status_style(value)


def status_style(value: str) -> str:
    """The colour of a word that says how something stands; none for other words."""
    if value in GOOD:
        return "green"
    if value in WAITING:
        return "yellow"
    return "red" if value in BAD else ""
