"""The single writer: connecting blocks, crashes between them, forks, snapshots."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.chain import addressmodel
from tests.chain.net import SLOT_MS, TIME, Contents, Net, reseal
from timecoin.chain.commit import BlockConnected, Chain, ForkFound
from timecoin.chain.views import ChainViews
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.transaction import outpoint
from timecoin.quorum.certificate import CertificateError
from timecoin.store.engine import Row
from timecoin.store.memory import MemoryEngine
from timecoin.store.rocks import RocksEngine
from timecoin.store.schema import WrongGenesis, WrongSchema, claim_store

NET = Net()


def views(chain: Chain) -> ChainViews:
    return ChainViews(chain, chain._store)


def state(chain: Chain) -> tuple[object, ...]:
    """Everything that two openings of one history must agree on."""
    heights = range(chain.tip.height + 1)
    return (
        chain.tip,
        chain.lthash,
        chain.supply,
        tuple(chain._store.utxos()),
        tuple(chain.block(height) for height in heights),
        tuple(chain.certificate(height) for height in heights),
        tuple(chain.active_set(height) for height in heights),
    )


class PowerCutError(Exception):
    """The machine died in the middle of a write."""


class CuttingEngine(MemoryEngine):
    """Dies before or after the write that ``fuse`` counts down to."""

    def __init__(self) -> None:
        super().__init__()
        self.fuse = -1
        self.after = False

    def write(self, rows: Sequence[Row], sync: bool) -> None:
        self.fuse -= 1
        if self.fuse == 0 and not self.after:
            raise PowerCutError
        super().write(rows, sync)
        if self.fuse == 0:
            raise PowerCutError


class CommitTests(SynchronousTestCase):
    """Blocks become history, one by one."""

    def setUp(self) -> None:
        self.engine = MemoryEngine()
        self.chain = NET.chain(self.engine)

    def test_genesis(self) -> None:
        tip = self.chain.tip
        self.assertEqual((tip.height, tip.hash, tip.seed), (0, NET.genesis.hash, NET.genesis.hash))
        self.assertEqual(tip.slot, NET.genesis.slot_at(NET.genesis.time_ms))
        self.assertEqual(tip.slot_time, tip.slot * SLOT_MS)
        self.assertEqual(tip.timestamp_ms, NET.genesis.time_ms)
        self.assertEqual(self.chain.supply, 400 * TIME)
        self.assertTrue(views(self.chain).audit().sound)
        self.assertIsNone(self.chain.block(0))

    def test_connected(self) -> None:
        coin = NET.coins(self.chain, 1)[0]
        tx = NET.pay([coin], 2)
        checked = NET.make(self.chain, NET.archive(tx))
        certificate = NET.finalize(checked.block)
        connected = self.chain.commit(checked, certificate)
        assert isinstance(connected, BlockConnected)
        self.assertEqual(connected.transactions, (tx,))
        self.assertEqual(connected.spent, (coin,))
        self.assertIn(outpoint(tx.txid, 0), dict(connected.created))
        self.assertEqual(self.chain.tip_hash, checked.block.hash)
        self.assertEqual(self.chain.tip_time_ms, checked.block.header.slot_time)
        self.assertEqual(self.chain.archived(tx.txid), 1)
        self.assertEqual(self.chain.transaction(tx.wtxid), tx)
        self.assertIsNone(self.chain.utxo(coin[0]))
        self.assertEqual(self.chain.certificate(1), certificate)
        self.assertEqual(self.chain.block(1), checked.block)

    def test_committed_twice(self) -> None:
        checked = NET.make(self.chain)
        certificate = NET.finalize(checked.block)
        self.chain.commit(checked, certificate)
        before = state(self.chain)
        self.assertIsNone(self.chain.commit(checked, NET.finalize(checked.block, round_=1)))
        self.assertEqual(state(self.chain), before)

    def test_certificate_must_finalize_this_block(self) -> None:
        checked = NET.make(self.chain)
        other = NET.make(self.chain, member=1)
        before = state(self.chain)
        for wrong in (NET.finalize(other.block), NET.finalize(checked.block, voters=1)):
            self.assertRaises(CertificateError, self.chain.commit, checked, wrong)
        self.assertEqual(state(self.chain), before)
        self.chain.commit(checked, NET.finalize(checked.block, voters=2))

    def test_block_of_another_parent(self) -> None:
        other = NET.chain()
        NET.grow(other, Contents())
        checked = NET.make(other)
        first = NET.make(self.chain, member=1)
        self.chain.commit(first, NET.finalize(first.block))
        before = state(self.chain)
        error = self.assertRaises(
            ValueError, self.chain.commit, checked, NET.finalize(checked.block)
        )
        self.assertNotIsInstance(error, CertificateError)
        self.assertEqual(state(self.chain), before)

    def test_failed_write_changes_nothing(self) -> None:
        engine = CuttingEngine()
        chain = NET.chain(engine)
        checked = NET.make(chain)
        before = state(chain)
        engine.fuse = 1
        self.assertRaises(PowerCutError, chain.commit, checked, NET.finalize(checked.block))
        self.assertEqual(state(chain), before)

    def test_checked_once(self) -> None:
        """A proposal that was judged is not judged again when it is decided."""
        checked = NET.make(NET.chain())
        first = self.chain.check(checked.block, lambda wtxid: None)
        self.assertIs(self.chain.check(checked.block, lambda wtxid: None), first)
        self.chain.commit(first, NET.finalize(checked.block))
        error = self.assertRaises(RuleBroken, self.chain.check, checked.block, lambda wtxid: None)
        self.assertEqual(error.rule, "bad-height")

    def test_results_of_checks_are_bounded(self) -> None:
        for skip in range(1, 12):
            NET.make(self.chain, skip=skip)
        self.assertEqual(len(self.chain._checks), 4)

    def test_snapshots_ahead_and_far_below(self) -> None:
        NET.grow(self.chain, *[Contents()] * 4)
        self.assertIsNone(self.chain.active_set(5))
        self.assertIsNone(self.chain.active_set(-1))
        self.chain._retained = 2
        self.assertIsNone(self.chain.active_set(1))
        self.assertIsNotNone(self.chain.active_set(2))
        self.assertIsNotNone(views(self.chain).active_set(0))

    def test_snapshots_are_one_object_after_reopening(self) -> None:
        NET.grow(self.chain, Contents(), Contents())
        again = NET.chain(self.engine)
        self.assertIs(again.active_set(0), again.active_set(2))


class ForkTests(SynchronousTestCase):
    """A second certificate at a height stops the chain, and stays known."""

    def setUp(self) -> None:
        self.engine = MemoryEngine()
        self.chain = NET.chain(self.engine)
        self.checked = NET.make(self.chain)
        self.other = NET.make(self.chain, member=1)
        self.first = NET.finalize(self.checked.block)
        self.second = NET.finalize(self.other.block, voters=2)
        self.chain.commit(self.checked, self.first)

    def test_fork(self) -> None:
        found = self.chain.commit(self.other, self.second)
        self.assertEqual(found, ForkFound(1, self.first, self.second))
        self.assertEqual(self.chain.fork_height, 1)
        self.assertEqual(self.chain.tip_hash, self.checked.block.hash)

    def test_halted_even_after_a_restart(self) -> None:
        following = NET.make(self.chain)
        self.chain.witness(self.second)
        for chain in (self.chain, NET.chain(self.engine)):
            self.assertEqual(chain.fork_height, 1)
            self.assertEqual(chain._store.fork(1), (self.first, self.second))
            self.assertIsNone(chain.commit(following, NET.finalize(following.block)))
            self.assertEqual(chain.tip_height, 1)
            error = self.assertRaises(RuleBroken, NET.make, chain)
            self.assertEqual(error.rule, "forked")
            self.assertRaises(RuleBroken, chain.check, following.block, lambda wtxid: None)

    def test_no_quorum_no_fork(self) -> None:
        weak = NET.finalize(self.other.block, voters=1)
        self.assertRaises(CertificateError, self.chain.witness, weak)
        self.assertIsNone(self.chain.fork_height)

    def test_certificate_of_the_same_block_is_none(self) -> None:
        self.assertIsNone(self.chain.witness(NET.finalize(self.checked.block, round_=3)))
        self.assertIsNone(self.chain.fork_height)

    def test_seen_before_either_is_history(self) -> None:
        chain = NET.chain()
        found = chain.record_fork(self.first, self.second)
        self.assertEqual(found.height, 1)
        self.assertIsNone(chain.commit(self.checked, self.first))
        self.assertEqual(chain.tip_height, 0)

    def test_no_fork_of_one_block(self) -> None:
        self.assertRaises(ValueError, self.chain.record_fork, self.first, self.first)


class OpeningTests(SynchronousTestCase):
    """A store belongs to one genesis and one layout."""

    def test_other_genesis(self) -> None:
        engine = MemoryEngine()
        NET.grow(NET.chain(engine), Contents())
        other = Net(salt="other")
        before = list(engine.scan("meta"))
        error = self.assertRaises(WrongGenesis, other.chain, engine)
        self.assertIn(NET.genesis.hash.hex(), str(error))
        self.assertIn(other.genesis.hash.hex(), str(error))
        self.assertEqual(list(engine.scan("meta")), before)
        self.assertEqual(NET.chain(engine).tip_height, 1)

    def test_other_schema(self) -> None:
        engine = MemoryEngine()
        NET.chain(engine)
        engine.write([("meta", b"schema", (99).to_bytes(4, "big"))], sync=True)
        error = self.assertRaises(WrongSchema, NET.chain, engine)
        self.assertIn("99", str(error))

    def test_crash_between_claim_and_genesis(self) -> None:
        engine = MemoryEngine()
        claim_store(engine, NET.genesis.hash)
        self.assertEqual(state(NET.chain(engine)), state(NET.chain()))


class RandomHistory:
    """Grows a chain by random payments; the same choices give the same blocks."""

    def __init__(self, chain: Chain, net: Net) -> None:
        self.chain = chain
        self.net = net

    def grow(self, payments: list[tuple[int, int, int]], producer: int, skip: int) -> None:
        """One block with ``payments`` (from, to, percent), each from what is unspent by then."""
        txs = []
        used = set()
        for source, target, percent in payments:
            coins = [c for c in self.net.coins(self.chain, source) if c[0] not in used]
            if not coins or coins[0][1].value < TIME:
                continue
            used.add(coins[0][0])
            change = coins[0][1].value * percent // 100
            txs.append(self.net.pay([coins[0]], target, change=change))
        contents = self.net.archive(*txs, anchor=self.chain.tip.height)
        checked = self.net.make(self.chain, contents, producer, skip)
        self.chain.commit(checked, self.net.finalize(checked.block))


payment = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 99))
block = st.tuples(st.lists(payment, max_size=4), st.integers(0, 2), st.integers(1, 3))
history = st.lists(block, min_size=1, max_size=6)
Step = tuple[list[tuple[int, int, int]], int, int]


class HistoryTests(SynchronousTestCase):
    """Random histories, cut anywhere and opened again."""

    def agree(self, chain: Chain) -> None:
        """What every node must find at every height."""
        audit = views(chain).audit()
        self.assertTrue(audit.sound)
        self.assertEqual(audit.total_units, chain.supply)
        block = chain.block(chain.tip.height)
        if block is not None:
            self.assertEqual(audit.utxo_root, block.header.utxo_root)
        expected = addressmodel.expected(chain)
        self.assertEqual(addressmodel.shown(chain, expected), expected)

    @settings(max_examples=25, deadline=None)
    @given(history, st.integers(1, 8), st.booleans())
    def test_power_cut(self, steps: list[Step], fuse: int, after: bool) -> None:
        """A chain that dies at any write is, reopened, what it was before or after the block."""
        expected = [state(NET.chain())]
        whole = NET.chain()
        for payments, producer, skip in steps:
            RandomHistory(whole, NET).grow(payments, producer, skip)
            self.agree(whole)
            expected.append(state(whole))
        engine = CuttingEngine()
        chain = NET.chain(engine)
        engine.fuse, engine.after = fuse, after
        done = 0
        try:
            for payments, producer, skip in steps:
                RandomHistory(chain, NET).grow(payments, producer, skip)
                done += 1
        except PowerCutError:
            done += after
        engine.fuse = -1
        engine.crash()
        again = NET.chain(engine)
        self.agree(again)
        self.assertEqual(state(again), expected[done])
        for payments, producer, skip in steps[done:]:
            RandomHistory(again, NET).grow(payments, producer, skip)
        self.assertEqual(state(again), expected[-1])

    @settings(max_examples=5, deadline=None)
    @given(history, st.integers(0, 6))
    def test_on_rocksdb(self, steps: list[Step], crash: int) -> None:
        """RocksDB holds the same history as memory; a crash in the middle takes nothing."""
        directory = Path(self.mktemp())
        whole = NET.chain()
        engine = RocksEngine(directory)
        chain = NET.chain(engine)
        for number, (payments, producer, skip) in enumerate(steps):
            if number == crash:
                # What a killed process leaves: the files as they are, nothing closed.
                left = Path(self.mktemp())
                shutil.copytree(directory, left)
                (left / "LOCK").unlink()
                engine.close()
                engine = RocksEngine(left)
                chain = NET.chain(engine)
            RandomHistory(whole, NET).grow(payments, producer, skip)
            RandomHistory(chain, NET).grow(payments, producer, skip)
            self.agree(chain)
            self.assertEqual(state(chain), state(whole))
        engine.close()

    @settings(max_examples=10, deadline=None)
    @given(history)
    def test_undo_takes_each_block_back(self, steps: list[Step]) -> None:
        chain = NET.chain()
        sets = [dict(chain._store.utxos())]
        for payments, producer, skip in steps:
            RandomHistory(chain, NET).grow(payments, producer, skip)
            sets.append(dict(chain._store.utxos()))
        current = dict(sets[-1])
        for height in range(len(steps), 0, -1):
            diff = chain._store.undo(height)
            assert diff is not None
            for point, _ in diff.undo().spent:
                del current[point]
            current.update(diff.undo().created)
            self.assertEqual(current, sets[height - 1])


class ViewTests(SynchronousTestCase):
    """What RPC reads."""

    def setUp(self) -> None:
        self.chain = NET.chain()
        self.tx = NET.pay([NET.coins(self.chain, 0)[0]], 1)
        NET.grow(self.chain, Contents(), NET.archive(self.tx))
        self.views = views(self.chain)

    def test_blocks(self) -> None:
        view = self.views
        self.assertEqual(view.block_hash(0), NET.genesis.hash)
        self.assertEqual(view.height_of(NET.genesis.hash), 0)
        block_hash = view.block_hash(2)
        assert block_hash is not None
        self.assertEqual(block_hash, view.tip.hash)
        self.assertEqual(view.height_of(block_hash), 2)
        for height in (-1, 3):
            if height >= 0:
                self.assertIsNone(view.block_hash(height))
                self.assertIsNone(view.block(height))
                self.assertIsNone(view.undo(height))
        self.assertIsNone(view.height_of(bytes(32)))

    def test_transactions(self) -> None:
        found = self.views.transaction(self.tx.txid)
        assert found is not None
        self.assertEqual((found.tx, found.height, found.position), (self.tx, 2, 0))
        self.assertFalse(found.reward)
        block = self.views.block(2)
        assert block is not None
        reward = self.views.transaction(block.body.reward.txid)
        assert reward is not None
        self.assertTrue(reward.reward)
        self.assertEqual((reward.tx, reward.position), (block.body.reward, 1))
        self.assertIsNone(self.views.transaction(bytes(32)))

    def test_audit_sees_a_coin_too_many(self) -> None:
        audit = self.views.audit()
        self.assertTrue(audit.sound)
        self.assertEqual(audit.outputs, len(list(self.chain._store.utxos())))
        self.assertIs(self.views.audit(), audit)
        engine = self.chain._store._engine  # type: ignore[attr-defined]
        point, row = next(engine.scan("utxo"))
        engine.write([("utxo", b"\xff" + point[1:], row)], sync=True)
        fresh = views(self.chain).audit()
        self.assertFalse(fresh.sound)
        self.assertEqual(fresh.outputs, audit.outputs + 1)

    def test_audit_sees_another_set_of_the_same_sum(self) -> None:
        engine = self.chain._store._engine  # type: ignore[attr-defined]
        point, row = next(engine.scan("utxo"))
        moved = [("utxo", point, None), ("utxo", b"\xff" + point[1:], row)]
        engine.write(moved, sync=True)
        audit = views(self.chain).audit()
        self.assertEqual(audit.total_units, audit.supply_units)
        self.assertFalse(audit.sound)

    def test_audit_in_steps_ends_without_result_when_the_chain_moves(self) -> None:
        steps = self.views.audit_in_steps()
        self.assertIsNone(next(steps))
        NET.grow(self.chain, Contents())
        self.assertEqual(list(steps), [])
        *pauses, audit = self.views.audit_in_steps()
        self.assertEqual(pauses, [None])
        self.assertEqual(audit, self.views.audit())

    def test_header_is_the_blocks(self) -> None:
        block = self.views.block(1)
        assert block is not None
        self.assertEqual(self.views.header(1), block.header)
        self.assertNotEqual(reseal(block, round=7).hash, block.hash)
