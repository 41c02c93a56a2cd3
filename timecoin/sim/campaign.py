"""Runs of a plan: faults and payments, then healing, then everything has to come right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from timecoin.ledger.transaction import Outpoint, Transaction
from timecoin.sim.broken import InvariantBroken
from timecoin.sim.corruption import corrupt
from timecoin.sim.faults import Faults
from timecoin.sim.invariants import Invariants
from timecoin.sim.profiles import Plan
from timecoin.sim.run import percentiles
from timecoin.sim.world import SimNode, World

HEALED_SLOTS = 30
"""Slots after the last fault within which the honest nodes have to agree on everything."""
MINUTE_MS = 60_000
MIN_NEW_BLOCKS = 3
"""Blocks that a healed network has to make, to show that it goes on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of a plan came to."""

    seed: int
    broken: str | None
    """The promise that was broken; None when all held."""
    height: int = 0
    """Of the honest nodes, the highest; none is lower by more than a block under way."""
    final: int = 0
    latency_ms: tuple[int, int, int] = (0, 0, 0)
    """p50, p95, p99 of payments that became final where they were submitted; faults included."""
    healed_slots: int = 0
    """Slots from the last fault until everything had come right."""
    digest: str = ""


def run_plan(
    plan: Plan,
    write_trace: Callable[[str], None] | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> Outcome:
    """Run ``plan`` once. A broken promise is in the outcome; a node that raises is one too.

    ``progress`` hears of (virtual second, height, final payments) each virtual minute.
    """
    run = _Run(plan, write_trace, progress)
    try:
        slots = run.run()
    except InvariantBroken as error:
        return Outcome(plan.seed, str(error))
    world = run.world
    return Outcome(
        seed=plan.seed,
        broken=None,
        height=max(node.running.chain.tip_height for node in run.honest),
        final=len(world.final_txids()),
        latency_ms=percentiles(world.latencies_ms()),
        healed_slots=slots,
        digest=world.trace.digest(),
    )


def shrink(plan: Plan, progress: Callable[[int, int], None]) -> Plan:
    """``plan`` with as few faults as still break a promise: delta debugging over its faults.

    ``progress`` hears of (faults left, runs so far). ``ValueError`` if ``plan`` breaks none.
    """
    if run_plan(plan).broken is None:
        raise ValueError("nothing is broken")
    kept, runs, step = list(range(len(plan.faults))), 1, max(1, len(plan.faults) // 2)
    while kept:
        for start in range(0, len(kept), step):
            fewer = kept[:start] + kept[start + step :]
            runs += 1
            dropped = tuple(i for i in range(len(plan.faults)) if i not in set(fewer))
            if run_plan(plan.without(dropped)).broken is not None:
                kept = fewer
                progress(len(kept), runs)
                break
        else:
            if step == 1:
                break
            step = max(1, step // 2)
    return plan.without(tuple(i for i in range(len(plan.faults)) if i not in set(kept)))


class _Run:
    """One world on its way through a plan."""

    def __init__(
        self,
        plan: Plan,
        write_trace: Callable[[str], None] | None,
        progress: Callable[[int, int, int], None] | None,
    ) -> None:
        self._plan = plan
        self._progress = progress
        self.world = World(plan.seed, plan.settings, write_trace)
        faulty = plan.faulty
        self.honest = [node for node in self.world.nodes if node.number not in faulty]
        keys = frozenset(self.world.nodes[number].voting_key.public for number in faulty)
        self._invariants = Invariants(self.world, keys)
        self._faults = Faults(self.world)
        self._rng = self.world.rng("payments")

    def run(self) -> int:
        """All of it; the number of slots that healing took."""
        world, plan = self.world, self._plan
        for number, names in plan.behaviours:
            corrupt(world, world.nodes[number], *names)
        world.start()
        self._faults.schedule(plan.faults)
        end_ms = world.now_ms() + plan.minutes * MINUTE_MS
        for _ in range(plan.payments):
            moment_ms = world.now_ms() + self._rng.randrange(plan.minutes * MINUTE_MS)
            world.clock.callLater((moment_ms - world.now_ms()) / 1000, self._pay)
        last_ms = max((fault.at_ms + fault.for_ms for fault in plan.faults), default=0)
        start_ms = world.now_ms()
        left_ms = max(end_ms - start_ms, last_ms)
        while left_ms > 0:
            self._advance(min(left_ms, MINUTE_MS))
            left_ms -= MINUTE_MS
            self._report((world.now_ms() - start_ms) // 1000)
        return self._heal()

    def _report(self, second: int) -> None:
        if self._progress is not None:
            heights = [node.node.chain.tip_height for node in self.honest if node.node is not None]
            self._progress(second, max(heights, default=0), len(self.world.final_txids()))

    def _advance(self, ms: int) -> None:
        try:
            self.world.run(ms / 1000)
        except InvariantBroken:
            raise
        except Exception as error:
            raise InvariantBroken(f"a node raised {type(error).__name__}: {error}") from error

    def _pay(self) -> None:
        up = [node.number for node in self.honest if node.node is not None]
        if not up:
            return
        if self._rng.randrange(100) < self._plan.double_spends:
            for half, tx in enumerate(self.world.users.double_spend() or ()):
                targets = [number for number in up if number % 2 == half] or up
                for number in targets:
                    self._submit(number, tx)
        else:
            payment = self.world.users.payment()
            if payment is not None:
                self._submit(self._rng.choice(up), payment)

    def _submit(self, number: int, tx: Transaction) -> None:
        """As a user would: a node without room on its disk refuses, and is tried again later."""
        node = self.world.nodes[number]
        if not node.engine.full and node.node is not None and not node.node.driver.stopped:
            self.world.submit(number, tx)

    # after the faults

    def _heal(self) -> int:
        """Faulty nodes fall silent; users try again what is not final; slots until all is well."""
        world = self.world
        for number in self._plan.faulty:
            if world.nodes[number].node is not None:
                world.nodes[number].kill()
        start_height = max(node.running.chain.tip_height for node in self.honest)
        reason = ""
        for slot in range(HEALED_SLOTS):
            self._advance(world.settings.slot_ms)
            self._resubmit()
            reason = self._unsettled(start_height + MIN_NEW_BLOCKS)
            if not reason:
                self._invariants.check_end()
                return slot + 1
        raise InvariantBroken(f"liveness: {HEALED_SLOTS} slots after the last fault {reason}")

    def _resubmit(self) -> None:
        final = dict.fromkeys(self.world.final_txids())
        spent = {point for txid in final for point in self.world.submitted[txid].outpoints}
        for txid, tx in list(self.world.submitted.items()):
            if txid not in final and not any(point in spent for point in tx.outpoints):
                self._submit(self._rng.choice(self.honest).number, tx)

    def _unsettled(self, height: int) -> str:
        """What has not come right yet; "" when everything has."""
        down = [node.number for node in self.honest if node.node is None]
        if down:
            return f"nodes {down} are down"
        lowest = min(node.running.chain.tip_height for node in self.honest)
        if lowest < height:
            return f"height {lowest} of a node is below {height}"
        final = dict.fromkeys(self.world.final_txids())
        decided: dict[Outpoint, bytes] = {}
        for txid in final:
            decided.update(dict.fromkeys(self.world.submitted[txid].outpoints, txid))
        for txid, tx in self.world.submitted.items():
            if not any(point in decided for point in tx.outpoints):
                return f"nothing decides about {txid.hex()}"
        return next((text for node in self.honest if (text := self._behind(node, final))), "")

    @staticmethod
    def _behind(node: SimNode, final: dict[bytes, None]) -> str:
        for txid in final:
            found = node.running.finality.status(txid)
            if found is None or not found.status.finalized:
                return f"node {node.number} does not call {txid.hex()} final"
        return ""
