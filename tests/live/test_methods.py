"""Every published method once, on a live node, in the order of a life with money.

Each result is held against the schema that ``rpc.discover`` promises for it. What the methods mean
is tested area by area in ``tests/rpc/methods``; here is that each of them works on a real node.
"""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from twisted.trial.unittest import SynchronousTestCase

from tests.live.network import start_network
from timecoin.cli.devnet.record import read_records
from timecoin.client.blocking import RpcCallError
from timecoin.rpc.reference import published_methods

PATIENCE_S = 90
OLD, NEW = "a first passphrase", "another passphrase"


class EveryMethodTests(SynchronousTestCase):
    """One node with blocks every second."""

    def setUp(self) -> None:
        network = start_network(self, 1, slot_ms=1_000)
        self.home = Path(network.directory).absolute()
        (node,) = read_records(self.home)
        self.client = node.client(PATIENCE_S)
        self.addCleanup(self.client.close)
        document = self.client.call("rpc.discover")
        self.called = {"rpc.discover"}
        self.schema_of = {m["name"]: m["result"]["schema"] for m in document["methods"]}

    def call(self, method: str, *params: object, **named: object) -> Any:
        """The result of ``method``, which has to be what its schema says."""
        self.called.add(method)
        result = self.client.call(method, named or params)
        Draft7Validator(self.schema_of[method]).validate(_plain(result))
        return result

    def archived(self, txid: str) -> dict[str, Any]:
        """What the wallet says of ``txid`` once a block has it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            shown: dict[str, Any] = self.call("gettransaction", txid)
            if shown["confirmations"] > 0:
                return shown
            self.assertLess(time.monotonic(), deadline, "never archived")
            time.sleep(0.1)

    def test_every_method(self) -> None:
        self.chain_and_network()
        txid, address = self.payments()
        self.proofs(txid)
        self.raw(address)
        self.signatures(address)
        self.masternodes()
        self.wallet_file()
        self.call("stop")
        published = {m.name for listed in published_methods().values() for m in listed}
        self.assertEqual(self.called, published)

    def chain_and_network(self) -> None:
        self.assertGreaterEqual(self.call("getblockcount"), 0)
        self.assertEqual(len(self.call("getbestblockhash")), 64)
        self.assertEqual(len(self.call("getblockhash", 0)), 64)
        for method in ("getblockchaininfo", "gettxoutsetinfo", "getconsensusinfo", "uptime"):
            self.call(method)
        for method in ("getnetworkinfo", "getpeerinfo", "getnettotals", "getavalanchestatus"):
            self.call(method)
        self.assertEqual(self.call("getconnectioncount"), 0)
        self.assertIn("getblock", self.call("help"))
        self.call("addnode", "127.0.0.1:9", "add")
        self.call("addnode", "127.0.0.1:9", "remove")
        self.assertRaises(RpcCallError, self.call, "disconnectnode", "127.0.0.1:9")
        self.call("setban", "192.0.2.0/24", "add")
        self.assertEqual([ban["address"] for ban in self.call("listbanned")], ["192.0.2.0/24"])
        self.call("setban", "192.0.2.0/24", "remove")
        self.assertEqual(self.call("listbanned"), [])
        self.call("logging")

    def payments(self) -> tuple[str, str]:
        """A payment of each kind; the txid of one, and the address that it went to."""
        address = self.call("getnewaddress", "order 7")
        self.assertIs(self.call("validateaddress", address)["isvalid"], True)
        self.assertIs(self.call("getaddressinfo", address)["ismine"], True)
        self.call("setlabel", address, "order 8")
        self.assertIn("order 8", self.call("listlabels"))
        uri = self.call("createpaymenturi", amount="1.5", address=address)
        link = uri if isinstance(uri, str) else uri["uri"]
        self.assertEqual(self.call("parsepaymenturi", link)["address"], address)
        self.call("estimatefee")
        self.call("estimatesmartfee")
        txid = self.call("sendtoaddress", address, "1.5")
        self.call("waittransactionfinality", txid, 30)
        self.call("getmempoolinfo")
        waiting = self.call("getrawmempool")
        if txid in waiting:
            self.call("getmempoolentry", txid)
        else:
            self.assertRaises(RpcCallError, self.call, "getmempoolentry", txid)
        shown = self.archived(txid)
        self.call("getblock", shown["blockhash"])
        self.call("getblockheader", shown["blockhash"])
        self.call("getrawtransaction", txid, 1)
        (output,) = [d["vout"] for d in shown["details"] if d["category"] == "receive"]
        self.assertEqual(self.call("gettxout", txid, output)["value"], Decimal("1.5"))
        self.archived(self.call("sendmany", "", {address: "0.25", self.fresh(): "0.5"}))
        self.call("getbalance")
        self.call("listtransactions")
        self.call("listsinceblock")
        self.call("getwalletinfo")
        merged = self.call("mergeutxos", 2, 4)
        self.archived(merged if isinstance(merged, str) else merged["txid"])
        self.call("rescanblockchain")
        return txid, address

    def fresh(self) -> str:
        found: str = self.call("getnewaddress")
        return found

    def proofs(self, txid: str) -> None:
        self.assertEqual(self.call("gettransactionfinality", txid)["txid"], txid)
        proof = self.call("getfinalityproof", txid)
        data = proof if isinstance(proof, str) else proof["proof"]
        self.assertIs(self.call("verifyfinalityproof", data)["valid"], True)

    def raw(self, address: str) -> None:
        coins = sorted(self.call("listunspent"), key=lambda coin: -coin["amount"])[:2]
        points = [{"txid": coin["txid"], "vout": coin["vout"]} for coin in coins]
        self.call("lockunspent", False, points)
        self.assertEqual(len(self.call("listlockunspent")), 2)
        self.call("lockunspent", True)
        for number, point in enumerate(points):
            amount = str(coins[number]["amount"] - Decimal("0.01"))
            unsigned = self.call("createrawtransaction", [point], {address: amount})
            self.call("decoderawtransaction", unsigned)
            signed = self.call("signrawtransactionwithwallet", unsigned)["hex"]
            self.assertEqual(self.call("combinerawtransaction", [signed, unsigned]), signed)
            (trial,) = self.call("testmempoolaccept", [signed])
            self.assertIs(trial["allowed"], True)
            self.call("sendrawtransaction" if number else "sendtransaction", signed)

    def signatures(self, address: str) -> None:
        signature = self.call("signmessage", address, "text")
        self.assertIs(self.call("verifymessage", address, signature, "text"), True)
        keys = [self.call("getaddressinfo", self.fresh())["pubkey"] for _ in range(2)]
        self.call("createmultisig", 1, keys)

    def masternodes(self) -> None:
        (listed,) = self.call("masternodelist")["masternodes"]
        self.call("masternodestatus")
        self.call("getavssnapshot")
        self.call("getattestationstats")
        self.call("getheartbeathistory", listed["pubkey"])
        keys = {"pubkey": "11" * 32, "vrf_pubkey": "22" * 32}
        registered = self.call("masternoderegister", tier="bronze", **keys)
        self.archived(registered["txid"])
        self.call("masternodeunstake", registered["outpoint"])

    def wallet_file(self) -> None:
        copy = str(self.home / "copy.dat")
        self.call("backupwallet", copy)
        self.call("encryptwallet", OLD)
        self.call("walletpassphrase", OLD, 60)
        self.call("walletpassphrasechange", OLD, NEW)
        self.call("walletlock")
        self.call("restorewallet", "", copy)


def _plain(value: Any) -> Any:
    """JSON values as a validator knows them: exact numbers become floats."""
    match value:
        case Decimal():
            return float(value)
        case dict():
            return {name: _plain(member) for name, member in value.items()}
        case list():
            return [_plain(item) for item in value]
    return value
