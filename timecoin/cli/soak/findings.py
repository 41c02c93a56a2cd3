"""What is wrong with a network, found from readings: each finding is one line, told once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from timecoin.cli.soak.reading import Reading
from timecoin.cli.soak.series import slope

MIB = 1 << 20
TIP = "tip"
"""The problem that the newest block is old."""
SLOTS_WITHOUT_BLOCK = 3
"""Fewer slots may pass without a block: now and then a proposer is missing."""
STALL_SLACK_S = 10.0
UNREACHABLE_S = 20.0
BEHIND_BLOCKS = 3
WARM_UP_SHARE = 0.5
"""Growth is judged over the rest of the run: at first every cache fills."""
LEAST_GROWTH_BYTES = 10 * MIB
SHORT_RUN_S = 1_800.0
SHORT_GROWTH_BYTES = 64 * MIB
"""In a shorter run caches and write buffers fill until its end: less growth tells nothing."""
CPU_TIMES = 1.5
CPU_POINTS = 10.0
"""CPU has grown when its last third is both: so many times and so many points above the first."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator takes for wrong."""

    memory_bytes: float = 500e6
    memory_slope_bytes_h: float = 50e6
    final_within_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must not happen; ``kind`` and ``node`` name it once."""

    kind: str
    node: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.node}: {self.text}"


@dataclass(slots=True)
class _Node:
    """What is remembered of one node."""

    first: Reading
    last: Reading
    height_since_s: float
    answered_s: float


@dataclass(slots=True)
class Findings:
    """All findings of a run, in the order in which they were found."""

    limits: Limits
    found: dict[tuple[str, str], Finding] = field(default_factory=dict)
    _nodes: dict[str, _Node] = field(default_factory=dict)
    _hashes: dict[int, tuple[str, str]] = field(default_factory=dict)
    _best: int = 0

    def __len__(self) -> int:
        return len(self.found)

    def add(self, kind: str, node: str, text: str) -> None:
        """Note a finding, unless this kind is known of this node."""
        self.found.setdefault((kind, node), Finding(kind, node, text))

    def take(self, reading: Reading) -> None:
        """Judge one reading by itself and against the node's last one."""
        name, at_s = reading.node, reading.at_s
        known = self._nodes.get(name)
        if known is None:
            self._nodes[name] = _Node(reading, reading, at_s, at_s)
        else:
            if reading.started_s != known.last.started_s:
                self.add("restart", name, f"its process was started again before {at_s:.0f} s")
                known.first = reading
            if reading.height != known.last.height:
                known.height_since_s = at_s
            known.answered_s, known.last = at_s, reading
        self._best = max(self._best, reading.height)
        self._judge(reading, self._nodes[name])

    def _judge(self, reading: Reading, node: _Node) -> None:
        name, at_s = reading.node, reading.at_s
        limit_s = SLOTS_WITHOUT_BLOCK * reading.slot_s + STALL_SLACK_S
        still_s = at_s - node.height_since_s
        if still_s > limit_s:
            self.add("stall", name, f"height {reading.height} for {still_s:.0f} s at {at_s:.0f} s")
        if self._best - reading.height > BEHIND_BLOCKS and still_s > limit_s / 2:
            self.add("behind", name, f"height {reading.height}, another has {self._best}")
        for problem in reading.problems:
            if problem == TIP and not reading.height:
                continue  # a network that begins; a stall if it goes on
            self.add(f"health {problem}", name, f"told at {at_s:.0f} s")
        if reading.log_errors > node.first.log_errors:
            count = reading.log_errors - node.first.log_errors
            self.add("log error", name, f"{count} lines by {at_s:.0f} s")
        if reading.rss_bytes > self.limits.memory_bytes:
            self.add("memory", name, f"{reading.rss_bytes / 1e6:.0f} MB at {at_s:.0f} s")

    def silent(self, node: str, at_s: float, reason: str) -> None:
        """``node`` has not answered."""
        known = self._nodes.get(node)
        since_s = at_s - (0.0 if known is None else known.answered_s)
        if since_s > UNREACHABLE_S:
            self.add("unreachable", node, f"for {since_s:.0f} s at {at_s:.0f} s: {reason}")

    def take_block(self, node: str, height: int, block_hash: str) -> None:
        """``node`` has ``block_hash`` at ``height``."""
        known, witness = self._hashes.setdefault(height, (block_hash, node))
        if known != block_hash:
            self.add("fork", node, f"block {height} is {block_hash}, {witness} has {known}")

    def forget_blocks(self, below: int) -> None:
        """All nodes have told what they have below that height."""
        for height in [height for height in self._hashes if height < below]:
            del self._hashes[height]

    def judge_growth(self, readings: Sequence[Reading]) -> None:
        """Memory and CPU of one node over the whole run."""
        if not readings or any(each.started_s != readings[0].started_s for each in readings):
            return  # a restart is a finding of its own
        name = readings[0].node
        start_s, end_s = readings[0].at_s, readings[-1].at_s
        warm_s = start_s + (end_s - start_s) * WARM_UP_SHARE
        late = [(each.at_s, each.rss_bytes) for each in readings if each.at_s >= warm_s]
        growth_h = memory_slope(readings)
        grown = growth_h / 3600 * (late[-1][0] - late[0][0])
        least = SHORT_GROWTH_BYTES if end_s - start_s < SHORT_RUN_S else LEAST_GROWTH_BYTES
        if growth_h > self.limits.memory_slope_bytes_h and grown > least:
            self.add(
                "memory slope",
                name,
                f"{growth_h / 1e6:.0f} MB an hour, {grown / 1e6:.0f} MB since {warm_s:.0f} s",
            )

    def judge_cpu(self, readings: Sequence[Reading]) -> None:
        """CPU of one node over a time of even load."""
        third = len(readings) // 3
        if third < 2:
            return
        first, last = cpu_percent(readings[: third + 1]), cpu_percent(readings[-third - 1 :])
        if first is None or last is None:
            return
        if last > CPU_TIMES * first and last > first + CPU_POINTS:
            self.add("cpu growth", readings[0].node, f"from {first:.0f} % to {last:.0f} %")


def memory_slope(readings: Sequence[Reading]) -> float:
    """Bytes an hour, over the later part of ``readings``."""
    start_s, end_s = readings[0].at_s, readings[-1].at_s
    warm_s = start_s + (end_s - start_s) * WARM_UP_SHARE
    return 3600 * slope([(each.at_s, each.rss_bytes) for each in readings if each.at_s >= warm_s])


def cpu_percent(readings: Sequence[Reading]) -> float | None:
    """Of one processor, between the first and the last of ``readings``; None for one alone."""
    span_s = readings[-1].at_s - readings[0].at_s if readings else 0.0
    return 100 * (readings[-1].cpu_s - readings[0].cpu_s) / span_s if span_s > 0 else None


def megabits(readings: Sequence[Reading]) -> float | None:
    """Mbit/s to and from peers, between the first and the last of ``readings``."""
    span_s = readings[-1].at_s - readings[0].at_s if readings else 0.0
    if span_s <= 0:
        return None
    return (readings[-1].traffic_bytes - readings[0].traffic_bytes) * 8 / span_s / 1e6
