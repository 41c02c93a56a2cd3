"""``timecoin-cli pay``: pays exactly what the link asks for, once somebody agreed."""

from __future__ import annotations

from typing import Any

from tests.cli.rpc.test_command import CommandCase
from tests.client.answering import failure, result
from timecoin.crypto.address import encode_address
from timecoin.params import Network

ADDRESS = encode_address(Network.DEVNET, b"\x07" * 20)
LINK = f"timecoin:{ADDRESS}?amount=0.3&label=Shop&memo=order%207"


class PayTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.server.answer = self.node

    def node(self, call: dict[str, Any]) -> tuple[int, bytes]:
        if call["method"] == "sendtoaddress":
            return result(call, "ab" * 32)
        return result(call, {"status": "final", "wait_time_ms": 412})

    def pay(self, *arguments: str) -> Any:
        return self.run_it("--network=devnet", "pay", *arguments)

    def calls(self) -> list[tuple[str, Any]]:
        return [(call["method"], call["params"]) for _, _, call in self.server.seen]

    def test_pays_and_waits(self) -> None:
        ended = self.pay(LINK, "--yes")
        self.assertEqual(ended.exit_code, 0, ended.output)
        sent = {"address": ADDRESS, "amount": "0.30000000", "comment": "order 7"}
        self.assertEqual(
            self.calls(),
            [
                ("sendtoaddress", sent | {"comment_to": "Shop"}),
                ("waittransactionfinality", {"txid": "ab" * 32, "timeout": 300}),
            ],
        )
        self.assertIn('"amount": 0.3,', ended.stdout)
        self.assertIn('"status": "final"', ended.stdout)
        for said in ("0.30000000 TIME", ADDRESS, "Shop", "order 7"):
            self.assertIn(said, ended.stderr)

    def test_without_waiting(self) -> None:
        self.assertEqual(self.pay(LINK, "--yes", "--no-wait").exit_code, 0)
        self.assertEqual([method for method, _ in self.calls()], ["sendtoaddress"])

    def test_an_amount_left_open(self) -> None:
        link = f"timecoin:{ADDRESS}"
        self.assertEqual(self.pay(link, "--yes", "--amount=1.5").exit_code, 0)
        self.assertEqual(self.calls()[0][1]["amount"], "1.50000000")
        self.assertEqual(self.pay(LINK, "--yes", "--amount=0.3").exit_code, 0)

    def test_refusals_pay_nothing(self) -> None:
        mainnet = encode_address(Network.MAINNET, b"\x07" * 20)
        for arguments in (
            (LINK,),  # nobody was asked
            (LINK, "--yes", "--amount=0.31"),
            (f"timecoin:{ADDRESS}", "--yes"),
            (f"timecoin:{ADDRESS}", "--yes", "--amount=0"),
            (f"timecoin:{mainnet}?amount=1", "--yes"),
            (f"bitcoin:{ADDRESS}?amount=1", "--yes"),
            (f"timecoin:{ADDRESS}?amount=0.000000001", "--yes"),
            (f"timecoin:{ADDRESS}?amount=1&what=2", "--yes"),
        ):
            ended = self.pay(*arguments)
            self.assertEqual(ended.exit_code, 2, f"{arguments}: {ended.output}")
        self.assertEqual(self.server.seen, [])

    def test_the_node_refuses(self) -> None:
        self.server.answer = lambda call: failure(call, {"code": -6, "message": "no funds"})
        ended = self.pay(LINK, "--yes")
        self.assertEqual((ended.exit_code, ended.stdout), (1, ""))
        self.assertEqual(len(self.server.seen), 1)
