"""Real processes: one stakes and joins, one dies and leaves, one takes its stake back."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from tests.live.network import start_network
from tests.support.long import unless_long
from timecoin.cli import founding
from timecoin.cli.devnet.network import Devnet
from timecoin.cli.devnet.staking import register
from timecoin.client.blocking import BlockingClient
from timecoin.params import STAKE_WAIT_BLOCKS
from timecoin.quorum.tally import quorum_weight

SLOT_MS = 2_000
PATIENCE_S = 180
"""Far more than it takes: the machine may be busy."""

T = TypeVar("T")


class MasternodeCase(SynchronousTestCase):
    """Three founding validators; ``self.clients`` call the nodes."""

    weight = 100

    def setUp(self) -> None:
        self.patch(founding, "DEFAULT_WEIGHT", self.weight)
        self.network: Devnet = start_network(self, 3, SLOT_MS)
        self.clients: list[BlockingClient] = []
        for _ in self.network.nodes:
            self.connect()

    def connect(self) -> BlockingClient:
        """A caller of the next node."""
        client = self.network.nodes[len(self.clients)].client()
        self.clients.append(client)
        self.addCleanup(client.close)
        return client

    def wait_for(self, what: str, look: Callable[[], T | None]) -> T:
        deadline = time.monotonic() + PATIENCE_S
        while (found := look()) is None:
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.1)
        return found

    def quorum(self, client: BlockingClient) -> tuple[int, int]:
        active_set: dict[str, int] = client.call("getconsensusinfo")["avs"]
        return active_set["quorum_weight"], active_set["total_weight"]

    def pay(self, source: BlockingClient, target: BlockingClient) -> None:
        """A payment that must be final."""
        address = target.call("getnewaddress")
        txid = source.call("sendtoaddress", [address, "1"])
        state = source.call("waittransactionfinality", {"txid": txid, "timeout": 60})
        self.assertIs(state["finalized"], True)

    def pay_until(self, what: str, look: Callable[[], T | None], clients: list[int]) -> T:
        """Wait while payments and blocks go on."""
        first = self.clients[clients[0]]
        height = first.call("getblockcount")

        def paying() -> T | None:
            self.pay(first, self.clients[clients[1]])
            return look()

        found = self.wait_for(what, paying)
        self.assertGreater(first.call("getblockcount"), height)
        return found


class DeathTests(MasternodeCase):
    """Of three equal members one dies."""

    skip = unless_long("a minute of three processes")

    def test_200_of_300_becomes_134_of_200_and_comes_back(self) -> None:
        first, second, _ = self.clients
        self.assertEqual(self.quorum(first), (200, 300))
        self.network.kill(2)
        self.pay_until(
            "its leaving",
            lambda: self.quorum(first) == self.quorum(second) == (134, 200) or None,
            [0, 1],
        )
        self.network.launch(2)
        self.pay_until(
            "its return",
            lambda: self.quorum(first) == self.quorum(second) == (200, 300) or None,
            [0, 1],
        )


class StakeTests(MasternodeCase):
    """A fourth node stakes Bronze, and weighs as much as each of the others."""

    skip = unless_long("some minutes of four processes")
    weight = 10

    def test_it_joins_proposes_earns_and_takes_its_stake_back(self) -> None:
        first = self.clients[0]
        node = self.network.add()
        client = self.connect()
        self.assertEqual(client.call("masternodestatus")["status"], "none")
        outpoint = register(self.network.nodes[0], node, "bronze")
        status = self.wait_for("membership", lambda: self.member(client))
        staked = client.call("getrawtransaction", [outpoint.partition(":")[0], True])
        self.assertLessEqual(status["registered_height"] - staked["blockheight"], 3)
        self.assertEqual((status["tier"], status["outpoint"]), ("bronze", outpoint))
        self.assertEqual(self.quorum(first), (quorum_weight(40), 40))
        self.assertEqual(client.call("getbalance", {"verbose": True})["staked"], 1_000)

        def proposed() -> bool | None:
            now = client.call("masternodestatus")
            return (now["blocks_produced"] > 0 and Decimal(now["rewards"]) > 0) or None

        self.pay_until("a block of its own", proposed, [0, 3])
        self.takes_it_back(client, outpoint)

    def member(self, client: BlockingClient) -> dict[str, Any] | None:
        status: dict[str, Any] = client.call("masternodestatus")
        return status if status["in_avs"] else None

    def takes_it_back(self, client: BlockingClient, outpoint: str) -> None:
        answer = client.call("masternodeunstake", [outpoint])
        self.assertEqual(answer["status"], "waiting")
        self.wait_for(
            "its leave", lambda: client.call("masternodestatus")["status"] == "left" or None
        )
        (row,) = client.call("masternodelist", ["left"])["masternodes"]
        state = self.wait_for(
            "the stake",
            lambda: client.call("getbalance", {"verbose": True})["staked"] == 0 or None,
        )
        self.assertIs(state, True)
        archived = self.wait_for(
            "its block",
            lambda: client.call("gettransaction", [answer["txid"]]).get("blockheight"),
        )
        self.assertGreaterEqual(archived, row["left_height"] + STAKE_WAIT_BLOCKS)
        self.assertEqual(self.quorum(client), (20, 30))
        details = client.call("gettransaction", [answer["txid"]])["details"]
        self.assertEqual([each["category"] for each in details], ["unstake"])
        self.pay(client, self.clients[0])
