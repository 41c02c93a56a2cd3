"""Targets at the doors: HTTP, WebSocket and the session of a link, each fed with raw bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from tests.rpc.http import UPGRADE, Client
from timecoin.crypto.keys import SigningKey
from timecoin.p2p.framing import Frame, FrameBuffer, FrameError
from timecoin.p2p.session import Close, LocalEnd, Session, State
from timecoin.params import Network
from timecoin.rpc.auth import Gate, Login, Logins
from timecoin.rpc.connection import ConnectionLimits
from timecoin.rpc.method import rpc_method
from timecoin.rpc.reception import Reception
from timecoin.rpc.server import JsonRpcServer, ServerLimits
from timecoin.rpc.site import MetricsDoor, make_site
from timecoin.rpc.subscriptions import Streams, Subscriptions, Topic
from timecoin.rpc.throttle import LoginThrottle
from timecoin.rpc.websocket import WebSocketDoor, WebSocketLimits

MAX_BODY_BYTES = 5_000
STEP_BYTES = 64
LONG_S = 3_600.0
BLOCKS = Topic("blocks")
CHAIN_ID = bytes(12)
ALICE, BOB = b"\xa1" * 32, b"\xb0" * 32


class Methods:
    """What the site serves."""

    @rpc_method()
    def ping(self) -> str:
        """Answer."""
        return "pong"


class House:
    """A site with one user, on a clock that stands still."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.subscriptions = Subscriptions()
        gate = Gate(Logins([Login.from_password("alice", "right")], {}), LoginThrottle(self.clock))
        streams = Streams(Network.DEVNET, self.subscriptions)
        self.door = WebSocketDoor(self.clock, gate, streams, WebSocketLimits(1, 1))
        server = JsonRpcServer(self.clock, gate, ServerLimits(max_batch=10))
        server.publish(Methods())
        self.site = make_site(
            server,
            websocket=self.door,
            status=dict,
            health=lambda: {"healthy": True},
            metrics=MetricsDoor(gate, lambda: b"up 1\n"),
            reactor=self.clock,
            limits=ConnectionLimits(max_body_bytes=MAX_BODY_BYTES),
            reception=Reception(self.clock),
        )

    def leave(self, client: Client) -> None:
        """The client goes: nothing of it is left, once all time-outs have passed."""
        if not client.closed:
            client.leave()
        self.clock.advance(LONG_S)
        assert not self.clock.getDelayedCalls(), "something waits for ever"


HOUSE = House()
"""One for all inputs: each leaves it as it was."""


@contextmanager
def no_errors() -> Iterator[None]:
    """Nothing was logged as a failure: Twisted would swallow it."""
    found: list[LogEvent] = []

    def hear(event: LogEvent) -> None:
        if event.get("log_failure") is not None:
            found.append(event)

    globalLogPublisher.addObserver(hear)  # type: ignore[arg-type]
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(hear)  # type: ignore[arg-type]
    assert not found, f"an unhandled failure: {found[0]['log_failure']}"


def _pieces(data: bytes) -> Iterator[bytes]:
    """The bytes behind the first, cut as that one says."""
    step = 1 + data[0] % STEP_BYTES
    return (data[at : at + step] for at in range(1, len(data), step))


def fuzz_http(data: bytes) -> None:
    """Whatever is sent to the RPC port: an answer of HTTP or a closed connection."""
    if not data:
        return
    house = HOUSE
    client = Client(house.site)
    with no_errors():
        for piece in _pieces(data):
            client.send(piece)
        sent = client.transport.value()
        house.leave(client)
    assert not sent or sent.startswith(b"HTTP/1."), sent[:60]
    assert b"Traceback" not in sent, "a traceback for a stranger"
    assert b" 500 " not in sent[:40], sent[:60]


def fuzz_websocket(data: bytes) -> None:
    """Whatever a client sends behind its upgrade."""
    if not data:
        return
    house = HOUSE
    client = Client(house.site)
    client.send(UPGRADE)
    assert client.transport.value().startswith(b"HTTP/1.1 101"), "no upgrade"
    with no_errors():
        for piece in _pieces(data):
            client.send(piece)
        house.subscriptions.publish(BLOCKS, {})
        house.leave(client)
    assert (house.door.clients, len(house.subscriptions)) == (0, 0), "a client is left"


def fuzz_session(data: bytes) -> None:
    """Whatever a peer sends over its link: the session goes on, or ends once and for all."""
    local = LocalEnd(ALICE, CHAIN_ID, "fuzz", 1, SigningKey(bytes(32)), lambda: 0)
    session = Session(local, BOB, bytes(32), 0)
    session.open(0, 0)
    for number, frame in enumerate(_frames(data)):
        effects = session.frame_arrived(frame.kind, frame.payload, number)
        ends = [effect for effect in effects if isinstance(effect, Close)]
        assert len(ends) <= 1, "closed twice"
        assert bool(ends) == (session.state is State.CLOSED), "closed, and yet not"
        if ends:
            assert len(ends[0].reason.splitlines()) <= 1, "more than one line for the log"
            return


def _frames(data: bytes) -> Iterator[Frame]:
    buffer = FrameBuffer({})
    buffer.append(data)
    try:
        while (frame := buffer.next()) is not None:
            yield frame
    except FrameError:
        return
