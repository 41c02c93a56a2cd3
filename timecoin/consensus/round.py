"""One Tendermint instance: the agreement on one height (arXiv 1807.04938, PROTOCOL 6).

State and rules only. :meth:`Instance.due` names the first rule whose condition holds; who carries
it out (signs, records, sends) reports back through the methods that change the state, and asks
again until nothing is due. So a rule cannot fire on half-changed state, and time-outs, late
bodies and leave to vote need no rules of their own: they only change what is due.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from timecoin.consensus.messages import Proposal
from timecoin.consensus.offers import Offers
from timecoin.consensus.ports import CheckedBlock, MissingBodies
from timecoin.consensus.proposal import Judge, Offer, Refusal
from timecoin.consensus.timeouts import Timeout
from timecoin.consensus.votes import VoteBook
from timecoin.ledger.block import Block
from timecoin.ledger.rules import RuleBroken
from timecoin.quorum.certificate import BlockCertificate
from timecoin.quorum.statement import NIL, VoteKind


class Step(enum.IntEnum):
    """Where this node stands in its round."""

    WAIT = 0
    """Before round 0: collecting candidates."""
    PROPOSE = 1
    PREPARE = 2
    """Has prepared."""
    PRECOMMIT = 3
    """Has precommitted."""
    DECIDED = 4
    HALTED = 5
    """Two precommit quorums at this height: nothing is decided here any more."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The block this node last precommitted, and when: it prepares no other without a newer quorum.

    Only a later prepare quorum for another block releases it.
    """

    round: int
    block_hash: bytes


@dataclass(frozen=True, slots=True)
class Valid:
    """The block with the latest prepare quorum known: what this node proposes on its turn."""

    quorum: BlockCertificate
    block: Block


@dataclass(frozen=True, slots=True)
class EnterRound:
    """Go to this round."""

    round: int


@dataclass(frozen=True, slots=True)
class Prepare:
    """Vote prepare, for ``checked`` if it is there; NIL with the refused offer and the reason, if
    there was one."""

    block_hash: bytes
    offer: Offer | None = None
    refusal: Refusal | None = None
    checked: CheckedBlock | None = None


@dataclass(frozen=True, slots=True)
class Precommit:
    """Vote precommit."""

    block_hash: bytes


@dataclass(frozen=True, slots=True)
class Learn:
    """A later prepare quorum is known."""

    quorum: BlockCertificate
    checked: CheckedBlock


@dataclass(frozen=True, slots=True)
class Arm:
    """Start this time-out of the round."""

    timeout: Timeout


@dataclass(frozen=True, slots=True)
class Decide:
    """The block is final."""

    checked: CheckedBlock
    certificate: BlockCertificate


@dataclass(frozen=True, slots=True)
class Halt:
    """Two precommit quorums exist: safety is broken."""

    first: BlockCertificate
    second: BlockCertificate


Action = EnterRound | Prepare | Precommit | Learn | Arm | Decide | Halt


class Instance:
    """Rounds, lock and valid block of one height. Rounds never restart, whatever slot begins."""

    def __init__(self, votes: VoteBook, judge: Judge) -> None:
        self.votes = votes
        self.offers = Offers()
        self.round = -1
        self.step = Step.WAIT
        self.round_start_ms = 0
        self.lock: Lock | None = None
        self.valid: Valid | None = None
        self._judge = judge
        self._claim: BlockCertificate | None = None
        self._kept: dict[bytes, Block] = {}
        self._armed: dict[Timeout, None] = {}
        self._expired: dict[Timeout, None] = {}

    # What has happened.

    def restore(self, round_: int, step: Step, lock: Lock | None, valid: Valid | None) -> None:
        """Take up where the journal says this node was."""
        self.round, self.step, self.lock, self.valid = round_, step, lock, valid

    def keep(self, block: Block) -> None:
        """Hold ``block`` beside the offers; from round to round only if locked or valid."""
        self._kept[block.hash] = block

    def offer(self, offer: Offer) -> Proposal | None:
        """Take a proposal of good form; returns an earlier one that it contradicts."""
        quorum = offer.proposal.prepare_quorum
        if quorum is not None and (self._claim is None or quorum.round > self._claim.round):
            self._claim = quorum
        return self.offers.add(offer, self._judge.has_turn(offer.proposal))

    def enter(self, round_: int, now_ms: int) -> None:
        """Round ``round_`` begins."""
        self.round, self.step, self.round_start_ms = round_, Step.PROPOSE, now_ms
        self._armed, self._expired = {}, {}
        self.votes.enter(round_)
        self.offers.enter(round_)
        matter = [None if self.valid is None else self.valid.block.hash]
        matter.append(None if self.lock is None else self.lock.block_hash)
        self._kept = {key: block for key, block in self._kept.items() if key in matter}
        self._judge.forget_but([*self._kept, *self.offers.block_hashes()])

    def arm(self, timeout: Timeout) -> None:
        """The time-out runs now."""
        self._armed[timeout] = None

    def expire(self, timeout: Timeout) -> None:
        """The time-out of the current round is over."""
        self._expired[timeout] = None

    def prepared(self) -> None:
        """This node has prepared in this round."""
        self.step = Step.PREPARE

    def precommitted(self, block_hash: bytes) -> None:
        """This node has precommitted in this round; a block is locked by that."""
        self.step = Step.PRECOMMIT
        if block_hash != NIL:
            self.lock = Lock(self.round, block_hash)

    def learn(self, valid: Valid) -> None:
        """Hold the newest valid block."""
        self.valid = valid
        self.keep(valid.block)

    # What is due.

    def due(self, now_ms: int, voting: bool) -> Action | None:
        """The first rule whose condition holds; ``voting``: whether this node may vote."""
        if self.step >= Step.DECIDED:
            return None
        return (
            self._decision()
            or self._jump()
            or self._learning()
            or (self._vote(now_ms) if voting else None)
            or self._arming()
            or self._round_over()
        )

    def _decision(self) -> Decide | Halt | None:
        certificates = [
            self.votes.certificate(round_, VoteKind.PRECOMMIT, block_hash)
            for round_, block_hash in self.votes.blocks_with_quorum(VoteKind.PRECOMMIT)
        ]
        for other in certificates[1:]:
            if other.block_hash != certificates[0].block_hash:
                return Halt(certificates[0], other)
        for certificate in certificates[:1]:
            checked = self._checked(certificate.block_hash)
            if checked is not None:
                return Decide(checked, certificate)
        return None

    def _jump(self) -> EnterRound | None:
        ahead = self.votes.round_ahead(self.round)
        return None if ahead is None else EnterRound(ahead)

    def _learning(self) -> Learn | None:
        known_round = -1 if self.valid is None else self.valid.quorum.round
        for round_, block_hash in self.votes.blocks_with_quorum(VoteKind.PREPARE):
            checked = self._checked(block_hash) if round_ > known_round else None
            if checked is not None:
                quorum = self.votes.certificate(round_, VoteKind.PREPARE, block_hash)
                return Learn(quorum, checked)
        claim = self._claim
        if claim is not None and claim.round > known_round:
            checked = self._checked(claim.block_hash)
            if checked is not None:
                return Learn(claim, checked)
        return None

    def _vote(self, now_ms: int) -> Prepare | Precommit | None:
        if self.step == Step.PROPOSE:
            return self._preparing(now_ms)
        return self._precommitting() if self.step == Step.PREPARE else None

    def _preparing(self, now_ms: int) -> Prepare | None:
        for offer in self.offers.of(self.round):
            if self._judge.has_turn(offer.proposal):
                choice = self._choice(offer, now_ms)
                if choice is not None:
                    return choice
        return Prepare(NIL) if Timeout.PROPOSE in self._expired else None

    def _choice(self, offer: Offer, now_ms: int) -> Prepare | None:
        """How to vote on a proposal made in turn; None while bodies are missing."""
        block_hash, valid_round = offer.block.hash, offer.proposal.valid_round - 1
        lock = self.lock
        if lock is not None and lock.block_hash != block_hash and lock.round > valid_round:
            return Prepare(NIL, offer, Refusal("locked on another block"))
        examined = self._judge.examine(offer.block)
        match examined:
            case MissingBodies():
                return None
            case RuleBroken() as broken:
                return Prepare(NIL, offer, Refusal(str(broken), fault=True))
        fresh = offer.proposal.valid_round == 0 and lock is None
        refusal = self._judge.refusal(offer, self.round_start_ms, now_ms) if fresh else None
        if refusal is not None:
            return Prepare(NIL, offer, refusal)
        return Prepare(block_hash, offer, checked=examined)

    def _precommitting(self) -> Precommit | None:
        quorum = self.votes.quorum(self.round, VoteKind.PREPARE)
        if quorum == NIL:
            return Precommit(NIL)
        if self.valid is not None and self.valid.quorum.round == self.round:
            return Precommit(self.valid.block.hash)
        return Precommit(NIL) if Timeout.PREPARE in self._expired else None

    def _arming(self) -> Arm | None:
        prepares = self.step == Step.PREPARE and self.votes.any_quorum(self.round, VoteKind.PREPARE)
        if prepares and Timeout.PREPARE not in self._armed:
            return Arm(Timeout.PREPARE)
        precommits = self.votes.any_quorum(self.round, VoteKind.PRECOMMIT)
        if precommits and Timeout.PRECOMMIT not in self._armed:
            return Arm(Timeout.PRECOMMIT)
        return None

    def _round_over(self) -> EnterRound | None:
        """Precommits have been waited for, or a quorum is nil and the round has been long enough.

        Not sooner: a block that all refuse at once would spin through rounds, and each lengthens
        the time-outs.
        """
        nil = self.votes.quorum(self.round, VoteKind.PRECOMMIT) == NIL
        if Timeout.PRECOMMIT in self._expired or (nil and Timeout.PROPOSE in self._expired):
            return EnterRound(self.round + 1)
        return None

    def _checked(self, block_hash: bytes) -> CheckedBlock | None:
        """The block, if it is at hand with its bodies and keeps the objective rules."""
        block = self._kept.get(block_hash) or self.offers.block(block_hash)
        if block is None:
            return None
        match self._judge.examine(block):
            case MissingBodies() | RuleBroken():
                return None
            case checked:
                return checked
