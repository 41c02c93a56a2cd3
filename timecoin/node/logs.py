"""The readable history of a node: blocks, transactions, votes and what went wrong with them.

Texts show short hashes; the fields ``block`` and ``txid`` of an event are whole, so that the lines
of one block or transaction are found by them.
"""

from __future__ import annotations

from twisted.logger import Logger, LogLevel

from timecoin.chain.commit import BlockConnected, ForkFound
from timecoin.consensus import events as consensus
from timecoin.evidence.events import EvidenceHeld
from timecoin.finality.events import EmergencyRaised, StatusChanged
from timecoin.ledger.amount import format_time
from timecoin.ledger.transaction import Transaction
from timecoin.masternodes import events as masternodes
from timecoin.mempool.entry import Verdict
from timecoin.node.log.levels import Levels
from timecoin.node.node import Node
from timecoin.node.wiring import observe
from timecoin.quorum.statement import NIL
from timecoin.sync.events import CatchingUp, HistoryRefused

SHORT_HASH_CHARS = 16

# On a class a Logger would take the class's name for its namespace.
_consensus = Logger("timecoin.consensus")
_chain = Logger("timecoin.chain")
_finality = Logger("timecoin.finality")
_mempool = Logger("timecoin.mempool")
_sync = Logger("timecoin.sync")
_masternodes = Logger("timecoin.masternodes")


def _name(block_hash: bytes) -> str:
    return "nil" if block_hash == NIL else block_hash.hex()[:SHORT_HASH_CHARS]


class NodeLog:
    """The readable history of a node: one method a line."""

    def __init__(self, levels: Levels) -> None:
        """``levels``: those in force; lines for every transaction are made only if wanted."""
        self._levels = levels
        self._catching_up = False

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
        observe(node, StatusChanged, self.status_changed)
        observe(node, CatchingUp, self.catching_up)
        observe(node, HistoryRefused, self.history_refused)
        observe(node, masternodes.MasternodeAwake, self.masternode_awake)
        observe(node, masternodes.MasternodeSilent, self.masternode_silent)
        observe(node, masternodes.ClockChanged, self.clock_changed)

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
            "height {height} round {round}: proposing {name} with {entries} transactions",
            height=fact.height,
            round=fact.round,
            name=_name(fact.block_hash),
            block=fact.block_hash.hex(),
            entries=fact.entries,
        )

    def proposal_refused(self, fact: consensus.ProposalRefused) -> None:
        """A proposal is not prepared here."""
        _consensus.warn(
            "height {height} round {round}: refused {name} of {proposer}: {reason}",
            height=fact.height,
            round=fact.round,
            name=_name(fact.block_hash),
            block=fact.block_hash.hex(),
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
        # The progress of catching up is told by itself.
        _chain.emit(
            LogLevel.debug if self._catching_up else LogLevel.info,
            "finalized height {height}: {name} with {entries} transactions, "
            "reward and fees {reward} TIME",
            height=fact.block.height,
            name=_name(fact.block.hash),
            block=fact.block.hash.hex(),
            entries=len(fact.block.body.entries),
            reward=format_time(sum(output.value for output in reward.outputs)),
        )

    def status_changed(self, fact: StatusChanged) -> None:
        """A transaction has come further; at level debug."""
        if self._levels.writes("finality", "debug"):
            _finality.debug(
                "transaction {txid}: {status}", txid=fact.txid.hex(), status=fact.status.value
            )

    def submitted(self, tx: Transaction, verdict: Verdict) -> None:
        """A user of this node has handed in a transaction; at level debug."""
        if self._levels.writes("mempool", "debug"):
            _mempool.debug(
                "transaction {txid} of an own user: {admission}{rule}",
                txid=tx.txid.hex(),
                admission=verdict.admission.value,
                rule=f" by {verdict.rule}" if verdict.rule else "",
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
        self._catching_up = fact.active
        _sync.info("catching up with peers" if fact.active else "caught up with peers")

    def history_refused(self, fact: HistoryRefused) -> None:
        """A quorum took a block that breaks a rule as this node knows it."""
        _sync.critical(
            "cannot follow the network: certified block {name} at height {height} breaks the rule "
            "{rule} ({detail}); is this version too old?",
            name=_name(fact.block_hash),
            block=fact.block_hash.hex(),
            height=fact.height,
            rule=fact.rule,
            detail=fact.detail,
        )

    def masternode_awake(self, fact: masternodes.MasternodeAwake) -> None:
        """A masternode is there."""
        _masternodes.info("masternode {name} is live", name=_name(fact.pubkey))

    def masternode_silent(self, fact: masternodes.MasternodeSilent) -> None:
        """A member of the active set has fallen silent."""
        _masternodes.warn(
            "masternode {name} is silent: its last verified heartbeat is {age} s old",
            name=_name(fact.pubkey),
            age="?" if fact.age_ms is None else fact.age_ms // 1_000,
        )

    def clock_changed(self, fact: masternodes.ClockChanged) -> None:
        """This node's clock went wrong, or right again."""
        if fact.sound:
            _masternodes.info("the clock agrees with the peers' again")
        else:
            _masternodes.critical(
                "this machine's clock is {seconds} s off its peers': it neither proposes nor "
                "witnesses until the clock is set",
                seconds=abs(fact.offset_ms) // 1_000,
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
            "height {height} round {round}: {what} {name} ({weight} of {total})",
            height=fact.height,
            round=fact.round,
            what=what,
            name=_name(fact.block_hash),
            block=fact.block_hash.hex(),
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
