"""RPC methods as commands, against a server that answers as told."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from tests.client.answering import AnsweringServer, failure, result
from timecoin.cli.main import main
from timecoin.cli.rpc import session
from timecoin.cli.rpc.connection import PASSWORD_VARIABLE
from timecoin.cli.rpc.published import published_methods
from timecoin.rpc.openrpc import openrpc_document

HASH = "cd" * 32


class CommandCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = AnsweringServer.serving(self)
        self.datadir = Path(self.mktemp()).absolute()
        self.datadir.mkdir()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def run_it(self, *arguments: str, stdin: str | None = None) -> Result:
        options = ("--datadir", str(self.datadir), "--rpc-url", self.url, "--rpc-user", "alice")
        environment = {PASSWORD_VARIABLE: "secret"}
        return CliRunner().invoke(main, [*options, *arguments], input=stdin, env=environment)

    def sent(self, *arguments: str, stdin: str | None = None) -> tuple[str, object]:
        ended = self.run_it(*arguments, stdin=stdin)
        self.assertEqual(ended.exit_code, 0, ended.output)
        call = self.server.seen[-1][2]
        return call["method"], call["params"]

    def refused(self, status: int, *arguments: str) -> str:
        ended = self.run_it(*arguments)
        self.assertEqual(ended.exit_code, status, ended.output)
        self.assertEqual(ended.stdout, "")
        return ended.stderr


class ParameterTests(CommandCase):
    def test_by_position(self) -> None:
        self.assertEqual(
            self.sent("getblock", "12", "2"), ("getblock", {"block": 12, "verbosity": 2})
        )

    def test_by_name_and_other_names(self) -> None:
        wanted = ("getblock", {"block": HASH, "verbosity": True})
        self.assertEqual(self.sent("getblock", "--verbosity=true", "--blockhash", HASH), wanted)
        self.assertEqual(self.sent("GetBlock", HASH, "--verbosity", "true"), wanted)

    def test_named_only_and_switches(self) -> None:
        _, params = self.sent("sendtoaddress", "x", "0.1", "--wait", "--no-subtractfeefromamount")
        self.assertEqual(
            params, {"address": "x", "amount": "0.1", "wait": True, "subtractfeefromamount": False}
        )

    def test_amounts_in_json_are_sent_exactly(self) -> None:
        self.sent("listunspent", "--query-options", '{"minimumAmount": 90071992.54740993}')
        self.assertIn(b'"minimumAmount":90071992.54740993', self.server.bodies[-1])

    def test_from_standard_input(self) -> None:
        _, params = self.sent("sendrawtransaction", "-", stdin="abcd\n")
        self.assertEqual(params, {"hexstring": "abcd"})

    def test_a_passphrase_is_asked_for(self) -> None:
        _, params = self.sent("encryptwallet", stdin="open sesame \nmore\n")
        self.assertEqual(params, {"passphrase": "open sesame "})
        _, params = self.sent("walletpassphrase", "-", "60", stdin="open\n")
        self.assertEqual(params, {"passphrase": "open", "timeout": 60})

    def test_usage_errors_send_nothing(self) -> None:
        for arguments in (
            ("getblock",),
            ("getblock", "x"),
            ("getblock", "1", "--block=2"),
            ("getblock", "1", "2", "3"),
            ("sendtoaddress", "x", "0.000000001"),
            ("getblock", "1", "--what"),
            ("--network=othernet", "getblockcount"),
            ("--tls-cert=/nonexistent", "getblockcount"),
        ):
            self.refused(2, *arguments)
        self.assertEqual(self.server.seen, [])

    def test_an_unknown_name(self) -> None:
        self.assertIn("Did you mean getblockcount", self.refused(2, "getblockcoutn"))

    def test_every_method_has_help(self) -> None:
        names = [name for named in published_methods().values() for name in named]
        overview = self.run_it("--help").output
        for name in names:
            self.assertIn(f"  {name} ", overview)
            shown = self.run_it(name, "--help")
            self.assertEqual(shown.exit_code, 0, shown.output)
            self.assertIn(f" {name} [OPTIONS]", shown.output)

    def test_commands_are_those_of_the_openrpc_document(self) -> None:
        methods = [method for named in published_methods().values() for method in named.values()]
        document: Any = openrpc_document(methods)
        context = click.Context(main)
        for described in document["methods"]:
            command = main.get_command(context, described["name"])
            assert command is not None
            options = {name for item in command.params for name in item.opts}
            places = [item.name for item in command.params if isinstance(item, click.Argument)]
            named_only = [param for param in described["params"] if param.get("x-named-only")]
            self.assertEqual(len(places), len(described["params"]) - len(named_only))
            for param in described["params"]:
                self.assertIn(f"--{param['name'].replace('_', '-')}", options)

    def test_no_tool_hides_a_method(self) -> None:
        for named in published_methods().values():
            self.assertFalse(named.keys() & main.commands.keys())


class ResultTests(CommandCase):
    def answer(self, text: bytes) -> None:
        self.server.answer = lambda call: (
            200,
            b'{"jsonrpc":"2.0","id":%d,"result":%s}' % (call["id"], text),
        )

    def test_json_is_exact(self) -> None:
        self.answer(b'{"a":90071992.54740993,"b":0.1,"c":[1.50000000]}')
        shown = self.run_it("getblockchaininfo").stdout
        for number in ("90071992.54740993", "0.1", "1.50000000"):
            self.assertIn(number, shown)
        self.assertEqual(json.loads(shown)["b"], 0.1)

    def test_texts(self) -> None:
        self.answer(b'"tdev1x"')
        self.assertEqual(self.run_it("getnewaddress").stdout, '"tdev1x"\n')
        self.assertEqual(self.run_it("--raw", "getnewaddress").stdout, "tdev1x\n")
        self.assertEqual(self.run_it("getnewaddress", "--raw").stdout, "tdev1x\n")
        self.assertEqual(self.run_it("getnewaddress", "--table").stdout, "tdev1x\n")

    def test_nothing(self) -> None:
        self.assertEqual(self.run_it("walletlock").stdout, "null\n")
        self.assertEqual(self.run_it("--table", "walletlock").stdout, "")

    def test_tables_before_or_after(self) -> None:
        self.answer(b'{"name":"x","amount":1.50000000}')
        for arguments in (("--table", "uptime"), ("uptime", "--table")):
            shown = self.run_it(*arguments).stdout
            self.assertEqual(shown.split(), ["name", "x", "amount", "1.50000000"])
        self.assertEqual(json.loads(self.run_it("--table", "uptime", "--json").stdout)["name"], "x")


class FailureTests(CommandCase):
    def test_a_refusal_of_the_node(self) -> None:
        self.server.answer = lambda call: failure(call, {"code": -5, "message": "no\x1b[2J block"})
        said = self.refused(1, "getblock", "1")
        self.assertEqual(said, "Error: no\\x1b[2J block (code -5)\n")

    def test_a_refused_login(self) -> None:
        self.server.answer = lambda call: (401, b"")
        self.assertIn("login was refused", self.refused(3, "uptime"))

    def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as held:
            self.url = f"http://127.0.0.1:{held.getsockname()[1]}/"
        self.assertIn("cannot connect", self.refused(3, "uptime"))

    def test_no_url(self) -> None:
        self.url = "ftp://x/"
        self.refused(2, "uptime")


class WaitTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(session, "RETRY_S", 0.01)

    def test_waits_while_the_node_catches_up(self) -> None:
        refusals = [{"code": -28, "message": "catching up"}] * 2

        def answer(call: dict[str, object]) -> tuple[int, bytes]:
            if call["method"] == "getbalance" and refusals:
                return failure(call, refusals.pop())
            return result(call, 5)

        self.server.answer = answer
        ended = self.run_it("-rpcwait", "getbalance")
        self.assertEqual((ended.exit_code, ended.stdout), (0, "5\n"))
        self.assertEqual(refusals, [])

    def test_a_call_is_sent_once_only(self) -> None:
        """After the node took a payment and vanished, nobody may send it again."""
        self.patch(self.server, "handle_error", lambda *args: None)

        def answer(call: dict[str, object]) -> tuple[int, bytes]:
            if call["method"] == "sendtoaddress":
                raise ConnectionAbortedError
            return result(call, 5)

        self.server.answer = answer
        self.refused(3, "--rpc-wait", "sendtoaddress", "x", "1")
        self.assertEqual([call["method"] for _, _, call in self.server.seen].count("uptime"), 1)
        self.assertEqual(self.server.seen[-1][2]["method"], "sendtoaddress")
        self.assertEqual(len(self.server.seen), 2)

    def test_gives_up_in_time(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as held:
            self.url = f"http://127.0.0.1:{held.getsockname()[1]}/"
        self.refused(3, "--rpc-wait-timeout=0.05", "uptime")

    def test_other_refusals_end_it(self) -> None:
        self.server.answer = lambda call: failure(call, {"code": -8, "message": "no"})
        self.refused(1, "--rpc-wait", "getblock", "5")
        self.server.answer = lambda call: (401, b"")
        self.refused(3, "--rpc-wait", "getblock", "5")
