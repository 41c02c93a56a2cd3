"""What the methods need of the node: reading only, each named after what it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from timecoin.consensus.machine import ConsensusView
from timecoin.finality.emergency import Emergency
from timecoin.finality.events import TxStatus
from timecoin.finality.proof import FinalityProof
from timecoin.finality.views import Statistics
from timecoin.ledger.transaction import Outpoint, Transaction
from timecoin.ledger.utxo import Utxo
from timecoin.masternodes.active_set import Member, Tier
from timecoin.masternodes.book import HeartbeatBook
from timecoin.masternodes.changes import Leave
from timecoin.masternodes.statistics import HeartbeatCounts
from timecoin.mempool.entry import PoolEntry, PoolStats, Verdict
from timecoin.p2p.ports import PeerInfo
from timecoin.quorum.evidence import Evidence
from timecoin.wallet.history import Effect, FindOutput

Submit = Callable[[Transaction], Verdict]
"""The one way in for a transaction of this node's own users."""
CallMeter = Callable[[str, float, int | None], None]
"""Hears of every answered call: a published method, seconds, the code of its error if any."""
MetricsText = Callable[[], bytes]
"""All metrics of the node in the text format of Prometheus."""


class PoolReader(Protocol):
    """Port: the transactions that wait (``mempool.pool.Pool``)."""

    def txids(self) -> tuple[bytes, ...]:
        """All waiting transactions, in order of arrival."""

    def entry(self, txid: bytes) -> PoolEntry | None:
        """The entry of ``txid``; to be read only."""

    def spenders(self, point: Outpoint) -> tuple[bytes, ...]:
        """Waiting transactions that spend ``point``."""

    def conflicts(self, txid: bytes) -> tuple[bytes, ...]:
        """Waiting transactions that conflict with the waiting ``txid``."""

    def cheapest(self) -> PoolEntry | None:
        """What a better payment displaces first, if anything may be; to be read only."""

    def probe(self, tx: Transaction) -> int:
        """The fee in units at which ``tx`` would be taken; ``RuleBroken`` if it would not be."""

    def stats(self) -> PoolStats:
        """Figures of this moment."""


class ConsensusReader(Protocol):
    """Port: where block consensus stands (``consensus.machine.Consensus``)."""

    def view(self) -> ConsensusView | None:
        """Where it stands now; None before it has started."""


class PeerReader(Protocol):
    """Port: the links (``p2p.ports.Network``)."""

    def peers(self) -> list[PeerInfo]:
        """The established links, oldest first."""


class FinalityReader(Protocol):
    """Port: how far transactions have come (``finality.machine.Finality``)."""

    def status(self, txid: bytes) -> TxStatus | None:
        """The status of ``txid`` here; None if nothing is known of it."""

    def final_waiting(self) -> int:
        """The number of transactions of the pool that are final."""

    def proof(self, txid: bytes) -> FinalityProof | None:
        """The proof that ``txid``, not yet archived, is final."""

    def statistics(self) -> Statistics:
        """Figures of this moment, and counts since the start."""

    @property
    def latencies_ms(self) -> tuple[int, ...]:
        """From seen to final, of the last 1,000 transactions."""

    @property
    def emergencies(self) -> tuple[Emergency, ...]:
        """Conflicting certificates that this node has ever seen."""


class EvidenceReader(Protocol):
    """Port: proofs of double signing (``evidence.machine.EvidencePool``)."""

    @property
    def held(self) -> tuple[Evidence, ...]:
        """Checked evidence that no block has settled yet, oldest first."""


class HeartbeatReader(Protocol):
    """Port: what is known of masternodes (``masternodes.machine.Masternodes``)."""

    book: HeartbeatBook
    """What was heard of each; to be read only."""
    counts: HeartbeatCounts
    """Counts since the start; to be read only."""
    clock_offset_ms: int
    """By how much the peers' clocks are ahead."""

    @property
    def clock_is_sound(self) -> bool:
        """Whether this node's clock agrees with its peers'."""


class MasternodeDesk(Protocol):
    """Port: what a user may ask for masternodes, this node's own or others'."""

    def utxo(self, point: Outpoint) -> Utxo | None:
        """The archived unspent output ``point``."""

    def joined_height(self, pubkey: bytes, stake: Outpoint) -> int | None:
        """Since when the masternode ``pubkey`` is in the active set by ``stake``, if it is."""

    def own_member(self) -> Member | None:
        """This node's own masternode in the active set of the tip."""

    def sign_leave(self, pubkey: bytes, joined_height: int) -> Leave | None:
        """The leave of this node's own masternode, by its voting key; None for another's."""

    def leave(self, leave: Leave) -> None:
        """Bring ``leave`` to the next proposer."""

    def join_with(self, stake: Outpoint, tier: Tier) -> None:
        """This node's own masternode shall join by ``stake``, or move to it.

        A genesis validator moves to less than its own weight only when its time is over.
        """

    def join_free(self, payout_hash: bytes) -> None:
        """This node's own masternode shall join without a stake."""


class SyncReader(Protocol):
    """Port: whether this node is behind (``sync.machine.Sync``)."""

    @property
    def active(self) -> bool:
        """Whether this node catches up."""

    @property
    def certified_height(self) -> int:
        """The highest block known to be final: the tip's height, or above it."""

    def announced_height(self, peer: bytes) -> int | None:
        """The height of its tip that a linked peer told last; None before it did."""


class Vitals(Protocol):
    """Port: what a node's parts and its machine say of themselves (``node.vitals.NodeVitals``)."""

    @property
    def needed_disk_bytes(self) -> int:
        """Less free than this is a problem."""

    def stopped_loops(self) -> list[str]:
        """Names of the loops that should turn and do not."""

    def clock_offset_ms(self) -> int:
        """How far the peers' clocks are ahead, by their median; 0 without peers."""

    def free_disk_bytes(self) -> int:
        """Free where the store is."""


class LogLevels(Protocol):
    """Port: which lines are logged (``node.log.levels.Levels``)."""

    def shown(self) -> dict[str, str]:
        """The least level of every area."""

    def set(self, area: str, level: str) -> None:
        """Log lines of ``area`` from ``level`` up; ``ValueError`` for unknown ones."""


class OwnEffect(Protocol):
    """Port: what a transaction means for the wallet (``wallet.wallet.Wallet``)."""

    def effect_of(self, tx: Transaction, find_output: FindOutput) -> Effect:
        """The sums over own keys."""
