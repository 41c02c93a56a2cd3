"""What the rules need of the chain, and the chain of a store: one write a block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from timecoin.consensus.ports import Tip
from timecoin.ledger.block import Block, Header
from timecoin.ledger.connect import UtxoDiff
from timecoin.ledger.transaction import Outpoint, Transaction
from timecoin.ledger.utxo import Utxo
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.certificate import BlockCertificate


class ParentState(Protocol):
    """Port: the chain up to the parent, which is the tip."""

    @property
    def tip(self) -> Tip:
        """The parent."""

    @property
    def lthash(self) -> bytes:
        """LtHash state of the UTXO set after the parent."""

    @property
    def supply(self) -> int:
        """All coins after the parent, in units."""

    def active_set(self, height: int) -> ActiveSet | None:
        """avs(height) while it counts, None otherwise."""

    def block_hash(self, height: int) -> bytes | None:
        """The hash of the block at ``height``; the genesis hash at 0."""

    def utxo(self, point: Outpoint) -> Utxo | None:
        """The output ``point``, unspent after the parent."""


def parent_set(parent: ParentState) -> ActiveSet:
    """avs(h-1): the tip's own snapshot, which is always at hand."""
    active = parent.active_set(parent.tip.height)
    if active is None:
        raise LookupError(f"no active set at the tip's height {parent.tip.height}")
    return active


@dataclass(frozen=True, slots=True)
class Archived:
    """Where a transaction rests.

    ``position`` is its index among the block's entries; the reward stands behind the last entry.
    """

    height: int
    position: int
    wtxid: bytes


@dataclass(frozen=True, slots=True)
class GenesisState:
    """What a chain starts from: the allocations, avs(0) and their sums."""

    hash: bytes
    created: tuple[tuple[Outpoint, Utxo], ...]
    active_set: ActiveSet
    lthash: bytes
    supply: int


@dataclass(frozen=True, slots=True)
class ChainUpdate:
    """Everything that one block changes. ``lthash`` and ``supply`` are those after it."""

    block: Block
    certificate: BlockCertificate
    transactions: tuple[Transaction, ...]
    """Bodies of the entries, in entry order."""
    diff: UtxoDiff
    active_set: ActiveSet
    lthash: bytes
    supply: int


Place = tuple[int, int]
"""Where a transaction stands in the chain: height, and position as in :class:`Archived`."""


class AddressStore(Protocol):
    """Port: unspent outputs and history by the script of their owner."""

    @property
    def indexes_addresses(self) -> bool:
        """Whether the index is kept; without it the lists below are empty."""

    def utxo(self, point: Outpoint) -> Utxo | None:
        """The unspent output ``point``."""

    def address_unspent(self, script: bytes, after: Outpoint | None, limit: int) -> list[Outpoint]:
        """At most ``limit`` unspent outputs, in outpoint order from behind ``after``."""

    def address_history(
        self, script: bytes, before: Place | None, limit: int
    ) -> list[tuple[Place, bytes]]:
        """At most ``limit`` places and txids, newest first from before ``before``."""


class FinalHeader(Protocol):
    """A header with its certificate, and its active set where that is a new one."""

    @property
    def header(self) -> Header:
        """The header."""

    @property
    def certificate(self) -> BlockCertificate:
        """The precommits that made it final."""

    @property
    def members(self) -> ActiveSet | None:
        """The set behind its avs_root; None while it is the parent's."""


class HeaderStore(Protocol):
    """Port: certified headers, also those ahead of the tip."""

    def header_top(self) -> int:
        """The height of the newest header that was added; 0 when none ever was."""

    def header(self, height: int) -> Header | None:
        """The header at ``height``; genesis has none."""

    def certificate(self, height: int) -> BlockCertificate | None:
        """The precommit certificate of the header at ``height``."""

    def active_set(self, height: int) -> ActiveSet | None:
        """avs(height)."""

    def add_headers(self, items: Sequence[FinalHeader]) -> None:
        """Write consecutive headers in one batch, not synced: they can be fetched again."""


class ChainStore(HeaderStore, Protocol):
    """Port: durable history. The store decides nothing; the chain checks before it writes."""

    def tip(self) -> tuple[int, bytes] | None:
        """Height and hash of the newest block; None for an empty store."""

    def lthash(self) -> bytes:
        """The LtHash state of the UTXO set, 2,048 bytes."""

    def supply(self) -> int:
        """All coins in existence, in units."""

    def block(self, height: int) -> Block | None:
        """The block at ``height``; genesis has none."""

    def first_body(self) -> int:
        """The lowest height from which on every body is here, with its transactions."""

    def first_undo(self) -> int:
        """The lowest height from which on all undo data is here too."""

    def lacks_undo(self) -> range:
        """The heights whose bodies may be here already, but not what their blocks spent."""

    def height_of(self, block_hash: bytes) -> int | None:
        """The height of the block ``block_hash``, genesis included."""

    def utxo(self, point: Outpoint) -> Utxo | None:
        """The unspent output ``point``."""

    def utxos(self, after: Outpoint = b"") -> Iterator[tuple[Outpoint, Utxo]]:
        """The UTXO set in outpoint order, from behind ``after``."""

    def archived(self, txid: bytes) -> Archived | None:
        """Where ``txid`` is archived."""

    def transaction(self, wtxid: bytes) -> Transaction | None:
        """The archived transaction ``wtxid``; rewards included."""

    def undo(self, height: int) -> UtxoDiff | None:
        """What the block at ``height`` spent and created."""

    def fork(self, height: int) -> tuple[BlockCertificate, BlockCertificate] | None:
        """Two certificates for different blocks at ``height``, if that was ever seen."""

    def fork_height(self) -> int | None:
        """The lowest height with a fork, None for the sound chain."""

    def initialize(self, genesis: GenesisState) -> None:
        """Write the start of an empty store in one synced batch."""

    def apply(self, update: ChainUpdate, durable: bool) -> None:
        """Write one block and all that it changes in one batch, synced if ``durable``."""

    def record_fork(self, first: BlockCertificate, second: BlockCertificate) -> None:
        """Keep the proof that more than a third of the weight signed twice; synced."""
