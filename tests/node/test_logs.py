"""The lines that tell what a node does."""

from __future__ import annotations

import io

from twisted.logger import Logger, LogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.support import ledger_kit
from timecoin.consensus import events as consensus
from timecoin.finality.events import Status, StatusChanged
from timecoin.mempool.entry import Admission, Verdict
from timecoin.node import logs
from timecoin.node.log.levels import Levels, LevelSetting
from timecoin.node.log.output import LogOutput
from timecoin.node.logs import NodeLog
from timecoin.quorum.statement import NIL
from timecoin.sync.events import CatchingUp, HistoryRefused


class NodeLogTests(SynchronousTestCase):
    """The lines that the operator's guide shows."""

    def setUp(self) -> None:
        self.out = io.StringIO()
        self.levels = Levels(LevelSetting())
        observer = LogPublisher(LogOutput(self.out, self.levels, "text", lambda: None))
        self.log = NodeLog(self.levels)
        for name in ("_consensus", "_chain", "_finality", "_mempool", "_sync"):
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

    def test_transactions_only_when_asked_for(self) -> None:
        txid = b"\xee" * 32
        start = ledger_kit.genesis(1)
        payer, payee = ledger_kit.user(0), ledger_kit.user(1)
        tx = ledger_kit.pay(start.chain_id, payer, ledger_kit.coin(start, 0), payee, 1_000)
        self.log.status_changed(StatusChanged(txid, Status.FINAL, 5))
        self.log.submitted(tx, Verdict(Admission.ACCEPTED))
        self.assertEqual(self.out.getvalue(), "")
        self.levels.set("finality", "debug")
        self.levels.set("mempool", "debug")
        self.log.status_changed(StatusChanged(txid, Status.FINAL, 5))
        self.assertIn(f"finality: transaction {txid.hex()}: final", self.line())
        self.log.submitted(tx, Verdict(Admission.REFUSED, "bad-fee"))
        self.assertIn(
            f"transaction {tx.txid.hex()} of an own user: refused by bad-fee", self.line()
        )
