"""A trial reporter whose closing line counts what passed, failed and was skipped."""

from __future__ import annotations

from twisted.trial.reporter import VerboseTextReporter


class CountingReporter(VerboseTextReporter):
    """Ends with ``N passed, N failed, N skipped``, the line that `.ci/run` reads.

    An expected failure passed, an unexpected success failed; a test that both failed and left an
    error behind (a logged one, say) counts each, so the sum may exceed the number of tests.
    """

    def _printSummary(self) -> None:
        super()._printSummary()
        passed = self.successes + len(self.expectedFailures)
        failed = len(self.failures) + len(self.errors) + len(self.unexpectedSuccesses)
        self._writeln("%d passed, %d failed, %d skipped", passed, failed, len(self.skips))
