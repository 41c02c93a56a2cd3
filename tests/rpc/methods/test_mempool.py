"""The pool by RPC."""

from __future__ import annotations

from decimal import Decimal

from tests.rpc.methods.net import RpcTestCase
from tests.support import ledger_kit
from tests.support.ledger_kit import TIME, user
from timecoin.rpc.errors import INVALID_PARAMETER, INVALID_PARAMS, NOT_FOUND, TYPE_ERROR


class PoolTests(RpcTestCase):
    """One validator, which certifies alone."""

    def test_empty(self) -> None:
        info = self.call("getmempoolinfo")
        for name in ("size", "pending", "certified", "finalized", "bytes", "orphans", "conflicts"):
            self.assertEqual(info[name], 0, name)
        self.assertEqual(info["maxmempool"], 300_000_000)
        self.assertEqual(info["mempoolminfee"], Decimal("0.0001"), "10 units a byte")
        self.assertEqual(info["minfee"], Decimal("0.001"))
        self.assertEqual(self.call("getrawmempool"), [])
        self.assertEqual(self.call("getrawmempool", True), {})

    def test_from_pending_to_final_to_archived(self) -> None:
        tx = self.net.payment(0)
        self.call("sendrawtransaction", tx.encoded.hex())
        info = self.call("getmempoolinfo")
        self.assertEqual((info["pending"], info["finalized"]), (1, 0))
        self.net.run(1)
        info = self.call("getmempoolinfo")
        self.assertEqual((info["size"], info["pending"], info["finalized"]), (1, 0, 1))
        self.assertEqual((info["bytes"], info["usage"]), (len(tx.encoded),) * 2)
        self.net.run_to_height(1)
        info = self.call("getmempoolinfo")
        self.assertEqual((info["size"], info["finalized"], info["bytes"]), (0, 0, 0))

    def test_list(self) -> None:
        parent = self.net.payment(0)
        self.call("sendrawtransaction", parent.encoded.hex())
        self.net.run(1)
        child = ledger_kit.pay(
            self.net.genesis.chain_id, user(1), ledger_kit.created(parent, 0), user(2), TIME // 2
        )
        self.call("sendrawtransaction", child.encoded.hex())
        txids = [parent.txid.hex(), child.txid.hex()]
        self.assertEqual(self.call("getrawmempool"), txids)
        shown = self.call("getrawmempool", True)
        self.assertEqual(list(shown), txids)
        first, second = shown.values()
        self.assertEqual((first["status"], first["certified"]), ("final", True))
        self.assertEqual((first["spentby"], first["depends"]), ([txids[1]], []))
        self.assertEqual((second["depends"], second["spentby"]), ([txids[0]], []))
        self.assertEqual((second["size"], second["wtxid"]), (len(child.encoded), child.wtxid.hex()))
        self.assertEqual((second["fee"], second["conflicts"]), (Decimal("0.002"), []))
        self.assertEqual(second["time"], int(self.net.clock.seconds()))
        self.assertIn(second["status"], ("seen", "sampling", "locally_accepted"))

    def test_one_entry(self) -> None:
        tx = self.net.payment(0)
        self.refused(NOT_FOUND, "getmempoolentry", tx.txid.hex())
        self.call("sendrawtransaction", tx.encoded.hex())
        shown = self.call("getmempoolentry", tx.txid.hex())
        self.assertEqual(shown, self.call("getrawmempool", True)[tx.txid.hex()])
        self.refused(INVALID_PARAMETER, "getmempoolentry", "00")
        self.refused(TYPE_ERROR, "getmempoolentry", 5)
        self.refused(INVALID_PARAMS, "getmempoolentry")

    def test_parameters(self) -> None:
        self.refused(INVALID_PARAMETER, "getrawmempool", False, True)
        self.refused(TYPE_ERROR, "getrawmempool", 1)
        self.refused(INVALID_PARAMS, "getrawmempool", True, False, 1)
        self.refused(INVALID_PARAMS, "getmempoolinfo", 1)


class ConflictTests(RpcTestCase):
    """Conflicting spends that nobody has certified."""

    count = 3

    def test_both_are_shown(self) -> None:
        for node in self.net.nodes[1:]:
            node.cut()
        first, second = self.net.payment(0), self.net.payment(0, 2 * TIME)
        self.node.node.pool.admit(first, self.net.now_ms)
        self.node.node.pool.admit(second, self.net.now_ms)
        shown = self.call("getrawmempool", True)
        self.assertEqual(shown[first.txid.hex()]["conflicts"], [second.txid.hex()])
        self.assertEqual(shown[second.txid.hex()]["conflicts"], [first.txid.hex()])
        self.assertEqual(self.call("getmempoolinfo")["conflicts"], 1)
        self.assertEqual(self.call("getavalanchestatus")["conflicts"], 1)
