"""Blocks as JSON, the state of the chain, and the audit of its coins."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from tests.rpc.methods.net import SLOT_S, RpcTestCase
from timecoin.chain.views import UtxoAudit
from timecoin.codec import decode
from timecoin.ledger.block import Block, Header
from timecoin.ledger.genesis import Genesis
from timecoin.params import MAX_BLOCK_BYTES
from timecoin.rpc.errors import INVALID_PARAMETER, INVALID_PARAMS, MISC_ERROR, NOT_FOUND, TYPE_ERROR
from timecoin.store.chainstore import EngineChainStore

REWARD_OF_THREE = Decimal("2.09861228")  # 1 + ln 3, floored to a unit


class BlockTests(RpcTestCase):
    """Three validators of weight 100; one payment in block 1."""

    count = 3

    def setUp(self) -> None:
        super().setUp()
        self.tx = self.net.payment(0)
        self.call("sendrawtransaction", self.tx.encoded.hex())
        self.net.run_to_height(2)
        self.net.run(1)

    def test_count_and_hashes(self) -> None:
        self.assertEqual(self.call("getblockcount"), 2)
        self.assertEqual(self.call("getblockhash", 0), self.net.genesis.hash.hex())
        first, second = self.call("getblockhash", 1), self.call("getblockhash", 2)
        self.assertEqual(self.call("getblock", second)["previousblockhash"], first)
        self.assertEqual(self.call("getblock", first)["nextblockhash"], second)
        self.assertNotIn("nextblockhash", self.call("getblock", second))

    def test_heights_out_of_range(self) -> None:
        for method in ("getblockhash", "getblock"):
            for height in (3, -1, 2**63):
                self.refused(INVALID_PARAMETER, method, height)
            for other in (1.5, None, True, [1]):
                self.refused(TYPE_ERROR, method, other)
            self.refused(INVALID_PARAMS, method)
        self.refused(TYPE_ERROR, "getblockhash", "1")

    def test_hashes_that_are_none(self) -> None:
        self.refused(NOT_FOUND, "getblock", "00" * 32)
        self.refused(INVALID_PARAMETER, "getblock", "00" * 31)
        self.refused(INVALID_PARAMETER, "getblock", "zz" * 32)

    def test_summary(self) -> None:
        block = self.call("getblock", 1)
        self.assertEqual((block["height"], block["confirmations"], block["nTx"]), (1, 2, 2))
        self.assertEqual(self.call("getblock", block["hash"], 1), block)
        self.assertEqual(self.call("getblock", block=1, verbosity=True), block)
        self.assertEqual(self.call("getblock", blockhash=block["hash"]), block)
        entry = {"txid": self.tx.txid.hex(), "wtxid": self.tx.wtxid.hex()}
        self.assertEqual(block["entries"], [entry])
        self.assertEqual(block["tx"][1], self.tx.txid.hex(), "the reward stands first")
        self.assertEqual(block["slot_time"], block["slot"] * SLOT_S * 1000)
        self.assertEqual(block["time"], block["timestamp_ms"] // 1000)
        (certificate,) = block["certificates"]
        self.assertEqual((certificate["anchor"], certificate["leaf_count"]), (0, 1))
        self.assert_keys(block, ["producer", "round", "vrf_proof", "avs_changes", "mediantime"])

    def test_headers(self) -> None:
        best = self.call("getbestblockhash")
        self.assertEqual(best, self.call("getblockhash", 2))
        for height in (0, 1, 2):
            block = self.call("getblock", height)
            header = self.call("getblockheader", block["hash"])
            self.assertEqual(header, {name: block[name] for name in header})
            self.assert_keys(header, ["hash", "height", "confirmations", "time", "nTx", "slot"])
            self.assertNotIn("tx", header)
        raw = bytes.fromhex(self.call("getblockheader", blockhash=best, verbose=False))
        self.assertEqual(decode(raw, Header, 1_000).hash.hex(), best)
        start = bytes.fromhex(self.call("getblockheader", self.call("getblockhash", 0), False))
        self.assertEqual(decode(start, Genesis, MAX_BLOCK_BYTES), self.net.genesis)

    def test_headers_refused(self) -> None:
        self.refused(NOT_FOUND, "getblockheader", "00" * 32)
        self.refused(INVALID_PARAMETER, "getblockheader", "00")
        self.refused(TYPE_ERROR, "getblockheader", 1)
        self.refused(TYPE_ERROR, "getblockheader", "00" * 32, 1)
        self.refused(INVALID_PARAMS, "getblockheader")
        self.refused(INVALID_PARAMS, "getbestblockhash", 1)

    def test_signatures_are_weighed(self) -> None:
        block = self.call("getblock", 1)
        members = {validator.pubkey.hex() for validator in self.net.genesis.validators}
        self.assertIn(block["producer"], members)
        self.assertTrue(members.issuperset(block["signers"]))
        self.assertEqual(block["signed_weight"], 100 * len(block["signers"]))
        self.assertEqual(block["quorum_weight"], 200)
        self.assertGreaterEqual(block["signed_weight"], 200)

    def test_reward_and_fees_are_what_is_paid_out(self) -> None:
        for height, fees in ((1, Decimal("0.002")), (2, Decimal(0))):
            block = self.call("getblock", height)
            self.assertEqual((block["reward"], block["fees"]), (REWARD_OF_THREE, fees))
            paid = sum(payout["amount"] for payout in block["payouts"])
            self.assertEqual(paid, REWARD_OF_THREE + fees)
            self.assertEqual(len(block["payouts"]), 3)
            for payout in block["payouts"]:
                self.assertTrue(self.call("validateaddress", payout["address"])["isvalid"])

    def test_whole_transactions(self) -> None:
        reward, payment = self.call("getblock", 1, 2)["tx"]
        self.assertIn("coinbase", reward["vin"][0])
        self.assertEqual(reward["vin"][0]["height"], 1)
        self.assertNotIn("fee", reward)
        self.assertEqual(payment["txid"], self.tx.txid.hex())
        self.assertEqual(payment["fee"], Decimal("0.002"))
        self.assertEqual(payment["vin"][0]["prevout"]["value"], 1_000)
        self.assertEqual([output["value"] for output in payment["vout"]], [1, Decimal("998.998")])

    def test_bytes(self) -> None:
        raw = bytes.fromhex(self.call("getblock", 1, 0))
        block = decode(raw, Block, MAX_BLOCK_BYTES)
        self.assertEqual(block.hash.hex(), self.call("getblockhash", 1))
        self.assertEqual(self.call("getblock", 1, False), raw.hex())
        self.assertEqual(self.call("getblock", 1)["size"], len(raw))

    def test_pruned_blocks(self) -> None:
        header = self.call("getblockheader", self.call("getblockhash", 1))
        EngineChainStore(self.node.engine).forget_bodies(1, 1)
        for verbosity in (0, 1, 2):
            error = self.refused(MISC_ERROR, "getblock", 1, verbosity)
            self.assertIn("Block not available (pruned data)", str(error))
        del header["nTx"]
        self.assertEqual(self.call("getblockheader", self.call("getblockhash", 1)), header)
        self.assertEqual(self.call("getblock", 0)["height"], 0)
        info = self.call("getblockchaininfo")
        self.assertEqual((info["pruned"], info["pruneheight"]), (True, 2))
        blocks = info["blocks"]
        self.assertEqual((info["history"]["first_block"], info["history"]["first_indexed"]), (2, 2))
        self.assertAlmostEqual(float(info["history"]["share"]), (blocks - 1) / blocks, places=5)

    def test_verbosity_out_of_range(self) -> None:
        for verbosity in (3, -1):
            self.refused(INVALID_PARAMETER, "getblock", 1, verbosity)
        self.refused(TYPE_ERROR, "getblock", 1, "1")
        self.refused(INVALID_PARAMS, "getblock", 1, 1, 1)
        self.refused(INVALID_PARAMS, "getblock", block=1, hash="00" * 32)

    def test_genesis(self) -> None:
        block = self.call("getblock", 0)
        self.assertEqual(block["hash"], self.net.genesis.hash.hex())
        self.assertEqual((block["confirmations"], block["nTx"], block["tx"]), (3, 0, []))
        self.assertEqual((block["reward"], block["payouts"], block["signers"]), (0, [], []))
        self.assertEqual([item["amount"] for item in block["allocations"]], [1_000] * 5)
        self.assertNotIn("previousblockhash", block)
        self.assertEqual(self.call("getblock", block["hash"], 2), block)
        raw = bytes.fromhex(self.call("getblock", 0, 0))
        self.assertEqual(decode(raw, Genesis, MAX_BLOCK_BYTES), self.net.genesis)

    def test_every_block_has_the_same_keys(self) -> None:
        usual = set(self.call("getblock", 2))
        missing = usual - set(self.call("getblock", 0))
        of_a_header = {"merkleroot", "seed", "avs_root", "utxo_root", "body_root", "commit_round"}
        self.assertEqual(missing, of_a_header | {"previousblockhash"})


class StateTests(RpcTestCase):
    """One validator."""

    def test_blockchaininfo(self) -> None:
        before = self.call("getblockchaininfo")
        self.assertEqual((before["chain"], before["blocks"]), ("devnet", 0))
        self.assertEqual(before["bestblockhash"], self.net.genesis.hash.hex())
        self.assertEqual(before["supply"], 5_000)
        self.assertIsNone(before["finality"]["p50_ms"])
        self.assertEqual((before["verificationprogress"], before["headers"]), (1, 0))
        self.assertIs(before["initialblockdownload"], False)
        self.assertEqual((before["size_on_disk"], before["block_time_seconds"]), (12_345, 10))
        self.call("sendrawtransaction", self.net.payment(0).encoded.hex())
        self.net.run_to_height(1)
        after = self.call("getblockchaininfo")
        self.assertEqual((after["blocks"], after["supply"]), (1, 5_001))
        self.assertEqual(after["finality"]["measured"], 1)
        self.assertIsInstance(after["finality"]["p50_ms"], int)
        self.assertGreaterEqual(after["finality"]["p95_ms"], after["finality"]["p50_ms"])
        self.assertEqual(after["warnings"], [])
        self.assert_keys(after, ["consensus", "slot", "mediantime"])

    def test_median_time_is_the_middle_of_eleven(self) -> None:
        self.net.run_to_height(12)
        times = [self.call("getblock", height)["time"] for height in range(2, 13)]
        self.assertEqual(self.call("getblockchaininfo")["mediantime"], sorted(times)[5])
        self.assertEqual(self.call("getblock", 12)["mediantime"], sorted(times)[5])

    def test_txoutsetinfo(self) -> None:
        self.call("sendrawtransaction", self.net.payment(0).encoded.hex())
        self.net.run_to_height(1)
        found = self.call("gettxoutsetinfo")
        self.assertEqual((found["height"], found["txouts"]), (1, 5 + 1 + 1))
        self.assertEqual(found["total_amount"], 5_001)
        self.assertIs(found["matches_supply"], True)
        self.assertEqual(found["utxo_root"], self.call("getblock", 1)["utxo_root"])
        self.assertEqual(found["bestblock"], self.call("getblockhash", 1))

    def test_txoutsetinfo_finds_a_stolen_coin(self) -> None:
        point, _ = next(self.node.engine.scan("utxo"))
        self.node.engine.write([("utxo", point, None)], sync=True)
        found = self.call("gettxoutsetinfo")
        self.assertIs(found["matches_supply"], False)
        self.assertEqual((found["total_amount"], found["supply"]), (4_000, 5_000))

    def test_txoutsetinfo_gives_up_when_blocks_come_too_fast(self) -> None:
        """A walk ends without result when the chain moves; see the tests of the chain."""
        views = self.node.node.views
        walk, walks = views.audit_in_steps, [0]

        def interrupted() -> Iterator[UtxoAudit | None]:
            walks[0] += 1
            return iter([None]) if walks[0] < 2 else walk()

        self.patch(views, "audit_in_steps", interrupted)
        self.assertIs(self.call("gettxoutsetinfo")["matches_supply"], True)
        self.patch(views, "audit_in_steps", lambda: iter([None]))
        self.refused(MISC_ERROR, "gettxoutsetinfo")
