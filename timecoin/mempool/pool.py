"""The pool of transactions that wait to be archived (PROTOCOL 3, 9).

It judges by the ledger's rules and by its limits; it knows nothing of votes. Finality tells it
which transactions are locked (a vote depends on them) or certified (their outputs may be spent).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import islice

from timecoin.crypto.keys import Verify
from timecoin.ledger.check import (
    StakeFree,
    check_spend,
    check_structure,
    is_dust,
    spent_stakes,
    stake_released,
)
from timecoin.ledger.memo import SpendMemo
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.transaction import Outpoint, Transaction, outpoint, split_outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.mempool.conflicts import Spends
from timecoin.mempool.entry import (
    Admission,
    PoolChange,
    PoolEntry,
    PoolStats,
    Verdict,
)
from timecoin.mempool.eviction import EvictionOrder
from timecoin.mempool.orphans import Orphans
from timecoin.mempool.policy import PoolLimits
from timecoin.mempool.ports import PoolView


class Pool:
    """Waiting transactions by txid, with their conflicts, orphans and limits."""

    def __init__(
        self,
        view: PoolView,
        limits: PoolLimits,
        chain_id: bytes,
        verify: Verify,
        memo: SpendMemo | None = None,
    ) -> None:
        self._view = view
        self._limits = limits
        self._chain_id = chain_id
        self._verify = verify
        self._memo = memo
        self._entries: dict[bytes, PoolEntry] = {}
        self._txid_by_wtxid: dict[bytes, bytes] = {}
        self._spends = Spends()
        self._orphans = Orphans(limits.max_orphans, limits.max_orphan_bytes)
        self._refused: OrderedDict[bytes, Verdict] = OrderedDict()
        self._evictable = EvictionOrder(self._entries)
        self._certified = 0
        self._bytes = 0
        self._sequence = 0

    # reading

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, txid: bytes) -> bool:
        return txid in self._entries

    def txids(self) -> tuple[bytes, ...]:
        """All waiting transactions, in order of arrival."""
        return tuple(self._entries)

    def entry(self, txid: bytes) -> PoolEntry | None:
        """The entry of ``txid``; to be read only."""
        return self._entries.get(txid)

    def get(self, txid: bytes) -> Transaction | None:
        """The waiting transaction ``txid``."""
        entry = self._entries.get(txid)
        return None if entry is None else entry.tx

    def by_wtxid(self, wtxid: bytes) -> Transaction | None:
        """The waiting transaction or orphan ``wtxid``."""
        txid = self._txid_by_wtxid.get(wtxid)
        return self._orphans.get(wtxid) if txid is None else self._entries[txid].tx

    def is_orphan(self, txid: bytes) -> bool:
        """Whether ``txid`` waits for a parent."""
        return self._orphans.has_txid(txid)

    def refusal(self, wtxid: bytes) -> Verdict | None:
        """Why ``wtxid`` was refused, if that is remembered."""
        return self._refused.get(wtxid)

    def spenders(self, point: Outpoint) -> tuple[bytes, ...]:
        """Waiting transactions that spend ``point``, first come first."""
        return self._spends.spenders(point)

    def conflicts(self, txid: bytes) -> tuple[bytes, ...]:
        """Waiting transactions that conflict with the waiting ``txid``."""
        entry = self._entries.get(txid)
        return () if entry is None else self._spends.conflicts(entry.tx)

    def utxo(self, point: Outpoint) -> Utxo | None:
        """An output that may be spent now: archived, or of a certified waiting transaction."""
        found = self._view.utxo(point)
        if found is not None:
            return found
        txid, index = split_outpoint(point)
        entry = self._entries.get(txid)
        if entry is None or not entry.certified or index >= len(entry.tx.outputs):
            return None
        output = entry.tx.outputs[index]
        height = self._view.tip_height + 1
        return Utxo(value=output.value, script=output.lock_script, height=height, coinbase=False)

    def is_frozen(self, txid: bytes) -> bool:
        """Whether the waiting ``txid`` spends a stake that the next block may not spend."""
        entry = self._entries.get(txid)
        return entry is not None and not all(
            stake.unlock_height <= self._view.tip_height
            and self._view.stake_free(txid, point, stake)
            for point, stake in entry.stakes
        )

    def stats(self) -> PoolStats:
        """Figures of this moment."""
        oldest = next(iter(self._entries.values()), None)
        return PoolStats(
            pending=len(self._entries) - self._certified,
            certified=self._certified,
            bytes=self._bytes,
            orphans=len(self._orphans),
            conflicts=self._spends.contested(),
            oldest_ms=None if oldest is None else oldest.received_ms,
        )

    def cheapest(self) -> PoolEntry | None:
        """The entry that a better payment displaces first, if any may be; to be read only."""
        return self._evictable.first()

    def fee_rates(self, most: int) -> list[int]:
        """Fees in units per 1,000 bytes of the ``most`` newest entries, lowest first."""
        newest = islice(reversed(self._entries.values()), most)
        return sorted(entry.fee_units * 1_000 // entry.size for entry in newest)

    @property
    def eviction_order_size(self) -> int:
        """Length of the eviction order, stale places included: bounded by the pool's own."""
        return len(self._evictable)

    # admission

    def submit(self, tx: Transaction, now_ms: int) -> Verdict:
        """The way in for this node's own users: stricter than :meth:`admit`.

        A spend of an output that this node has locked or certified for another transaction, or an
        unknown input, is refused at once: the user is there to be told.
        """
        if tx.txid in self._entries or self._view.archived(tx.txid) is not None:
            return Verdict(Admission.KNOWN)
        try:
            self._check_submitted(tx)
        except RuleBroken as broken:
            return Verdict(Admission.REFUSED, broken.rule, broken.detail)
        return self.admit(tx, now_ms)

    def probe(self, tx: Transaction) -> int:
        """The fee in units with which :meth:`submit` would take the unknown ``tx``.

        ``RuleBroken`` says why it would not. Nothing changes.
        """
        self._check_submitted(tx)
        self._check_policy(tx)
        fee_units = self._check_spend(tx, self._spent(tx), self._view.stake_free)
        self._check_crowd(tx)
        self._evictable.put_back(self._victims(fee_units, len(tx.encoded)))
        return fee_units

    def admit(self, tx: Transaction, now_ms: int, certified: bool = False) -> Verdict:
        """Judge ``tx`` by the ledger's rules and take it in, or say why not.

        One that is ``certified`` is judged by those rules alone: the network has accepted it, so
        this node's policy and limits, and refusals for their sake, have no say; nor has what
        became of a stake since.
        """
        if tx.txid in self._entries or self._view.archived(tx.txid) is not None:
            return Verdict(Admission.KNOWN)
        remembered = self._refused.get(tx.wtxid)
        if remembered is not None and not (certified and remembered.rule == "dust"):
            return remembered
        if self._orphans.get(tx.wtxid) is not None and self._missing(tx) is not None:
            return Verdict(Admission.KNOWN)
        try:
            check_structure(tx)
            if not certified:
                self._check_policy(tx)
            missing = self._missing(tx)
            if missing is not None:
                if self._spent_in_chain(missing):
                    return self._remember(tx, Verdict(Admission.REFUSED, *_MISSING))
                self._orphans.add(tx)
                return Verdict(Admission.ORPHAN, "orphan", f"waits for {missing[:32].hex()}")
            spent = self._spent(tx)
            stake_free = stake_released if certified else self._view.stake_free
            fee_units = self._check_spend(tx, spent, stake_free)
        except RuleBroken as broken:
            verdict = Verdict(Admission.REFUSED, broken.rule, broken.detail)
            return verdict if broken.rule in _PASSING else self._remember(tx, verdict)
        entry = PoolEntry(
            tx, fee_units, len(tx.encoded), now_ms, self._sequence, spent_stakes(tx, spent)
        )
        return self._insert(entry, certified)

    def _insert(self, entry: PoolEntry, certified: bool) -> Verdict:
        tx = entry.tx
        if not certified:
            try:
                self._check_crowd(tx)
                victims = self._victims(entry.fee_units, entry.size)
            except RuleBroken as broken:
                return Verdict(Admission.REFUSED, broken.rule, broken.detail)
            for victim in victims:
                self._remove(victim)
        self._sequence += 1
        self._entries[tx.txid] = entry
        self._txid_by_wtxid[tx.wtxid] = tx.txid
        self._orphans.discard(tx.wtxid)
        self._spends.add(tx)
        self._bytes += entry.size
        self._evictable.put(entry)
        return Verdict(Admission.ACCEPTED)

    def _check_submitted(self, tx: Transaction) -> None:
        """What a user is told at once: structure, a spend that others rely on, unknown inputs."""
        for txid in self._spends.conflicts(tx):
            if self._entries[txid].pinned:
                detail = f"an input is already spent by {txid.hex()}"
                raise RuleBroken("txn-mempool-conflict", detail)
        check_structure(tx)
        if self._missing(tx) is not None:
            raise RuleBroken(*_MISSING)

    def _check_policy(self, tx: Transaction) -> None:
        for index, output in enumerate(tx.outputs):
            if is_dust(output):
                raise RuleBroken("dust", f"output {index} is below the dust limit")

    def _spent(self, tx: Transaction) -> list[Utxo]:
        """What ``tx`` spends, none of whose inputs is missing."""
        return [found for point in tx.outpoints if (found := self.utxo(point)) is not None]

    def _check_spend(self, tx: Transaction, spent: list[Utxo], stake_free: StakeFree) -> int:
        """The fee of ``tx``."""
        return check_spend(
            tx,
            spent,
            self._chain_id,
            self._view.tip_height + 1,
            self._view.tip_time_ms,
            self._verify,
            stake_free,
            self._memo,
        )

    def _check_crowd(self, tx: Transaction) -> None:
        if any(len(self.spenders(p)) >= self._limits.max_conflicts for p in tx.outpoints):
            raise RuleBroken("too-many-conflicts", "conflict set is full")

    def _missing(self, tx: Transaction) -> Outpoint | None:
        return next((point for point in tx.outpoints if self.utxo(point) is None), None)

    def _spent_in_chain(self, point: Outpoint) -> bool:
        return self._view.archived(point[:32]) is not None

    def _remember(self, tx: Transaction, verdict: Verdict) -> Verdict:
        self._refused[tx.wtxid] = verdict
        if len(self._refused) > self._limits.max_refused:
            self._refused.popitem(last=False)
        return verdict

    def _victims(self, fee_units: int, size: int) -> list[PoolEntry]:
        """Cheaper entries, taken out of the eviction order, in whose place ``size`` bytes fit.

        ``RuleBroken`` when there are not enough: then nothing has changed.
        """
        pending = len(self._entries) - self._certified
        surplus_count = pending + 1 - self._limits.max_pending
        surplus_bytes = self._bytes + size - self._limits.max_bytes
        victims: list[PoolEntry] = []
        while surplus_count > 0 or surplus_bytes > 0:
            entry = self._evictable.pop()
            if entry is not None:
                victims.append(entry)
            if entry is None or not entry.cheaper_than(fee_units, size):
                self._evictable.put_back(victims)
                raise RuleBroken("mempool-full", "fee rate below the pool's lowest")
            surplus_count -= 1
            surplus_bytes -= entry.size
        return victims

    # what finality and the chain tell

    def lock(self, txid: bytes) -> None:
        """Pin ``txid``: a vote of this node depends on it."""
        entry = self._entries.get(txid)
        if entry is not None:
            entry.locked = True

    def certify(self, txid: bytes, now_ms: int) -> tuple[Transaction, ...]:
        """Make the outputs of ``txid`` spendable; returns the orphans that this admits."""
        entry = self._entries.get(txid)
        if entry is None or entry.certified:
            return ()
        entry.certified = True
        self._certified += 1
        return self._adopt(txid, now_ms)

    def connect_block(
        self, transactions: Sequence[Transaction], spent: Mapping[Outpoint, bytes], now_ms: int
    ) -> PoolChange:
        """Drop what a block archived and what it made impossible.

        ``spent`` maps each outpoint that the block spends to the spending txid. Call it when the
        view already shows the block.
        """
        archived = []
        for tx in transactions:
            entry = self._entries.get(tx.txid)
            if entry is not None:
                self._remove(entry)
                archived.append(entry.tx)
            self._orphans.discard(tx.wtxid)
        rejected = self._reject(
            [
                txid
                for point, spender in spent.items()
                for txid in self._spends.spenders(point)
                if txid != spender
            ]
        )
        admitted: dict[bytes, Transaction] = {}
        for tx in transactions:
            for child in self._adopt(tx.txid, now_ms):
                admitted[child.txid] = child
        return PoolChange(tuple(archived), rejected, tuple(admitted.values()))

    def expire(self, now_ms: int) -> tuple[bytes, ...]:
        """Drop entries that waited too long and were never locked or certified."""
        old = [
            entry
            for entry in self._entries.values()
            if not entry.pinned and now_ms - entry.received_ms >= self._limits.expiry_ms
        ]
        for entry in old:
            self._remove(entry)
        return tuple(entry.tx.txid for entry in old)

    def _adopt(self, parent: bytes, now_ms: int) -> tuple[Transaction, ...]:
        admitted = []
        for child in self._orphans.take_children(parent):
            if self.admit(child, now_ms).admission is Admission.ACCEPTED:
                admitted.append(child)
        return tuple(admitted)

    def _reject(self, txids: list[bytes]) -> tuple[Transaction, ...]:
        """Remove ``txids`` and, as their inputs vanish with them, all waiting descendants."""
        rejected = []
        while txids:
            entry = self._entries.get(txids.pop())
            if entry is None:
                continue
            self._remove(entry)
            rejected.append(entry.tx)
            for index in range(len(entry.tx.outputs)):
                txids.extend(self._spends.spenders(outpoint(entry.tx.txid, index)))
        return tuple(rejected)

    def _remove(self, entry: PoolEntry) -> None:
        del self._entries[entry.tx.txid]
        del self._txid_by_wtxid[entry.tx.wtxid]
        self._spends.remove(entry.tx)
        self._bytes -= entry.size
        if entry.certified:
            self._certified -= 1


_PASSING = frozenset({"non-final", "bad-txns-premature-spend-of-coinbase", "stake-frozen"})
"""Rules that time heals: their refusals are not remembered."""

_MISSING = ("bad-txns-inputs-missingorspent", "an input does not exist or is spent")
