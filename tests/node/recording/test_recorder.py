"""A recording ends when it must, and its node goes on."""

from __future__ import annotations

import errno
from io import FileIO
from pathlib import Path
from unittest.mock import patch

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.sim.recorded import identity, pay, read, record
from timecoin.node.recording import items
from timecoin.sim.replay import replay
from timecoin.sim.world import World, WorldSettings
from timecoin.store.keys import WALLET

SMALL_BYTES = 40_000


class RecorderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(2, WorldSettings(nodes=3))
        self.node = self.world.nodes[0]
        self.path = Path(self.mktemp())
        self.said: list[LogEvent] = []

        @implementer(ILogObserver)
        def hear(event: LogEvent) -> None:
            self.said.append(event)

        globalLogPublisher.addObserver(hear)
        self.addCleanup(globalLogPublisher.removeObserver, hear)

    def reasons(self) -> list[str]:
        return [
            event["reason"] for event in self.said if "recording ends" in str(event["log_format"])
        ]

    def run_world(self) -> None:
        self.world.start()
        self.world.run(1)
        pay(self.world, 10)
        self.world.run(10)

    def check_went_on(self) -> None:
        """The node is well, and what is recorded replays."""
        self.assertEqual(len(self.world.final_txids()), 10)
        height = self.node.running.chain.tip_height
        self.assertGreater(height, 0)
        done = replay(read(self.path, self), identity(self.node))
        self.assertLess(done.height, height + 1)
        self.assertGreater(done.turns, 10)

    def test_as_large_as_it_may_become(self) -> None:
        record(self.node, self.path, SMALL_BYTES)
        self.run_world()
        self.assertEqual(self.reasons(), ["it is as large as it may become"])
        size = self.path.stat().st_size
        self.assertLessEqual(size, SMALL_BYTES)
        self.assertGreater(size, SMALL_BYTES // 2)
        self.check_went_on()

    def test_no_room_on_the_disk(self) -> None:
        record(self.node, self.path)
        write = FileIO.write

        def full(file: FileIO, data: bytes) -> int:
            """Takes a part of what does not fit, then nothing."""
            left = SMALL_BYTES - file.tell()
            if left <= 0:
                raise OSError(errno.ENOSPC, "no space left")
            return write(file, data[:left])

        with patch("timecoin.node.recording.recorder.FileIO", _full_file(full)):
            self.run_world()
        self.assertEqual(self.reasons(), ["[Errno 28] no space left"])
        self.assertEqual(self.path.stat().st_size, SMALL_BYTES)
        self.assertTrue(list(read(self.path, self).turns()))
        self.check_went_on()

    def test_each_turn_is_in_the_file_when_it_is_over(self) -> None:
        record(self.node, self.path)
        self.run_world()
        heights = [
            item.height
            for turn in read(self.path, self).turns()
            for item in turn.items
            if isinstance(item, items.Height)
        ]
        self.assertEqual(heights[-1], self.node.running.chain.tip_height)

    def test_no_secret_and_nothing_of_others(self) -> None:
        record(self.node, self.path)
        self.world.start()
        self.node.running.wallet_rows.write([(b"key", b"of the wallet only")])
        self.world.run(12)
        self.node.kill()
        content = self.path.read_bytes()
        self.assertEqual(next(self.node.engine.scan(WALLET)), (b"key", b"of the wallet only"))
        self.assertIn(self.node.voting_key.public, content)
        for secret in (self.node.voting_key.seed, self.node.vrf_seed, b"of the wallet only"):
            self.assertNotIn(secret, content)

    def test_a_stopped_node_leaves_a_closed_file(self) -> None:
        record(self.node, self.path)
        self.run_world()
        self.node.kill()
        size = self.path.stat().st_size
        self.world.run(5)
        self.assertEqual(self.path.stat().st_size, size)
        last = list(read(self.path, self).turns())[-1]
        self.assertIsInstance(last.items[0], items.Stop)


def _full_file(write: object) -> type[FileIO]:
    return type("FullFile", (FileIO,), {"write": write})
