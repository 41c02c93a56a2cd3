"""Peers, members, consensus, control and addresses by RPC; the two reports."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from twisted.trial.unittest import SynchronousTestCase

from tests.quorum.proofs import signed_twice
from tests.rpc.methods.net import RpcNet, RpcTestCase, node_id
from tests.support import ledger_kit
from timecoin import __version__
from timecoin.chain.headers import Top
from timecoin.crypto.address import encode_address
from timecoin.evidence.events import Witnessed
from timecoin.finality.emergency import Emergency, EmergencyRow
from timecoin.params import Network
from timecoin.quorum.certificate import BatchCertificate
from timecoin.quorum.evidence import decode_evidence
from timecoin.rpc.blocks import seconds_json
from timecoin.rpc.errors import INVALID_PARAMETER, INVALID_PARAMS, TYPE_ERROR, WARMING_UP
from timecoin.rpc.methods.network import NetworkMethods, version_number


class PeerTests(RpcTestCase):
    """Three validators, linked with each other."""

    count = 3

    def test_peerinfo(self) -> None:
        peers = self.call("getpeerinfo")
        self.assertEqual([peer["id"] for peer in peers], [node_id(n).hex() for n in (1, 2)])
        for number, peer in enumerate(peers, start=1):
            self.assertEqual(peer["masternode"], ledger_kit.validator(number).public.hex())
            self.assertEqual((peer["tier"], peer["reputation"]), ("genesis", 0))
            self.assert_keys(peer, ["addr", "inbound", "height", "latency_ms", "connected"])

    def test_height_is_what_was_announced_last(self) -> None:
        self.net.run_to_height(2)
        self.net.run(1)
        self.assertEqual([peer["height"] for peer in self.call("getpeerinfo")], [2, 2])

    def test_figures_of_a_link(self) -> None:
        (group,) = (g for g in self.node.catalog.groups if isinstance(g, NetworkMethods))
        network = group._network
        (link, *_) = network.peers()
        measured = replace(
            link,
            latency_ms=7,
            reputation=-12,
            services=1,
            bytes_sent=5,
            bytes_received=6,
            messages_sent={0: 1, 50: 2, 255: 3},
            messages_received={2: 4},
            connected_ms=self.net.now_ms - 61_500,
            masternode=b"\x77" * 32,
        )
        self.patch(network, "peers", lambda: [measured])
        (peer,) = self.call("getpeerinfo")
        self.assertEqual((peer["latency_ms"], peer["reputation"]), (7, -12))
        self.assertEqual(peer["bytes"], {"sent": 5, "received": 6})
        sent = {"Hello": 1, "BlockVote": 2, "unknown_255": 3}
        self.assertEqual(peer["messages"], {"sent": sent, "received": {"Ping": 4}})
        self.assertEqual(peer["connected"], 61)
        self.assertEqual(peer["servicesnames"], ["VALIDATOR"])
        self.assertIsNone(peer["tier"], "its key is in no active set")

    def test_networkinfo(self) -> None:
        info = self.call("getnetworkinfo")
        self.assertEqual((info["connections"], info["connections_out"]), (2, 2))
        self.assertEqual(info["connections_in"], 0)
        self.assertEqual(info["localaddresses"], [{"address": "127.0.0.1", "port": 8001}])
        self.assertEqual(info["node_id"], node_id(0).hex())
        self.assertEqual(info["masternode"], ledger_kit.validator(0).public.hex())
        self.assertEqual(info["version"], version_number(__version__))
        self.assertEqual(info["relayfee"], Decimal("0.0001"))
        self.assertEqual((info["warnings"], info["protocolversion"]), ([], 1))

    def test_counts(self) -> None:
        self.assertEqual(self.call("getconnectioncount"), 2)
        totals = self.call("getnettotals")
        peers = self.call("getpeerinfo")
        self.assertEqual(totals["totalbytessent"], sum(peer["bytessent"] for peer in peers))
        self.assertEqual(totals["totalbytesrecv"], sum(peer["bytesrecv"] for peer in peers))
        self.assertEqual(totals["timemillis"], self.net.now_ms)

    def test_snapshot(self) -> None:
        self.net.run_to_height(1)
        for params in ((), (None,), (0,), (1,)):
            shown = self.call("getavssnapshot", *params)
            self.assertEqual(shown["height"], 0 if params == (0,) else 1)
            self.assertEqual((shown["total"], shown["quorum"]), (300, 200))
            pubkeys = [item["pubkey"] for item in shown["members"]]
            self.assertEqual(pubkeys, sorted(v.pubkey.hex() for v in self.net.genesis.validators))
            self.assertEqual(shown["root"], self.call("getblock", 1)["avs_root"])
        for height in (2, -1, 2**63):
            self.refused(INVALID_PARAMETER, "getavssnapshot", height)
        self.refused(TYPE_ERROR, "getavssnapshot", "1")
        self.refused(INVALID_PARAMS, "getavssnapshot", 1, 1)

    def test_links_that_are_gone(self) -> None:
        self.node.cut()
        self.assertEqual(self.call("getpeerinfo"), [])
        self.assertEqual(self.call("getnetworkinfo")["connections"], 0)


class AgreementTests(RpcTestCase):
    """Three validators agree."""

    count = 3

    def test_consensusinfo(self) -> None:
        info = self.call("getconsensusinfo")
        self.assertEqual((info["height"], info["quorum"], info["total_weight"]), (1, 200, 300))
        self.assertIs(info["voting"], True)
        avs = info["avs"]
        self.assertEqual((avs["members"], avs["quorum_weight"], avs["height"]), (3, 200, 0))
        self.assertEqual((info["snowball"]["k"], info["snowball"]["alpha"]), (20, 14))
        self.assertEqual(info["evidence"], [])
        self.assert_keys(
            info, ["round", "step", "proposer", "prepare_weight", "precommit_weight", "slot"]
        )

    def test_next_slot(self) -> None:
        for _ in range(5):
            self.net.run(1.7)
            info = self.call("getconsensusinfo")
            at = self.net.now_ms + int(info["next_slot_in"] * 1000)
            self.assertEqual(at, (info["slot"] + 1) * self.net.genesis.slot_ms)

    def test_evidence(self) -> None:
        emergency(self, self.node.node.finality)
        (proof,) = self.call("getconsensusinfo")["evidence"]
        self.assertEqual(proof["transactions"], ["01" * 32, "02" * 32])
        self.assertEqual(proof["signers"], ["03" * 32])

    def test_evidence_of_a_member(self) -> None:
        culprit = ledger_kit.validator(1)
        evidence = signed_twice(culprit, self.net.genesis.chain_id, 1)
        self.node.node.driver.deliver(self.node.node.evidence, Witnessed(evidence))
        self.net.run(0.1)
        (proof,) = self.call("getconsensusinfo")["evidence"]
        self.assertEqual((proof["type"], proof["height"]), ("double-prepare", 1))
        self.assertEqual(proof["signers"], [culprit.public.hex()])
        self.assertEqual(decode_evidence(bytes.fromhex(proof["hex"])).hash.hex(), proof["hash"])

    def test_evidence_against_this_node_is_a_warning(self) -> None:
        own = ledger_kit.validator(0)
        evidence = signed_twice(own, self.net.genesis.chain_id, 1)
        self.node.node.driver.deliver(self.node.node.evidence, Witnessed(evidence))
        self.net.run(0.1)
        warnings = self.call("getblockchaininfo")["warnings"]
        self.assertIn("has signed twice", str(warnings))

    def test_avalanchestatus(self) -> None:
        before = self.call("getavalanchestatus")
        self.assertEqual((before["finalized"], before["polls_begun"]), (0, 0))
        self.assertIsNone(before["p50_ms"])
        self.assertIsNone(before["average_batch_size"])
        self.call("sendrawtransaction", self.net.payment(0).encoded.hex())
        self.net.run(1)
        after = self.call("getavalanchestatus")
        self.assertEqual((after["finalized"], after["measured"]), (1, 1))
        self.assertGreaterEqual(after["p50_ms"], 20, "two round trips of 10 ms")
        self.assertEqual(after["p95_ms"], after["p50_ms"])
        self.assertEqual((after["polls_begun"], after["average_batch_size"]), (1, 1))
        self.assertGreaterEqual(after["votes_received"], 1)
        self.assertGreaterEqual(after["votes_sent"], 1)


def emergency(case: RpcTestCase, finality: object) -> None:
    """Let a node believe that two conflicting transactions are certified."""
    nothing = BatchCertificate(0, (), ())
    row = EmergencyRow(b"\x01" * 32, b"\x02" * 32, nothing, nothing)
    case.patch(type(finality), "emergencies", (Emergency(row, (b"\x03" * 32,)),))


class ControlTests(RpcTestCase):
    """``uptime``, ``stop``, ``help``."""

    def test_uptime(self) -> None:
        before = self.call("uptime")
        self.net.run(61.5)
        self.assertEqual(self.call("uptime") - before, 61)

    def test_stop_answers_first(self) -> None:
        call = self.node.ask("stop")
        self.assertTrue(call.called)
        self.assertEqual(self.node.stopped, 0)
        self.net.run(0.01)
        self.assertEqual(self.node.stopped, 1)

    def test_help_knows_every_method(self) -> None:
        for line in self.call("help").splitlines():
            name = line.partition(" ")[0]
            self.assertIn(line, self.call("help", name))
        names = {line.partition(" ")[0] for line in self.call("help").splitlines()}
        self.assertEqual(names, METHODS)

    def test_no_method_takes_what_it_does_not_know(self) -> None:
        for name in sorted(METHODS - {"stop"}):
            self.refused(INVALID_PARAMS, name, *[None] * 20)
            self.refused(INVALID_PARAMS, name, no_such_parameter=1)
        self.assertEqual(self.node.stopped, 0)


METHODS = {
    "createpaymenturi",
    "parsepaymenturi",
    "masternoderegister",
    "masternodeunstake",
    "masternodestatus",
    "getattestationstats",
    "getheartbeathistory",
    "backupwallet",
    "combinerawtransaction",
    "createmultisig",
    "getaddressinfo",
    "getwalletinfo",
    "listlabels",
    "listlockunspent",
    "listsinceblock",
    "listtransactions",
    "lockunspent",
    "mergeutxos",
    "rescanblockchain",
    "restorewallet",
    "sendmany",
    "setlabel",
    "signmessage",
    "signrawtransactionwithwallet",
    "verifymessage",
    "walletpassphrasechange",
    "rpc.discover",
    "createrawtransaction",
    "decoderawtransaction",
    "estimatefee",
    "estimatesmartfee",
    "getavssnapshot",
    "getbestblockhash",
    "getblockheader",
    "getconnectioncount",
    "getfinalityproof",
    "verifyfinalityproof",
    "getmempoolentry",
    "addnode",
    "disconnectnode",
    "listbanned",
    "setban",
    "getnettotals",
    "gettxout",
    "testmempoolaccept",
    "getblockchaininfo",
    "getblockcount",
    "getblock",
    "getblockhash",
    "sendrawtransaction",
    "sendtransaction",
    "getrawtransaction",
    "gettransaction",
    "gettransactionfinality",
    "waittransactionfinality",
    "getbalance",
    "listunspent",
    "getnewaddress",
    "sendtoaddress",
    "getmempoolinfo",
    "getrawmempool",
    "getpeerinfo",
    "getnetworkinfo",
    "getconsensusinfo",
    "getavalanchestatus",
    "masternodelist",
    "gettxoutsetinfo",
    "validateaddress",
    "logging",
    "uptime",
    "stop",
    "help",
    "walletpassphrase",
    "walletlock",
    "encryptwallet",
}


class AddressTests(RpcTestCase):
    """``validateaddress``."""

    def test_valid(self) -> None:
        address = encode_address(Network.DEVNET, bytes(range(20)))
        shown = self.call("validateaddress", address)
        script = "01" + bytes(range(20)).hex()
        self.assertEqual((shown["isvalid"], shown["scriptPubKey"]), (True, script))
        self.assertEqual(self.call("validateaddress", address.upper())["address"], address)

    def test_what_is_none(self) -> None:
        main = encode_address(Network.MAINNET, bytes(20))
        for text in ("", "x", "ü", main, main[:-1], "timed1" + "q" * 10_000):
            shown = self.call("validateaddress", text)
            self.assertEqual((shown["isvalid"], bool(shown["error"])), (False, True), text)
            self.assertNotIn("scriptPubKey", shown)
        self.assertIn("mainnet", self.call("validateaddress", main)["error"])
        for value in (None, 5, True):
            self.refused(TYPE_ERROR, "validateaddress", value)


class ReportTests(RpcTestCase):
    """``/status`` and ``/health``."""

    def problems(self) -> list[str]:
        health = self.node.catalog.reports.health()
        found = health["problems"]
        assert isinstance(found, list)
        self.assertIs(health["healthy"], not found)
        self.assertEqual(self.call("getblockchaininfo")["warnings"], found)
        self.assertEqual(self.call("getnetworkinfo")["warnings"], found)
        return found

    def test_healthy(self) -> None:
        self.net.run_to_height(3)
        self.assertEqual(self.problems(), [])
        status = self.node.catalog.reports.status()
        self.assertEqual((status["height"], status["healthy"]), (3, True))
        self.assertEqual((status["network"], status["version"]), ("devnet", __version__))
        self.assertEqual(status["bestblockhash"], self.call("getblockhash", 3))
        self.assert_keys(status, ["peers", "slot", "mempool", "finality", "catching_up"])

    def test_healthy_at_every_moment(self) -> None:
        for _ in range(60):
            self.net.run(0.5)
            self.assertEqual(self.problems(), [])

    def test_stopped_machines(self) -> None:
        self.node.node.driver.stop()
        self.assertEqual(self.problems(), ["the node's machines have stopped"])
        self.net.run(30)
        (_, stalled) = self.problems()
        self.assertIn("older than two slots", stalled)

    def test_machine(self) -> None:
        """Clock, disk and loops make health red; only a stopped loop makes a node dead."""
        self.net.run_to_height(1)
        vitals, reports = self.node.vitals, self.node.catalog.reports
        for name, value, text, live in (
            ("stopped", ["journal"], "a loop has stopped: journal", False),
            ("offset_ms", 10_001, "the clock is 10.0 s behind the peers' median", True),
            ("offset_ms", -12_000, "the clock is 12.0 s ahead of the peers' median", True),
            ("free", 999, "0 MB free on disk, below the limit of 0", True),
        ):
            before = getattr(vitals, name)
            setattr(vitals, name, value)
            self.assertEqual(self.problems(), [text])
            health = reports.health()
            self.assertEqual((health["live"], health["ready"]), (live, False), text)
            setattr(vitals, name, before)
        vitals.offset_ms = -10_000
        self.assertEqual(self.problems(), [])
        health = reports.health()
        self.assertEqual((health["live"], health["ready"]), (True, True))
        self.patch(self.node.node.sync, "_active", True)
        health = reports.health()
        self.assertEqual((health["live"], health["ready"]), (True, False))

    def test_kinds_of_problems(self) -> None:
        self.net.run_to_height(1)
        self.assertFalse(any(self.node.catalog.reports.problems().values()))
        self.node.vitals.free = 0
        self.patch(self.node.node.chain, "_fork_height", 7)
        found = self.node.catalog.reports.problems()
        self.assertEqual([kind for kind, there in found.items() if there], ["fork", "disk"])

    def test_fork(self) -> None:
        self.patch(self.node.node.chain, "_fork_height", 7)
        (problem,) = self.problems()
        self.assertIn("height 7", problem)

    def test_emergency(self) -> None:
        emergency(self, self.node.node.finality)
        (problem,) = self.problems()
        self.assertIn("01" * 32, problem)

    def test_catching_up(self) -> None:
        self.patch(self.node.node.sync, "_active", True)
        self.patch(self.node.node.headers, "_top", Top(40, bytes(32), 40))
        info = self.call("getblockchaininfo")
        self.assertEqual((info["headers"], info["initialblockdownload"]), (40, True))
        self.assertEqual(info["verificationprogress"], 0)
        self.assertIs(self.node.catalog.reports.health()["catching_up"], True)


class StallTests(RpcTestCase):
    """Without a quorum there are no blocks, and the node says so."""

    count = 3

    def test_stall(self) -> None:
        for node in self.net.nodes[1:]:
            node.cut()
        self.net.run(10)
        self.assertIs(self.node.catalog.reports.health()["healthy"], True)
        self.net.run(11)
        health = self.node.catalog.reports.health()
        self.assertIs(health["healthy"], False)
        age_ms = health["tip_age_ms"]
        assert isinstance(age_ms, int)
        self.assertGreater(age_ms, 20_000)


class StartTests(SynchronousTestCase):
    """A node that has not been started."""

    def test_consensusinfo_before_the_start(self) -> None:
        net = RpcNet(self, count=2, running=1)
        sleeping = net.nodes[1]
        case = RpcTestCase("refused_by")
        RpcTestCase.refused_by(case, sleeping, WARMING_UP, "getconsensusinfo")
        self.assertEqual(sleeping.call("getblockcount"), 0)


class SmallTests(SynchronousTestCase):
    """Numbers as they are shown."""

    def test_version_number(self) -> None:
        self.assertEqual(version_number("1.2.3"), 10_203)
        self.assertEqual(version_number("0.1.0.dev4"), 100)
        self.assertEqual(version_number("2.0"), 200)
        self.assertEqual(version_number("1.2rc1.3"), 10_203)

    def test_seconds(self) -> None:
        self.assertEqual(seconds_json(5_000), 5)
        self.assertEqual(seconds_json(1), Decimal("0.001"))
        self.assertEqual(seconds_json(12_345), Decimal("12.345"))
