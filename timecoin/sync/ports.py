"""What synchronization needs of the chain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from timecoin.chain.accept import CheckedBlock
from timecoin.chain.loading import LoadState
from timecoin.consensus.ports import FindBody, Tip
from timecoin.ledger.block import Block, Header
from timecoin.ledger.connect import Coin, UtxoDiff
from timecoin.ledger.transaction import Outpoint, Transaction
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.certificate import BlockCertificate


class SyncChain(Protocol):
    """Port: history to serve and to extend."""

    @property
    def tip(self) -> Tip:
        """The newest final block."""

    @property
    def fork_height(self) -> int | None:
        """The height at which two blocks are certified; such a chain takes no more blocks."""

    @property
    def first_body(self) -> int:
        """The lowest height from which on this node has every body."""

    def block_hash(self, height: int) -> bytes | None:
        """The hash of the block at ``height``; the genesis hash at 0."""

    def header(self, height: int) -> Header | None:
        """The header of the block at ``height``; genesis has none."""

    def block(self, height: int) -> Block | None:
        """The block at ``height``; None for genesis and where its body is not kept."""

    def transaction(self, wtxid: bytes) -> Transaction | None:
        """The archived transaction ``wtxid``."""

    def utxos(self, after: Outpoint = b"") -> Iterator[Coin]:
        """The UTXO set in outpoint order, from behind ``after``."""

    def undo(self, height: int) -> UtxoDiff | None:
        """What the block at ``height`` spent and created."""

    def certificate(self, height: int) -> BlockCertificate | None:
        """The precommit certificate of the block at ``height``."""

    def stored_set(self, height: int) -> ActiveSet | None:
        """avs(height), however old."""

    def check(self, block: Block, find: FindBody) -> CheckedBlock:
        """``block`` judged as the tip's successor; ``RuleBroken`` or ``MissingBodies``."""


class SetLoader(Protocol):
    """Port: how far the loading of a set of unspent outputs is (``chain.loading.Loader``)."""

    @property
    def state(self) -> LoadState | None:
        """How far the load is; None when there is none."""


class OldHistory(Protocol):
    """Port: how far history behind the first body is (``chain.history.History``)."""

    @property
    def first_body(self) -> int:
        """The lowest height from which on every body is here."""

    @property
    def whole(self) -> bool:
        """Whether nothing is left to be added."""
