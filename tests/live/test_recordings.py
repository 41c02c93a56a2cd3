"""A network of real processes that are recorded under payments: each replays to the same bytes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from tests.live.network import free_base_port
from tests.live.payers import Payers
from timecoin.cli.devnet.network import Devnet
from timecoin.cli.devnet.record import NodeRecord
from timecoin.cli.main import main

NODES = 3
SLOT_MS = 2_000
PAYING_S = 3
FEWEST_TURNS = 200


class RecordedNetwork(SynchronousTestCase):
    """Three nodes, one of them killed and started again."""

    def setUp(self) -> None:
        directory = Path(self.mktemp()).absolute()
        port = free_base_port(NODES)
        self.network = Devnet.start(
            directory, NODES, port, SLOT_MS, lambda said: None, recorded=True
        )
        self.addCleanup(self.network.stop)

    def pay(self) -> None:
        payers = Payers(self.network.nodes, self.address, "0.01")
        payers.start()
        time.sleep(PAYING_S)
        payers.stop()
        self.assertGreater(len(payers.final), 0)

    def replayed(self, node: NodeRecord, path: Path) -> dict[str, Any]:
        arguments = [f"--datadir={node.datadir}", "replay", str(path), "--json"]
        ended = CliRunner().invoke(main, arguments)
        self.assertEqual(ended.exit_code, 0, f"{path}: {ended.output}")
        shown: dict[str, Any] = json.loads(ended.stdout)
        self.assertGreater(shown["turns"], FEWEST_TURNS)
        self.assertGreater(shown["effects"], shown["turns"])
        return shown

    def test_every_life_of_every_node(self) -> None:
        first = self.network.nodes[0].client()
        self.addCleanup(first.close)
        self.address = first.call("getnewaddress")
        for node in self.network.nodes[1:]:
            client = node.client()
            first.call("sendtoaddress", [client.call("getnewaddress"), "1"])
            client.close()
        self.pay()
        self.network.kill(2)
        self.network.launch(2)
        self.network.wait_ready()
        self.pay()
        reached = first.call("getblockcount")
        self.assertEqual(self.network.stop(), [])
        for node in self.network.nodes:
            self.assertGreaterEqual(self.replayed(node, node.recording_path)["height"], reached - 1)
        killed = self.network.nodes[2]
        earlier = self.replayed(killed, killed.recording_path.with_suffix(".old"))
        self.assertLess(earlier["height"], reached)
