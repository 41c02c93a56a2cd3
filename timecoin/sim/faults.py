"""What goes wrong in a simulated run, as data: so that it can be printed, cut down and run again.

Times are virtual milliseconds after the start of the run. A fault that begins while another holds
the same node or link only adds to it; what was broken works again when the last one has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from timecoin.sim.world import SimNode, World


@dataclass(frozen=True, slots=True)
class Crash:
    """A process ends at once; of the batches not synced the disk keeps the first ``keep``."""

    at_ms: int
    for_ms: int
    node: int
    keep: int


@dataclass(frozen=True, slots=True)
class Partition:
    """No link between nodes of different groups."""

    at_ms: int
    for_ms: int
    groups: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class OneWay:
    """What ``sender`` sends to ``receiver`` arrives only when the fault is over."""

    at_ms: int
    for_ms: int
    sender: int
    receiver: int


@dataclass(frozen=True, slots=True)
class SlowLinks:
    """All links have ``factor`` times their latency, and drop more."""

    at_ms: int
    for_ms: int
    factor: int


@dataclass(frozen=True, slots=True)
class ClockSkew:
    """A node restarts with its clock ``skew_ms`` ahead, and once more with the right time."""

    at_ms: int
    for_ms: int
    node: int
    skew_ms: int


@dataclass(frozen=True, slots=True)
class FullDisk:
    """A node's disk takes no write: the node has to end, and starts when there is room again."""

    at_ms: int
    for_ms: int
    node: int


Fault = Crash | Partition | OneWay | SlowLinks | ClockSkew | FullDisk


class Faults:
    """Lets faults happen in ``world``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._down: Counter[int] = Counter()
        self._cut: Counter[tuple[int, int]] = Counter()
        self._factors: list[int] = []
        world.on_disk_full(self._ended_by_full_disk)

    def schedule(self, faults: Sequence[Fault]) -> None:
        """Begin and end each of ``faults`` at its time from now on."""
        clock = self._world.clock
        for fault in faults:
            clock.callLater(fault.at_ms / 1000, self._begin, fault)
            clock.callLater((fault.at_ms + fault.for_ms) / 1000, self._end, fault)

    def _begin(self, fault: Fault) -> None:
        world = self._world
        world.trace.remark(world.clock.seconds(), repr(fault))
        match fault:
            case Crash(node=number, keep=keep):
                self._take_down(world.nodes[number], keep)
            case Partition(groups=groups):
                for pair in self._across(groups):
                    self._cut[pair] += 1
                    world.network.cut(*self._ids(pair))
            case OneWay(sender=sender, receiver=receiver):
                until = world.clock.seconds() + fault.for_ms / 1000
                world.network.hold(*self._ids((sender, receiver)), until)
            case SlowLinks(factor=factor):
                self._factors.append(factor)
                self._set_quality()
            case ClockSkew(node=number, skew_ms=skew_ms):
                self._restart(world.nodes[number], skew_ms)
            case FullDisk(node=number):
                world.nodes[number].engine.full = True

    def _end(self, fault: Fault) -> None:
        world = self._world
        match fault:
            case Crash(node=number):
                self._bring_up(world.nodes[number])
            case Partition(groups=groups):
                for pair in self._across(groups):
                    self._cut[pair] -= 1
                    if not self._cut[pair]:
                        world.network.heal(*self._ids(pair))
            case OneWay():
                pass  # it was told how long
            case SlowLinks(factor=factor):
                self._factors.remove(factor)
                self._set_quality()
            case ClockSkew(node=number):
                self._restart(world.nodes[number], 0)
            case FullDisk(node=number):
                node = world.nodes[number]
                node.engine.full = False
                if node.node is None and not self._down[number]:
                    node.start()

    def _take_down(self, node: SimNode, keep: int) -> None:
        self._down[node.number] += 1
        if node.node is not None:
            node.kill(keep)

    def _bring_up(self, node: SimNode) -> None:
        self._down[node.number] -= 1
        if not self._down[node.number] and node.node is None and not node.engine.full:
            node.start()

    def _restart(self, node: SimNode, skew_ms: int) -> None:
        node.skew_ms = skew_ms
        if node.node is not None:
            node.kill()
            node.start()

    def _ended_by_full_disk(self, node: SimNode) -> None:
        """Its process ends; what it had not written is lost."""
        if node.node is not None:
            node.kill()
            if not node.engine.full:
                node.start()

    def _set_quality(self) -> None:
        quality = self._world.settings.quality
        for factor in self._factors:
            quality = replace(
                quality,
                latency_ms=quality.latency_ms * factor,
                jitter_ms=quality.jitter_ms * factor,
                loss_per_mille=min(500, quality.loss_per_mille * factor + 10 * factor),
            )
        self._world.network.quality = quality

    @staticmethod
    def _across(groups: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
        return [
            (min(here, there), max(here, there))
            for index, group in enumerate(groups)
            for other in groups[index + 1 :]
            for here in group
            for there in other
        ]

    def _ids(self, pair: tuple[int, int]) -> tuple[bytes, bytes]:
        nodes = self._world.nodes
        return nodes[pair[0]].node_id, nodes[pair[1]].node_id
