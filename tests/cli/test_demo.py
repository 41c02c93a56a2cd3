"""``timecoin-cli demo``: whatever happens, nothing is left running; a failure names the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner
from rich.table import Table
from twisted.trial.unittest import SynchronousTestCase

from timecoin.cli.demo import command
from timecoin.cli.demo.stage import DemoFailure
from timecoin.cli.devnet.network import Devnet
from timecoin.cli.devnet.record import DevnetError, NodeRecord


class FakeNetwork:
    """Counts its stops."""

    def __init__(self, directory: Path, stubborn: list[NodeRecord]) -> None:
        self.directory = directory
        self.stubborn = stubborn
        self.stops = 0

    def stop(self) -> list[NodeRecord]:
        self.stops += 1
        return self.stubborn


class FakeStage:
    def __init__(self, network: FakeNetwork, slot_ms: int, progress: object) -> None:
        self.network = network

    def close(self) -> None:
        """Nothing is open."""


class DemoCommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network: FakeNetwork | None = None
        self.stubborn: list[NodeRecord] = []

        def start(directory: Path, *rest: object) -> FakeNetwork:
            self.network = FakeNetwork(directory, self.stubborn)
            return self.network

        self.patch(Devnet, "start", start)
        self.patch(command, "stop_by_signals", lambda: None)  # they are the test runner's here
        self.patch(command, "Stage", FakeStage)
        self.patch(command, "_heights", lambda stage: Table())

    def run_steps(self, *steps: Any) -> tuple[int, str]:
        self.patch(command, "STEPS", tuple(("a step", step) for step in steps))
        ended = CliRunner().invoke(command.demo, [])
        assert self.network is not None
        self.assertEqual(self.network.stops, 1)
        return ended.exit_code, ended.output

    def test_all_is_shown(self) -> None:
        status, output = self.run_steps(lambda stage: "one works", lambda stage: "two works")
        self.assertEqual(status, 0, output)
        self.assertLess(output.index("one works"), output.index("two works"))
        self.assertIn("nothing is left running", output)
        assert self.network is not None
        self.assertFalse(self.network.directory.exists())

    def test_a_failed_step(self) -> None:
        log = Path("/some/node2/node.log")

        def fail(stage: FakeStage) -> str:
            raise DemoFailure("validator2: lost a payment", log)

        status, output = self.run_steps(fail, lambda stage: self.fail("went on"))
        self.assertEqual(status, 1)
        self.assertIn("lost a payment", output)
        self.assertIn(str(log), output)
        assert self.network is not None
        self.assertTrue(self.network.directory.exists(), "the logs were thrown away")
        self.network.directory.rmdir()

    def test_ctrl_c(self) -> None:
        def interrupt(stage: FakeStage) -> str:
            raise KeyboardInterrupt

        self.assertEqual(self.run_steps(interrupt)[0], 1)

    def test_a_node_that_does_not_stop(self) -> None:
        self.stubborn = [NodeRecord("validator3", "http://127.0.0.1:1/", "u", "p", "/d", 1, 1)]
        status, output = self.run_steps()
        self.assertEqual(status, 1)
        self.assertIn("validator3 did not stop", output)

    def test_no_network(self) -> None:
        def refuse(*arguments: object) -> FakeNetwork:
            raise DevnetError("a port is taken")

        self.patch(Devnet, "start", refuse)
        ended = CliRunner().invoke(command.demo, [])
        self.assertEqual(ended.exit_code, 1)
        self.assertIn("a port is taken", ended.output)
