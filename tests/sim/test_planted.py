"""The checker is tested by bugs: each rule taken out of the node code is found by some run."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.sim.planted import PLANTED, table
from tests.support.long import unless_long

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "simulator.rst"


class PlantedTests(SynchronousTestCase):
    def test_each_bug_is_found(self) -> None:
        for bug in PLANTED:
            with bug.bug():
                found = any(broken.startswith(bug.promise) for broken in bug.find.breaks())
            self.assertTrue(found, f"not found: {bug.rule}; by {bug.find}")

    def test_there_are_many_of_them(self) -> None:
        self.assertGreaterEqual(len({bug.bug for bug in PLANTED}), 15)

    def test_the_page_lists_them(self) -> None:
        self.assertIn(table(), PAGE.read_text("utf-8"), "python -m tests.sim.planted prints it")


class SoundTests(SynchronousTestCase):
    """Without the bugs the same runs break nothing."""

    skip = unless_long("the runs of all planted bugs to their ends")

    def test_each_run_is_sound(self) -> None:
        for bug in PLANTED:
            self.assertEqual(list(bug.find.breaks()), [], f"{bug.rule}: {bug.find}")
