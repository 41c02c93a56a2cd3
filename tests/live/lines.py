"""Five real nodes, each in a network of its own; only the test carries packets between them."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.live.namespaces import Namespace
from tests.live.payers import Payers
from tests.live.switch import Switch, address_of
from timecoin.cli import founding
from timecoin.cli.devnet import founding as files
from timecoin.cli.devnet.command import DEFAULT_BASE_PORT
from timecoin.cli.devnet.network import Devnet
from timecoin.client.blocking import RpcCallError, RpcUnreachable
from timecoin.node.config import GENESIS_NAME
from timecoin.node.genesisfile import read_genesis
from timecoin.node.keyfiles import ValidatorKeys
from timecoin.rpc.errors import WARMING_UP

SEED_VARIABLE = "TIMECOIN_PARTITION_SEED"
WEIGHTS = (100, 100, 100, 10, 10)
"""Of equal ones four of five would be needed."""
NODES = len(WEIGHTS)
SLOT_MS = 2_000
SETTLE_S = 120.0
"""Far more than it takes: the machine may be busy."""
POLL_S = 0.1


class LinesCase(SynchronousTestCase):
    """Validators that are all linked over slow lines, which a switch cuts."""

    def setUp(self) -> None:
        """The network is whole when this returns."""
        seed = os.environ.get(SEED_VARIABLE) or random.SystemRandom().randbytes(8).hex()
        print(f"{SEED_VARIABLE}={seed}", file=sys.stderr)
        self.homes: list[Namespace] = []
        for number in range(NODES):
            home = Namespace(f"{address_of(number)}/24")
            self.addCleanup(home.close)
            self.homes.append(home)
        self.switch = Switch(self.homes, random.Random(seed))
        self.switch.start()
        self.addCleanup(self.switch.stop)
        self._start_network()

    def _start_payers(self) -> None:
        """Payments through each node go on until the test ends."""
        address = self._call(1, "getnewaddress")
        self.payers = [Payers([node], address, "0.01") for node in self.network.nodes]
        for home, payers in zip(self.homes, self.payers, strict=True):
            with home.inside():
                payers.start()
            self.addCleanup(payers.stop)

    def _start_network(self) -> None:
        """As ``timecoin-cli devnet`` does, but for the addresses and the weights."""
        directory = Path(self.mktemp()).absolute()
        weights = iter(WEIGHTS)
        found = founding.founding_validator

        def weighted(keys: ValidatorKeys, weight: int, payout: bytes) -> Any:
            return found(keys, next(weights), payout)

        self.patch(founding, "founding_validator", weighted)
        nodes = files.plan(directory, NODES, DEFAULT_BASE_PORT)
        files.found(directory, nodes, SLOT_MS)
        at = [f"{address_of(number)}:{node.p2p_port}" for number, node in enumerate(nodes)]
        for number, node in enumerate(nodes):
            others = ",".join(at[:number] + at[number + 1 :])
            moved = {"bind": address_of(number), "peers": others}
            lines = [
                f"{key}={moved.get(key, value)}"
                for key, _, value in (
                    line.partition("=") for line in node.config_path.read_text("utf-8").splitlines()
                )
            ]
            node.config_path.write_text("\n".join(lines) + "\n", "utf-8")
        self.genesis = read_genesis(directory / GENESIS_NAME).genesis
        self.network = Devnet(directory, nodes)
        self.addCleanup(self.network.stop)
        for number in range(NODES):
            with self.homes[number].inside():
                self.network.launch(number)
        self._clients = [node.client() for node in self.network.nodes]
        for client in self._clients:
            self.addCleanup(client.close)
        self._wait_whole()

    def _fund_all(self) -> None:
        for number in range(1, NODES):
            for _ in range(5):
                self._pay(self._call(number, "getnewaddress"), "100")

    def _pay(self, address: str, amount: str) -> str:
        """A payment of the first node that all nodes call final."""
        txid: str = self._call(0, "sendtoaddress", [address, amount])
        for number in range(NODES):
            state = self._call(number, "waittransactionfinality", [txid, 60])
            self.assertIs(state["finalized"], True, state)
        return txid

    def _wait_for_payments(self) -> None:
        """Every node calls another one final."""
        paid = [len(payers.final) for payers in self.payers]
        self._wait(
            "payments of all",
            lambda: all(
                len(payers.final) > count for payers, count in zip(self.payers, paid, strict=True)
            ),
        )

    def _wait_whole(self) -> None:
        """Every node is linked with all others and has all of them in its active set."""

        def whole() -> bool:
            return all(self._place(number) == (NODES - 1, sum(WEIGHTS)) for number in range(NODES))

        self._wait("a whole network", whole, self._places)

    def _place(self, number: int) -> tuple[int, int]:
        """How many links a node has, and the weight of its active set."""
        active = self._call(number, "getconsensusinfo")["avs"]
        return len(self._call(number, "getpeerinfo")), active["total_weight"]

    def _places(self) -> str:
        """What a network that does not come together looks like."""
        return "; ".join(
            f"node {number}: links and weight {self._place(number)}, "
            f"banned {self._call(number, 'listbanned')}"
            for number in range(NODES)
        )

    def _wait(self, what: str, look: Any, tell: Callable[[], str] = str) -> None:
        deadline = time.monotonic() + SETTLE_S
        while not look():
            if time.monotonic() > deadline:
                self.fail(f"{what}: {tell()}")
            time.sleep(POLL_S)

    def _call(self, number: int, method: str, params: Sequence[object] = ()) -> Any:
        """What a node says, once it is able to."""
        deadline = time.monotonic() + SETTLE_S
        with self.homes[number].inside():  # where a lost connection is made again
            while True:
                try:
                    return self._clients[number].call(method, list(params))
                except RpcCallError as error:
                    if error.code != WARMING_UP or time.monotonic() > deadline:
                        raise
                except RpcUnreachable:  # it starts
                    if time.monotonic() > deadline:
                        raise
                time.sleep(POLL_S)
