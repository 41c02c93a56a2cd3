"""Results for people: every value shows, none commands the terminal."""

from __future__ import annotations

import io
import json
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from timecoin.cli.output.jsontext import json_text
from timecoin.cli.output.sanitize import visible
from timecoin.cli.output.screen import Screen
from timecoin.cli.output.tables import shown

TEXTS = st.text(max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | st.decimals(-1000, 1000, places=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def plain(value: object, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(shown(value, console), soft_wrap=True)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


class TableTests(SynchronousTestCase):
    def test_fields_and_inner_objects(self) -> None:
        lines = plain(
            {"height": 5, "supply": Decimal("0.10000000"), "finality": {"p50_ms": None}, "ok": True}
        ).splitlines()
        self.assertEqual(
            [line.rstrip() for line in lines],
            ["height    5", "supply    0.10000000", "finality", "  p50_ms  -", "ok        yes"],
        )

    def test_a_row_for_each_object(self) -> None:
        lines = plain([{"name": "a", "n": 1}, {"name": "b", "more": [1, 2]}]).splitlines()
        self.assertEqual(lines[0].split(), ["name", "n", "more"])
        self.assertEqual(lines[2].split(), ["a", "1", "-"])
        self.assertEqual(lines[3].split(), ["b", "-", "1,", "2"])

    def test_blocks_where_rows_do_not_fit(self) -> None:
        """A hash must be whole, to be copied."""
        shown_text = plain([{"txid": "ab" * 32, "wtxid": "cd" * 32}] * 2)
        self.assertEqual(shown_text.count("txid   " + "ab" * 32), 2)
        self.assertEqual(shown_text.count("wtxid  " + "cd" * 32), 2)

    def test_blocks_inside_are_whole_as_well(self) -> None:
        lines = plain({"members": [{"pubkey": "ab" * 32, "other": "cd" * 32}]}).splitlines()
        self.assertEqual(lines, ["members", "  pubkey  " + "ab" * 32, "  other   " + "cd" * 32])

    def test_lists_of_texts(self) -> None:
        self.assertEqual(plain(["ab" * 50, "c"]), "ab" * 50 + "\nc\n")
        self.assertEqual(plain({"few": [1, 2], "none": []}), "few   1, 2\nnone  -\n")

    def test_dates(self) -> None:
        self.assertIn("1700000000  2023-11-14 22:13:20 UTC", plain({"time": 1_700_000_000}))
        self.assertIn("9" * 30, plain({"time": int("9" * 30)}))

    def test_markup_of_others_is_text(self) -> None:
        self.assertEqual(plain("[red]x[/red]\n"), "[red]x[/red]\n\n")

    @given(VALUES, st.integers(20, 120))
    @settings(max_examples=150, deadline=None)
    def test_any_value_shows_without_control_characters(self, value: object, width: int) -> None:
        for line in plain(value, width).split("\n"):
            self.assertTrue(line.isprintable(), line)


class VisibleTests(SynchronousTestCase):
    def test_escapes(self) -> None:
        self.assertEqual(visible("a\x1b[2Jb\nc\u202e"), "a\\x1b[2Jb\nc\\u202e")
        self.assertEqual(visible("plain ü"), "plain ü")


class JsonTests(SynchronousTestCase):
    @given(VALUES)
    @settings(max_examples=150, deadline=None)
    def test_json_says_the_same(self, value: object) -> None:
        self.assertEqual(json.loads(json_text(value), parse_float=Decimal), _as_numbers(value))


class ScreenTests(SynchronousTestCase):
    def screen(self, terminal: bool) -> tuple[Screen, io.StringIO]:
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, width=80, color_system="standard")
        return Screen(console, Console(file=io.StringIO()), console.is_terminal), out

    def test_colours_on_a_terminal_only(self) -> None:
        screen, out = self.screen(True)
        screen.show({"status": "final"})
        self.assertIn("\x1b[32mfinal", out.getvalue())
        screen, out = self.screen(False)
        screen.show({"status": "final"})
        self.assertEqual(json.loads(out.getvalue()), {"status": "final"})
        self.assertNotIn("\x1b", out.getvalue())

    def test_waiting_shows_on_a_terminal_only(self) -> None:
        for terminal in (True, False):
            err = io.StringIO()
            console = Console(file=err, force_terminal=terminal, width=80)
            with Screen(console, console, True).waiting("paying"):
                pass
            self.assertEqual("paying" in err.getvalue(), terminal)


def _as_numbers(value: object) -> object:
    """What comes back: JSON knows no difference between 1 and 1.0 either."""
    match value:
        case dict():
            return {name: _as_numbers(member) for name, member in value.items()}
        case list():
            return [_as_numbers(item) for item in value]
        case _:
            return value
