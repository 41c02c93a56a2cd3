"""A wallet on a whole node: the real chain and store tell it what they told before."""

from __future__ import annotations

from pathlib import Path

from tests.rpc.methods.net import RpcTestCase
from tests.support import ledger_kit
from tests.support.ledger_kit import TIME, user
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.params import Network
from timecoin.store.memory import MemoryEngine
from timecoin.store.walletstore import WalletStore
from timecoin.wallet.derive import Branch
from timecoin.wallet.keystore import Keystore
from timecoin.wallet.wallet import Wallet
from timecoin.wallet.words import entropy_of, words_of


class WalletLifeTests(RpcTestCase):
    def test_words_alone_bring_everything_back(self) -> None:
        node = self.net.nodes[0]
        wallet = node.wallet
        script = pay_to_pubkey_hash(wallet.keystore.take(Branch.RECEIVE))
        chain_id = self.net.genesis.chain_id
        paid = ledger_kit.pay(chain_id, user(1), self.net.coin(1), script, 5 * TIME)
        node.node.submit(paid)
        self.net.run(2)
        spent = wallet.send([ledger_kit.output(user(2), 3 * TIME)])
        node.node.submit(spent)
        self.net.run_to_height(2)
        entries = list(wallet.entries())
        self.assertEqual(
            sorted((each.category, each.units) for each in entries),
            [("receive", 5 * TIME), ("send", -3 * TIME)],
        )
        self.assertTrue(all(each.height for each in entries))

        words = words_of(wallet.keystore.unsealed(None))
        path = Path(self.mktemp())
        keystore = Keystore.create(path, Network.DEVNET, entropy_of(words), created_ms=0)
        rows = WalletStore(MemoryEngine())
        again = Wallet(keystore, chain_id, node.node.chain, rows)
        self.assertEqual(list(again.entries()), [])
        heights = [step.height for step in again.catch_up()]
        self.assertEqual(heights[-1], node.node.chain.tip_height)
        self.assertEqual(list(again.entries()), entries)
        self.assertEqual(again.balance(), wallet.balance())
