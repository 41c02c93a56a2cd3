"""The pool: admission, conflicts, orphans, limits, and what blocks do to it (PROTOCOL 3, 9)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import (
    COIN_UNITS,
    FEE_UNITS,
    TIME,
    Coins,
    coin,
    created,
    genesis,
    key,
    output,
    pay,
    spend,
    user,
)
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import verify
from timecoin.ledger.connect import Coin
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import Stake, stake
from timecoin.ledger.signing import with_witnesses
from timecoin.ledger.transaction import Outpoint, Transaction
from timecoin.ledger.utxo import Utxo
from timecoin.mempool.entry import Admission, Verdict
from timecoin.mempool.policy import PoolLimits
from timecoin.mempool.pool import Pool

START = genesis(users=40)
CHAIN_ID = START.chain_id


class View:
    """A chain whose blocks a test makes by hand."""

    def __init__(self) -> None:
        self.tip_height = 0
        self.tip_time_ms = START.time_ms
        self.coins = Coins(coin(START, number) for number in range(40))
        self.heights: dict[bytes, int] = {}
        self.free_stakes: dict[Outpoint, None] = {}

    def stake_free(self, txid: bytes, point: Outpoint, stake: Stake) -> bool:
        return point in self.free_stakes

    def utxo(self, point: Outpoint) -> Utxo | None:
        return self.coins.utxo(point)

    def archived(self, txid: bytes) -> int | None:
        return self.heights.get(txid)

    def archive(self, *txs: Transaction) -> dict[Outpoint, bytes]:
        """Put ``txs`` into one block; returns what it spends."""
        self.tip_height += 1
        for tx in txs:
            self.heights[tx.txid] = self.tip_height
            for index in range(len(tx.outputs)):
                point, utxo = created(tx, index, self.tip_height)
                self.coins.by_point[point] = utxo
        spent = {point: tx.txid for tx in txs for point in tx.outpoints}
        for point in spent:
            del self.coins.by_point[point]
        return spent


def payment(number: int, units: int = TIME, fee_units: int = FEE_UNITS) -> Transaction:
    """User ``number`` spends its genesis coin."""
    return pay(CHAIN_ID, user(number), coin(START, number), user(99), units, fee_units)


def child(parent: Transaction, number: int, units: int = TIME // 2) -> Transaction:
    """User ``number`` spends the change of ``parent``."""
    source: Coin = created(parent, 1)
    return pay(CHAIN_ID, user(number), source, user(98), units)


class PoolTests(SynchronousTestCase):
    """One pool on a chain made by hand."""

    def setUp(self) -> None:
        self.view = View()
        self.pool = self.make()

    def make(self, limits: PoolLimits | None = None) -> Pool:
        return Pool(self.view, limits or PoolLimits(), CHAIN_ID, verify)

    def accept(self, tx: Transaction, now_ms: int = 0) -> None:
        self.assertEqual(self.pool.admit(tx, now_ms), Verdict(Admission.ACCEPTED))

    def test_accepts_and_finds(self) -> None:
        tx = payment(0)
        self.accept(tx, now_ms=5)
        self.assertEqual(self.pool.get(tx.txid), tx)
        self.assertEqual(self.pool.by_wtxid(tx.wtxid), tx)
        self.assertEqual(self.pool.spenders(tx.outpoints[0]), (tx.txid,))
        entry = self.pool.entry(tx.txid)
        assert entry is not None
        self.assertEqual((entry.fee_units, entry.received_ms), (FEE_UNITS, 5))
        self.assertEqual(self.pool.admit(tx, 6).admission, Admission.KNOWN)

    def test_another_witness_is_known_and_no_conflict(self) -> None:
        tx = payment(0)
        self.accept(tx)
        other = with_witnesses(tx, [(tx.witnesses[0][0], bytes(64))])
        self.assertNotEqual(other.wtxid, tx.wtxid)
        self.assertEqual(self.pool.admit(other, 0).admission, Admission.KNOWN)
        self.assertEqual(self.pool.conflicts(tx.txid), ())

    def test_refusal_is_remembered_by_wtxid_only(self) -> None:
        tx = payment(0)
        bad = with_witnesses(tx, [(tx.witnesses[0][0], bytes(64))])
        self.assertEqual(self.pool.admit(bad, 0).rule, "bad-witness")
        refusal = self.pool.refusal(bad.wtxid)
        assert refusal is not None
        self.assertEqual(refusal.rule, "bad-witness")
        self.accept(tx)

    def test_refusals_that_time_heals_are_not_remembered(self) -> None:
        unlocked = payment(0)
        later = spend(
            CHAIN_ID,
            [user(1)],
            [coin(START, 1)],
            [output(user(2), TIME)],
            lock_time=1,
            sequence=0,
        )
        self.assertEqual(self.pool.admit(later, 0).rule, "non-final")
        self.assertIsNone(self.pool.refusal(later.wtxid))
        self.view.archive(unlocked)
        self.accept(later)

    def test_low_fee_and_dust_are_refused(self) -> None:
        self.assertEqual(self.pool.admit(payment(0, fee_units=1), 0).rule, "min-fee-not-met")
        self.assertEqual(self.pool.admit(payment(1, units=999), 0).rule, "dust")
        self.assertEqual(len(self.pool), 0)

    def test_keeps_conflicts_from_peers_but_tells_own_users(self) -> None:
        first, second = payment(0), payment(0, 2 * TIME)
        self.accept(first)
        self.accept(second)
        self.assertEqual(self.pool.conflicts(first.txid), (second.txid,))
        self.assertEqual(self.pool.stats().conflicts, 1)
        third = payment(0, 3 * TIME)
        self.pool.lock(first.txid)
        self.assertEqual(self.pool.submit(third, 0).rule, "txn-mempool-conflict")
        self.assertNotIn(third.txid, self.pool)

    def test_probe_says_what_submit_would(self) -> None:
        first, second = payment(0), payment(0, 2 * TIME)
        cheap = pay(CHAIN_ID, user(1), coin(START, 1), user(2), TIME, fee_units=1)
        child = pay(CHAIN_ID, user(1), created(first, 0), user(2), TIME // 2)
        self.assertEqual(self.pool.probe(first), FEE_UNITS)
        self.accept(first)
        self.assertEqual(self.pool.probe(second), FEE_UNITS, "an open contest")
        self.pool.lock(first.txid)
        for tx in (second, cheap, child, payment(3, 10)):
            broken = self.assertRaises(RuleBroken, self.pool.probe, tx)
            verdict = self.pool.submit(tx, 0)
            self.assertEqual((broken.rule, broken.detail), (verdict.rule, verdict.detail))
        self.assertEqual(self.pool.txids(), (first.txid,))

    def test_probe_of_a_full_pool_changes_nothing(self) -> None:
        pool = self.make(PoolLimits(max_pending=1, max_conflicts=1))
        tx, dear = payment(0), payment(1, fee_units=2 * FEE_UNITS)
        pool.admit(tx, 0)
        self.assertEqual(pool.probe(dear), 2 * FEE_UNITS)
        self.assertEqual(pool.txids(), (tx.txid,))
        broken = self.assertRaises(RuleBroken, pool.probe, payment(1))
        self.assertEqual(broken.rule, "mempool-full")
        broken = self.assertRaises(RuleBroken, pool.probe, payment(0, fee_units=2 * FEE_UNITS))
        self.assertEqual(broken.rule, "too-many-conflicts")
        self.assertIs(pool.admit(dear, 0).admission, Admission.ACCEPTED)
        self.assertEqual(pool.txids(), (dear.txid,), "what was probed is still evicted first")

    def test_conflicts_of_one_output_are_bounded(self) -> None:
        self.pool = self.make(PoolLimits(max_conflicts=2))
        self.accept(payment(0, TIME))
        self.accept(payment(0, 2 * TIME))
        self.assertEqual(self.pool.admit(payment(0, 3 * TIME), 0).rule, "too-many-conflicts")

    def test_neither_conflicts_nor_a_full_pool_keep_out_what_is_certified(self) -> None:
        self.pool = self.make(PoolLimits(max_conflicts=1, max_pending=1))
        self.accept(payment(0, TIME))
        late, cheap = payment(0, 2 * TIME), payment(1)
        for tx in (late, cheap):
            self.assertIs(self.pool.admit(tx, 0).admission, Admission.REFUSED)
            self.assertIs(self.pool.admit(tx, 0, certified=True).admission, Admission.ACCEPTED)

    def test_child_waits_until_its_parent_is_certified(self) -> None:
        parent = payment(0)
        kid = child(parent, 0)
        self.assertEqual(self.pool.admit(kid, 0).admission, Admission.ORPHAN)
        self.accept(parent)
        self.assertEqual(self.pool.admit(kid, 0).admission, Admission.KNOWN)
        self.assertEqual(self.pool.certify(parent.txid, 0), (kid,))
        self.assertIn(kid.txid, self.pool)
        self.assertIsNotNone(self.pool.utxo(kid.outpoints[0]))

    def test_own_users_orphan_is_refused_at_once(self) -> None:
        kid = child(payment(0), 0)
        self.assertEqual(self.pool.submit(kid, 0).rule, "bad-txns-inputs-missingorspent")
        self.assertEqual(self.pool.stats().orphans, 0)

    def test_spent_in_chain_is_refused(self) -> None:
        first, second = payment(0), payment(0, 2 * TIME)
        self.view.archive(first)
        verdict = self.pool.admit(child(first, 0), 0)
        self.assertEqual(verdict.admission, Admission.ACCEPTED)
        self.assertEqual(self.pool.submit(second, 0).rule, "bad-txns-inputs-missingorspent")

    def test_orphans_are_bounded_least_recent_first(self) -> None:
        self.pool = self.make(PoolLimits(max_orphans=2))
        kids = [child(payment(number), number) for number in range(3)]
        for kid in kids:
            self.assertEqual(self.pool.admit(kid, 0).admission, Admission.ORPHAN)
        self.assertEqual(self.pool.stats().orphans, 2)
        self.assertIsNone(self.pool.by_wtxid(kids[0].wtxid))
        self.assertIsNotNone(self.pool.by_wtxid(kids[2].wtxid))

    def test_lowest_fee_rate_is_evicted_but_never_a_pinned_entry(self) -> None:
        self.pool = self.make(PoolLimits(max_pending=2))
        poor, rich, richer = (
            payment(number, fee_units=FEE_UNITS * (number + 1)) for number in range(3)
        )
        self.accept(poor)
        self.accept(rich)
        self.accept(richer)
        self.assertNotIn(poor.txid, self.pool)
        self.assertEqual(self.pool.admit(poor, 0).rule, "mempool-full")
        self.pool.lock(rich.txid)
        richest = payment(3, fee_units=FEE_UNITS * 9)
        self.accept(richest)
        self.assertIn(rich.txid, self.pool)
        self.assertNotIn(richer.txid, self.pool)

    def test_refused_for_room_leaves_the_pool_as_it_was(self) -> None:
        self.pool = self.make(PoolLimits(max_pending=1))
        rich = payment(0, fee_units=9 * FEE_UNITS)
        self.accept(rich)
        self.assertEqual(self.pool.admit(payment(1), 0).rule, "mempool-full")
        self.assertEqual(self.pool.txids(), (rich.txid,))

    def test_certified_entries_leave_the_count_free(self) -> None:
        self.pool = self.make(PoolLimits(max_pending=1))
        first, second = payment(0), payment(1)
        self.accept(first)
        self.pool.certify(first.txid, 0)
        self.accept(second)
        self.assertEqual(len(self.pool), 2)

    def test_expiry_spares_what_a_vote_depends_on(self) -> None:
        old, locked = payment(0), payment(1)
        self.accept(old)
        self.accept(locked)
        self.pool.lock(locked.txid)
        hours_72 = 72 * 3600 * 1000
        self.assertEqual(self.pool.expire(hours_72 - 1), ())
        self.assertEqual(self.pool.expire(hours_72), (old.txid,))
        self.assertEqual(self.pool.txids(), (locked.txid,))

    def test_block_takes_its_transactions_and_voids_their_rivals(self) -> None:
        winner, loser, other = payment(0), payment(0, 2 * TIME), payment(1)
        for tx in (winner, loser, other):
            self.accept(tx)
        self.pool.certify(loser.txid, 0)
        kid = child(loser, 0)
        self.accept(kid)
        spent = self.view.archive(winner)
        change = self.pool.connect_block((winner,), spent, 0)
        self.assertEqual(change.archived, (winner,))
        self.assertEqual(change.rejected, (loser, kid))
        self.assertEqual(self.pool.txids(), (other.txid,))

    def test_block_admits_orphans_of_its_transactions(self) -> None:
        parent = payment(0)
        kid = child(parent, 0)
        self.pool.admit(kid, 0)
        change = self.pool.connect_block((parent,), self.view.archive(parent), 0)
        self.assertEqual(change.admitted, (kid,))

    def test_eviction_order_stays_small(self) -> None:
        """The heap of fee rates must not remember what left the pool."""
        for _ in range(300):
            tx = payment(0)
            self.accept(tx)
            entry = self.pool.entry(tx.txid)
            assert entry is not None
            self.pool.expire(72 * 3600 * 1000)
        self.assertLess(self.pool.eviction_order_size, 100)

    @given(st.lists(st.tuples(st.integers(0, 7), st.integers(1, 5)), max_size=25))
    def test_books_balance(self, steps: list[tuple[int, int]]) -> None:
        """Whatever comes, sizes and spenders are those of the entries that are there."""
        self.view = View()
        self.pool = self.make(PoolLimits(max_pending=5))
        for number, units in steps:
            self.pool.admit(payment(number, units * TIME, FEE_UNITS * units), 0)
        txs = [tx for txid in self.pool.txids() if (tx := self.pool.get(txid)) is not None]
        stats = self.pool.stats()
        self.assertEqual(stats.bytes, sum(len(tx.encoded) for tx in txs))
        self.assertEqual(stats.pending, len(txs))
        self.assertLessEqual(stats.pending, 5)
        points = {tx.outpoints[0] for tx in txs}
        contested = sum(len(self.pool.spenders(point)) > 1 for point in points)
        self.assertEqual(stats.conflicts, contested)
        for tx in txs:
            self.assertIn(tx.txid, self.pool.spenders(tx.outpoints[0]))


class StakeTests(SynchronousTestCase):
    """Spends of stakes: whether they are valid can change with any block (PROTOCOL 4)."""

    def setUp(self) -> None:
        self.view = View()
        self.pool = Pool(self.view, PoolLimits(), CHAIN_ID, verify)
        owner = hash160(user(0).public)
        script = stake(key(1).public, bytes(32), owner, owner, 0)
        self.point = b"s" * 32 + bytes(4)
        self.utxo = Utxo(COIN_UNITS, script, 0, False)
        self.view.coins.by_point[self.point] = self.utxo
        self.tx = pay(CHAIN_ID, user(0), (self.point, self.utxo), user(1), TIME)

    def test_refused_while_it_is_kept_and_taken_later(self) -> None:
        verdict = self.pool.admit(self.tx, 0)
        self.assertEqual((verdict.admission, verdict.rule), (Admission.REFUSED, "stake-frozen"))
        self.view.free_stakes[self.point] = None
        self.assertIs(self.pool.admit(self.tx, 0).admission, Admission.ACCEPTED)

    def test_a_certified_spend_is_taken_whatever_became_of_the_stake(self) -> None:
        verdict = self.pool.admit(self.tx, 0, certified=True)
        self.assertIs(verdict.admission, Admission.ACCEPTED)

    def test_frozen_by_a_later_block(self) -> None:
        self.view.free_stakes[self.point] = None
        self.pool.admit(self.tx, 0)
        self.pool.admit(payment(5), 0)
        self.assertFalse(self.pool.is_frozen(self.tx.txid))
        del self.view.free_stakes[self.point]
        self.assertTrue(self.pool.is_frozen(self.tx.txid))
        self.assertFalse(self.pool.is_frozen(payment(5).txid))
        self.assertFalse(self.pool.is_frozen(bytes(32)))
