"""What block consensus hears besides messages, timers and links, and what it makes known."""

from __future__ import annotations

from dataclasses import dataclass

from timecoin.consensus.messages import BlockVote, Proposal
from timecoin.consensus.ports import CheckedBlock
from timecoin.quorum.certificate import BlockCertificate
from timecoin.quorum.evidence import Evidence, SignedBlock, double_signature
from timecoin.quorum.statement import VoteKind
from timecoin.signal import Signal

# Events; bodies that arrive are told by ``mempool.exchange.BodiesFetched``.


@dataclass(frozen=True, slots=True)
class ClockJudged:
    """Whether this node's clock agrees with its peers': one that is off does not propose."""

    sound: bool


# Signals.


@dataclass(frozen=True, slots=True)
class Decided(Signal):
    """The block of this height is final."""

    checked: CheckedBlock
    certificate: BlockCertificate


@dataclass(frozen=True, slots=True)
class RoundStarted(Signal):
    """A round began; ``proposer`` is whose turn it is as far as this node knows candidates."""

    height: int
    round: int
    slot: int
    proposer: bytes | None


@dataclass(frozen=True, slots=True)
class Proposing(Signal):
    """This node proposes a block of so many entries."""

    height: int
    round: int
    block_hash: bytes
    entries: int


@dataclass(frozen=True, slots=True)
class PrepareCast(Signal):
    """This node prepares; ``block_hash`` is NIL for none. Weights are of avs(height - 1)."""

    height: int
    round: int
    block_hash: bytes
    weight: int
    total: int


@dataclass(frozen=True, slots=True)
class PrecommitCast(Signal):
    """This node precommits; ``block_hash`` is NIL for none. Weights are of avs(height - 1)."""

    height: int
    round: int
    block_hash: bytes
    weight: int
    total: int


@dataclass(frozen=True, slots=True)
class PrepareQuorum(Signal):
    """A block has a quorum of prepares, with ``weight`` of ``total`` in avs(height - 1)."""

    height: int
    round: int
    block_hash: bytes
    weight: int
    total: int


@dataclass(frozen=True, slots=True)
class PrecommitQuorum(Signal):
    """A block has a quorum of precommits, with ``weight`` of ``total`` in avs(height - 1)."""

    height: int
    round: int
    block_hash: bytes
    weight: int
    total: int


@dataclass(frozen=True, slots=True)
class ProposalRefused(Signal):
    """A proposal that is not prepared here, and why."""

    height: int
    round: int
    block_hash: bytes
    proposer: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Equivocation(Signal):
    """Two signatures of one member for the same height, round and kind: evidence against it."""

    first: BlockVote | Proposal
    second: BlockVote | Proposal

    def evidence(self) -> Evidence | None:
        """The proof; None for one block proposed twice, which nobody is jailed for."""
        first, second = _signed(self.first), _signed(self.second)
        if first.block_hash == second.block_hash:
            return None
        vote = self.first
        if isinstance(vote, Proposal):
            kind, signer = VoteKind.PROPOSAL, vote.proposer
        else:
            kind, signer = VoteKind(vote.kind), vote.voter
        return double_signature(kind, vote.height, vote.round, signer, first, second)


def _signed(message: BlockVote | Proposal) -> SignedBlock:
    if isinstance(message, Proposal):
        return SignedBlock(message.valid_round, message.slot, message.block.hash, message.signature)
    return SignedBlock(0, 0, message.block_hash, message.signature)


@dataclass(frozen=True, slots=True)
class SafetyBroken(Signal):
    """Two precommit quorums at one height: more than a third of the weight signed twice.

    Block finalization is halted here until an operator intervenes (PROTOCOL 6).
    """

    first: BlockCertificate
    second: BlockCertificate
