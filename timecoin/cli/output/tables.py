"""Results as tables: an object as names and values, a list of objects as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
WAITING = frozenset(("seen", "pending", "certified", "immature", "warn", "unlinked"))
BAD = frozenset(("rejected", "expired", "conflicted", "fail"))
TIME_NAMES = frozenset(("time", "mediantime", "blocktime", "timereceived", "conntime"))
"""Fields with seconds since 1970: the date stands beside them."""
LONGEST_LINE = 10_000
LAST_SECOND = 253_402_300_799


def shown(value: object, console: Console) -> RenderableType:
    """How ``value``, a JSON value, looks on ``console``."""
    match value:
        case Mapping():
            return _fields(value, console)
        case list() if value and all(isinstance(item, Mapping) for item in value):
            return _rows(value, console)
        case list() if any(isinstance(item, Mapping | list) for item in value):
            return Text(visible(json_text(value)))
        case list():
            return Text("\n").join([_scalar("", item) for item in value])
        case _:
            return _scalar("", value)


def _fields(value: Mapping[str, object], console: Console) -> RenderableType:
    parts: list[RenderableType] = []
    grid: Table | None = None
    for name, member in value.items():
        if isinstance(member, Mapping | list) and member and not _is_short(member):
            grid = None
            parts += [
                Text(visible(name), "cyan"),
                Padding(shown(member, console), (0, 0, 0, INDENT)),
            ]
            continue
        if grid is None:
            grid = Table.grid(padding=(0, INDENT))
            grid.add_column(style="cyan", no_wrap=True)
            grid.add_column(overflow="fold")
            parts.append(grid)
        grid.add_row(Text(visible(name)), _inline(name, member))
    return Group(*parts)


def _is_short(member: object) -> bool:
    """Whether it fits into one line: a list of a few plain values."""
    return (
        isinstance(member, list)
        and len(member) <= 4
        and not any(isinstance(item, Mapping | list) for item in member)
    )


def _rows(value: Sequence[Mapping[str, object]], console: Console) -> RenderableType:
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
    if Measurement.get(console, unbounded, table).minimum <= console.width:
        return table
    blocks: list[RenderableType] = []
    for item in value:
        blocks += [_fields(item, console), Text("")]
    return Group(*blocks[:-1])


def _inline(name: str, value: object, date: bool = True) -> Text:
    """One cell."""
    match value:
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
    if name == "warnings":
        return "yellow"
    if value in GOOD:
        return "green"
    if value in WAITING:
        return "yellow"
    return "red" if value in BAD else ""
