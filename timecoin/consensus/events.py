"""What block consensus hears besides messages, timers and links, and what it makes known."""

from __future__ import annotations

from dataclasses import dataclass

from timecoin.consensus.messages import BlockVote, Proposal
from timecoin.consensus.ports import CheckedBlock
from timecoin.quorum.certificate import BlockCertificate
from timecoin.signal import Signal

# Events.


@dataclass(frozen=True, slots=True)
class Restore:
    """The journal's rows (table, key, value) of this node's last life; comes before Start."""

    rows: tuple[tuple[str, bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Start:
    """Begin with the height after the tip."""


@dataclass(frozen=True, slots=True)
class NewTip:
    """A block was connected, decided here or fetched from peers."""


@dataclass(frozen=True, slots=True)
class BodiesFetched:
    """Bodies that were wanted are at hand."""

    wtxids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CatchUpChanged:
    """Whether this node is behind its peers: one that catches up does not vote (PROTOCOL 8)."""

    active: bool


# Signals.


@dataclass(frozen=True, slots=True)
class Decided(Signal):
    """The block of this height is final."""

    checked: CheckedBlock
    certificate: BlockCertificate


@dataclass(frozen=True, slots=True)
class BodiesWanted(Signal):
    """A block cannot be judged without these bodies; ``peers`` are likely to have them."""

    peers: tuple[bytes, ...]
    wtxids: tuple[bytes, ...]


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


@dataclass(frozen=True, slots=True)
class SafetyBroken(Signal):
    """Two precommit quorums at one height: more than a third of the weight signed twice.

    Block finalization is halted here until an operator intervenes (PROTOCOL 6).
    """

    first: BlockCertificate
    second: BlockCertificate
