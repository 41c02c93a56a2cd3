"""A client library published for Bitcoin Core, unchanged, against a real node.

python-bitcoinrpc speaks as Bitcoin's own clients do: HTTP Basic, 1.0-style requests with positional
parameters, numbers read as ``Decimal``. Only methods that both have are called, with Bitcoin's
meaning of parameters and results.
"""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from bitcoinrpc.authproxy import AuthServiceProxy, JSONRPCException
from twisted.trial.unittest import SynchronousTestCase

from tests.live.network import start_network
from timecoin.cli.devnet.record import read_records

PATIENCE_S = 60


class BitcoinClientTests(SynchronousTestCase):
    """One node with blocks every second."""

    def setUp(self) -> None:
        network = start_network(self, 1, slot_ms=1_000)
        (node,) = read_records(Path(network.directory))
        url = urlsplit(node.rpc_url)
        login = f"{quote(node.rpc_user)}:{quote(node.rpc_password)}"
        self.bitcoin: Any = AuthServiceProxy(f"{url.scheme}://{login}@{url.netloc}{url.path}")

    def wait_for(self, txid: str, confirmations: int) -> dict[str, Any]:
        """What the wallet says of ``txid`` once it has so many."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            shown: dict[str, Any] = self.bitcoin.gettransaction(txid)
            if shown["confirmations"] >= confirmations:
                return shown
            self.assertLess(time.monotonic(), deadline, "never archived")
            time.sleep(0.1)

    def test_a_shop(self) -> None:
        """Addresses, payments, confirmations, history, as a shop uses them."""
        address = self.bitcoin.getnewaddress("order 7")
        self.assertIs(self.bitcoin.validateaddress(address)["isvalid"], True)
        self.assertEqual(self.bitcoin.getaddressinfo(address)["labels"], ["order 7"])
        start = self.bitcoin.listsinceblock()["lastblock"]
        before = self.bitcoin.getbalance()
        self.assertIsInstance(before, int | Decimal)

        txid = self.bitcoin.sendtoaddress(address, Decimal("0.30000001"))
        shown = self.wait_for(txid, 1)
        (received,) = [d for d in shown["details"] if d["category"] == "receive"]
        self.assertEqual(received["amount"], Decimal("0.30000001"))
        self.assertEqual(received["address"], address)
        block = self.bitcoin.getblock(shown["blockhash"])
        self.assertEqual(block["tx"][shown["blockindex"]], txid)
        self.assertEqual(self.bitcoin.getblockhash(block["height"]), block["hash"])
        self.assertEqual(self.bitcoin.getblockheader(block["hash"])["height"], block["height"])

        entries = self.bitcoin.listtransactions("order 7", 10, 0)
        self.assertEqual({entry["txid"] for entry in entries}, {txid})
        self.assertEqual({entry["category"] for entry in entries}, {"send", "receive"})
        since = self.bitcoin.listsinceblock(start)["transactions"]
        self.assertIn(txid, [entry["txid"] for entry in since])
        (coin,) = self.bitcoin.listunspent(1, 9_999_999, [address])
        self.assertEqual((coin["txid"], coin["amount"]), (txid, Decimal("0.30000001")))
        self.assertEqual(self.bitcoin.gettxout(txid, coin["vout"])["value"], coin["amount"])
        many = self.bitcoin.sendmany("", {address: 0.5, self.bitcoin.getnewaddress(): 0.25})
        self.assertGreaterEqual(self.wait_for(many, 1)["confirmations"], 1)

    def test_raw_transactions(self) -> None:
        """Coins chosen, spent and signed by hand."""
        coin = max(self.bitcoin.listunspent(), key=lambda each: each["amount"])
        target = self.bitcoin.getnewaddress()
        self.bitcoin.lockunspent(False, [{"txid": coin["txid"], "vout": coin["vout"]}])
        self.assertEqual(len(self.bitcoin.listlockunspent()), 1)
        self.bitcoin.lockunspent(True)
        fee = self.bitcoin.estimatesmartfee(6)["feerate"]
        self.assertGreater(fee, 0)
        raw = self.bitcoin.createrawtransaction(
            [{"txid": coin["txid"], "vout": coin["vout"]}],
            {target: coin["amount"] - Decimal("0.01")},
        )
        decoded = self.bitcoin.decoderawtransaction(raw)
        self.assertEqual(decoded["vout"][0]["scriptPubKey"]["address"], target)
        signed = self.bitcoin.signrawtransactionwithwallet(raw)
        self.assertIs(signed["complete"], True)
        (trial,) = self.bitcoin.testmempoolaccept([signed["hex"]])
        self.assertIs(trial["allowed"], True)
        txid = self.bitcoin.sendrawtransaction(signed["hex"])
        self.assertEqual(txid, decoded["txid"])
        self.wait_for(txid, 1)
        shown = self.bitcoin.getrawtransaction(txid, 1)
        self.assertEqual(shown["hex"], signed["hex"])
        with self.assertRaises(JSONRPCException) as refused:
            self.bitcoin.sendrawtransaction(signed["hex"])
        self.assertEqual(refused.exception.code, -27)

    def test_reports(self) -> None:
        """Read-only methods have Bitcoin's members."""
        members = {
            "getblockchaininfo": ("chain", "blocks", "bestblockhash", "verificationprogress"),
            "getnetworkinfo": ("version", "subversion", "connections", "relayfee"),
            "getmempoolinfo": ("size", "bytes", "usage", "maxmempool", "mempoolminfee"),
            "gettxoutsetinfo": ("height", "bestblock", "txouts", "total_amount"),
            "getwalletinfo": ("balance", "unconfirmed_balance", "immature_balance", "scanning"),
            "getnettotals": ("totalbytesrecv", "totalbytessent", "timemillis"),
        }
        for method, names in members.items():
            shown = getattr(self.bitcoin, method)()
            self.assertEqual([name for name in names if name not in shown], [], method)
        self.assertEqual(self.bitcoin.getpeerinfo(), [])
        self.assertEqual(self.bitcoin.getconnectioncount(), 0)
        self.assertEqual(self.bitcoin.getrawmempool(), [])
        self.assertIsInstance(self.bitcoin.getblockcount(), int)
        self.assertIsInstance(self.bitcoin.uptime(), int)
        self.assertIn("getblockcount", self.bitcoin.help())

    def test_messages_and_errors(self) -> None:
        """Bitcoin's error codes reach the caller."""
        address = self.bitcoin.getnewaddress()
        signature = self.bitcoin.signmessage(address, "mine")
        self.assertIs(self.bitcoin.verifymessage(address, signature, "mine"), True)
        wrong: tuple[tuple[int, str, tuple[object, ...]], ...] = (
            (-32601, "nosuchmethod", ()),
            (-5, "sendtoaddress", ("nonsense", 1)),
            (-3, "sendtoaddress", (address, -1)),
            (-6, "sendtoaddress", (address, 10**9)),
            (-8, "getblockhash", (10**9,)),
            (-5, "getblock", ("00" * 32,)),
            (-22, "sendrawtransaction", ("00",)),
            (-15, "walletpassphrase", ("secret", 10)),
        )
        for code, method, params in wrong:
            with self.assertRaises(JSONRPCException) as refused:
                getattr(self.bitcoin, method)(*params)
            self.assertEqual(refused.exception.code, code, method)
