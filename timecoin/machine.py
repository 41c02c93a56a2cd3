"""What a protocol machine may ask of the world, and what every machine may hear.

A machine takes an event and the time, changes its own state and returns effects; it touches
nothing else (docs/architecture.rst, "One core, two clocks"). The driver carries effects out in
this order: records are made durable, then messages leave, then timers, then signals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from timecoin.codec import Wire
from timecoin.signal import Signal


@dataclass(frozen=True, slots=True)
class Send:
    """Send ``message`` to one peer (its node id)."""

    peer: bytes
    message: Wire


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send ``message`` to every linked peer, or to the staked ones only; ``skip`` is left out."""

    message: Wire
    staked_only: bool = False
    skip: bytes | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """Pass a message that was verified here, or is this node's own, on to the whole network, once.

    ``author`` is the voting key that another's message comes from, if it is known: whoever is
    linked with the author needs no relay. ``skip``: peers that have it already.
    """

    message: Wire
    author: bytes | None = None
    skip: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Deliver ``TimerFired(name)`` after ``delay_ms``; a running timer of that name is replaced."""

    name: tuple[str | int | bytes, ...]
    delay_ms: int


@dataclass(frozen=True, slots=True)
class StopTimer:
    """Forget the timer called ``name``; none running is no error."""

    name: tuple[str | int | bytes, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """A row that must be durable before any message of the same turn leaves.

    ``value`` None deletes the row. ``durable`` False asks only for the same write, without a sync:
    right for what can be fetched or computed again.
    """

    table: str
    key: bytes
    value: bytes | None
    durable: bool = True


@dataclass(frozen=True, slots=True)
class Blame:
    """A peer broke a rule: charge it ``points`` of reputation."""

    peer: bytes
    points: int
    reason: str


@dataclass(frozen=True, slots=True)
class Praise:
    """A peer was useful: add ``points`` to its reputation; it is kept when links are short."""

    peer: bytes
    points: int


@dataclass(frozen=True, slots=True)
class Emit:
    """Publish a typed signal to whoever ``node/wiring.py`` joined to it."""

    signal: Signal


Effect = Send | Broadcast | Spread | StartTimer | StopTimer | Record | Blame | Praise | Emit


@dataclass(frozen=True, slots=True)
class Received:
    """A decoded message from a linked peer."""

    peer: bytes
    message: Wire


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that the machine had started is due."""

    name: tuple[str | int | bytes, ...]


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A peer link is established; ``masternode`` is its proved voting key, if any."""

    peer: bytes
    masternode: bytes | None


@dataclass(frozen=True, slots=True)
class LinkDown:
    """A peer link is gone."""

    peer: bytes


@dataclass(frozen=True, slots=True)
class Restore:
    """The journal's rows (table, key, value) of this node's last life; the first event of all."""

    rows: tuple[tuple[str, bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Start:
    """Begin: everything that was restored is there."""


@dataclass(frozen=True, slots=True)
class NewTip:
    """A block was connected, decided here or fetched from peers."""


@dataclass(frozen=True, slots=True)
class CatchUpChanged:
    """Whether this node is behind its peers: one that catches up does not vote (PROTOCOL 8)."""

    active: bool


class Machine(Protocol):
    """A sans-I/O protocol machine; never re-entered."""

    def handle(self, event: object, now_ms: int) -> list[Effect]:
        """Take one event at Unix time ``now_ms`` (milliseconds); return what is to be done."""
