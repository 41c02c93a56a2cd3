"""Carries the packets of namespaces to each other: late, and not where a direction is cut."""

from __future__ import annotations

import heapq
import os
import random
import select
import threading
import time
from collections.abc import Iterable, Sequence
from itertools import count

from tests.live.namespaces import Namespace

DELAY_MS, JITTER_MS = 50, 20
"""One way."""
MAX_PACKET_BYTES = 65_536
SUBNET = "10.77.0"
_TARGET = slice(16, 20)
"""Of an IPv4 packet: where it goes."""

Direction = tuple[int, int]
"""Sender and receiver, by the order of the ports."""


def address_of(port: int) -> str:
    """The IPv4 address at the port of that number, from 0."""
    return f"{SUBNET}.{port + 1}"


class Switch:
    """One thread. Packets between two ports keep their order, as on a line with a queue."""

    def __init__(self, ports: Sequence[Namespace], chance: random.Random) -> None:
        self._links = [port.link for port in ports]
        self._chance = chance
        self._targets = {
            bytes(map(int, address_of(number).split("."))): number for number in range(len(ports))
        }
        self._cut: frozenset[Direction] = frozenset()
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._last: dict[Direction, float] = {}
        self._numbers = count()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.carried = 0
        self.dropped = 0

    def start(self) -> None:
        """Begin to carry."""
        self._thread.start()

    def stop(self) -> None:
        """Carry nothing more; returns when the thread has ended."""
        self._stopped.set()
        self._thread.join()

    def cut(self, directions: Iterable[Direction]) -> None:
        """Let nothing pass in these directions, and everything in all others."""
        self._cut = frozenset(directions)

    def part(self, *sides: Sequence[int]) -> None:
        """Let packets pass only between ports of one side."""
        side_of = {port: number for number, side in enumerate(sides) for port in side}
        ports = range(len(self._links))
        self.cut((a, b) for a in ports for b in ports if side_of[a] != side_of[b])

    def heal(self) -> None:
        """Let everything pass."""
        self.cut(())

    def _run(self) -> None:
        while not self._stopped.is_set():
            wait_s = 0.05
            if self._waiting:
                wait_s = min(wait_s, max(0.0, self._waiting[0][0] - time.monotonic()))
            readable, _, _ = select.select(self._links, (), (), wait_s)
            for link in readable:
                self._take(link)
            self._deliver()

    def _take(self, link: int) -> None:
        packet = os.read(link, MAX_PACKET_BYTES)
        target = self._targets.get(packet[_TARGET]) if packet[0] >> 4 == 4 else None
        if target is None:
            return  # IPv6 looks for its neighbours
        direction = self._links.index(link), target
        if direction in self._cut:
            self.dropped += 1
            return
        delay_ms = DELAY_MS + self._chance.uniform(-JITTER_MS, JITTER_MS)
        due = max(time.monotonic() + delay_ms / 1000, self._last.get(direction, 0.0))
        self._last[direction] = due
        heapq.heappush(self._waiting, (due, next(self._numbers), target, packet))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, target, packet = heapq.heappop(self._waiting)
            os.write(self._links[target], packet)
            self.carried += 1
