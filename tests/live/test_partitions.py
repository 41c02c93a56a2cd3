"""Five real nodes on slow lines that are cut under payments: one history, and soon one tip again.

Every node has a network of its own, and only the test carries packets between them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.live.journals import double_signatures, read_node
from tests.live.lines import NODES, WEIGHTS, LinesCase
from tests.live.switch import Direction
from tests.support.long import unless_long
from timecoin.cli.demo.conflict import REJECTED, Purse
from timecoin.client.blocking import RpcCallError
from timecoin.node.keyfiles import load_validator_keys, validator_key_path
from timecoin.quorum.tally import quorum_weight

CUT_S = 60.0
ECHO_S = 3.0
"""After a cut, what was under way arrives; from then on nothing crosses it."""
LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class State:
    """What each node says at one moment."""

    heights: list[int]
    paid: list[int]
    """Payments that it has called final."""


class PartitionTests(LinesCase):
    """One network, cut three times, a coin spent on both sides of every cut."""

    skip = unless_long("four minutes of five processes")

    def setUp(self) -> None:
        super().setUp()
        self.blocks: dict[int, str] = {}
        self.seen = [0] * NODES
        self.final: set[str] = set()
        self.conflicts: list[tuple[str, str]] = []

    def test_one_history(self) -> None:
        self._fund_all()
        self._start_payers()
        self._cut_in_sides("3|2", (0, 1, 2), (3, 4))
        self._cut_in_sides("2|2|1", (0, 3), (1, 4), (2,))
        self._cut_directions("one way", [(0, 1), (0, 2)])
        for payers in self.payers:
            payers.stop()
        for pair in self.conflicts:
            self._wait("a winner everywhere", lambda pair=pair: self._archived(pair))
        self._check_nothing_lost()
        self._look()
        self.assertEqual(self.network.stop(), [])
        self._check_journals()

    def _cut_in_sides(self, name: str, *sides: Sequence[int]) -> None:
        """Only a side with a quorum goes on."""
        spends = self._spends()
        self.switch.part(*sides)
        before, middle, after = self._live(spends, [sides[0][0], sides[1][0]])
        needed = quorum_weight(sum(WEIGHTS))
        for side in sides:
            goes_on = sum(WEIGHTS[number] for number in side) >= needed
            for number in side:
                told = f"{name}: node {number}: {before} {middle} {after}"
                if goes_on:
                    self.assertGreater(middle.heights[number], before.heights[number], told)
                    self.assertGreater(after.heights[number], middle.heights[number], told)
                    self.assertGreater(after.paid[number], middle.paid[number], told)
                else:
                    self.assertEqual(after.heights[number], before.heights[number], told)
                    self.assertEqual(after.paid[number], before.paid[number], told)
        self._heal(name, before, after)

    def _cut_directions(self, name: str, directions: Sequence[Direction]) -> None:
        """The first node is heard through others: all go on, and it stays a member."""
        spends = self._spends()
        self.switch.cut(directions)
        before, middle, after = self._live(spends, [0, 1])
        for number in range(NODES):
            told = f"{name}: node {number}: {before} {middle} {after}"
            self.assertGreater(middle.heights[number], before.heights[number], told)
            self.assertGreater(after.heights[number], middle.heights[number], told)
            self.assertGreater(after.paid[number], middle.paid[number], told)
            self.assertEqual(self._place(number)[1], sum(WEIGHTS), told)
        self._heal(name, before, after)

    def _spends(self) -> list[str]:
        """Two spends of one final coin, as hex."""
        purse = Purse(self.genesis)
        purse.take(self._call(0, "getrawtransaction", [self._pay(purse.address, "1"), True]))
        spends = [purse.spend(self._call(number, "getnewaddress")) for number in (0, 1)]
        first, second = (spend.txid.hex() for spend in spends)
        self.conflicts.append((first, second))
        return [spend.encoded.hex() for spend in spends]

    def _live(self, spends: Sequence[str], receivers: Sequence[int]) -> tuple[State, State, State]:
        """The time of a cut, but for its first moments: what nodes say before and after.

        And in the middle, when those that are cut off have been silent for a while.
        """
        half = time.monotonic() + CUT_S / 2
        end = half + CUT_S / 2
        for spend, receiver in zip(spends, receivers, strict=True):
            try:
                self._call(receiver, "sendrawtransaction", [spend])
            except RpcCallError as error:
                self.assertEqual(error.code, REJECTED, error)  # it has heard of the other
        time.sleep(ECHO_S)
        states = [self._look()]
        for moment in (half, end):
            while time.monotonic() < moment:
                time.sleep(LOOK_S)
                state = self._look()
            states.append(state)
        before, middle, after = states
        return before, middle, after

    def _heal(self, name: str, before: State, after: State) -> None:
        """One tip that is higher than any was, and every member back at work."""
        start = time.monotonic()
        self.switch.heal()
        top = max(after.heights)

        def one_tip() -> bool:
            infos = [self._call(number, "getblockchaininfo") for number in range(NODES)]
            tips = {info["bestblockhash"] for info in infos}
            return len(tips) == 1 and infos[0]["blocks"] > top

        self._wait("one tip", one_tip)
        one_tip_s = time.monotonic() - start
        self._wait_for_payments()
        pay_s = time.monotonic() - start
        self._wait_whole()
        self._look()
        blocks = [b - a for a, b in zip(before.heights, after.heights, strict=True)]
        payments = [b - a for a, b in zip(before.paid, after.paid, strict=True)]
        print(
            f"{name}: blocks of each node {blocks}, payments final {payments}; after healing one "
            f"tip in {one_tip_s:.1f} s, all pay in {pay_s:.1f} s, "
            f"whole in {time.monotonic() - start:.1f} s",
            file=sys.stderr,
        )

    def _look(self) -> State:
        """No node has another block than any node ever had, nor calls both spends final."""
        heights = []
        for number in range(NODES):
            height = self._call(number, "getblockcount")
            for each in range(self.seen[number] + 1, height + 1):
                block = self._call(number, "getblockhash", [each])
                self.assertEqual(self.blocks.setdefault(each, block), block, f"height {each}")
            self.seen[number] = max(height, self.seen[number])
            heights.append(height)
            for txid in (txid for pair in self.conflicts for txid in pair):
                if txid not in self.final and self._finality(number, txid)["finalized"]:
                    self.final.add(txid)
        for pair in self.conflicts:
            self.assertLess(len(self.final.intersection(pair)), 2, pair)
        return State(heights, [len(payers.final) for payers in self.payers])

    def _finality(self, number: int, txid: str) -> dict[str, Any]:
        """Of a transaction that it has never seen, that it is not final."""
        try:
            state: dict[str, Any] = self._call(number, "gettransactionfinality", [txid])
        except RpcCallError:
            return {"finalized": False, "confirmations": 0}
        return state

    def _archived(self, pair: tuple[str, str]) -> bool:
        """Whether one of the two is in a block of every node; never both."""
        in_block = [
            {txid for txid in pair if self._finality(number, txid)["confirmations"]}
            for number in range(NODES)
        ]
        self.assertLess(len(set.union(*in_block)), 2, pair)
        return all(in_block)

    def _check_nothing_lost(self) -> None:
        for number in range(NODES):
            for txid in (txid for payers in self.payers for txid in payers.final):
                self._wait(
                    f"{txid} at node {number}",
                    lambda number=number, txid=txid: bool(
                        self._finality(number, txid)["confirmations"]
                    ),
                )

    def _check_journals(self) -> None:
        nodes = []
        for node in self.network.nodes:
            datadir = Path(node.datadir)
            keys = load_validator_keys(validator_key_path(datadir, node.name))
            nodes.append(read_node(datadir, keys.voting_key.public))
        self.assertGreater(min(len(node.batches) for node in nodes), 2)
        self.assertEqual(double_signatures(nodes, self.genesis), [])
