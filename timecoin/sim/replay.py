"""Runs a recorded node again, without a world: every effect has to come as it was recorded.

The node is built as ever, on ports that do nothing but compare: inputs and answers are those of the
recording, the store is in memory. What comes out is the same bytes, or the code has changed.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import NoReturn

from blake3 import blake3

from timecoin.codec import encode
from timecoin.consensus.seat import Identity
from timecoin.crypto.keys import SALT_BYTES, VerifiedCache
from timecoin.driver import Driver
from timecoin.machine import Record
from timecoin.node.node import VERIFIED_SIGNATURES, Node
from timecoin.node.recording import items
from timecoin.node.recording.file import RecordingError, RecordingReader
from timecoin.node.recording.tape import A, TapedPorts, build_taped, taped_ports
from timecoin.node.runtime import Runtime
from timecoin.p2p.ports import LinkListener, PeerInfo
from timecoin.sim.replaytext import describe, describe_two
from timecoin.store.memory import MemoryEngine


class Difference(Exception):
    """The first effect that is not as it was recorded."""

    def __init__(self, turn: int, input: str, machine: str | None, texts: tuple[str, str]) -> None:
        self.turn = turn
        """Number of the turn in the recording, from 1."""
        self.input = input
        """What the node was told in it."""
        self.machine = machine
        """Whose effect it is; None where no machine has asked for it."""
        self.expected, self.came = texts
        super().__init__(
            f"turn {turn}, at {input}" + (f", {machine}" if machine else "") + ":\n"
            f"  expected {self.expected}\n"
            f"  came     {self.came}"
        )


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was the same."""

    turns: int
    effects: int
    height: int
    digest: str
    """Over all effects."""
    cut_off: bool
    """Whether the recording ends within a turn, as that of a killed node may."""


def replay(
    recording: RecordingReader,
    identity: Identity | None,
    note: Callable[[str], None] | None = None,
) -> Replayed:
    """Replay all of ``recording``; :class:`Difference` or ``RecordingError``.

    ``identity``: the keys of the node, which the recording does not hold. ``note`` gets a line for
    each item that is done with.
    """
    player = Player(recording.header, identity, note)
    for turn in recording.turns():
        player.play(turn)
    if player.node is None:
        raise RecordingError("the recording ends before the node was built")
    return Replayed(
        player.turns,
        player.effects,
        player.node.chain.tip_height,
        player.digest.hexdigest(),
        recording.cut_off,
    )


class Player:
    """The :class:`~timecoin.node.recording.tape.Tape` that plays."""

    def __init__(
        self,
        header: items.Header,
        identity: Identity | None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        """``RecordingError`` when ``identity`` is not that of the recorded node."""
        voting = None if identity is None else identity.key.public
        if voting != header.voting_pubkey:
            raise RecordingError("the keys are not those of the recorded node")
        self._settings = header.settings(identity)
        self._note = note
        self._engine = MemoryEngine()
        self._ports: TapedPorts = taped_ports(
            self,
            Runtime(
                clock=_StillClock(),
                rng=_no_rng,
                network=_NoNetwork(),
                engine=self._engine,
                offload=lambda work, done: work(),
                verified=VerifiedCache(bytes(SALT_BYTES), VERIFIED_SIGNATURES),
                on_crash=lambda error: None,
            ),
        )
        self._items: tuple[items.Item, ...] = ()
        self._at = 0
        self._difference: Difference | None = None
        self.node: Node | None = None
        self.turns = 0
        self.effects = 0
        self.digest = blake3()

    def play(self, turn: items.Turn) -> None:
        """Give the node one input with all that nests in it; compare what it does."""
        self.turns += 1
        self._items, self._at = turn.items, 0
        first = self._next()
        if isinstance(first, items.Stored):
            self._engine.write(first.rows, sync=True)
        else:
            self._give(first)
        if self._at != len(self._items):
            raise RecordingError(f"turn {self.turns} goes on after its end")

    # the tape

    @contextmanager
    def input(self, item: items.Input) -> Iterator[None]:
        """See :class:`~timecoin.node.recording.tape.Tape`."""
        yield
        expected = self._next()
        if not isinstance(expected, items.End):
            self._differ(describe(expected), "nothing more")

    def answer(self, kind: type[A], ask: Callable[[], A]) -> A:
        """See :class:`~timecoin.node.recording.tape.Tape`."""
        expected = self._next()
        if not isinstance(expected, kind):
            self._differ(describe(expected), f"the question for {kind.__name__}")
        return expected

    def effect(self, item: items.Effect) -> None:
        """See :class:`~timecoin.node.recording.tape.Tape`."""
        while isinstance(self._peek(), items.Input):
            self._give(self._next())  # a listener outside of the core did that
        expected = self._next()
        if expected != item:
            self._differ(*describe_two(expected, item))
        self.effects += 1
        self.digest.update(encode(item))
        after = self._peek()
        if isinstance(after, items.Failed):
            self._next()
            raise type(after.kind, (Exception,), {})(after.text)  # as the store did then
        while isinstance(self._peek(), items.LinkInput):
            self._give(self._next())  # it came of sending or charging

    # the recording

    def _peek(self) -> items.Item | None:
        return self._items[self._at] if self._at < len(self._items) else None

    def _next(self) -> items.Item:
        item = self._peek()
        if item is None:
            raise RecordingError(f"turn {self.turns} has no end")
        self._at += 1
        if self._note is not None:
            self._note(f"{self.turns} {describe(item)}")
        return item

    def _give(self, item: items.Item) -> None:
        """Let the node handle an input."""
        if isinstance(item, items.Build):
            self.node = build_taped(self._settings, self._ports, self)
            return
        node, ports = self.node, self._ports
        if node is None or ports.network.listener is None:
            raise RecordingError(f"turn {self.turns} comes before the node is built")
        match item:
            case items.Start():
                node.start()
            case items.Stop():
                node.stop()
            case items.Fire(number) if number in ports.clock.calls:
                ports.clock.fire(number)
            case items.Done(number) if number in ports.offload.running:
                ports.offload.finish(number)
            case items.LinkOpened(peer, masternode):
                ports.network.listener.link_up(peer, masternode)
            case items.LinkClosed(peer):
                ports.network.listener.link_down(peer)
            case items.Frame(peer, kind, payload):
                ports.network.listener.frame_received(peer, kind, payload)
            case items.Submit(tx):
                node.submit(tx)
            case items.AskLeave(leave):
                node.leave(leave)
            case items.AskJoin(way, at_once):
                node.join_with(way, at_once)
            case _:
                raise RecordingError(f"turn {self.turns}: {describe(item)} is no input here")

    def _differ(self, expected: str, came: str) -> NoReturn:
        """The first difference ends it; what a driver does that stops because of it is no other."""
        if self._difference is None:
            at = describe(self._items[0])
            self._difference = Difference(self.turns, at, _machine(), (expected, came))
        raise self._difference


def _machine() -> str | None:
    """Whose effect the driver is about, further up the stack."""
    for frame, _ in traceback.walk_stack(None):
        found = frame.f_locals
        if frame.f_code is Driver._carry_out.__code__:
            return type(found["machine"]).__name__
        if frame.f_code is Driver._turn_once.__code__:
            if "records" not in found:  # a machine has asked the world
                return type(found["machine"]).__name__
            recording = (
                type(machine).__name__
                for machine, effects in found["asked"]
                if any(isinstance(effect, Record) for effect in effects)
            )
            return ", ".join(dict.fromkeys(recording))
    return None


class _StillCall:
    def cancel(self) -> None:
        """It will not be made anyway: the recording says when."""


class _StillClock:
    def seconds(self) -> float:
        raise RecordingError("the time stands in the recording")

    def callLater(self, delay: float, callable: Callable[..., object], /) -> _StillCall:
        return _StillCall()


class _NoNetwork:
    """Links with nobody."""

    def send(self, peer: bytes, kind: int, payload: bytes) -> None:
        """Nothing leaves."""

    def peers(self) -> list[PeerInfo]:
        return []

    def blame(self, peer: bytes, points: int, reason: str) -> None:
        """Nobody is charged."""

    def praise(self, peer: bytes, points: int) -> None:
        """Nobody is kept."""

    def set_listener(self, listener: LinkListener) -> None:
        """Frames come from the recording."""

    def set_height(self, height: int) -> None:
        """Nobody is told."""


def _no_rng(purpose: str) -> Random:
    raise RecordingError("seeds stand in the recording")
