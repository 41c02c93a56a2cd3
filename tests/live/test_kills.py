"""Nodes are killed at random moments under payments: nothing final is lost, nobody signs twice.

``make test`` kills six times, ``make check-long`` fifty. A run is repeated, as far as that goes
with real processes, by the seed that it prints: TIMECOIN_KILL_SEED=....
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.live.journals import double_signatures, read_node
from tests.live.network import start_network
from tests.live.payers import Payers
from tests.support.long import unless_long
from timecoin.cli.demo.conflict import Purse, send_at_once
from timecoin.cli.devnet.network import Devnet
from timecoin.client.blocking import RpcCallError
from timecoin.node.config import GENESIS_NAME
from timecoin.node.genesisfile import read_genesis
from timecoin.node.keyfiles import load_validator_keys, validator_key_path
from timecoin.rpc.errors import WARMING_UP

SEED_VARIABLE = "TIMECOIN_KILL_SEED"
NODES = 3
SLOT_MS = 2_000
SETTLE_S = 120.0
"""How long nodes may take to agree after the last kill; reached only when something is wrong."""
POLL_S = 0.2
DOUBLE_SPEND_EVERY = 3
"""With every so many kills comes a double spend."""


class KillCase(SynchronousTestCase):
    """Kills nodes of a network and looks at what is left."""

    def kill_and_check(self, kills: int) -> None:
        """The whole test, for so many kills."""
        seed = os.environ.get(SEED_VARIABLE) or random.SystemRandom().randbytes(8).hex()
        print(f"{SEED_VARIABLE}={seed}", file=sys.stderr)
        chance = random.Random(seed)
        network = start_network(self, NODES, SLOT_MS)
        self.network = network
        self.genesis = read_genesis(network.directory / GENESIS_NAME).genesis
        self._fund_all()
        conflicts: list[tuple[str, str]] = []
        payers = Payers(network.nodes, self._call(1, "getnewaddress"), "0.01")
        payers.start()
        try:
            for number in range(kills):
                time.sleep(chance.uniform(0, 2.5))
                if number % DOUBLE_SPEND_EVERY == 0:
                    conflicts.append(self._spend_twice())
                self._kill_one(chance)
        finally:
            payers.stop()
        network.wait_ready()
        self.assertGreater(len(payers.final), kills, payers.refusals[-5:])
        self._check_one_state()
        self._check_nothing_lost(payers.final)
        self._check_one_side_won(conflicts)
        self._check_one_state()
        self.assertEqual(network.stop(), [])
        self._check_journals(network)

    def _kill_one(self, chance: random.Random) -> None:
        victim = chance.randrange(NODES)
        self.network.kill(victim)
        time.sleep(chance.choice((0, 0, chance.uniform(0, 3))))
        self.network.launch(victim)
        if chance.random() < 0.8:  # else the next kill may meet it while it starts or catches up
            self.network.wait_ready()

    def _spend_twice(self) -> tuple[str, str]:
        """Conflicting spends at two nodes at once, just before one of the three is killed."""
        self.network.wait_ready()
        purse = Purse(self.genesis)
        txid = self._call(0, "sendtoaddress", [purse.address, "1"])
        for index in range(NODES):
            self._call(index, "waittransactionfinality", [txid, 60])
        purse.take(self._call(0, "getrawtransaction", [txid, True]))
        first, second = (purse.spend(self._call(index, "getnewaddress")) for index in (0, 1))
        sent = send_at_once(self.network.nodes[:2], [first, second])
        self.assertEqual(sent.failures, [])
        return first.txid.hex(), second.txid.hex()

    def _fund_all(self) -> None:
        for index in range(1, NODES):
            for _ in range(3):
                address = self._call(index, "getnewaddress")
                txid = self._call(0, "sendtoaddress", [address, "100"])
                self._call(0, "waittransactionfinality", [txid])

    def _call(self, index: int, method: str, params: list[object] | None = None) -> Any:
        """What a node says, once it is not a block behind: on a busy machine any may be."""
        client = self.network.nodes[index].client()
        deadline = time.monotonic() + SETTLE_S
        try:
            while True:
                try:
                    return client.call(method, params or [])
                except RpcCallError as error:
                    if error.code != WARMING_UP or time.monotonic() > deadline:
                        raise
                time.sleep(POLL_S)
        finally:
            client.close()

    def _check_one_state(self) -> None:
        """All nodes reach one tip, with one UTXO set that sums up to the supply."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            infos = [self._call(index, "gettxoutsetinfo") for index in range(NODES)]
            if len({info["height"] for info in infos}) == 1:
                break
            self.assertLess(time.monotonic(), deadline, f"heights differ for long: {infos}")
            time.sleep(POLL_S)
        self.assertEqual(len({info["bestblock"] for info in infos}), 1, infos)
        self.assertEqual(len({info["utxo_root"] for info in infos}), 1, infos)
        self.assertEqual([info["matches_supply"] for info in infos], [True] * NODES)

    def _check_nothing_lost(self, txids: list[str]) -> None:
        """What any node has called final is in a block of every node, soon."""
        deadline = time.monotonic() + SETTLE_S
        for index in range(NODES):
            for txid in txids:
                while not self._confirmations(index, txid):
                    self.assertLess(time.monotonic(), deadline, f"{txid} is lost at node {index}")
                    time.sleep(POLL_S)

    def _check_one_side_won(self, conflicts: list[tuple[str, str]]) -> None:
        """Of two conflicting spends one is archived at every node, the other at none."""
        deadline = time.monotonic() + SETTLE_S
        for pair in conflicts:
            for index in range(NODES):
                while not any(self._confirmations(index, txid) for txid in pair):
                    self.assertLess(time.monotonic(), deadline, f"neither of {pair} has won")
                    time.sleep(POLL_S)
            archived = {
                txid for txid in pair for index in range(NODES) if self._confirmations(index, txid)
            }
            self.assertEqual(len(archived), 1, pair)

    def _confirmations(self, index: int, txid: str) -> int:
        try:
            return int(self._call(index, "gettransactionfinality", [txid])["confirmations"])
        except RpcCallError:
            return 0

    def _check_journals(self, network: Devnet) -> None:
        nodes = []
        for node in network.nodes:
            datadir = Path(node.datadir)
            keys = load_validator_keys(validator_key_path(datadir, node.name))
            nodes.append(read_node(datadir, keys.voting_key.public))
        self.assertGreater(min(len(node.quorums) for node in nodes), 2)
        self.assertGreater(min(len(node.batches) for node in nodes), 2)
        self.assertEqual(double_signatures(nodes, self.genesis), [])


class SixKillsTests(KillCase):
    """Part of every run."""

    def test_six_kills(self) -> None:
        self.kill_and_check(6)


class FiftyKillsTests(KillCase):
    """Part of ``make check-long``."""

    skip = unless_long("fifty kills of three nodes")

    def test_fifty_kills(self) -> None:
        self.kill_and_check(50)
