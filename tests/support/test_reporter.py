"""The closing line counts every outcome of a test where it belongs."""

from __future__ import annotations

import io
import os

from twisted.trial.unittest import SynchronousTestCase, TestSuite, Todo

from tests.support.long import VARIABLE, unless_long
from tests.support.reporter import CountingReporter


class _Outcomes(SynchronousTestCase):
    """Run by hand below: the names do not begin with ``test``."""

    def passes(self) -> None:
        self.assertTrue(True)

    def fails(self) -> None:
        self.fail("on purpose")

    def raises(self) -> None:
        raise LookupError("on purpose")

    def is_skipped(self) -> None:
        raise AssertionError("a skipped test must not run")

    is_skipped.skip = "on purpose"  # type: ignore[attr-defined]

    def fails_as_expected(self) -> None:
        self.fail("on purpose")

    fails_as_expected.todo = Todo("on purpose")  # type: ignore[attr-defined]

    def passes_unexpectedly(self) -> None:
        self.assertTrue(True)

    passes_unexpectedly.todo = Todo("on purpose")  # type: ignore[attr-defined]


class ClosingLineTests(SynchronousTestCase):
    def closing_line(self, *names: str) -> str:
        stream = io.StringIO()
        reporter = CountingReporter(stream)
        TestSuite([_Outcomes(name) for name in names]).run(reporter)
        self.flushLoggedErrors(LookupError)
        reporter.done()
        return stream.getvalue().splitlines()[-1]

    def test_one_of_each(self) -> None:
        line = self.closing_line(
            "passes", "fails", "raises", "is_skipped", "fails_as_expected", "passes_unexpectedly"
        )
        self.assertEqual(line, "2 passed, 3 failed, 1 skipped")

    def test_all_pass(self) -> None:
        self.assertEqual(self.closing_line("passes"), "1 passed, 0 failed, 0 skipped")

    def test_nothing_ran(self) -> None:
        self.assertEqual(self.closing_line(), "0 passed, 0 failed, 0 skipped")


class LongTests(SynchronousTestCase):
    def test_left_out_unless_asked_for(self) -> None:
        self.patch(os, "environ", {})
        self.assertIn("fifty kills", unless_long("fifty kills") or "")

    def test_runs_when_asked_for(self) -> None:
        self.patch(os, "environ", {VARIABLE: "1"})
        self.assertIsNone(unless_long("fifty kills"))
