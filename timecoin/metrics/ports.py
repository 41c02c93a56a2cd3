"""Where the figures come from: the node's own parts, read at the moment of a scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from timecoin.chain.views import ChainViews
from timecoin.consensus.machine import Consensus
from timecoin.crypto.keys import VerifiedCache
from timecoin.driver import Driver
from timecoin.finality.machine import Finality
from timecoin.ledger.genesis import Genesis
from timecoin.mempool.policy import PoolLimits
from timecoin.mempool.pool import Pool
from timecoin.p2p.traffic import LinkFigures
from timecoin.sync.machine import Sync


class JournalFigures(Protocol):
    """Port: the records of the machines (``store.journalstore.JournalStore``)."""

    @property
    def pending(self) -> int:
        """Commits not yet acknowledged."""

    @property
    def commits(self) -> int:
        """Commits since the start."""


class RpcFigures(Protocol):
    """Port: the interface for users (``rpc.service.RpcService``)."""

    @property
    def under_way(self) -> int:
        """HTTP requests being answered now."""

    @property
    def failed_logins(self) -> int:
        """Since the start."""

    @property
    def websockets(self) -> int:
        """Open WebSocket connections."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One bounded collection of the node, and how full it is."""

    name: str
    size: int
    limit: int


@dataclass(frozen=True, slots=True)
class Sources:
    """One node, as far as its figures go."""

    version: str
    genesis: Genesis
    clock: IReactorTime
    voting_pubkey: bytes | None
    """None: it follows and does not vote."""
    views: ChainViews
    pool: Pool
    pool_limits: PoolLimits
    finality: Finality
    consensus: Consensus
    sync: Sync
    driver: Driver
    verified: VerifiedCache
    journal: JournalFigures
    rpc: Callable[[], RpcFigures]
    links: Callable[[], LinkFigures]
    message_names: Mapping[int, str]
    holdings: Callable[[], Iterable[Holding]]
    size_on_disk: Callable[[], int]
    """Bytes of the store."""
    free_disk: Callable[[], int]
    """Bytes that are free where the store is."""
    clock_offset_ms: Callable[[], int]
    """How far the peers' clocks are ahead of this one, their median; 0 without peers."""
    problems: Callable[[], Mapping[str, bool]]
    """Every kind of problem that health knows, and whether it is there now."""
    log_lines: Callable[[], Mapping[str, int]]
    """Lines logged by level since the start."""
