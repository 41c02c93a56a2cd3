"""Many peers of one node, in a process of their own: honest ones that chat, or callers in a hurry.

Started by ``benchmarks/peers.py``. A chatting peer is the project's own peer service: it pings,
answers, takes what comes, tells where it listens, and announces its tip every five seconds, as a
node does. A caller in a hurry finishes TLS, says hello from an address of its own, and stays until
it is let go. Prints one JSON line a second: links up, connections opened, refused, let go.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from twisted.internet import defer, task
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS

from timecoin.codec import encode
from timecoin.crypto.keys import SigningKey
from timecoin.node.catalog import KIND_OF, KIND_RULES
from timecoin.p2p.address import PeerAddress
from timecoin.p2p.allowance import RateLimits
from timecoin.p2p.discovery import Discovery
from timecoin.p2p.factory import PeerFactory
from timecoin.p2p.links import LinkLimits, Links
from timecoin.p2p.memory import Memory
from timecoin.p2p.peer import Peer
from timecoin.p2p.service import PeerService, PeerSettings
from timecoin.p2p.session import LocalEnd
from timecoin.p2p.tls import NodeTls
from timecoin.sync.messages import TipAnnounce

ANNOUNCE_S = 5
CONNECT_S = 10
LINGER_S = 3
"""How long the last callers in a hurry stay."""
LIMITS = LinkLimits(rates=RateLimits(kinds=KIND_RULES))


class Rows:
    """Forgets everything at the end."""

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """None."""
        return iter(())

    def write(self, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Nowhere."""


class Listener:
    """Counts links."""

    def __init__(self) -> None:
        self.up = 0

    def link_up(self, peer: bytes, masternode: bytes | None) -> None:
        """One more."""
        self.up += 1

    def link_down(self, peer: bytes) -> None:
        """One less."""
        self.up -= 1

    def frame_received(self, peer: bytes, kind: int, payload: bytes) -> None:
        """Taken, as a node takes what it knows already."""


def no_names(name: str) -> defer.Deferred[list[str]]:
    """Nobody is looked for."""
    return defer.succeed([])


async def chat(reactor: Any, options: argparse.Namespace) -> None:
    """``options.count`` peers that stay linked."""
    announcement = encode(TipAnnounce(0, bytes.fromhex(options.genesis), 1))
    services: list[PeerService] = []
    listener = Listener()
    for _ in range(options.count):
        service = PeerService(
            reactor,
            PeerSettings(
                chain_id=bytes.fromhex(options.chain_id),
                listen_host="127.0.0.1",
                listen_port=0,
                peers=(PeerAddress("127.0.0.1", options.port),),
                agent="crowd/1",
                limits=LIMITS,
                explore=False,
            ),
            os.urandom(32),
            None,
            random.Random(os.urandom(8)),
            os.urandom,
            Rows(),
            no_names,
            time.time,
        )
        service.set_listener(listener)
        services.append(service)
        service.startService()
        await task.deferLater(reactor, 1 / options.rate)
        tell(links=listener.up, opened=len(services))
    while True:
        for number, service in enumerate(services):
            for peer in service.peers():
                service.send(peer.node_id, KIND_OF[TipAnnounce], announcement)
            if number % (len(services) // 50 + 1) == 0:
                await task.deferLater(reactor, ANNOUNCE_S / 50)
        tell(links=listener.up, opened=len(services))


class Hurry:
    """Callers that come from everywhere, one after the other."""

    def __init__(self, reactor: Any, options: argparse.Namespace) -> None:
        self._reactor = reactor
        self._options = options
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """All of them, at the rate that was asked for."""
        options = self._options
        for number in range(options.count):
            call = defer.ensureDeferred(self._call(number))
            call.addErrback(lambda _: self.counts.update(refused=1))
            await task.deferLater(self._reactor, 1 / options.rate)
            tell(**self.counts)
        while self.counts["opened"] + self.counts["refused"] < options.count:
            await task.deferLater(self._reactor, 0.1)  # each call has its time-out
        await task.deferLater(self._reactor, LINGER_S)
        tell(force=True, **self.counts)

    async def _call(self, number: int) -> None:
        chain_id = bytes.fromhex(self._options.chain_id)
        peer = await stranger(self._reactor, self._options.port, chain_id, number)
        self.counts["opened"] += 1
        linked = await peer.settled  # not within the sum: others count meanwhile
        self.counts["links"] += linked
        await peer.finished
        self.counts["let_go"] += 1


def midnight() -> int:
    """A time of day that nobody asks for."""
    return 0


def source(number: int) -> str:
    """The address of the stranger of that number: a network of its own."""
    return f"127.{1 + number // 60_000}.{number // 250 % 240 + 1}.{number % 250 + 1}"


async def stranger(reactor: Any, port: int, chain_id: bytes, number: int) -> Peer:
    """A connection of a node that nobody has seen, from an address of its own; hello is to come."""
    seed = os.urandom(32)
    tls = NodeTls(seed)
    local = LocalEnd(tls.node_id, chain_id, "crowd/1", number, None, midnight)
    memory = Memory(Rows(), os.urandom)
    chance = random.Random(number)
    discovery = Discovery(SigningKey(seed), chain_id, 0, memory.book, chance, None)
    links = Links(reactor, local, memory, LIMITS, discovery)
    links.listener = Listener()
    here = (source(number), 0)
    tcp = TCP4ClientEndpoint(reactor, "127.0.0.1", port, CONNECT_S, bindAddress=here)
    endpoint = wrapClientTLS(tls, tcp, reactor)
    peer = await endpoint.connect(PeerFactory(links, inbound=False))
    assert isinstance(peer, Peer)
    return peer


_told_s = 0.0


def tell(force: bool = False, **counts: int) -> None:
    """One line a second."""
    global _told_s
    if force or time.monotonic() - _told_s >= 1:
        _told_s = time.monotonic()
        print(json.dumps(counts), flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("chat", "hurry"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--chain-id", required=True)
    parser.add_argument("--genesis", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="new ones a second")
    options = parser.parse_args(sys.argv[1:])
    task.react(
        lambda reactor: defer.ensureDeferred(
            chat(reactor, options) if options.what == "chat" else Hurry(reactor, options).run()
        )
    )


if __name__ == "__main__":
    main()
