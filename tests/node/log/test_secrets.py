"""A wallet is sealed, opened and used with every line logged: no secret is in any of them."""

from __future__ import annotations

import io

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.rpc.methods.net import RpcFailure, RpcNet
from timecoin.node.log.formats import FORMATS
from timecoin.node.log.levels import Levels, LevelSetting
from timecoin.node.log.output import LogOutput
from timecoin.node.logs import NodeLog
from timecoin.wallet.words import words_of

PASSPHRASE = "correct horse battery staple"
WRONG = "wrong horse battery staple"


class SecretTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.outs = []
        for name in FORMATS:
            out = io.StringIO()
            levels = Levels(LevelSetting("debug", {"twisted": "debug"}))
            observer = LogOutput(out, levels, name, lambda: "request-1")
            globalLogPublisher.addObserver(observer)
            self.addCleanup(globalLogPublisher.removeObserver, observer)
            self.outs.append(out)
        self.net = RpcNet(self)
        self.node = self.net.nodes[0]
        NodeLog(Levels(LevelSetting("debug"))).attach(self.node.node)

    def call(self, method: str, *params: object) -> object:
        return self.node.call(method, *params)

    def test_a_wallet_in_use(self) -> None:
        self.net.run_to_height(1)
        self.call("encryptwallet", PASSPHRASE)
        self.assertRaises(RpcFailure, self.call, "walletpassphrase", WRONG, 60)
        self.call("walletpassphrase", PASSPHRASE, 60)
        address = self.call("getnewaddress")
        txid = str(self.call("sendtoaddress", address, 1))
        self.call("signmessage", address, "hello")
        self.call("walletlock")
        self.call("walletpassphrasechange", PASSPHRASE, WRONG)
        self.call("logging", ["all"])
        self.net.run(20)
        seed = bytes((0,)) * 32  # what RpcNet made the wallet from
        secrets = [PASSPHRASE, WRONG, "battery staple", words_of(seed), seed.hex()]
        for out in self.outs:
            text = out.getvalue()
            self.assertIn(txid, text, "payments are logged, at level debug")
            for secret in secrets:
                self.assertNotIn(secret, text)

    def test_an_internal_error_with_a_secret_in_it(self) -> None:
        """A fault of ours shows its text in the log; what looks like a secret is not shown."""

        def broken(*_: object) -> None:
            raise RuntimeError(f"cannot use passphrase={PASSPHRASE.replace(' ', '-')}")

        self.patch(self.node.wallet_service, "unlock", broken)
        self.call("encryptwallet", PASSPHRASE)
        self.assertRaises(RpcFailure, self.call, "walletpassphrase", PASSPHRASE, 60)
        self.flushLoggedErrors(RuntimeError)
        for out in self.outs:
            self.assertIn("cannot use passphrase=[hidden]", out.getvalue())
            self.assertNotIn("horse", out.getvalue())
