"""A node whose machine gives it too little: disk, open files, memory (FAULTS F15, F16)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.live.network import free_base_port
from timecoin.cli.devnet import founding
from timecoin.cli.devnet.record import NodeRecord
from timecoin.client.blocking import BlockingClient, RpcCallError, RpcUnreachable
from timecoin.node.preflight import STORE_DIRECTORY
from timecoin.store.rocks import RocksEngine

TWISTD = (sys.executable, str(Path(sys.executable).with_name("twistd")))
WAIT_S = 60
POLL_S = 0.05
SLOT_MS = 1_000
MIB = 1 << 20
DISK_BYTES = 32 * MIB
SPARE_BYTES = 64 << 10
"""What is left of a disk that fills up: some seconds of blocks."""
FILES = 200
FLOOD = 400
ADDRESS_SPACE_BYTES = 1 << 30
CGROUP_BYTES = 200 * MIB
MS_RDONLY, MS_REMOUNT = 1, 32
CGROUPS = Path("/sys/fs/cgroup")

_libc = ctypes.CDLL(None, use_errno=True)


class LimitCase(SynchronousTestCase):
    """One node, a network of its own, in ``self.directory``."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def found(self, directory: Path) -> NodeRecord:
        """The files of a network of one below ``directory``."""
        (self.node,) = nodes = founding.plan(directory, 1, free_base_port(1))
        founding.found(directory, nodes, SLOT_MS)
        with Path(self.node.config_path).open("a") as settings:
            settings.write("mindiskfree=1\n")
        self.log = self.directory / "log"
        return self.node

    def start(self, limit: Callable[[], None] | None = None) -> subprocess.Popen[bytes]:
        """The node's process, which answers; ``limit`` is called in it before it begins."""
        command = [*TWISTD, "--nodaemon", "--pidfile=", "timecoin"]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*command, f"--config={self.node.config_path}"],
                stdout=log,
                stderr=log,
                preexec_fn=limit,
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.client = self.node.client()
        self.addCleanup(self.client.close)
        self.wait_for(lambda: self.answers(process), "an answer")
        return process

    def answers(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the node answers; it must not have ended."""
        self.assertIsNone(process.poll(), self.log.read_text())
        try:
            self.client.call("uptime")
        except RpcUnreachable:
            return False
        return True

    def wait_for(self, reached: Callable[[], bool], what: str) -> None:
        """Poll until it is so."""
        deadline = time.monotonic() + WAIT_S
        while not reached():
            said = self.log.read_text()[-2000:]
            self.assertLess(time.monotonic(), deadline, f"no {what}: {said}")
            time.sleep(POLL_S)

    def pay(self) -> str:
        """A payment that is final; its txid."""
        address = self.client.call("getnewaddress")
        txid: str = self.client.call("sendtoaddress", [address, "1"])
        self.assertTrue(self.client.call("waittransactionfinality", [txid, WAIT_S])["finalized"])
        return txid

    def archived(self, client: BlockingClient, txid: str) -> bool:
        """Whether a block has it."""
        try:
            return int(client.call("gettransactionfinality", [txid])["confirmations"]) > 0
        except RpcCallError:
            return False

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """By SIGTERM, in order."""
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(WAIT_S), 0, self.log.read_text())

    def last_line(self) -> str:
        """What the node said at last on stderr."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("timecoin:")]
        return lines[-1] if lines else ""


class DiskTests(LimitCase):
    """F15: a small disk of its own, which fills up or becomes read-only."""

    def setUp(self) -> None:
        super().setUp()
        self.disk = self.directory / "disk"
        self.disk.mkdir()
        self.mount(0, f"size={DISK_BYTES}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.disk)], check=True)
        self.found(self.disk / "network")

    def mount(self, flags: int, options: str) -> None:
        """Mount a tmpfs, or mount it anew with other flags."""
        if _libc.mount(b"tmpfs", bytes(self.disk), b"tmpfs", flags, options.encode()):
            error = ctypes.get_errno()
            if error == errno.EPERM:
                raise SkipTest("no tmpfs can be mounted here: root can")
            raise OSError(error, os.strerror(error))

    def fill(self) -> Path:
        """Take nearly all room."""
        free = os.statvfs(self.disk).f_bavail * os.statvfs(self.disk).f_frsize
        ballast = self.disk / "ballast"
        ballast.write_bytes(bytes(max(0, free - SPARE_BYTES)))
        return ballast

    def test_full_disk(self) -> None:
        """It ends with status 1 and says why; with room again it goes on, and has lost nothing."""
        process = self.start()
        txids = [self.pay() for _ in range(3)]
        ballast = self.fill()
        self.wait_for(lambda: self.is_unwell(process), "word of the disk")
        self.assertEqual(process.wait(WAIT_S), 1, self.log.read_text())
        self.assertIn("the node stops: cannot write the store", self.last_line())
        self.assertIn("No space left on device", self.last_line())
        ballast.unlink()
        process = self.start()
        self.wait_for(lambda: all(self.archived(self.client, txid) for txid in txids), "payment")
        self.pay()
        self.assertTrue(self.client.call("gettxoutsetinfo")["matches_supply"])
        self.stop(process)
        self.check_rows()

    def is_unwell(self, process: subprocess.Popen[bytes]) -> bool:
        """Health is red for want of room, or the node has ended."""
        if process.poll() is not None:
            return True
        with contextlib.suppress(RpcUnreachable):
            status, body = self.client.get("/health")
            return status == 503 and b"free on disk" in body
        return False

    def test_full_from_the_start(self) -> None:
        self.fill().write_bytes(bytes(DISK_BYTES - 512 * 1024))
        self.assert_refused("No space left on device")

    def test_read_only_disk(self) -> None:
        process = self.start()
        txid = self.pay()
        self.stop(process)
        self.mount(MS_REMOUNT | MS_RDONLY, "")
        self.assert_refused("Read-only file system")
        self.mount(MS_REMOUNT, "")
        self.start()
        self.wait_for(lambda: self.archived(self.client, txid), "payment")

    def assert_refused(self, reason: str) -> None:
        command = [*TWISTD, "--nodaemon", "--pidfile=", "timecoin"]
        ended = subprocess.run(
            [*command, f"--config={self.node.config_path}"],
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            cwd=self.directory,
        )
        self.assertEqual(ended.returncode, 1, ended.stderr)
        self.assertEqual(len(ended.stderr.splitlines()), 1, ended.stderr)
        self.assertIn(reason, ended.stderr)

    def check_rows(self) -> None:
        engine = RocksEngine(Path(self.node.datadir) / STORE_DIRECTORY, read_only=True)
        self.addCleanup(engine.close)
        self.assertTrue(list(engine.scan("consensus")))


class OpenFilesTests(LimitCase):
    """F16: more connections than the process may have files."""

    def test_flood_of_connections(self) -> None:
        self.found(self.directory / "network")

        def few() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))

        process = self.start(few)
        self.pay()
        port = int(self.node.rpc_url.rstrip("/").rsplit(":", 1)[1])
        with contextlib.ExitStack() as held:
            for number in range(FLOOD):
                with contextlib.suppress(OSError):
                    address = ("127.0.0.1", (port, self.node.p2p_port)[number % 2])
                    held.enter_context(socket.create_connection(address, 1.0))
            files = f"/proc/{process.pid}/fd"
            self.wait_for(lambda: len(os.listdir(files)) == FILES, "use of the last file")
            height = self.height_of_log()
            self.wait_for(lambda: self.height_of_log() > height + 1, "block during the flood")
            self.assertIsNone(process.poll(), self.log.read_text())
        self.client = self.node.client()
        self.addCleanup(self.client.close)
        self.wait_for(lambda: self.answers(process), "an answer after the flood")
        self.pay()
        self.stop(process)

    def height_of_log(self) -> int:
        """Blocks that the node has told of."""
        return self.log.read_text().count("finalized height")


class MemoryTests(LimitCase):
    """F16: little memory."""

    def setUp(self) -> None:
        super().setUp()
        self.found(self.directory / "network")

    def test_a_gibibyte_of_addresses(self) -> None:
        def little() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))

        self.live(little)

    def test_a_control_group(self) -> None:
        group = self.group()

        def join() -> None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

        self.live(join)

    def live(self, limit: Callable[[], None]) -> None:
        """Payments, and calls by the hundred, within the limit."""
        process = self.start(limit)
        for _ in range(5):
            self.pay()
        for _ in range(200):
            self.client.call("help")
        self.pay()
        self.stop(process)

    def group(self) -> Path:
        """A control group with a bound on memory; ``SkipTest`` where none can be made."""
        name = f"timecoin-test-{os.getpid()}"
        for parent, bound in (
            (CGROUPS / "memory", "memory.limit_in_bytes"),
            (CGROUPS, "memory.max"),
        ):
            group = parent / name
            try:
                group.mkdir()
                self.addCleanup(group.rmdir)
                (group / bound).write_text(str(CGROUP_BYTES))
            except OSError:
                continue
            return group
        raise SkipTest("no control group for memory can be made here: root can, where they are")
