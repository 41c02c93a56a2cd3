"""Coins and history of any address, archived and waiting; the wallet agrees about its own."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from typing import TypeVar

from twisted.internet.defer import Deferred

from tests.rpc.methods.net import RpcTestCase
from tests.support import ledger_kit
from timecoin.chain.addresses import AddressViews
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.transaction import Transaction
from timecoin.rpc.addressreader import AddressCoin, AddressReader
from timecoin.rpc.errors import RpcError
from timecoin.rpc.lookup import Lookup
from timecoin.wallet.coins import Balance, Standing

TIME = ledger_kit.TIME
COIN = ledger_kit.COIN_UNITS
T = TypeVar("T")


def script(number: int) -> bytes:
    """The script of ``ledger_kit.user(number)``."""
    return ledger_kit.script_of(ledger_kit.user(number))


class ReaderTestCase(RpcTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.reader = self.make_reader(self.node.node.addresses)

    def make_reader(self, addresses: AddressViews) -> AddressReader:
        node = self.node.node
        lookup = Lookup(self.net.genesis, node.views, node.pool)
        return AddressReader(
            self.net.clock, addresses, node.views, lookup, node.pool, node.finality
        )

    def wait(self, work: Awaitable[T]) -> T:
        """The result, letting virtual time pass."""

        async def run() -> T:
            return await work

        waiting = Deferred.fromCoroutine(run())
        waiting.addErrback(lambda failure: failure)
        for _ in range(1_000):
            if waiting.called:
                break
            self.net.run(0.005)
        return self.successResultOf(waiting)

    def balance(self, owner: bytes, minconf: int = 0) -> Balance:
        return self.wait(self.reader.balance(owner, minconf))

    def unspent(
        self, owner: bytes, after: bytes | None = None, limit: int | None = None
    ) -> list[AddressCoin]:
        return self.wait(self.reader.unspent(owner, lambda coin: True, after, limit))

    def submit(self, tx: Transaction) -> Transaction:
        self.call("sendrawtransaction", tx.encoded.hex())
        return tx


class CoinTests(ReaderTestCase):
    def test_from_promise_to_block(self) -> None:
        """Nothing before the certificate; final at once worth one confirmation; then archived."""
        self.assertEqual(self.balance(script(1)), Balance(spendable=COIN))
        tx = self.submit(self.net.payment(0, 3 * TIME))
        self.assertEqual(self.balance(script(1)), Balance(spendable=COIN))
        self.call("waittransactionfinality", tx.txid.hex())
        self.assertEqual(self.balance(script(1)), Balance(spendable=COIN + 3 * TIME))
        self.assertEqual(self.balance(script(1), 1), Balance(spendable=COIN + 3 * TIME))
        self.assertEqual(self.balance(script(1), 2), Balance())
        change = COIN - 3 * TIME - ledger_kit.FEE_UNITS
        self.assertEqual(self.balance(script(0)), Balance(spendable=change))
        (waiting,) = self.unspent(script(0))
        self.assertEqual((waiting.confirmations, waiting.standing), (0, Standing.SPENDABLE))
        self.net.run_to_height(2)
        self.assertEqual(self.balance(script(0), 2), Balance(spendable=change))
        (archived,) = self.unspent(script(0))
        self.assertEqual((archived.confirmations, archived.point), (2, waiting.point))

    def test_a_certified_coin_is_pending(self) -> None:
        tx = self.net.payment(0, 3 * TIME)
        pool = self.node.node.pool
        pool.admit(tx, 0)
        pool.certify(tx.txid, 0)
        self.assertEqual(self.balance(script(1)), Balance(spendable=COIN, pending=3 * TIME))
        self.assertEqual(self.balance(script(1), 1), Balance(spendable=COIN))
        self.assertIn(Standing.PENDING, [coin.standing for coin in self.unspent(script(1))])

    def test_what_waits_to_be_spent_is_gone(self) -> None:
        self.submit(self.net.payment(0))
        self.assertEqual(self.balance(script(0)).spendable, 0)

    def test_rewards_rest(self) -> None:
        owner = pay_to_pubkey_hash(self.net.genesis.validators[0].payout_hash)
        self.net.run_to_height(2)
        rewards = self.unspent(owner)
        self.assertEqual(len(rewards), 2)
        self.assertEqual({coin.standing for coin in rewards}, {Standing.IMMATURE})
        self.net.run_to_height(11)
        old = [coin for coin in self.unspent(owner) if coin.standing is Standing.SPENDABLE]
        spendable = self.balance(owner).spendable
        self.assertEqual(spendable, sum(coin.utxo.value for coin in old))
        self.assertTrue(all(coin.confirmations >= 10 for coin in old))
        self.assertGreater(spendable, 0)

    def test_pages(self) -> None:
        for number in (0, 2, 3):
            tx = ledger_kit.pay(
                self.net.genesis.chain_id,
                ledger_kit.user(number),
                self.net.coin(number),
                ledger_kit.user(1),
                TIME,
            )
            self.submit(tx)
            self.call("waittransactionfinality", tx.txid.hex())
            if number == 2:
                self.net.run_to_height(1)
        whole = self.unspent(script(1))
        self.assertEqual(len(whole), 4)
        self.assertEqual([coin.point for coin in whole], sorted(coin.point for coin in whole))
        paged: list[AddressCoin] = []
        while page := self.unspent(script(1), paged[-1].point if paged else None, 1):
            self.assertEqual(len(page), 1)
            paged += page
        self.assertEqual(paged, whole)
        self.assertEqual(self.unspent(script(1), limit=0), [])
        self.assertEqual(self.unspent(script(1), limit=3), whole[:3])

    def test_as_the_wallet_says_of_its_own(self) -> None:
        address = self.call("getnewaddress")
        self.call("sendtoaddress", address, "2.5")
        self.net.run_to_height(3)
        wallet = self.node.wallet
        own = pay_to_pubkey_hash(self.net.genesis.allocations[0].pubkey_hash)
        for owner in (own, script_of_address(self.call("validateaddress", address))):
            self.assertEqual(self.balance(owner), wallet.balance(0, owner))


class HistoryTests(ReaderTestCase):
    def test_both_sides_newest_first(self) -> None:
        first = self.submit(self.net.payment(0, 3 * TIME))
        self.net.run_to_height(1)
        coin = ledger_kit.created(first, 0)
        second = ledger_kit.pay(
            self.net.genesis.chain_id, ledger_kit.user(1), coin, ledger_kit.user(2), TIME
        )
        self.submit(second)
        self.call("waittransactionfinality", second.txid.hex())
        entries = self.wait(self.reader.transactions(script(1), 10))
        shown = [(e.txid, e.category, e.units, e.confirmations, e.final) for e in entries]
        rest = 2 * TIME - ledger_kit.FEE_UNITS
        self.assertEqual(
            shown,
            [
                (second.txid, "send", -TIME, 0, True),
                (second.txid, "send", -rest, 0, True),
                (second.txid, "receive", rest, 0, True),
                (first.txid, "receive", 3 * TIME, 1, True),
            ],
        )
        self.assertEqual(entries[0].fee_units, ledger_kit.FEE_UNITS)
        self.assertEqual((entries[3].height, entries[3].position), (1, 0))
        self.assertIsNone(entries[0].height)
        for skip in range(5):
            for count in range(5):
                page = self.wait(self.reader.transactions(script(1), count, skip))
                self.assertEqual(page, entries[skip : skip + count])

    def test_rewards(self) -> None:
        owner = pay_to_pubkey_hash(self.net.genesis.validators[0].payout_hash)
        self.net.run_to_height(11)
        entries = self.wait(self.reader.transactions(owner, 100))
        categories = {(e.confirmations >= 10, e.category) for e in entries}
        self.assertEqual(categories, {(True, "generate"), (False, "immature")})


class InterruptedTests(ReaderTestCase):
    def walk(self, interruptions: int) -> Deferred[list[int]]:
        """A walk of two items; between them come blocks, in so many of its attempts."""
        self.walks = 0

        def items() -> Iterator[int]:
            self.walks += 1
            yield 1
            if self.walks <= interruptions:
                self.net.run_to_height(self.node.node.chain.tip_height + 1)
            yield 2

        return Deferred.fromCoroutine(self.reader._walked(items, None))

    def test_a_block_during_the_walk_begins_it_anew(self) -> None:
        for interruptions in (0, 1, 4):
            self.assertEqual(self.successResultOf(self.walk(interruptions)), [1, 2])
            self.assertEqual(self.walks, interruptions + 1)

    def test_blocks_without_end(self) -> None:
        failure = self.failureResultOf(self.walk(100), RpcError)
        self.assertEqual((failure.value.code, self.walks), (-1, 5))

    def test_switched_off(self) -> None:
        class Off(AddressViews):
            @property
            def enabled(self) -> bool:
                return False

        reader = self.make_reader(Off(self.node.node.addresses._store))
        for work in (reader.balance(script(0)), reader.transactions(script(0), 1)):
            failure = self.failureResultOf(Deferred.fromCoroutine(work), RpcError)
            self.assertEqual(failure.value.code, -1)
            self.assertIn("addressindex=0", failure.value.message)


def script_of_address(shown: dict[str, str]) -> bytes:
    """The script in an answer of ``validateaddress``."""
    return bytes.fromhex(shown["scriptPubKey"])
