"""Log lines: readable, one an event, and nobody else can forge one."""

from __future__ import annotations

import io

from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from timecoin.consensus import events as consensus
from timecoin.node import logs
from timecoin.node.logs import NodeLog, text_observer
from timecoin.quorum.statement import NIL
from timecoin.sync.events import CatchingUp, HistoryRefused


class TextObserverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.out = io.StringIO()

    def logger(self, level: str, namespace: str = "timecoin.chain.commit") -> Logger:
        return Logger(namespace, observer=LogPublisher(text_observer(self.out, level)))

    def test_a_line(self) -> None:
        self.logger("info").info("height {height}", height=7)
        stamp, level, rest = self.out.getvalue().split(None, 2)
        self.assertRegex(stamp, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual((level, rest), ("info", "chain: height 7\n"))

    def test_levels(self) -> None:
        log = self.logger("warn")
        log.info("no")
        log.warn("yes")
        log.error("yes")
        self.assertEqual(self.out.getvalue().count("yes"), 2)
        self.assertNotIn("no", self.out.getvalue())

    def test_twisted_itself_is_heard_from_warnings_up(self) -> None:
        for namespace in ("twisted.internet", "log_legacy"):
            log = self.logger("debug", namespace)
            log.info("chatter")
            log.warn("trouble")
        self.assertNotIn("chatter", self.out.getvalue())
        self.assertEqual(self.out.getvalue().count("trouble"), 2)

    def test_no_forged_lines(self) -> None:
        self.logger("info").info("said {what}", what="hello\n2026 info  chain: fake\r\n")
        self.assertEqual(self.out.getvalue().count("\n"), 1)

    def test_a_failure_shows_its_traceback(self) -> None:
        try:
            raise KeyError("lost")
        except KeyError:
            self.logger("info").failure("it broke", Failure())
        first, *rest = self.out.getvalue().splitlines()
        self.assertTrue(first.endswith("chain: it broke"))
        self.assertIn("KeyError", "\n".join(rest))


class NodeLogTests(SynchronousTestCase):
    """The lines that the operator's guide shows."""

    def setUp(self) -> None:
        self.out = io.StringIO()
        observer = LogPublisher(text_observer(self.out, "info"))
        self.log = NodeLog()
        for name in ("_consensus", "_chain", "_finality", "_sync"):
            namespace = getattr(logs, name).namespace
            self.patch(logs, name, Logger(namespace, observer=observer))

    def line(self) -> str:
        text = self.out.getvalue()
        self.out.truncate(0)
        self.out.seek(0)
        self.assertEqual(text.count("\n"), 1, text)
        return text.split("consensus: ")[-1].strip()

    def test_votes(self) -> None:
        block = b"\xab" * 32
        name = "ab" * 8
        self.log.prepare_cast(consensus.PrepareCast(5, 1, block, 100, 300))
        self.assertEqual(self.line(), f"height 5 round 1: prepare vote for {name} (100 of 300)")
        self.log.prepare_quorum(consensus.PrepareQuorum(5, 1, block, 200, 300))
        self.assertEqual(self.line(), f"height 5 round 1: prepare consensus on {name} (200 of 300)")
        self.log.precommit_cast(consensus.PrecommitCast(5, 1, NIL, 100, 300))
        self.assertEqual(self.line(), "height 5 round 1: precommit vote for nil (100 of 300)")
        self.log.precommit_quorum(consensus.PrecommitQuorum(5, 1, block, 300, 300))
        self.assertEqual(
            self.line(), f"height 5 round 1: precommit consensus on {name} (300 of 300)"
        )

    def test_proposals(self) -> None:
        block = b"\xcd" * 32
        self.log.proposing(consensus.Proposing(5, 0, block, 12))
        self.assertEqual(
            self.line(), f"height 5 round 0: proposing {'cd' * 8} with 12 transactions"
        )
        self.log.proposal_refused(
            consensus.ProposalRefused(5, 0, block, b"\x01" * 32, "bad reward")
        )
        self.assertEqual(
            self.line(), f"height 5 round 0: refused {'cd' * 8} of {'01' * 8}: bad reward"
        )

    def test_catching_up(self) -> None:
        self.log.catching_up(CatchingUp(True))
        self.assertIn("sync: catching up with peers", self.line())
        self.log.catching_up(CatchingUp(False))
        self.assertIn("sync: caught up with peers", self.line())

    def test_history_that_cannot_be_followed(self) -> None:
        self.log.history_refused(HistoryRefused(7, b"h" * 32, "bad-reward", "1 unit too much"))
        line = self.line()
        self.assertIn("cannot follow the network", line)
        self.assertIn("at height 7 breaks the rule bad-reward (1 unit too much)", line)
