"""A machine that comes back from its rows goes on where it was."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.finality.world import World, genesis_coin, output_of, pay
from timecoin.codec import CodecError
from timecoin.finality.events import Status
from timecoin.machine import Restore


class RestoreTests(SynchronousTestCase):
    def test_final_stays_final(self) -> None:
        world = World(4)
        parent = pay([genesis_coin(0)])
        world.submit(world.nodes[0], parent)
        world.run(300)
        child = pay([output_of(parent)])
        world.submit(world.nodes[0], child)
        world.run(300)
        node = world.nodes[0]
        world.crash(node)
        world.cut = lambda source, target, message: True  # nobody tells it anything
        world.restart(node)
        for tx in (parent, child):
            self.assertTrue(node.is_final(tx.txid))
            self.assertIn(tx.txid, node.pool)
        found = node.finality.contents(world.now_ms, 100, 1_000_000)
        self.assertEqual(found.transactions, (parent, child))

    def test_final_even_under_a_stale_tip(self) -> None:
        world = World(3)
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(60_000)
        world.crash(world.nodes[0])
        world.restart(world.nodes[0])
        self.assertTrue(world.nodes[0].is_final(tx.txid))

    def test_receipts_go_on_at_the_next_tip(self) -> None:
        world = World(4)
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(300)
        for node in world.nodes:
            world.crash(node)
        for node in world.nodes:
            world.restart(node)
        world.next_slot()
        world.run(300)
        for node in world.nodes:
            held = node.finality._parts.certificates.all()[0]
            assert held.receipt is not None
            self.assertEqual(held.receipt.tip, 1)

    def test_pending_payment_is_polled_again(self) -> None:
        world = World(4)
        world.cut = lambda source, target, message: True
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(400)
        world.crash(world.nodes[0])
        world.cut = lambda source, target, message: False
        world.restart(world.nodes[0])
        world.run(4_000)
        for node in world.nodes:
            self.assertTrue(node.is_final(tx.txid))

    def test_rows_of_what_a_block_ended_are_removed(self) -> None:
        """The block was written; the crash came before the deletions."""
        world = World(4)
        txs = [pay([genesis_coin(index)]) for index in range(3)]
        for tx in txs:
            world.submit(world.nodes[0], tx)
        world.run(500)
        node = world.nodes[1]
        rows = dict(node.rows)
        self.assertLessEqual(
            {"pool", "certificates", "receipts", "finals", "locks"}, {table for table, _ in rows}
        )
        world.next_slot(txs)
        world.crash(node)
        node.rows = rows
        world.restart(node)
        self.assertEqual({table for table, _ in node.rows} - {"votes"}, set())
        self.assertEqual(len(node.pool), 0)
        for tx in txs:
            found = node.finality.status(tx.txid)
            assert found is not None
            self.assertIs(found.status, Status.ARCHIVED)

    def test_void_certificate_of_an_earlier_life(self) -> None:
        world = World(4)
        tx = pay([genesis_coin(0), genesis_coin(1)])
        world.submit(world.nodes[0], tx)
        world.run(500)
        node = world.nodes[1]
        rows = dict(node.rows)
        world.next_slot([pay([genesis_coin(0)], nonce=1)])
        world.crash(node)
        node.rows = rows
        world.restart(node)
        self.assertEqual(len(node.finality._parts.certificates), 0)
        tables = {table for table, _ in node.rows}
        self.assertNotIn("certificates", tables)
        self.assertNotIn("receipts", tables)
        self.assertEqual(len(node.finality._parts.book), 0)

    def test_same_state_whether_it_crashed_or_not(self) -> None:
        """Rows are the whole state: a crash at any moment between events loses no promise."""
        for stop_ms in range(0, 60, 10):
            world = World(4)
            txs = [pay([genesis_coin(index)]) for index in range(3)]
            for tx in txs:
                world.submit(world.nodes[0], tx)
            world.run(stop_ms)
            for node in world.nodes[1:]:
                before = dict(node.finality._parts.voter.locks())
                receipted = dict(node.finality._parts.book._receipted)
                world.crash(node)
                world.restart(node)
                self.assertEqual(dict(node.finality._parts.voter.locks()), before)
                self.assertEqual(dict(node.finality._parts.book._receipted), receipted)
            world.run(6_000)
            for tx in txs:
                self.assertTrue(all(node.is_final(tx.txid) for node in world.nodes), stop_ms)

    def test_foreign_bytes_are_our_own_bug(self) -> None:
        world = World(1)
        rows = (("locks", genesis_coin(0)[0], b"\xff"),)
        self.assertRaises(CodecError, world.deliver, world.nodes[0], Restore(rows))
