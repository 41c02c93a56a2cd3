"""Who has logged in from where, and how much of the interface all others may have.

Whoever reaches the port can open connections, have TLS done, and ask what needs no login. So of
addresses from which nobody has logged in lately only some connections are kept, as at the door for
peers, and their requests are served at a bounded rate; the rest is for those that are known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from timecoin.p2p.inbound import Door, DoorLimits
from timecoin.p2p.netgroup import pack_host
from timecoin.p2p.tokens import TokenBucket
from timecoin.recent import Recent

MAX_KNOWN = 1_000


@dataclass(frozen=True, slots=True)
class StrangerLimits:
    """For all connections from addresses from which nobody has logged in."""

    door: DoorLimits = field(
        default_factory=lambda: DoorLimits(
            max_handshakes_of_group=64, all_per_minute=1_200, all_burst=200, gives_way=True
        )
    )
    """Of what is called a handshake there, one lasts until somebody logs in."""
    requests_per_minute: int = 1_200
    requests_burst: int = 100


class Visitor(Protocol):
    """A connection."""

    def __hash__(self) -> int:
        """By identity."""

    def abortConnection(self) -> None:
        """End it."""


class Reception:
    """One for all ports of the interface; hosts are as the transport tells them."""

    def __init__(self, clock: IReactorTime, limits: StrangerLimits | None = None) -> None:
        limits = limits or StrangerLimits()
        self._clock = clock
        self._known: Recent[str, bool] = Recent(MAX_KNOWN)
        self._door: Door[Visitor] = Door(limits.door, self._now_ms())
        self._strangers: dict[Visitor, str] = {}
        self._requests = TokenBucket(
            limits.requests_per_minute, limits.requests_burst, self._now_ms()
        )

    def lets_in(self, host: str) -> bool:
        """Whether a connection from ``host`` is taken."""
        packed = self._stranger(host)
        return packed is None or self._door.knock(packed, self._now_ms())

    def entered(self, visitor: Visitor, host: str) -> None:
        """A connection was taken; maybe another one has to go for it."""
        packed = self._stranger(host)
        if packed is None:
            return
        self._strangers[visitor] = host
        crowded_out = self._door.entered(visitor, packed)
        if crowded_out is not None:
            crowded_out.abortConnection()

    def left(self, visitor: Visitor) -> None:
        """A connection is gone."""
        if self._strangers.pop(visitor, None) is not None:
            self._door.left(visitor)

    def logged_in(self, host: str) -> None:
        """Somebody has, from ``host``: it is known from now on."""
        if self._stranger(host) is None:
            return
        self._known.put(host, True)
        for visitor in [each for each, its in self._strangers.items() if its == host]:
            self.left(visitor)

    def wait_s(self, host: str) -> float:
        """A request came from ``host``: in how many seconds it is to be served."""
        if self._stranger(host) is None:
            return 0.0
        now_ms = self._now_ms()
        self._requests.spend(1, now_ms)
        return self._requests.wait_ms(0, now_ms) / 1000

    def _stranger(self, host: str) -> bytes | None:
        """The address of a host that is not known; None of one that is, or is no address."""
        return None if self._known.find(host) else pack_host(host)

    def _now_ms(self) -> int:
        return int(self._clock.seconds() * 1000)
