"""What subscribers hear of payments, double spends and blocks of whole nodes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.rpc.methods.net import RpcTestCase
from tests.support import ledger_kit
from timecoin.chain.commit import BlockConnected
from timecoin.crypto.address import encode_address
from timecoin.finality.events import Status, StatusChanged
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.transaction import Transaction
from timecoin.mempool.entry import PoolEntry
from timecoin.node.wiring import observe
from timecoin.params import Network
from timecoin.rpc.feeds import Feeds
from timecoin.rpc.jsonvalues import loads
from timecoin.rpc.lookup import Lookup
from timecoin.rpc.subscriptions import Subscriptions, Topic

TIME = ledger_kit.TIME


class Pool:
    """Waiting transactions, as far as the feeds ask."""

    def __init__(self) -> None:
        self.entries: dict[bytes, PoolEntry] = {}

    def add(self, tx: Transaction) -> None:
        self.entries[tx.txid] = PoolEntry(tx, 1, len(tx.encoded), 0, 0)

    def entry(self, txid: bytes) -> PoolEntry | None:
        return self.entries.get(txid)


class Ear:
    """One subscriber; keeps the results."""

    def __init__(self, subscriptions: Subscriptions, topic: Topic) -> None:
        self.heard: list[Any] = []
        subscriptions.add(self, topic)

    def tell(self, text: bytes) -> None:
        told = loads(text)
        assert isinstance(told, dict)
        self.heard.append(told["params"]["result"])

    def statuses(self) -> list[str]:
        """The statuses that it heard of, in order."""
        return [result["status"] for result in self.heard]


def address_of(number: int) -> str:
    """The address of ``ledger_kit.user(number)``."""
    return encode_address(Network.DEVNET, script_of(number)[1:])


def script_of(number: int) -> bytes:
    return ledger_kit.script_of(ledger_kit.user(number))


class FeedTests(RpcTestCase):
    def ear(self, topic: Topic) -> Ear:
        return Ear(self.node.catalog.streams.subscriptions, topic)

    def submit(self, tx: Transaction) -> None:
        self.call("sendrawtransaction", tx.encoded.hex())

    def test_blocks(self) -> None:
        ear = self.ear(Topic("blocks"))
        self.submit(self.net.payment(0))
        self.net.run_to_height(2)
        self.assertEqual([block["height"] for block in ear.heard], [1, 2])
        known = self.call("getblock", ear.heard[0]["hash"])
        for key in ("height", "previousblockhash", "time", "slot", "producer", "nTx"):
            self.assertEqual(ear.heard[0][key], known[key], key)
        self.assertEqual(ear.heard[0]["nTx"], 2)

    def test_transactions(self) -> None:
        ear = self.ear(Topic("transactions"))
        tx = self.net.payment(0)
        self.submit(tx)
        self.submit(tx)
        self.net.run_to_height(1)
        (heard,) = ear.heard
        self.assertEqual((heard["txid"], heard["hex"]), (tx.txid.hex(), tx.encoded.hex()))
        self.assertEqual(heard["vin"][0]["address"], address_of(0))
        self.assertIn("fee", heard)

    def test_finality_of_all_and_of_one(self) -> None:
        first, second = self.net.payment(0), self.net.payment(1)
        every, one = self.ear(Topic("finality")), self.ear(Topic("finality", second.txid))
        self.submit(first)
        self.submit(second)
        self.net.run_to_height(1)
        self.assertEqual(one.statuses()[0], "seen")
        self.assertEqual(one.statuses()[-2:], ["final", "archived"])
        self.assertEqual([heard["finalized"] for heard in one.heard[-2:]], [True, True])
        self.assertEqual({heard["txid"] for heard in one.heard}, {second.txid.hex()})
        self.assertEqual(
            {heard["txid"] for heard in every.heard}, {first.txid.hex(), second.txid.hex()}
        )

    def test_address_of_both_sides(self) -> None:
        payer, payee = (self.ear(Topic("address", script_of(n))) for n in (0, 1))
        stranger = self.ear(Topic("address", script_of(3)))
        tx = self.net.payment(0, 3 * TIME)
        self.submit(tx)
        self.net.run_to_height(1)
        for ear in (payer, payee):
            self.assertEqual(ear.statuses()[0], "seen")
            self.assertEqual(ear.statuses()[-2:], ["final", "archived"])
            self.assertEqual({heard["txid"] for heard in ear.heard}, {tx.txid.hex()})
            self.assertEqual(len(ear.heard), len({heard["status"] for heard in ear.heard}))
        first, last = payee.heard[0], payee.heard[-1]
        self.assertEqual(first["address"], address_of(1))
        self.assertEqual((first["received"], first["sent"]), (3, 0))
        self.assertEqual(last["height"], 1)
        self.assertEqual(last["blockhash"], self.call("getblockhash", 1))
        change = payer.heard[0]
        self.assertEqual(change["sent"], Decimal(ledger_kit.COIN_UNITS) / TIME)
        self.assertEqual(change["received"], change["sent"] - 3 - self.fee(tx))
        self.assertEqual(stranger.heard, [])

    def fee(self, tx: Transaction) -> Decimal:
        shown = self.call("getrawtransaction", tx.txid.hex(), True)
        return Decimal(shown["fee"])

    def test_spent_within_the_block_that_made_it(self) -> None:
        """The block alone tells what both transactions did, also to the output in between."""
        chain_id = self.net.genesis.chain_id
        first = self.net.payment(0, 3 * TIME)
        self.submit(first)
        self.call("waittransactionfinality", first.txid.hex())
        coin = ledger_kit.created(first, 0)
        ear = self.ear(Topic("address", script_of(1)))
        units = 3 * TIME - ledger_kit.FEE_UNITS
        second = ledger_kit.pay(chain_id, ledger_kit.user(1), coin, ledger_kit.user(2), units)
        self.submit(second)
        self.net.run_to_height(1)
        archived = [heard for heard in ear.heard if heard["status"] == "archived"]
        self.assertEqual(
            {heard["txid"]: (heard["received"], heard["sent"]) for heard in archived},
            {first.txid.hex(): (3, 0), second.txid.hex(): (0, 3)},
        )

    def test_reward(self) -> None:
        payout = self.net.genesis.validators[0].payout_hash
        ear = self.ear(Topic("address", pay_to_pubkey_hash(payout)))
        self.net.run_to_height(1)
        self.assertEqual(ear.statuses(), ["archived"])
        self.assertGreater(ear.heard[0]["received"], 0)
        self.assertEqual(ear.heard[0]["sent"], 0)

    def test_a_rejected_transaction_is_told_although_the_pool_has_forgotten_it(self) -> None:
        pool = Pool()
        subscriptions = Subscriptions()
        lookup = Lookup(self.net.genesis, self.node.node.views, self.node.node.pool)
        feeds = Feeds(subscriptions, pool, lookup)  # type: ignore[arg-type]  # entry() is all
        ear = Ear(subscriptions, Topic("address", script_of(1)))
        tx, other = self.net.payment(0), self.net.payment(1)
        for waiting in (tx, other):
            pool.add(waiting)
            feeds.on_status(StatusChanged(waiting.txid, Status.SEEN, 1))
        pool.entries.clear()
        for _ in range(2):
            feeds.on_status(StatusChanged(tx.txid, Status.REJECTED, 2))
        feeds.on_status(StatusChanged(other.txid, Status.ARCHIVED, 3))
        feeds.on_status(StatusChanged(other.txid, Status.REJECTED, 4))
        self.assertEqual(ear.statuses(), ["seen", "seen", "rejected"])
        self.assertEqual(ear.heard[-1]["txid"], tx.txid.hex())
        self.assertEqual(ear.heard[-1]["received"], 1)

    def test_nobody_listens(self) -> None:
        """Nothing is made then: neither pool nor chain are asked."""
        feeds = Feeds(Subscriptions(), None, None)  # type: ignore[arg-type]
        observe(self.node.node, StatusChanged, feeds.on_status)
        observe(self.node.node, BlockConnected, feeds.on_block)
        self.submit(self.net.payment(0))
        self.net.run_to_height(1)
