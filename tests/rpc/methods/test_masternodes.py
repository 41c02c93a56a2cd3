"""Masternodes by RPC: who is there, who is not, what they have said and earned."""

from __future__ import annotations

from decimal import Decimal

from tests.rpc.methods.net import RpcTestCase
from tests.support import ledger_kit
from timecoin.rpc.earnings import Earned
from timecoin.rpc.errors import INVALID_PARAMETER, NOT_FOUND, TYPE_ERROR


def key_of(number: int) -> str:
    """The voting key of validator ``number``, in hex."""
    return ledger_kit.validator(number).public.hex()


class ListTests(RpcTestCase):
    count = 3

    def test_everybody(self) -> None:
        self.net.run(10)
        shown = self.call("masternodelist")
        self.assertEqual((shown["total"], shown["active"], shown["quorum_weight"]), (3, 3, 200))
        pubkeys = [item["pubkey"] for item in shown["masternodes"]]
        self.assertEqual(pubkeys, sorted(v.pubkey.hex() for v in self.net.genesis.validators))
        now_s = self.net.now_ms // 1000
        for item in shown["masternodes"]:
            self.assertEqual((item["tier"], item["weight"]), ("genesis", 100))
            self.assertEqual((item["status"], item["registered_height"]), ("active", 0))
            self.assertEqual((item["collateral"], item["outpoint"]), (0, None))
            self.assertIn(now_s - item["last_heartbeat"], range(5))
            self.assertIn(item["uptime"], range(11))
            self.assertIs(self.call("validateaddress", item["payout_address"])["isvalid"], True)

    def test_one_that_has_fallen_silent(self) -> None:
        self.net.run(10)
        last = self.call("masternodelist", key_of(2))["masternodes"][0]["last_heartbeat"]
        self.net.nodes[2].cut()
        self.net.run(13)
        shown = self.call("masternodelist", "silent")
        (item,) = shown["masternodes"]
        self.assertEqual((item["pubkey"], item["uptime"]), (key_of(2), None))
        self.assertIsNone(item["address"])
        self.assertIn(item["last_heartbeat"] - last, range(4))

    def test_filter(self) -> None:
        (item,) = self.call("masternodelist", key_of(0)[:16])["masternodes"]
        self.assertEqual((item["pubkey"], item["address"]), (key_of(0), "127.0.0.1:8001"))
        self.assertEqual(self.call("masternodelist", filter="no such")["masternodes"], [])
        self.refused(TYPE_ERROR, "masternodelist", 5)
        self.refused(INVALID_PARAMETER, "masternodelist", "x" * 257)


class StatusTests(RpcTestCase):
    count = 3

    def test_own(self) -> None:
        self.net.run_to_height(4)
        shown = self.call("masternodestatus")
        self.assertEqual((shown["pubkey"], shown["status"]), (key_of(0), "active"))
        self.assertEqual((shown["in_avs"], shown["eligible"]), (True, True))
        self.assertEqual((shown["tier"], shown["warnings"]), ("genesis", []))
        at = self.net.now_ms + int(shown["next_check"] * 1000)
        self.assertEqual(at % self.net.genesis.slot_ms, 0)

    def test_what_it_has_produced_and_earned(self) -> None:
        """All validators together have produced all blocks, and got all rewards."""
        self.net.run_to_height(6)
        self.net.run(1)
        blocks = [self.call("getblock", self.call("getblockhash", h)) for h in range(1, 7)]
        statuses = [node.call("masternodestatus") for node in self.net.nodes]
        for status in statuses:
            produced = [b for b in blocks if b["producer"] == status["pubkey"]]
            self.assertEqual(status["blocks_produced"], len(produced))
            self.assertEqual(status["since_height"], 0)
        paid = sum(Decimal(block["reward"]) + Decimal(block["fees"]) for block in blocks)
        self.assertEqual(sum(Decimal(status["rewards"]) for status in statuses), paid)

    def test_blocks_that_were_not_counted_are_counted_when_somebody_asks(self) -> None:
        self.net.run_to_height(3)
        earnings = self.node.catalog.earnings
        assert earnings is not None
        whole = earnings.earned
        earnings.earned = Earned(0, 1, 0, 0)
        self.net.run_to_height(4)
        self.assertEqual(earnings.earned.height, 1)
        self.call("masternodestatus")
        self.assertEqual(earnings.earned.height, 4)
        self.assertGreater(earnings.earned.reward_units, whole.reward_units // 2)


class HeartbeatTests(RpcTestCase):
    count = 3

    def test_statistics(self) -> None:
        before = self.call("getattestationstats")
        self.net.run(30)
        after = self.call("getattestationstats")
        self.assertGreaterEqual(after["total_heartbeats"] - before["total_heartbeats"], 24)
        self.assertLessEqual(after["verified_heartbeats"], after["total_heartbeats"])
        self.assertEqual(after["unique_masternodes"], 3)
        self.assertLessEqual(after["pending_heartbeats"], 3)
        rate = Decimal(after["verified_heartbeats"]) / after["total_heartbeats"]
        self.assertAlmostEqual(after["verification_rate"], rate, 3)
        self.assertEqual(after["refused"], 0)

    def test_history(self) -> None:
        self.net.run(30)
        by_key = self.call("getheartbeathistory", key_of(1))
        self.assertGreaterEqual(by_key["total_verified_heartbeats"], 8)
        recent = by_key["recent_heartbeats"]
        self.assertEqual(len(recent), min(10, by_key["total_verified_heartbeats"]))
        self.assertEqual(recent[0]["sequence"], by_key["latest_sequence"])
        sequences = [each["sequence"] for each in recent]
        self.assertEqual(sequences, sorted(sequences, reverse=True))
        for each in recent:
            self.assertIs(each["verified"], True)
            self.assertEqual(each["witness_count"], len(each["witnesses"]))
            self.assertGreaterEqual(each["witness_count"], 1)
            self.assertNotIn(key_of(1), each["witnesses"])
        by_address = self.call("getheartbeathistory", by_key["address"], 3)
        self.assertEqual(by_address["pubkey"], key_of(1))
        self.assertEqual(len(by_address["recent_heartbeats"]), 3)

    def test_of_nobody(self) -> None:
        for name in ("", "00" * 32, "nonsense", "127.0.0.1:1"):
            self.refused(NOT_FOUND, "getheartbeathistory", name)
        self.refused(INVALID_PARAMETER, "getheartbeathistory", key_of(0), 0)
