"""masternoderegister and masternodeunstake: the wallet's own stakes, and those of a cold owner."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.rpc.methods.walletcase import STRANGER, WalletTestCase
from tests.support import ledger_kit
from tests.support.ledger_kit import TIME, user
from timecoin.crypto.address import encode_address
from timecoin.crypto.hashing import hash160
from timecoin.crypto.vrf import vrf_public
from timecoin.ledger.script import Stake, parse_script
from timecoin.ledger.signing import sign_transaction
from timecoin.ledger.transaction import decode_transaction, outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.params import Network
from timecoin.rpc.errors import (
    INSUFFICIENT_FUNDS,
    INVALID_PARAMETER,
    NOT_FOUND,
    PASSPHRASE_NEEDED,
    TYPE_ERROR,
    WALLET_ERROR,
)

COLLATERAL = 1_000 * TIME


class RegisterTests(WalletTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.pay_in(500 * TIME)
        self.net.run(1)

    def stake_of(self, registered: Any) -> Stake:
        txid, index = registered["outpoint"].split(":")
        shown = self.call("getrawtransaction", txid, True)["vout"][int(index)]
        self.assertEqual(shown["value"], registered["collateral"])
        script = parse_script(bytes.fromhex(shown["scriptPubKey"]["hex"]))
        assert isinstance(script, Stake)
        return script

    def test_bronze_from_the_wallet(self) -> None:
        registered = self.call("masternoderegister", "bronze", STRANGER)
        self.assertEqual(registered["outpoint"], registered["txid"] + ":0")
        self.assertEqual((registered["tier"], registered["collateral"]), ("bronze", 1_000))
        script = self.stake_of(registered)
        self.assertEqual(script.pubkey, ledger_kit.validator(0).public)
        self.assertEqual(script.vrf_pubkey, vrf_public(ledger_kit.vrf_seed(0)))
        self.assertEqual(script.payout_hash, hash160(user(3).public))
        self.assertEqual((registered["payout_address"], script.unlock_height), (STRANGER, 0))
        owner = self.call("getaddressinfo", registered["owner_address"])
        self.assertEqual((owner["ismine"], owner["labels"]), (True, ["stake owner"]))
        self.net.run(1)
        self.assertEqual(self.call("getbalance", verbose=True)["staked"], 1_000)
        entries = self.call("listtransactions")
        (entry,) = (each for each in entries if each["txid"] == registered["txid"])
        self.assertEqual((entry["category"], entry["amount"]), ("stake", 1_000))

    def test_keys_of_another_node_and_a_cold_owner(self) -> None:
        cold = self.call("getnewaddress")
        registered = self.call(
            "masternoderegister",
            tier="bronze",
            payout=STRANGER,
            owner=cold,
            pubkey="aa" * 32,
            vrf_pubkey="bb" * 32,
            unlock_height=77,
        )
        script = self.stake_of(registered)
        self.assertEqual((script.pubkey, script.vrf_pubkey), (b"\xaa" * 32, b"\xbb" * 32))
        self.assertEqual(script.unlock_height, 77)
        self.assertEqual(registered["owner_address"], cold)

    def test_a_payout_address_of_the_wallet_unless_told(self) -> None:
        registered = self.call("masternoderegister", "bronze")
        payout = self.call("getaddressinfo", registered["payout_address"])
        self.assertEqual((payout["ismine"], payout["labels"]), (True, ["masternode payout"]))
        self.assertNotEqual(registered["payout_address"], registered["owner_address"])

    def test_refused(self) -> None:
        self.refused(INSUFFICIENT_FUNDS, "masternoderegister", "silver", STRANGER)
        self.refused(NOT_FOUND, "masternoderegister", "bronze", "time1nonsense")
        self.refused(INVALID_PARAMETER, "masternoderegister", "copper", STRANGER)
        self.refused(TYPE_ERROR, "masternoderegister", 1, STRANGER)
        named = {"tier": "bronze", "payout": STRANGER}
        self.refused(INVALID_PARAMETER, "masternoderegister", **named, pubkey="aa" * 32)
        self.assertEqual(self.call("getbalance", verbose=True)["staked"], 0)

    def test_a_locked_wallet(self) -> None:
        self.call("encryptwallet", "words")
        self.refused(PASSPHRASE_NEEDED, "masternoderegister", "bronze", STRANGER)


class ColdTests(WalletTestCase):
    """Owner and funds belong to a key that no node holds: ``user(2)``."""

    def setUp(self) -> None:
        super().setUp()
        self.cold = user(2)
        self.address = encode_address(Network.DEVNET, hash160(self.cold.public))
        chain_id, coin = self.net.genesis.chain_id, self.net.coin(1)
        tx = ledger_kit.pay(chain_id, user(1), coin, self.cold, 500 * TIME)
        self.call("sendrawtransaction", tx.encoded.hex())
        self.net.run_to_height(1)

    def sign(self, prepared: Any) -> str:
        """What the owner does far from any network, with what the answer says alone."""
        tx = decode_transaction(bytes.fromhex(prepared["hex"]))
        spent = [
            Utxo(
                int(Decimal(each["amount"]) * TIME),
                bytes.fromhex(each["scriptPubKey"]),
                0,
                coinbase=False,
            )
            for each in prepared["prevtxs"]
        ]
        points = [
            outpoint(bytes.fromhex(each["txid"]), each["vout"]) for each in prepared["prevtxs"]
        ]
        self.assertEqual(list(tx.outpoints), points)
        signed = sign_transaction(tx, spent, self.net.genesis.chain_id, [self.cold] * len(spent))
        return signed.encoded.hex()

    def test_prepared_signed_elsewhere_and_sent_as_raw_transaction(self) -> None:
        prepared = self.call(
            "masternoderegister",
            tier="bronze",
            payout=STRANGER,
            owner=self.address,
            fund=self.address,
        )
        self.assertEqual(self.call("getmempoolinfo")["size"], 0)
        sent = self.call("sendrawtransaction", self.sign(prepared))
        self.assertEqual(sent, prepared["txid"])
        self.net.run(1)
        self.assertTrue(self.call("gettransactionfinality", sent)["finalized"])

    def test_too_little_to_fund_it(self) -> None:
        empty = self.call("getnewaddress")
        named = {"tier": "bronze", "payout": STRANGER, "fund": empty}
        self.refused(INSUFFICIENT_FUNDS, "masternoderegister", **named)


class UnstakeTests(WalletTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.pay_in(500 * TIME)
        self.net.run(1)
        self.registered = self.call(
            "masternoderegister",
            tier="bronze",
            payout=STRANGER,
            pubkey="aa" * 32,
            vrf_pubkey="bb" * 32,
            unlock_height=4,
        )
        self.net.run_to_height(2)

    def test_waits_until_it_may_be_spent_then_goes_by_itself(self) -> None:
        answer = self.call("masternodeunstake", self.registered["outpoint"])
        self.assertEqual(answer["status"], "waiting")
        self.assertEqual(answer["amount"] + answer["fee"], 1_000)
        self.assertEqual(self.call("masternodeunstake", self.registered["outpoint"]), answer)
        self.assertEqual(self.call("getbalance", verbose=True)["staked"], 1_000)
        self.net.run_to_height(6)
        self.net.run(1)
        self.assertEqual(self.call("getbalance", verbose=True)["staked"], 0)
        shown = self.call("gettransaction", answer["txid"])
        self.assertEqual([each["category"] for each in shown["details"]], ["unstake"])
        self.refused(NOT_FOUND, "masternodeunstake", self.registered["outpoint"])

    def test_refused(self) -> None:
        self.refused(INVALID_PARAMETER, "masternodeunstake", "nonsense")
        self.refused(NOT_FOUND, "masternodeunstake", "00" * 32 + ":0")
        change = self.registered["txid"] + ":1"
        self.refused(NOT_FOUND, "masternodeunstake", change)

    def test_an_owner_elsewhere(self) -> None:
        self.pay_in(600 * TIME, number=1)
        self.net.run(1)
        foreign = self.call("masternoderegister", tier="bronze", payout=STRANGER, owner=STRANGER)
        self.net.run_to_height(4)
        self.refused(WALLET_ERROR, "masternodeunstake", foreign["outpoint"])
        prepared = self.call("masternodeunstake", outpoint=foreign["outpoint"], to=STRANGER)
        self.assertEqual(prepared["status"], "prepared")
        (spent,) = prepared["prevtxs"]
        self.assertEqual((spent["txid"], spent["amount"]), (foreign["txid"], 1_000))


class FoundingTests(WalletTestCase):
    """A genesis validator of weight 100, linked with two others, stakes Bronze."""

    count = 3

    def test_it_keeps_its_weight_until_its_time_is_over(self) -> None:
        self.pay_in(500 * TIME)
        self.net.run(1)
        registered = self.call("masternoderegister", "bronze", STRANGER)
        self.net.run_to_height(4)
        status = self.call("masternodestatus")
        self.assertEqual((status["tier"], status["weight"]), ("genesis", 100))
        answer = self.call("masternodeunstake", registered["outpoint"])
        self.assertEqual(answer["status"], "sent")

    def test_it_leaves_and_comes_back(self) -> None:
        self.net.run_to_height(1)
        answer = self.call("masternodeunstake")
        self.assertEqual(answer["status"], "leaving")
        self.net.run_to_height(4)
        status = self.call("masternodestatus")
        self.assertEqual((status["status"], status["in_avs"]), ("left", False))
        self.assertEqual(self.call("masternodelist")["total"], 2)
        self.refused(INVALID_PARAMETER, "masternodeunstake")
        self.call("masternoderegister", "genesis")
        self.net.run_to_height(8)
        status = self.call("masternodestatus")
        self.assertEqual((status["status"], status["weight"]), ("active", 100))

    def test_a_free_one_joins_earns_and_leaves(self) -> None:
        self.net.run_to_height(1)
        self.call("masternodeunstake")
        self.net.run_to_height(4)
        registered = self.call("masternoderegister", "free", STRANGER)
        self.assertEqual((registered["txid"], registered["outpoint"]), (None, None))
        self.assertEqual((registered["tier"], registered["collateral"]), ("free", 0))
        self.assertEqual(registered["payout_address"], STRANGER)
        self.net.run_to_height(9)
        status = self.call("masternodestatus")
        self.assertEqual((status["status"], status["tier"]), ("active", "free"))
        self.assertEqual((status["weight"], status["eligible"]), (1, False))
        self.assertGreater(status["rewards"], 0)
        (listed,) = self.call("masternodelist", "free")["masternodes"]
        self.assertEqual((listed["pubkey"], listed["payout_address"]), (status["pubkey"], STRANGER))
        self.assertEqual((listed["collateral"], listed["outpoint"]), (0, None))
        self.assertEqual(self.call("getavssnapshot")["total"], 200, "no quorum counts it")
        self.assertEqual(self.call("masternodeunstake")["status"], "leaving")
        self.net.run_to_height(12)
        self.assertEqual(self.call("masternodestatus")["status"], "left")

    def test_free_is_refused_to_who_has_weight_and_takes_nothing_but_payout(self) -> None:
        self.net.run_to_height(1)
        failure = self.refused(INVALID_PARAMETER, "masternoderegister", "free", STRANGER)
        self.assertIn("genesis already", failure.message)
        self.call("masternodeunstake")
        self.net.run_to_height(4)
        for extra in ({"owner": STRANGER}, {"fund": STRANGER}, {"unlock_height": 9}):
            self.refused(INVALID_PARAMETER, "masternoderegister", tier="free", **extra)
        keys = {"pubkey": "aa" * 32, "vrf_pubkey": "bb" * 32}
        self.refused(INVALID_PARAMETER, "masternoderegister", tier="free", **keys)
        self.refused(NOT_FOUND, "masternoderegister", "free", "time1nonsense")
