"""The single writer of history: check a block, connect it, one atomic batch (PROTOCOL 6).

Everything that it hands out is immutable. In memory it keeps what the next check needs: the tip,
the sums, a few snapshots and the last results of checks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from timecoin.chain.accept import CheckedBlock, check_shape, check_successor
from timecoin.chain.active import retained_blocks
from timecoin.chain.assemble import Draft, assemble
from timecoin.chain.ports import ChainStore, ChainUpdate, GenesisState, parent_set
from timecoin.consensus import ports
from timecoin.consensus.ports import Contents, FindBody, Tip
from timecoin.crypto.keys import Verify
from timecoin.crypto.lthash import LtHash
from timecoin.ledger.block import Block, Header
from timecoin.ledger.connect import Coin, UtxoDiff
from timecoin.ledger.genesis import Genesis, genesis_utxos
from timecoin.ledger.memo import SpendMemo
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import Stake
from timecoin.ledger.transaction import Outpoint, Transaction
from timecoin.ledger.utxo import Utxo, utxo_element
from timecoin.masternodes.active_set import ActiveSet, genesis_set
from timecoin.quorum.certificate import (
    BlockCertificate,
    CertificateError,
    check_precommit_certificate,
)
from timecoin.quorum.snapshots import block_snapshots
from timecoin.signal import Signal

KEPT_CHECKS = 4
"""Results of checks that are kept: a proposal is checked once, not again at its commit."""
KEPT_SNAPSHOTS = 256
"""Snapshots held in memory; older ones are read from the store."""


@dataclass(frozen=True, slots=True)
class BlockConnected(Signal):
    """A block is part of history now, with what it took from and put into the UTXO set."""

    block: Block
    certificate: BlockCertificate
    transactions: tuple[Transaction, ...]
    spent: tuple[tuple[Outpoint, Utxo], ...]
    created: tuple[tuple[Outpoint, Utxo], ...]


@dataclass(frozen=True, slots=True)
class ForkFound(Signal):
    """Two blocks of one height are certified: more than a third of the weight signed twice.

    The chain takes no further block; an operator has to look at it.
    """

    height: int
    first: BlockCertificate
    second: BlockCertificate


def genesis_state(genesis: Genesis) -> GenesisState:
    """Block 0: the allocations, the founding members and their sums."""
    created = genesis_utxos(genesis)
    return GenesisState(
        hash=genesis.hash,
        created=created,
        active_set=genesis_set(genesis),
        lthash=LtHash().add_many(utxo_element(*item) for item in created).to_bytes(),
        supply=sum(utxo.value for _, utxo in created),
    )


class Chain:
    """Implements ``BlockRules``, ``PoolView``, ``FinalityChain`` and ``Snapshots``."""

    def __init__(
        self, genesis: Genesis, store: ChainStore, verify: Verify, memo: SpendMemo | None = None
    ) -> None:
        """Go on from what ``store`` holds; an empty one begins with ``genesis``.

        ``memo`` is shared with the pool: blocks bring what it has checked.
        """
        self._genesis = genesis
        self._store = store
        self._verify = verify
        self._memo = memo
        self._retained = retained_blocks(genesis.slot_ms)
        self._snapshots: OrderedDict[int, ActiveSet] = OrderedDict()
        self._checks: OrderedDict[bytes, CheckedBlock] = OrderedDict()
        if store.tip() is None:
            store.initialize(genesis_state(genesis))
        self.reopen()

    def reopen(self) -> None:
        """Go on from what the store holds now: at the start, and after a set has been loaded."""
        self._tip = _read_tip(self._genesis, self._store)
        self._lthash = self._store.lthash()
        self._supply = self._store.supply()
        self._fork_height = self._store.fork_height()
        self._snapshots.clear()
        self._checks.clear()

    # what it knows

    @property
    def tip(self) -> Tip:
        """The newest final block."""
        return self._tip

    @property
    def tip_height(self) -> int:
        """Height of the newest final block."""
        return self._tip.height

    @property
    def tip_hash(self) -> bytes:
        """Hash of the newest final block."""
        return self._tip.hash

    @property
    def tip_time_ms(self) -> int:
        """slot_time of the newest final block, Unix milliseconds."""
        return self._tip.slot_time

    @property
    def slot_ms(self) -> int:
        """Length of a slot."""
        return self._genesis.slot_ms

    @property
    def lthash(self) -> bytes:
        """LtHash state of the UTXO set."""
        return self._lthash

    @property
    def supply(self) -> int:
        """All coins in existence, in units."""
        return self._supply

    @property
    def fork_height(self) -> int | None:
        """The height at which two blocks are certified; None on a sound chain."""
        return self._fork_height

    def active_set(self, height: int) -> ActiveSet | None:
        """avs(height): None ahead of the tip, and seven days of slots below it."""
        if not max(0, self._tip.height - self._retained) <= height <= self._tip.height:
            return None
        found = self._snapshots.get(height)
        if found is None:
            found = self._store.active_set(height)
            if found is not None:
                self._keep_snapshot(height, found)
        return found

    def utxo(self, point: Outpoint) -> Utxo | None:
        """The archived unspent output ``point``."""
        return self._store.utxo(point)

    def stake_free(self, txid: bytes, point: Outpoint, stake: Stake) -> bool:
        """Whether the block after the tip may spend the stake ``point`` (PROTOCOL 4)."""
        members = parent_set(self)
        return members.releases(point, stake.pubkey, self._tip.height + 1)

    def utxos(self, after: Outpoint = b"") -> Iterator[Coin]:
        """The UTXO set in outpoint order, from behind ``after``."""
        return self._store.utxos(after)

    def archived(self, txid: bytes) -> int | None:
        """Height of the block that archived ``txid``; genesis allocations count as block 0's."""
        if txid == self._genesis.hash:
            return 0
        found = self._store.archived(txid)
        return None if found is None else found.height

    def transaction(self, wtxid: bytes) -> Transaction | None:
        """The archived transaction ``wtxid``."""
        return self._store.transaction(wtxid)

    def block(self, height: int) -> Block | None:
        """The block at ``height``; genesis has none."""
        return self._store.block(height)

    def undo(self, height: int) -> UtxoDiff | None:
        """What the block at ``height`` spent and created."""
        return self._store.undo(height)

    def header(self, height: int) -> Header | None:
        """The header of the block at ``height``; genesis has none."""
        return self._store.header(height) if height <= self._tip.height else None

    def stored_set(self, height: int) -> ActiveSet | None:
        """avs(height), however old."""
        return self._store.active_set(height) if height <= self._tip.height else None

    @property
    def first_body(self) -> int:
        """The lowest height from which on this node has every body."""
        return self._store.first_body()

    @property
    def first_undo(self) -> int:
        """The lowest height from which on this node can also tell what every block spent."""
        return self._store.first_undo()

    def certificate(self, height: int) -> BlockCertificate | None:
        """The precommit certificate of the block at ``height``."""
        # Above the tip there may be headers already; no block of ours yet.
        return self._store.certificate(height) if height <= self._tip.height else None

    def block_hash(self, height: int) -> bytes | None:
        """The hash of the block at ``height``; the genesis hash at 0."""
        if height == 0:
            return self._genesis.hash
        header = self.header(height)
        return None if header is None else header.hash

    # judging and making blocks

    def check(self, block: Block, find: FindBody) -> CheckedBlock:
        """``block`` judged as the successor of the tip, with the bodies that ``find`` gives.

        ``RuleBroken`` or ``MissingBodies`` as in :func:`check_successor`; nothing changes.
        """
        self._refuse_on_fork()
        # The cache knows a block by its header alone: the body must be that header's.
        check_shape(block)
        known = self._checks.get(block.hash)
        if known is not None:
            return known
        return self._keep_check(
            check_successor(block, find, self, self._genesis, self._verify, self._memo)
        )

    def assemble(
        self,
        contents: Contents,
        slot: int,
        round_: int,
        producer: bytes,
        vrf_proof: bytes,
        timestamp_ms: int,
    ) -> CheckedBlock:
        """The block that ``producer`` may propose: what of ``contents`` is valid and fits.

        It has passed :meth:`check`. ``RuleBroken`` when the producer's own claim does not hold.
        """
        self._refuse_on_fork()
        draft = Draft(slot, round_, producer, vrf_proof, timestamp_ms)
        return self._keep_check(
            assemble(contents, draft, self, self._genesis, self._verify, self._memo)
        )

    # writing history

    def commit(
        self,
        checked: ports.CheckedBlock,
        certificate: BlockCertificate,
        durable: bool = True,
    ) -> BlockConnected | ForkFound | None:
        """Connect a block that :meth:`check` or :meth:`assemble` gave, in one batch.

        It is synced if ``durable``; else a crash may lose it, with all that came after it.

        A block that history has already changes nothing: None. A certified block at a height
        that history filled with another one is a fork. ``CertificateError`` when ``certificate``
        does not finalize this block, ``ValueError`` when the block is not the tip's successor.
        """
        if not isinstance(checked, CheckedBlock):
            raise TypeError("only a result of this chain's check can be committed")
        block = checked.block
        if (certificate.height, certificate.block_hash) != (block.height, block.hash):
            raise CertificateError("the certificate is for another block")
        if block.height <= self._tip.height:
            return self.witness(certificate)
        if self._fork_height is not None:
            return None
        if block.header.prev_hash != self._tip.hash:
            raise ValueError(f"block {block.height} does not follow {self._tip.height}")
        self.check_certificate(certificate)
        self._store.apply(
            ChainUpdate(
                block=block,
                certificate=certificate,
                transactions=checked.transactions,
                diff=checked.diff,
                active_set=checked.active_set,
                lthash=checked.lthash,
                supply=checked.supply,
            ),
            durable,
        )
        self._tip = _tip_of(block.header)
        self._lthash = checked.lthash
        self._supply = checked.supply
        self._keep_snapshot(block.height, checked.active_set)
        self._checks.clear()
        return BlockConnected(
            block, certificate, checked.transactions, checked.diff.spent, checked.diff.created
        )

    def witness(self, certificate: BlockCertificate) -> ForkFound | None:
        """Compare a certificate at or below the tip with history; a second one halts the chain.

        ``CertificateError`` when it is no valid precommit certificate.
        """
        known = self._store.certificate(certificate.height)
        if known is None or known.block_hash == certificate.block_hash:
            return None
        self.check_certificate(certificate)
        return self.record_fork(known, certificate)

    def record_fork(self, first: BlockCertificate, second: BlockCertificate) -> ForkFound:
        """Keep two checked certificates of one height for different blocks; take no more blocks."""
        height = first.height
        if second.height != height or second.block_hash == first.block_hash:
            raise ValueError("these certificates are no fork")
        if self._store.fork(height) is None:
            self._store.record_fork(first, second)
        self._fork_height = min(height, height if self._fork_height is None else self._fork_height)
        return ForkFound(height, first, second)

    def check_certificate(self, certificate: BlockCertificate) -> None:
        """``CertificateError`` unless these are precommits of a quorum, for the tip's successor
        or for any block below whose snapshots are still kept."""
        snapshots = block_snapshots(self, certificate.height)
        if snapshots is None:
            raise CertificateError(f"no snapshots for height {certificate.height}")
        check_precommit_certificate(certificate, snapshots, self._genesis.chain_id, self._verify)

    def _refuse_on_fork(self) -> None:
        if self._fork_height is not None:
            raise RuleBroken("forked", f"two blocks are certified at height {self._fork_height}")

    def _keep_check(self, checked: CheckedBlock) -> CheckedBlock:
        self._checks[checked.block.hash] = checked
        if len(self._checks) > KEPT_CHECKS:
            self._checks.popitem(last=False)
        return checked

    def _keep_snapshot(self, height: int, active: ActiveSet) -> None:
        self._snapshots[height] = active
        if len(self._snapshots) > KEPT_SNAPSHOTS:
            self._snapshots.popitem(last=False)


def _tip_of(header: Header) -> Tip:
    return Tip(
        height=header.height,
        hash=header.hash,
        slot=header.slot,
        slot_time=header.slot_time,
        timestamp_ms=header.timestamp_ms,
        seed=header.seed,
    )


def _read_tip(genesis: Genesis, store: ChainStore) -> Tip:
    """The tip that the store knows; for height 0 what genesis stands for."""
    found = store.tip()
    if found is None:
        raise LookupError("the store has no tip")
    height, block_hash = found
    if height == 0:
        slot = genesis.slot_at(genesis.time_ms)
        slot_time = slot * genesis.slot_ms
        return Tip(0, block_hash, slot, slot_time, genesis.time_ms, genesis.hash)
    header = store.header(height)
    if header is None or header.hash != block_hash:
        raise LookupError(f"the store's tip {height} has no header")
    return _tip_of(header)
