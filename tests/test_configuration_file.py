"""etc/timecoin/timecoin.conf names every setting that there is, with values that can be used."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from timecoin.node.config import OPTION_OF, load_config, read_config

SHIPPED = Path(__file__).resolve().parent.parent / "etc" / "timecoin" / "timecoin.conf"
SETTING = re.compile(r"^#([a-z-]+=.*)$", re.MULTILINE)


class ShippedFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.settings = SETTING.findall(SHIPPED.read_text("utf-8"))

    def test_every_option_is_named_once(self) -> None:
        named = [line.partition("=")[0] for line in self.settings]
        self.assertEqual(sorted(named), sorted(OPTION_OF))

    def test_as_shipped_it_changes_nothing(self) -> None:
        self.assertEqual(read_config(SHIPPED), {})

    def test_all_lines_taken_together_are_valid(self) -> None:
        path = Path(self.mktemp())
        path.write_text("\n".join(self.settings), "utf-8")
        config = load_config({}, path)
        self.assertEqual(config.validator_id, "validator1")

    def test_defaults_are_those_of_the_code(self) -> None:
        """Leaving out the examples and taking the rest changes no setting."""
        text = SHIPPED.read_text("utf-8")
        defaults = [
            line
            for paragraph in text.split("\n\n")
            if "xample" not in paragraph
            for line in SETTING.findall(paragraph)
        ]
        self.assertGreater(len(defaults), 8)
        path = Path(self.mktemp())
        path.write_text("\n".join(defaults), "utf-8")
        empty = Path(self.mktemp())
        empty.write_text("", "utf-8")
        self.assertEqual(load_config({}, path), load_config({}, empty))
