"""Which stakes name a voting key, block by block; who could join or leave."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.chain.masternodes import StakedNet
from tests.chain.net import TIME
from timecoin.chain.registry import Registry
from timecoin.ledger.transaction import outpoint
from timecoin.masternodes.changes import Join, sign_join


class RegistryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.net = StakedNet(allocation=250_000 * TIME)
        self.chain = self.net.chain()
        self.net.wait(self.chain, 1)
        self.registry = self.fresh()

    def fresh(self) -> Registry:
        return Registry(self.chain, self.net.genesis, self.net.verify)

    def stakes(self, number: int) -> tuple[bytes, ...]:
        """What both a registry that saw every block and a new one say."""
        pubkey = self.net.masternodes[number].public
        found = self.registry.stakes_of(pubkey)
        self.assertEqual(self.fresh().stakes_of(pubkey), found)
        return found

    def test_stakes_in_chain_order_as_blocks_come_and_spend_them(self) -> None:
        self.assertEqual(self.stakes(0), ())
        points = [self.net.register(self.chain, 0, units * TIME) for units in (9_000, 1_000, 2_000)]
        self.net.register(self.chain, 1)
        self.assertEqual(self.stakes(0), tuple(points))
        tx = self.net.unstake_tx(self.chain, 0, points[1])
        self.net.extend(self.chain, self.net.certified(self.chain, tx))
        self.net.wait(self.chain, 2)
        self.assertEqual(self.stakes(0), (points[0], points[2]))
        self.assertEqual(len(self.stakes(1)), 1)

    def test_a_stake_for_another_key_counts_there(self) -> None:
        voting = self.net.masternodes[1]
        tx = self.net.stake_tx(self.chain, 0, voting=voting)
        self.net.extend(self.chain, self.net.certified(self.chain, tx))
        self.assertEqual((self.stakes(0), self.stakes(1)), ((), (outpoint(tx.txid, 0),)))

    def test_blocks_that_are_no_longer_here(self) -> None:
        first = self.net.register(self.chain, 0)
        self.assertEqual(self.stakes(0), (first,))
        second = self.net.register(self.chain, 0)
        self.patch(self.chain, "undo", lambda height: None)
        self.assertEqual(self.stakes(0), (first, second))

    def joining(self, point: bytes) -> Join:
        return self.net.join(self.chain, 0, point)

    def test_who_could_join(self) -> None:
        point = self.net.register(self.chain, 0)
        self.assertTrue(self.registry.may_join(self.joining(point)))
        self.assertFalse(self.registry.may_join(self.joining(bytes(36))))
        unsigned = msgspec.structs.replace(self.joining(point), signature=bytes(64))
        self.assertTrue(self.registry.may_join(unsigned), "signatures are looked at later")
        key = self.net.keys[0]
        attested = self.net.attest(self.chain, self.net.heartbeat(self.chain, key))
        member = sign_join(key, self.net.genesis.chain_id, attested)
        self.assertFalse(self.registry.may_join(member), "it is a member")

    def test_who_could_leave(self) -> None:
        self.net.enter(self.chain, 0)
        leave = self.net.leave(self.chain, 0)
        self.assertTrue(self.registry.may_leave(leave))
        forged = msgspec.structs.replace(leave, signature=bytes(64))
        self.assertFalse(self.registry.may_leave(forged))
