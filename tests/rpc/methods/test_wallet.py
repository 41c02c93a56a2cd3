"""The wallet by RPC: addresses, coins, payments, passphrase."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tests.rpc.methods.net import RpcFailure, RpcTestCase, result_of
from tests.support import ledger_kit
from tests.support.ledger_kit import TIME, user
from timecoin.crypto.address import encode_address
from timecoin.mempool.policy import PoolLimits
from timecoin.params import Network
from timecoin.rpc.errors import (
    FINALITY_TIMEOUT,
    INSUFFICIENT_FUNDS,
    INVALID_PARAMETER,
    INVALID_PARAMS,
    NOT_FOUND,
    PASSPHRASE_NEEDED,
    REJECTED,
    TYPE_ERROR,
    WALLET_ERROR,
    WARMING_UP,
    WRONG_ENCRYPTION_STATE,
    WRONG_PASSPHRASE,
)

FEE = Decimal("0.001")
MAINNET_ADDRESS = encode_address(Network.MAINNET, bytes(20))


class WalletTestCase(RpcTestCase):
    """Node 0's wallet holds 1,000 TIME."""

    def pay_in(self, units: int, number: int = 0) -> str:
        """A stranger pays a fresh address of the wallet; the address."""
        address: str = self.call("getnewaddress")
        script = bytes.fromhex(self.call("validateaddress", address)["scriptPubKey"])
        chain_id, coin = self.net.genesis.chain_id, self.net.coin(number)
        tx = ledger_kit.pay(chain_id, user(number), coin, script, units)
        self.call("sendrawtransaction", tx.encoded.hex())
        return address

    def balances(self, **options: object) -> dict[str, Decimal]:
        """The verbose balance."""
        shown: dict[str, Decimal] = self.call("getbalance", verbose=True, **options)
        return shown


class AddressTests(WalletTestCase):
    """``getnewaddress``."""

    def test_every_one_is_new_and_valid(self) -> None:
        found = [
            self.call("getnewaddress", *given) for given in ((), ("a label",), ("", "bech32m"))
        ]
        self.assertEqual(len(set(found)), 3)
        for address in found:
            self.assertIs(self.call("validateaddress", address)["isvalid"], True)
            self.assertTrue(address.startswith("timed1"))

    def test_refused(self) -> None:
        self.refused(NOT_FOUND, "getnewaddress", "", "legacy")
        self.refused(TYPE_ERROR, "getnewaddress", 5)
        self.refused(INVALID_PARAMETER, "getnewaddress", "x" * 1_025)
        self.refused(INVALID_PARAMS, "getnewaddress", "", "bech32m", 1)


class BalanceTests(WalletTestCase):
    """``getbalance``."""

    def test_what_comes_in_counts_once_it_is_final(self) -> None:
        self.assertEqual(self.call("getbalance"), 1_000)
        self.pay_in(5 * TIME)
        self.net.run(1)
        self.assertEqual(self.call("getbalance"), 1_005)
        self.assertEqual(self.call("getbalance", "*", 1), 1_005, "final satisfies minconf 1")
        self.assertEqual(self.call("getbalance", "*", 2), 0)
        self.net.run_to_height(1)
        self.assertEqual(self.call("getbalance", "*", 1), 1_005)
        self.assertEqual(self.call("getbalance", "*", 2), 1_000, "the genesis coin alone")

    def test_verbose_parts_sum_up(self) -> None:
        self.call("sendtoaddress", self.call("getnewaddress"), 10)
        shown = self.balances()
        parts = ("spendable", "pending", "immature", "staked")
        self.assertEqual(shown["total"], sum(shown[part] for part in parts))
        self.net.run(1)
        self.assertEqual(self.balances()["spendable"], 1_000 - FEE)

    def test_of_one_address(self) -> None:
        address = self.pay_in(5 * TIME)
        self.net.run(1)
        self.assertEqual(self.call("getbalance", address=address), 5)
        self.assertEqual(self.balances(address=address)["total"], 5)
        self.assertEqual(self.call("getbalance", address=self.call("getnewaddress")), 0)

    def test_of_what_is_no_address(self) -> None:
        for address in (MAINNET_ADDRESS, "nonsense"):
            self.refused(NOT_FOUND, "getbalance", address=address)

    def test_refused(self) -> None:
        self.refused(INVALID_PARAMETER, "getbalance", "all")
        self.refused(INVALID_PARAMETER, "getbalance", "*", -1)
        self.refused(INVALID_PARAMETER, "getbalance", "*", 0, True, True)
        self.refused(TYPE_ERROR, "getbalance", "*", "1")
        self.refused(TYPE_ERROR, "getbalance", verbose=1)
        self.refused(INVALID_PARAMS, "getbalance", "*", 0, True, False, "named only")
        self.assertEqual(self.call("getbalance", "*", 0, False), 1_000)


class UnspentTests(WalletTestCase):
    """``listunspent``."""

    def amounts(self, *params: object, **named: object) -> list[Decimal]:
        return sorted(coin["amount"] for coin in self.call("listunspent", *params, **named))

    def test_one_coin(self) -> None:
        (coin,) = self.call("listunspent")
        self.assertEqual((coin["amount"], coin["vout"], coin["confirmations"]), (1_000, 0, 1))
        self.assertEqual(coin["txid"], self.net.genesis.hash.hex())
        valid = self.call("validateaddress", coin["address"])
        self.assertEqual(coin["scriptPubKey"], valid["scriptPubKey"])
        self.assertEqual((coin["spendable"], coin["safe"], coin["final"]), (True, True, True))

    def test_final_coins_satisfy_one_confirmation(self) -> None:
        self.pay_in(5 * TIME)
        self.net.run(1)
        self.assertEqual(self.amounts(), [5, 1_000])
        self.assertEqual(self.amounts(2), [])
        self.net.run_to_height(1)
        self.assertEqual(self.amounts(2), [1_000])
        self.assertEqual(self.amounts(1, 1), [5])

    def test_pending_change_on_request(self) -> None:
        self.call("sendtoaddress", self.call("getnewaddress"), 1)
        self.assertEqual(self.amounts(), [])
        self.assertEqual(self.amounts(0), [1, 999 - FEE])
        for coin in self.call("listunspent", 0):
            self.assertEqual((coin["spendable"], coin["safe"], coin["final"]), (False,) * 3)
        self.assertEqual(self.amounts(minconf=0, include_unsafe=False), [])

    def test_addresses(self) -> None:
        address = self.pay_in(5 * TIME)
        self.net.run(1)
        self.assertEqual(self.amounts(1, 9_999_999, [address]), [5])
        self.assertEqual(self.amounts(addresses=[]), [5, 1_000])
        self.assertEqual(self.amounts(addresses=[self.call("getnewaddress")]), [])
        self.refused(INVALID_PARAMETER, "listunspent", 1, 9, [address, address])
        self.refused(NOT_FOUND, "listunspent", 1, 9, ["nonsense"])
        self.refused(TYPE_ERROR, "listunspent", 1, 9, address)
        self.refused(TYPE_ERROR, "listunspent", 1, 9, [5])

    def test_query_options(self) -> None:
        self.pay_in(5 * TIME)
        self.pay_in(7 * TIME, number=2)
        self.net.run(1)

        def with_(**options: object) -> list[Decimal]:
            return self.amounts(query_options=options)

        self.assertEqual(with_(minimumAmount=6), [7, 1_000])
        self.assertEqual(with_(minimumAmount="7"), [7, 1_000])
        self.assertEqual(with_(maximumAmount=7), [5, 7])
        self.assertEqual(with_(maximumAmount=Decimal("6.99999999")), [5])
        self.assertEqual(len(with_(maximumCount=2)), 2)
        self.assertEqual(with_(maximumCount=0), [])
        self.assertEqual(with_(minimumSumAmount=1_000), [1_000], "enough with the oldest one")
        self.assertEqual(with_(minimumAmount=1, maximumAmount=6, maximumCount=5), [5])

    def test_query_options_refused(self) -> None:
        refused: tuple[object, ...] = (
            {"minimumamount": 1},
            {"minimumAmount": -1},
            {"maximumAmount": True},
            {"maximumCount": "1"},
            {"maximumCount": 1.5},
            [],
        )
        for options in refused:
            self.refused(TYPE_ERROR, "listunspent", query_options=options)
        self.refused(INVALID_PARAMETER, "listunspent", query_options={"maximumCount": -1})

    def test_refused(self) -> None:
        self.refused(INVALID_PARAMETER, "listunspent", -1)
        self.refused(INVALID_PARAMETER, "listunspent", 1, 10_000_000)
        self.refused(TYPE_ERROR, "listunspent", 1, 9, [], "yes")
        self.refused(INVALID_PARAMS, "listunspent", 1, 9, [], True, {}, 1)


class SendTests(WalletTestCase):
    """``sendtoaddress``."""

    def setUp(self) -> None:
        super().setUp()
        self.address = self.call("getnewaddress")

    def test_amount_and_fee_are_exact(self) -> None:
        txid = self.call("sendtoaddress", self.address, Decimal("0.30000001"))
        shown = self.call("getrawtransaction", txid, 1)
        self.assertIn(Decimal("0.30000001"), [output["value"] for output in shown["vout"]])
        self.assertGreaterEqual(shown["fee"], FEE)
        self.net.run(1)
        self.assertEqual(self.call("getbalance"), 1_000 - shown["fee"])
        self.assertEqual(self.call("getbalance", address=self.address), Decimal("0.30000001"))

    def test_amount_as_text(self) -> None:
        txid = self.call("sendtoaddress", self.address, "2.5", "comment", "to whom")
        self.assertEqual(
            self.call("getrawtransaction", txid, 1)["vout"][0]["value"], Decimal("2.5")
        )

    def test_fee_subtracted(self) -> None:
        txid = self.call("sendtoaddress", self.address, 1_000, "", "", True)
        shown = self.call("getrawtransaction", txid, 1)
        (output,) = shown["vout"]
        self.assertEqual(output["value"], 1_000 - shown["fee"])

    def test_wait_until_final(self) -> None:
        txid = self.call("sendtoaddress", address=self.address, amount=1, wait=True)
        self.assertIs(self.call("gettransactionfinality", txid)["finalized"], True)
        self.assertEqual(len(self.node.catalog.waiters), 0)

    def test_many_at_once_spend_different_coins(self) -> None:
        self.pay_in(50 * TIME)
        self.net.run(1)
        first = self.call("sendtoaddress", self.address, 1)
        second = self.call("sendtoaddress", self.address, 1)
        spent = [
            (item["txid"], item["vout"])
            for txid in (first, second)
            for item in self.call("getrawtransaction", txid, 1)["vin"]
        ]
        self.assertEqual(len(set(spent)), len(spent))

    def test_not_enough(self) -> None:
        self.refused(INSUFFICIENT_FUNDS, "sendtoaddress", self.address, 1_000)
        self.refused(INSUFFICIENT_FUNDS, "sendtoaddress", self.address, 1_001, "", "", True)
        self.assertEqual(self.call("getbalance"), 1_000)
        self.assertEqual(len(self.node.node.pool), 0)

    def test_amounts_refused(self) -> None:
        for amount in (0, -1, "x", "", True, None, Decimal("0.000000001"), 2**63, [1]):
            self.refused(TYPE_ERROR, "sendtoaddress", self.address, amount)
        self.refused(WALLET_ERROR, "sendtoaddress", self.address, Decimal("0.00000001"))
        self.assertEqual(len(self.node.node.pool), 0)

    def test_addresses_refused(self) -> None:
        for address in ("", "nonsense", MAINNET_ADDRESS, self.address[:-1] + "?"):
            self.refused(NOT_FOUND, "sendtoaddress", address, 1)
        self.refused(INVALID_PARAMETER, "sendtoaddress", "x" * 129, 1)
        self.refused(TYPE_ERROR, "sendtoaddress", 5, 1)

    def test_options_refused(self) -> None:
        for option in (
            {"replaceable": True},
            {"conf_target": 6},
            {"estimate_mode": "economical"},
            {"avoid_reuse": True},
            {"fee_rate": 25},
            {"verbose": True},
        ):
            self.refused(
                INVALID_PARAMETER, "sendtoaddress", address=self.address, amount=1, **option
            )
        self.refused(INVALID_PARAMS, "sendtoaddress", self.address)
        self.refused(INVALID_PARAMS, "sendtoaddress", address=self.address, amount=1, until=1)
        self.refused(TYPE_ERROR, "sendtoaddress", address=self.address, amount=1, wait="yes")
        self.assertEqual(len(self.node.node.pool), 0)

    def test_refused_by_the_pool_frees_the_coins(self) -> None:
        limits = self.node.node.pool._limits
        self.patch(self.node.node.pool, "_limits", _nothing_fits(limits))
        failure = self.refused(REJECTED, "sendtoaddress", self.address, 1)
        self.assertIn("mempool-full", failure.message)
        self.assertEqual(self.call("getbalance"), 1_000)
        self.patch(self.node.node.pool, "_limits", limits)
        self.call("sendtoaddress", self.address, 1)

    def test_while_catching_up(self) -> None:
        self.patch(self.node.node.sync, "_active", True)
        self.refused(WARMING_UP, "sendtoaddress", self.address, 1)


def _nothing_fits(limits: PoolLimits) -> PoolLimits:
    return replace(limits, max_bytes=1)


class NoQuorumTests(WalletTestCase):
    """One of three validators, cut off."""

    count = 3

    def test_wait_times_out_after_sending(self) -> None:
        for node in self.net.nodes[1:]:
            node.cut()
        address = self.call("getnewaddress")
        call = self.node.ask_named("sendtoaddress", address=address, amount=1, wait=True)
        self.net.run(301)
        failure = self.assertRaises(RpcFailure, result_of, call)
        self.assertEqual(failure.code, FINALITY_TIMEOUT)
        (txid,) = self.call("getrawmempool")
        self.assertEqual(failure.data, {"txid": txid})
        shown = self.balances()
        self.assertEqual((shown["spendable"], shown["pending"]), (0, 1_000 - FEE))


class PassphraseTests(WalletTestCase):
    """``encryptwallet``, ``walletpassphrase``, ``walletlock``."""

    def test_without_one(self) -> None:
        self.refused(WRONG_ENCRYPTION_STATE, "walletlock")
        self.refused(WRONG_ENCRYPTION_STATE, "walletpassphrase", "secret", 10)

    def test_life_of_a_sealed_wallet(self) -> None:
        address = self.call("getnewaddress")
        self.assertIn("encrypted", self.call("encryptwallet", "secret"))
        self.refused(WRONG_ENCRYPTION_STATE, "encryptwallet", "again")
        self.refused(PASSPHRASE_NEEDED, "sendtoaddress", address, 1)
        self.assertEqual(self.call("getbalance"), 1_000, "looking needs no passphrase")
        self.refused(WRONG_PASSPHRASE, "walletpassphrase", "wrong", 10)
        self.refused(PASSPHRASE_NEEDED, "sendtoaddress", address, 1)
        self.assertIsNone(self.call("walletpassphrase", "secret", 10))
        self.call("sendtoaddress", address, 1)
        self.net.run(11)
        self.refused(PASSPHRASE_NEEDED, "sendtoaddress", address, 1)
        self.call("walletpassphrase", "secret", 10**12)
        self.assertIsNone(self.call("walletlock"))
        self.refused(PASSPHRASE_NEEDED, "sendtoaddress", address, 1)

    def test_a_locked_wallet_runs_out_of_addresses(self) -> None:
        self.call("encryptwallet", "secret")
        given = 0
        while True:
            try:
                self.call("getnewaddress")
            except RpcFailure as failure:
                self.assertEqual(failure.code, PASSPHRASE_NEEDED)
                break
            given += 1
        self.assertGreater(given, 5)
        self.call("walletpassphrase", "secret", 10)
        self.call("getnewaddress")

    def test_refused(self) -> None:
        for method in ("encryptwallet", "walletpassphrase"):
            more = () if method == "encryptwallet" else (10,)
            self.refused(INVALID_PARAMETER, method, "", *more)
            self.refused(INVALID_PARAMETER, method, "x" * 1_025, *more)
            self.refused(TYPE_ERROR, method, 5, *more)
            self.refused(INVALID_PARAMS, method)
        self.refused(INVALID_PARAMETER, "walletpassphrase", "secret", -1)
        self.refused(TYPE_ERROR, "walletpassphrase", "secret", "10")
        self.refused(INVALID_PARAMS, "walletpassphrase", "secret")
        self.refused(INVALID_PARAMS, "walletlock", 1)
