"""What synchronization hears besides messages, timers and links, and what it makes known."""

from __future__ import annotations

from dataclasses import dataclass

from timecoin.chain.accept import CheckedBlock
from timecoin.chain.headers import CheckedHeaders
from timecoin.chain.history import OldBlock
from timecoin.ledger.connect import Coin
from timecoin.ledger.transaction import Outpoint
from timecoin.quorum.certificate import BlockCertificate
from timecoin.signal import Signal

# Events; bodies that arrive are told by ``mempool.exchange.BodiesFetched``.


@dataclass(frozen=True, slots=True)
class HeadersStored:
    """The headers that were made known last are at rest."""


@dataclass(frozen=True, slots=True)
class SetBegun:
    """The load of the set that was wanted has begun: the store is ready for pages."""


@dataclass(frozen=True, slots=True)
class CoinsStored:
    """The page that was made known last is at rest; ``whole``: whether the set that it ended is
    the right one, None while there is more to come."""

    whole: bool | None


@dataclass(frozen=True, slots=True)
class HistoryStored:
    """The old blocks that were made known last are kept, or the undo data wanted is found."""


# Signals.


@dataclass(frozen=True, slots=True)
class CatchingUp(Signal):
    """Whether peers have shown certified history beyond the tip: such a node does not vote."""

    active: bool


@dataclass(frozen=True, slots=True)
class HeadersSynced(Signal):
    """Headers that continue certified history: to be kept."""

    checked: CheckedHeaders


@dataclass(frozen=True, slots=True)
class BlockSynced(Signal):
    """The tip's successor, checked, with the certificate that makes it final: to be committed."""

    checked: CheckedBlock
    certificate: BlockCertificate


@dataclass(frozen=True, slots=True)
class SetWanted(Signal):
    """The set of unspent outputs after block ``height`` is to be loaded."""

    height: int


@dataclass(frozen=True, slots=True)
class CoinsSynced(Signal):
    """A page of that set, from behind ``after``: to be kept."""

    after: Outpoint
    coins: tuple[Coin, ...]
    last: bool


@dataclass(frozen=True, slots=True)
class HistorySynced(Signal):
    """Blocks just below the first body, as certified headers name them: to be kept."""

    blocks: tuple[OldBlock, ...]


@dataclass(frozen=True, slots=True)
class UndoWanted(Signal):
    """All bodies are here: what the next few of the old blocks spent is to be found."""


@dataclass(frozen=True, slots=True)
class SecondCertificate(Signal):
    """Valid certificates for two blocks of one height: a fork."""

    first: BlockCertificate
    second: BlockCertificate


@dataclass(frozen=True, slots=True)
class HistoryRefused(Signal):
    """A certified block breaks a rule as this node knows it: it cannot follow. For the operator."""

    height: int
    block_hash: bytes
    rule: str
    detail: str
