"""What an operator reads: the observer that writes log lines, and the lines of consensus.

One line an event: ``2026-11-21T06:50:00.123Z info  consensus: height 7: ...``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import IO

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
)

from timecoin.chain.commit import BlockConnected, ForkFound
from timecoin.consensus import events as consensus
from timecoin.evidence.events import EvidenceHeld
from timecoin.finality.events import EmergencyRaised
from timecoin.ledger.amount import format_time
from timecoin.node.node import Node
from timecoin.node.wiring import observe
from timecoin.quorum.statement import NIL
from timecoin.sync.events import CatchingUp, HistoryRefused

SHORT_HASH_CHARS = 16
_PACKAGE = "timecoin."

# On a class a Logger would take the class's name for its namespace.
_consensus = Logger("timecoin.consensus")
_chain = Logger("timecoin.chain")
_finality = Logger("timecoin.finality")
_sync = Logger("timecoin.sync")


def text_observer(out: IO[str], level: str) -> ILogObserver:
    """Writes events from ``level`` up to ``out``; Twisted's own only from warnings up."""
    predicate = LogLevelFilterPredicate(defaultLogLevel=LogLevel.levelWithName(level))
    own = LogLevel.levelWithName(level)
    quiet = own if own > LogLevel.warn else LogLevel.warn
    for namespace in ("twisted", "log_legacy"):
        predicate.setLogLevelForNamespace(namespace, quiet)
    return FilteringLogObserver(FileLogObserver(out, format_line), [predicate])


def format_line(event: LogEvent) -> str | None:
    """One event as text ending in a newline, its traceback on further lines; None if empty."""
    text = formatEvent(event)
    if not text:
        return None
    level = event.get("log_level", LogLevel.info)
    namespace = str(event.get("log_namespace", "-")).removeprefix(_PACKAGE)
    at = datetime.fromtimestamp(event["log_time"], UTC)
    stamp = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
    line = f"{stamp} {level.name:<5} {namespace.partition('.')[0]}: {_one_line(text)}\n"
    failure = event.get("log_failure")
    return line if failure is None else line + failure.getTraceback()


def _one_line(text: str) -> str:
    """What others put into a message must not forge a line of its own."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _name(block_hash: bytes) -> str:
    return "nil" if block_hash == NIL else block_hash.hex()[:SHORT_HASH_CHARS]


class NodeLog:
    """The readable history of a node: one method a line."""

    def attach(self, node: Node) -> None:
        """Write a line for everything of note that ``node`` does from now on."""
        observe(node, consensus.RoundStarted, self.round_started)
        observe(node, consensus.Proposing, self.proposing)
        observe(node, consensus.ProposalRefused, self.proposal_refused)
        observe(node, consensus.PrepareCast, self.prepare_cast)
        observe(node, consensus.PrepareQuorum, self.prepare_quorum)
        observe(node, consensus.PrecommitCast, self.precommit_cast)
        observe(node, consensus.PrecommitQuorum, self.precommit_quorum)
        observe(node, EvidenceHeld, self.evidence_held)
        observe(node, consensus.SafetyBroken, self.safety_broken)
        observe(node, BlockConnected, self.finalized)
        observe(node, ForkFound, self.fork_found)
        observe(node, EmergencyRaised, self.emergency)
        observe(node, CatchingUp, self.catching_up)
        observe(node, HistoryRefused, self.history_refused)

    def round_started(self, fact: consensus.RoundStarted) -> None:
        """A round began."""
        _consensus.debug(
            "height {height} round {round}: slot {slot}, proposer {proposer}",
            height=fact.height,
            round=fact.round,
            slot=fact.slot,
            proposer="unknown" if fact.proposer is None else _name(fact.proposer),
        )

    def proposing(self, fact: consensus.Proposing) -> None:
        """This node proposes."""
        _consensus.info(
            "height {height} round {round}: proposing {block} with {entries} transactions",
            height=fact.height,
            round=fact.round,
            block=_name(fact.block_hash),
            entries=fact.entries,
        )

    def proposal_refused(self, fact: consensus.ProposalRefused) -> None:
        """A proposal is not prepared here."""
        _consensus.warn(
            "height {height} round {round}: refused {block} of {proposer}: {reason}",
            height=fact.height,
            round=fact.round,
            block=_name(fact.block_hash),
            proposer=_name(fact.proposer),
            reason=fact.reason,
        )

    def prepare_cast(self, fact: consensus.PrepareCast) -> None:
        """This node prepares."""
        self._vote("prepare vote for", fact)

    def prepare_quorum(self, fact: consensus.PrepareQuorum) -> None:
        """A quorum prepared."""
        self._vote("prepare consensus on", fact)

    def precommit_cast(self, fact: consensus.PrecommitCast) -> None:
        """This node precommits."""
        self._vote("precommit vote for", fact)

    def precommit_quorum(self, fact: consensus.PrecommitQuorum) -> None:
        """A quorum precommitted."""
        self._vote("precommit consensus on", fact)

    def evidence_held(self, fact: EvidenceHeld) -> None:
        """Somebody signed twice, and this node has the proof."""
        _consensus.error(
            "evidence: {offence} of {signer} at height {height}",
            offence=fact.evidence.offence,
            signer=fact.evidence.signer.hex(),
            height=fact.evidence.height,
        )

    def safety_broken(self, fact: consensus.SafetyBroken) -> None:
        """Two blocks of one height have a quorum."""
        self._two_blocks(fact.first.height, fact.first.block_hash, fact.second.block_hash)

    def fork_found(self, fact: ForkFound) -> None:
        """A second certified block of a height was shown to this node."""
        self._two_blocks(fact.height, fact.first.block_hash, fact.second.block_hash)

    def finalized(self, fact: BlockConnected) -> None:
        """A block is part of history."""
        reward = fact.block.body.reward
        _chain.info(
            "finalized height {height}: {block} with {entries} transactions, "
            "reward and fees {reward} TIME",
            height=fact.block.height,
            block=_name(fact.block.hash),
            entries=len(fact.block.body.entries),
            reward=format_time(sum(output.value for output in reward.outputs)),
        )

    def emergency(self, fact: EmergencyRaised) -> None:
        """Two certified transactions conflict."""
        _finality.critical(
            "EMERGENCY: {first} and {second} are both certified and conflict; signed twice by "
            "{signers}",
            first=fact.first.hex(),
            second=fact.second.hex(),
            signers=", ".join(signer.hex()[:SHORT_HASH_CHARS] for signer in fact.signers),
        )

    def catching_up(self, fact: CatchingUp) -> None:
        """This node is behind its peers, or no longer."""
        _sync.info("catching up with peers" if fact.active else "caught up with peers")

    def history_refused(self, fact: HistoryRefused) -> None:
        """A quorum took a block that breaks a rule as this node knows it."""
        _sync.critical(
            "cannot follow the network: certified block {block} at height {height} breaks the rule "
            "{rule} ({detail}); is this version too old?",
            block=_name(fact.block_hash),
            height=fact.height,
            rule=fact.rule,
            detail=fact.detail,
        )

    def _vote(
        self,
        what: str,
        fact: consensus.PrepareCast
        | consensus.PrepareQuorum
        | consensus.PrecommitCast
        | consensus.PrecommitQuorum,
    ) -> None:
        _consensus.info(
            "height {height} round {round}: {what} {block} ({weight} of {total})",
            height=fact.height,
            round=fact.round,
            what=what,
            block=_name(fact.block_hash),
            weight=fact.weight,
            total=fact.total,
        )

    def _two_blocks(self, height: int, first: bytes, second: bytes) -> None:
        _consensus.critical(
            "SAFETY BROKEN at height {height}: both {first} and {second} have a quorum; "
            "more than a third of the weight signed twice; no further block is taken",
            height=height,
            first=first.hex(),
            second=second.hex(),
        )
