"""Coins and history by address: who owns what, what a block changes, pages."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.chain import addressmodel
from tests.chain.net import TIME, Contents, Net
from timecoin.chain.addresses import (
    AddressChanges,
    AddressIndexOff,
    AddressViews,
    address_changes,
    owner_script,
)
from timecoin.crypto.hashing import hash160
from timecoin.ledger.connect import UtxoDiff
from timecoin.ledger.script import data, multisig, pay_to_pubkey_hash, stake
from timecoin.ledger.transaction import Transaction, TxInput, TxOutput, outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.store.chainstore import EngineChainStore
from timecoin.store.memory import MemoryEngine
from timecoin.store.schema import claim_store

ALICE = pay_to_pubkey_hash(b"a" * 20)
BOB = pay_to_pubkey_hash(b"b" * 20)
SHARED = multisig(1, [b"1" * 32, b"2" * 32])
ALICES_STAKE = stake(b"k" * 32, b"v" * 32, b"a" * 20, b"b" * 20, 7)


def transaction(spends: list[bytes], *scripts: bytes) -> Transaction:
    return Transaction(
        version=1,
        inputs=tuple(TxInput(point[:32], point[32], 0) for point in spends),
        outputs=tuple(TxOutput(5, script) for script in scripts),
        lock_time=0,
        witnesses=((),) * len(spends),
    )


class OwnerTests(SynchronousTestCase):
    def test_owners(self) -> None:
        for script in (ALICE, SHARED):
            self.assertEqual(owner_script(script), script)
        self.assertEqual(owner_script(ALICES_STAKE), ALICE)
        self.assertIsNone(owner_script(data(b"")))


class ChangesTests(SynchronousTestCase):
    def test_spent_created_and_history(self) -> None:
        """Change goes back to Alice, within the block Bob pays on; the reward spends nothing."""
        old = outpoint(b"0" * 32, 1)
        first = transaction([old], ALICE, BOB, data(b"note"), ALICE)
        bobs = outpoint(first.txid, 1)
        second = transaction([bobs], ALICES_STAKE)
        reward = transaction([outpoint(bytes(32), 4)], BOB)
        diff = UtxoDiff(
            spent=((old, Utxo(9, ALICE, 1, False)),),
            created=(
                (outpoint(first.txid, 0), Utxo(5, ALICE, 4, False)),
                (outpoint(second.txid, 0), Utxo(5, ALICES_STAKE, 4, False)),
            ),
        )
        self.assertEqual(
            address_changes([first, second, reward], diff),
            AddressChanges(
                spent=((ALICE, old),),
                created=((ALICE, outpoint(first.txid, 0)), (ALICE, outpoint(second.txid, 0))),
                history=(
                    (ALICE, 0, first.txid),
                    (BOB, 0, first.txid),
                    (ALICE, 1, second.txid),
                    (BOB, 1, second.txid),
                    (BOB, 2, reward.txid),
                ),
            ),
        )


class ViewTests(SynchronousTestCase):
    """Three blocks: owner 0 pays owner 1, who pays owner 2 and itself."""

    def setUp(self) -> None:
        self.net = Net()
        self.engine = MemoryEngine()
        self.chain = self.net.chain(self.engine)
        for source, target in ((0, 1), (1, 2)):
            coin = self.net.coins(self.chain, source)[0]
            payment = self.net.pay([coin], target, change=TIME)
            contents = self.net.archive(payment, anchor=self.chain.tip_height)
            self.net.grow(self.chain, contents)
        self.net.grow(self.chain, Contents())
        self.views = addressmodel.views(self.chain)

    def script(self, owner: int) -> bytes:
        return pay_to_pubkey_hash(hash160(self.net.purses[owner].public))

    def test_as_the_chain_says(self) -> None:
        expected = addressmodel.expected(self.chain)
        self.assertGreaterEqual(len(expected), 5)
        for limit in (1, 2, 3, 1_000):
            self.assertEqual(addressmodel.shown(self.chain, expected, limit), expected)

    def test_coins_are_those_of_the_set(self) -> None:
        for owner in range(4):
            coins = self.views.coins(self.script(owner)).coins
            self.assertEqual(list(coins), self.net.coins(self.chain, owner))
            steps = [
                coin for page in self.views.coins_in_steps(self.script(owner)) for coin in page
            ]
            self.assertEqual(steps, list(coins))

    def test_history_is_newest_first_and_pages_do_not_move(self) -> None:
        script = self.script(1)
        newest = self.views.history(script, None, 1)
        self.assertEqual([entry.place for entry in newest.entries], [(2, 0)])
        self.assertEqual(newest.next, (2, 0))
        coin = self.net.coins(self.chain, 1)[0]
        payment = self.net.pay([coin], 0)
        self.net.grow(self.chain, self.net.archive(payment, anchor=3))
        older = self.views.history(script, newest.next, 1)
        self.assertEqual([entry.place for entry in older.entries], [(1, 0)])
        self.assertIsNone(older.next)
        self.assertEqual(self.views.history(script).entries[0].txid, payment.txid)

    def test_an_address_that_nobody_has_used(self) -> None:
        self.assertEqual(self.views.coins(ALICE).coins, ())
        self.assertEqual(self.views.history(ALICE).entries, ())
        self.assertEqual(list(self.views.coins_in_steps(ALICE)), [()])

    def test_switched_off(self) -> None:
        engine = MemoryEngine()
        claim_store(engine, self.net.genesis.hash)
        views = AddressViews(EngineChainStore(engine, address_index=False))
        self.assertFalse(views.enabled)
        self.assertTrue(self.views.enabled)
        self.assertRaises(AddressIndexOff, views.coins, ALICE)
        self.assertRaises(AddressIndexOff, views.history, ALICE)
