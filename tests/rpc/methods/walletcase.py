"""A node whose wallet holds 1,000 TIME, for tests of its methods."""

from __future__ import annotations

from tests.rpc.methods.net import RpcTestCase
from tests.support import ledger_kit
from tests.support.ledger_kit import user
from timecoin.crypto.address import encode_address
from timecoin.crypto.hashing import hash160
from timecoin.params import Network

STRANGER = encode_address(Network.DEVNET, hash160(user(3).public))
"""An address that is not the wallet's."""


class WalletTestCase(RpcTestCase):
    """Node 0's wallet."""

    def pay_in(self, units: int, number: int = 0, label: str = "") -> str:
        """``user(number)`` pays a fresh address of the wallet; the address."""
        address: str = self.call("getnewaddress", label)
        script = bytes.fromhex(self.call("validateaddress", address)["scriptPubKey"])
        chain_id, coin = self.net.genesis.chain_id, self.net.coin(number)
        tx = ledger_kit.pay(chain_id, user(number), coin, script, units)
        self.call("sendrawtransaction", tx.encoded.hex())
        return address
