"""The wallet's rows in an engine: a keyspace of their own, newest rows first by their keys."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from timecoin.store.keys import META, WALLET
from timecoin.store.memory import MemoryEngine
from timecoin.store.walletstore import WalletStore


class WalletStoreTests(SynchronousTestCase):
    def test_rows(self) -> None:
        engine = MemoryEngine()
        engine.write([(META, b"h1", b"other")], sync=True)
        store = WalletStore(engine)
        self.assertIsNone(store.get(b"h1"))
        store.write([(b"h2", b"second"), (b"h1", b"first"), (b"n", b"pointer")])
        self.assertEqual(list(store.scan(b"h")), [(b"h1", b"first"), (b"h2", b"second")])
        self.assertEqual(store.get(b"n"), b"pointer")
        self.assertEqual(engine.get(WALLET, b"n"), b"pointer")
        store.write([(b"h1", b"again")])
        self.assertEqual(store.get(b"h1"), b"again")
        self.assertEqual(engine.get(META, b"h1"), b"other")
