"""The command on a terminal: tables, questions, and secrets that are not shown."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from typing import Any

from tests.cli.rpc.test_command import CommandCase
from tests.client.answering import result
from timecoin.cli.rpc.connection import PASSWORD_VARIABLE
from timecoin.crypto.address import encode_address
from timecoin.params import Network

CLI = (sys.executable, "-c", "from timecoin.cli.main import main; main()")
ADDRESS = encode_address(Network.DEVNET, b"\x07" * 20)
PATIENCE_S = 60


class Terminal:
    """A process whose standard streams are a terminal of its own."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self._fd, inside = pty.openpty()
        self.process = subprocess.Popen(
            [*CLI, *arguments],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=os.environ | environment | {"TERM": "xterm", "COLUMNS": "100"},
            start_new_session=True,  # no other terminal to ask at
        )
        os.close(inside)
        self.said = ""

    def until(self, text: str) -> None:
        """Read until ``text`` has come."""
        while text not in self.said:
            if not self._read():
                raise AssertionError(f"no {text!r} in {self.said!r}")

    def type(self, line: str) -> None:
        os.write(self._fd, line.encode() + b"\n")

    def end(self) -> int:
        """Read to the end; the exit status."""
        while self._read():
            pass
        os.close(self._fd)
        return self.process.wait(PATIENCE_S)

    def _read(self) -> bool:
        if not select.select([self._fd], [], [], PATIENCE_S)[0]:
            raise AssertionError(f"silent after {self.said!r}")
        try:
            found = os.read(self._fd, 4_096)
        except OSError:  # the other side is closed
            return False
        self.said += found.decode()
        return bool(found)


class TerminalTests(CommandCase):
    def start(self, *arguments: str) -> Terminal:
        options = [f"--datadir={self.datadir}", f"--rpc-url={self.url}", "--network=devnet"]
        environment = {PASSWORD_VARIABLE: "secret", "TIMECOIN_RPC_USER": "alice", "NO_COLOR": ""}
        terminal = Terminal([*options, *arguments], environment)
        self.addCleanup(terminal.process.wait, PATIENCE_S)
        self.addCleanup(terminal.process.kill)
        return terminal

    def test_a_table_in_colours(self) -> None:
        self.server.answer = lambda call: result(call, {"status": "final"})
        terminal = self.start("gettransactionfinality", "ab" * 32)
        self.assertEqual(terminal.end(), 0)
        self.assertIn("\x1b[32mfinal\x1b[0m", terminal.said)

    def test_a_payment_is_asked_for(self) -> None:
        def answer(call: dict[str, Any]) -> tuple[int, bytes]:
            paid = call["method"] == "sendtoaddress"
            return result(call, "ab" * 32 if paid else {"status": "final", "wait_time_ms": 4})

        self.server.answer = answer
        link = f"timecoin:{ADDRESS}?amount=0.3&label=Shop"
        refused = self.start("pay", link)
        refused.until("Pay?")
        refused.type("n")
        self.assertEqual(refused.end(), 1)
        self.assertEqual(self.server.seen, [])
        agreed = self.start("pay", link)
        agreed.until("Pay?")
        agreed.type("y")
        self.assertEqual(agreed.end(), 0, agreed.said)
        self.assertEqual(self.server.seen[0][2]["params"]["amount"], "0.30000000")

    def test_a_new_passphrase_is_asked_for_twice_and_not_shown(self) -> None:
        terminal = self.start("encryptwallet")
        terminal.until("passphrase:")
        terminal.type("open sesame")
        terminal.until("Repeat for confirmation")
        terminal.type("open sesame")
        self.assertEqual(terminal.end(), 0, terminal.said)
        self.assertEqual(self.server.seen[0][2]["params"], {"passphrase": "open sesame"})
        self.assertNotIn("sesame", terminal.said)

    def test_the_password_is_asked_for(self) -> None:
        options = [f"--datadir={self.datadir}", f"--rpc-url={self.url}", "--rpc-user=bob"]
        terminal = Terminal([*options, "uptime"], {PASSWORD_VARIABLE: ""})
        self.addCleanup(terminal.process.wait, PATIENCE_S)
        self.addCleanup(terminal.process.kill)
        terminal.until("RPC password of bob:")
        terminal.type("pass")
        self.assertEqual(terminal.end(), 0, terminal.said)
        self.assertEqual(self.server.seen[0][1], "Basic Ym9iOnBhc3M=")
        self.assertNotIn("pass\r", terminal.said)

    def test_a_sealed_wallet_and_its_words(self) -> None:
        """Made with a passphrase that is asked for, and restored from the words it has shown."""
        made = self.start("wallet", "new", "--words=12")
        made.until("Passphrase:")
        made.type("open sesame")
        made.until("Repeat for confirmation:")
        made.type("open sesame")
        self.assertEqual(made.end(), 0, made.said)
        self.assertNotIn("sesame", made.said)
        cells = re.findall(r"\d+\. ([a-z]+)", made.said)
        self.assertEqual(len(cells), 12)
        restored = self.start(
            "wallet", "restore", "--no-passphrase", f"--file={self.datadir}/again"
        )
        restored.until("The words, in order:")
        restored.type(" ".join(cells))
        self.assertEqual(restored.end(), 0, restored.said)
        (address,) = re.findall(r"timed1\w+", restored.said)
        self.assertIn(address, made.said)
