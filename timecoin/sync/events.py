"""What synchronization hears besides messages, timers and links, and what it makes known."""

from __future__ import annotations

from dataclasses import dataclass

from timecoin.chain.accept import CheckedBlock
from timecoin.quorum.certificate import BlockCertificate
from timecoin.signal import Signal

# Events.


@dataclass(frozen=True, slots=True)
class NewTip:
    """A block was connected, decided here or fetched."""


@dataclass(frozen=True, slots=True)
class BodiesFetched:
    """Bodies that were wanted are at hand."""

    wtxids: tuple[bytes, ...]


# Signals.


@dataclass(frozen=True, slots=True)
class CatchingUp(Signal):
    """Whether peers have shown certified history beyond the tip: such a node does not vote."""

    active: bool


@dataclass(frozen=True, slots=True)
class BlockSynced(Signal):
    """The tip's successor, checked, with the certificate that makes it final: to be committed."""

    checked: CheckedBlock
    certificate: BlockCertificate


@dataclass(frozen=True, slots=True)
class BodiesWanted(Signal):
    """A block cannot be checked without these bodies; ``peers`` are likely to have them."""

    peers: tuple[bytes, ...]
    wtxids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SecondCertificate(Signal):
    """A valid certificate for another block than ours, at a height that we hold: a fork."""

    certificate: BlockCertificate


@dataclass(frozen=True, slots=True)
class HistoryRefused(Signal):
    """A certified block breaks a rule as this node knows it: it cannot follow. For the operator."""

    height: int
    block_hash: bytes
    rule: str
    detail: str
