"""The soak itself: reads every node at even times, compares their blocks, follows payments."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from timecoin.cli.soak.findings import Findings, Limits
from timecoin.cli.soak.payments import Payments, is_kept
from timecoin.cli.soak.reading import Reading, read_node
from timecoin.cli.soak.target import Target
from timecoin.client.blocking import BlockingClient, RpcCallError, RpcUnreachable

BLOCKS_A_TURN = 100
"""Blocks compared at a time: a network that is far ahead is caught up with turn by turn."""
ARCHIVE_SLOTS = 6
"""After the last payment, so many slots may pass until all are in a block."""
ARCHIVE_POLL_S = 1.0
MAX_LOG_LINES = 5
LOG_TAIL_BYTES = 4 << 20
MARKS = (" error ", " critical ", "<3>", "<2>", '"level": "error"', '"level": "critical"')

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how often, and what is done meanwhile; seconds."""

    duration_s: float
    interval_s: float
    idle_s: float
    """At the beginning nothing is paid: what the nodes need when nobody uses them."""
    payments_per_s: float
    """0: only watch."""
    limits: Limits


@dataclass(slots=True)
class Record:
    """Everything that was measured."""

    readings: dict[str, list[Reading]]
    findings: Findings
    calls_ms: list[float] = field(default_factory=list)
    """How long the JSON-RPC calls of this program took."""
    payments: Payments | None = None
    paying_from_s: float = 0.0
    paying_until_s: float = 0.0
    first_height: int = 0
    blocks: int = 0
    """Blocks that all nodes have and that were compared."""


class Soak:
    """One run over ``targets``; payments go through the first of them."""

    def __init__(
        self,
        targets: Sequence[Target],
        plan: Plan,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._targets = list(targets)
        self._plan = plan
        self._progress = progress
        self._monotonic = clock
        self._pause = pause
        self._began_s = clock()
        self._clients = {target.name: target.client() for target in targets}
        self._compared: int | None = None
        readings: dict[str, list[Reading]] = {target.name: [] for target in targets}
        self.record = Record(readings, Findings(plan.limits))

    def run(self) -> Record:
        """Watch until the time is over or an interrupt; then judge the whole of it."""
        record, plan = self.record, self._plan
        told_s = 0.0
        try:
            while self._now_s() < plan.duration_s:
                turn_s = self._now_s()
                if plan.payments_per_s and record.payments is None and turn_s >= plan.idle_s:
                    self._begin_payments()
                self._turn()
                if turn_s - told_s >= max(60.0, plan.interval_s):
                    told_s = turn_s
                    self._progress(self._state())
                self._pause(max(0.0, turn_s + plan.interval_s - self._now_s()))
        except KeyboardInterrupt:
            self._progress("interrupted: what was measured so far is judged")
        self._end_payments()
        self._judge()
        for client in self._clients.values():
            client.close()
        return record

    def _now_s(self) -> float:
        return self._monotonic() - self._began_s

    def _turn(self) -> None:
        answered = []
        for target in self._targets:
            client = self._clients[target.name]
            try:
                reading = read_node(client, target.name, self._now_s())
            except RpcUnreachable as error:
                self.record.findings.silent(target.name, self._now_s(), str(error))
                continue
            self.record.readings[target.name].append(reading)
            self.record.findings.take(reading)
            answered.append(reading)
        if len(answered) == len(self._targets):
            self._compare_blocks(min(reading.height for reading in answered))

    def _compare_blocks(self, common: int) -> None:
        """Ask every node for the blocks that all of them have by now."""
        if self._compared is None:
            self.record.first_height = common
            self._compared = common - 1 if common else 0
        last = min(common, self._compared + BLOCKS_A_TURN)
        for height in range(self._compared + 1, last + 1):
            for target in self._targets:
                block_hash = self._call(target, "getblockhash", [height])
                if block_hash is None:
                    return
                self.record.findings.take_block(target.name, height, str(block_hash))
            if self.record.payments is not None:
                block = self._call(self._targets[0], "getblock", [height, 1])
                if block is None:
                    return
                self.record.payments.archived(block["tx"])
            self._compared = height
            self.record.blocks += 1
        self.record.findings.forget_blocks(self._compared)

    def _call(self, target: Target, method: str, params: list[object]) -> Any:
        """The result; None if there was none."""
        began = self._monotonic()
        try:
            result = self._clients[target.name].call(method, params)
        except (RpcUnreachable, RpcCallError) as error:
            self.record.findings.silent(target.name, self._now_s(), str(error))
            return None
        self.record.calls_ms.append((self._monotonic() - began) * 1000)
        return result

    def _state(self) -> str:
        heights = [each[-1].height if each else 0 for each in self.record.readings.values()]
        paid = self.record.payments
        final = "" if paid is None else f", {len(paid.latencies)} of {paid.begun} payments final"
        return (
            f"{self._now_s() / 60:.1f} min: height {min(heights)} to {max(heights)}{final}, "
            f"{len(self.record.findings)} findings"
        )

    # payments

    def _begin_payments(self) -> None:
        """Pay from the first node's wallet into the last one's."""
        payer, payee = self._targets[0], self._targets[-1]
        address = self._call(payee, "getnewaddress", [])
        if address is None:
            return
        plan = self._plan
        self.record.payments = Payments(
            payer, str(address), plan.payments_per_s, plan.limits.final_within_s, self._now_s
        )
        self.record.paying_from_s = self._now_s()
        self.record.payments.start()

    def _end_payments(self) -> None:
        payments = self.record.payments
        if payments is None:
            return
        self.record.paying_until_s = self._now_s()
        payments.stop()
        first = self.record.readings[self._targets[0].name]
        slot_s = first[-1].slot_s if first else 1.0
        deadline_s = self._now_s() + ARCHIVE_SLOTS * slot_s
        while payments.final and self._now_s() < deadline_s:
            self._turn()
            self._pause(ARCHIVE_POLL_S)
        self._judge_payments(payments)

    def _judge_payments(self, payments: Payments) -> None:
        findings, payer = self.record.findings, self._targets[0].name
        if payments.refused:
            text = f"{payments.refused} payments, first: {payments.errors[0]}"
            findings.add("payment refused", payer, text)
        if payments.late:
            limit_s = self._plan.limits.final_within_s
            text = f"{len(payments.late)} not final within {limit_s:.0f} s, {payments.late[0]}"
            findings.add("payment not final", payer, text)
        left = list(payments.final)
        for target in self._targets:
            client = self._clients[target.name]
            lost = [txid for txid in left if not self._is_kept(client, target, txid)]
            if lost:
                text = f"{len(lost)} final payments are gone, {lost[0]}"
                findings.add("lost payment", target.name, text)
        if left:
            text = f"{len(left)} final payments in no block, {left[0]}"
            findings.add("payment not archived", payer, text)

    def _is_kept(self, client: BlockingClient, target: Target, txid: str) -> bool:
        try:
            return is_kept(client, txid)
        except RpcUnreachable as error:
            self.record.findings.silent(target.name, self._now_s(), str(error))
            return True  # nobody can tell: being away is the finding

    # at the end

    def _judge(self) -> None:
        record = self.record
        for target in self._targets:
            readings = record.readings[target.name]
            record.findings.judge_growth(readings)
            even = [each for each in readings if self._is_even(each.at_s)]
            record.findings.judge_cpu(even)
            if ("log error", target.name) in record.findings.found:
                self._quote_log(target)

    def _is_even(self, at_s: float) -> bool:
        """Whether the load at that time is that of the longer part of the run."""
        record = self.record
        if record.payments is None:
            return True
        return record.paying_from_s <= at_s <= record.paying_until_s

    def _quote_log(self, target: Target) -> None:
        """Show what the log of a node on this machine says."""
        if target.log_path is None or not target.log_path.is_file():
            return
        with target.log_path.open("rb") as log:
            log.seek(max(0, target.log_path.stat().st_size - LOG_TAIL_BYTES))
            lines = log.read(LOG_TAIL_BYTES).decode("utf-8", "replace").splitlines()
        bad = [line for line in lines if any(mark in line for mark in MARKS)]
        for number, line in enumerate(bad[:MAX_LOG_LINES]):
            self.record.findings.add(f"log line {number + 1}", target.name, line)
