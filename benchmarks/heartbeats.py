"""What heartbeats cost a node at 10, 100 and 1,000 masternodes: messages and bytes.

Real masternode machines on virtual time, each linked with at most so many others in a random graph;
frames are counted as they leave. With many masternodes only some send heartbeats, all the others
witness and pass on; the figures are scaled to all, since each heartbeat travels by itself (fewer of
them share a message then, so messages are counted too high, never too low). Prints a table, with
how the bytes of a node have grown for so many times the masternodes; asserts nothing
(``tests.masternodes.test_circulation`` does).

    .venv/bin/python benchmarks/heartbeats.py [--sizes 10 100 1000] [--links 16] [--senders 20]
"""

from __future__ import annotations

import argparse
import functools
import heapq
import time
from collections.abc import Callable
from random import Random

from timecoin.codec import encode
from timecoin.crypto.keys import SigningKey, VerifiedCache
from timecoin.machine import LinkUp, Received, Send, Start, StartTimer, TimerFired
from timecoin.masternodes.active_set import ActiveSet, Member, Tier
from timecoin.masternodes.changes import Join, Leave
from timecoin.masternodes.heartbeat import witnesses
from timecoin.masternodes.machine import BEAT, Masternodes
from timecoin.masternodes.own import OwnMasternode
from timecoin.params import HEARTBEAT_TIMING, Network
from timecoin.quorum.tally import has_quorum
from timecoin.sim.topology import random_regular

CHAIN_ID = b"\x03\0\0\0" + bytes(8)
TIMING = HEARTBEAT_TIMING[Network.MAINNET]
LATENCY_MS = 50
FRAME_BYTES = 6
"""Length, kind and flags before each payload."""
INTERVALS = 2


class StillChain:
    """A chain on which nothing happens; all members are there from the start."""

    tip_height = 0
    tip_hash = bytes(32)

    def __init__(self, members: ActiveSet) -> None:
        self._members = members

    def active_set(self, height: int) -> ActiveSet | None:
        return self._members if height == 0 else None

    def block_hash(self, height: int) -> bytes | None:
        return bytes(32)

    def may_join(self, join: Join) -> bool:
        return False

    def may_leave(self, leave: Leave) -> bool:
        return False

    def stakes_of(self, pubkey: bytes) -> tuple[bytes, ...]:
        return ()


class NoRows:
    """A history that begins empty."""

    def get(self, key: bytes) -> bytes | None:
        return None

    def keys_below(self, key: bytes, limit: int) -> tuple[bytes, ...]:
        return ()


class Swarm:
    """Masternode machines on virtual time."""

    def __init__(self, size: int, links: int, senders: int, seed: int) -> None:
        self.keys = [SigningKey(number.to_bytes(32, "big")) for number in range(1, size + 1)]
        members = [
            Member(key.public, bytes(32), 100, Tier.GENESIS, bytes(20), 0, 2**32)
            for key in self.keys
        ]
        chain = StillChain(ActiveSet(tuple(sorted(members, key=lambda member: member.pubkey))))
        # All check the same signatures and draw the same witnesses; only the traffic is measured.
        verify = VerifiedCache(bytes(32), 1_000_000).check
        draw = functools.lru_cache(maxsize=4_096)(
            lambda hash_, pubkey: witnesses(hash_, pubkey, chain.active_set(0) or ActiveSet(()))
        )
        rng = Random(seed)
        self.now_ms = 1_800_000_000_000
        self.messages = [0] * size
        self.bytes = [0] * size
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._timers: list[dict[object, int]] = [{} for _ in self.keys]
        self._number_of = {key.public: number for number, key in enumerate(self.keys)}
        sending = dict.fromkeys(rng.sample(range(size), min(size, senders)))
        self.senders = len(sending)
        self.machines = [
            Masternodes(
                CHAIN_ID,
                TIMING,
                chain,
                OwnMasternode(key, bytes(32), CHAIN_ID, chain, joins_by_itself=False),
                NoRows(),
                tuple,
                has_quorum,
                Random(f"{seed}/{number}"),
                verify,
                lambda hash_, pubkey, snapshot: draw(hash_, pubkey),
            )
            for number, key in enumerate(self.keys)
        ]
        degree = min(size - 1, links)
        for one, other in random_regular(size, degree, rng):
            for here, there in ((one, other), (other, one)):
                public = self.keys[there].public
                self.at(0, functools.partial(self.deliver, here, LinkUp(public, public)))
        self._silent = dict.fromkeys(range(size))
        for number in sending:
            del self._silent[number]
        for number in range(size):
            delay_ms = rng.randrange(TIMING.interval_ms)
            self.at(delay_ms, functools.partial(self.deliver, number, Start()))

    def at(self, delay_ms: int, call: Callable[[], None]) -> None:
        """Call in so many virtual milliseconds."""
        self._order += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._order, call))

    def run(self, ms: int) -> None:
        """Let virtual time pass."""
        end = self.now_ms + ms
        while self._queue and self._queue[0][0] <= end:
            self.now_ms, _, call = heapq.heappop(self._queue)
            call()
        self.now_ms = end

    def deliver(self, number: int, event: object) -> None:
        """Let a machine handle ``event``."""
        for effect in self.machines[number].handle(event, self.now_ms):
            if isinstance(effect, Send):
                self.messages[number] += 1
                self.bytes[number] += len(encode(effect.message)) + FRAME_BYTES
                heard = Received(self.keys[number].public, effect.message)
                to = self._number_of[effect.peer]
                self.at(LATENCY_MS, functools.partial(self.deliver, to, heard))
            elif isinstance(effect, StartTimer):
                self._start_timer(number, effect)

    def live(self) -> int:
        """How many (node, sender) pairs know the sender to be live."""
        return sum(
            machine.book.is_live(key.public, self.now_ms)
            for machine in self.machines
            for key in self.keys
        )

    def _start_timer(self, number: int, timer: StartTimer) -> None:
        if timer.name == BEAT and number in self._silent:
            return
        due = self._timers[number][timer.name] = self.now_ms + timer.delay_ms

        def fire() -> None:
            if self._timers[number].get(timer.name) == due:
                self.deliver(number, TimerFired(timer.name))

        self.at(timer.delay_ms, fire)


def main() -> None:
    """Run each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1_000])
    parser.add_argument("--links", type=int, default=16, help="of each node")
    parser.add_argument("--senders", type=int, default=20, help="masternodes that send heartbeats")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"links per node: {options.links}; one heartbeat every {TIMING.interval_ms // 1_000} s")
    print("per node:  masternodes  messages/s     bytes/s  bytes per heartbeat  heard   (took)")
    before: tuple[int, float] | None = None
    for size in options.sizes:
        began = time.monotonic()
        swarm = Swarm(size, options.links, options.senders, options.seed)
        swarm.run(2 * TIMING.interval_ms)
        swarm.messages, swarm.bytes = [0] * size, [0] * size
        swarm.run(INTERVALS * TIMING.interval_ms)
        heartbeats = INTERVALS * swarm.senders
        seconds = INTERVALS * TIMING.interval_ms / 1_000
        scale = size / swarm.senders
        messages = sum(swarm.messages) / size
        total = sum(swarm.bytes) / size
        print(
            f"{size:22,} {messages * scale / seconds:11.2f} {total * scale / seconds:11,.0f} "
            f"{total / heartbeats:20,.0f} {swarm.live() / (size * swarm.senders):7.2%} "
            f"{time.monotonic() - began:7.0f} s  {_growth(before, (size, total * scale))}",
            flush=True,
        )
        before = (size, total * scale)


def _growth(before: tuple[int, float] | None, now: tuple[int, float]) -> str:
    """How much more masternodes and bytes there are than in the line above."""
    if before is None:
        return ""
    others = (now[0] - 1) / (before[0] - 1)
    return f"{now[1] / before[1]:.2f} times for {others:.2f} times the other masternodes"


if __name__ == "__main__":
    main()
