"""The state machine of one link, from hello to goodbye; no I/O (PROTOCOL 7).

A link is up when the peer's hello and, if its services say validator, its stake proof have been
accepted. The peer is then known to be of this chain, to be somebody else, and to hold the voting
key that it names.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from timecoin.codec import CodecError, Wire, decode, encode
from timecoin.crypto.keys import SigningKey, verify
from timecoin.p2p.messages import (
    ADDRESSES,
    GET_ADDRESSES,
    GOODBYE,
    HELLO,
    MAX_ADDRESSES_BYTES,
    MAX_SESSION_PAYLOAD_BYTES,
    OBSERVED,
    PING,
    PONG,
    SERVICE_VALIDATOR,
    STAKE_PROOF,
    Addresses,
    GetAddresses,
    Goodbye,
    Hello,
    Observed,
    Ping,
    Pong,
    StakeProof,
    printable,
    stake_statement,
)
from timecoin.p2p.ports import FIRST_UPPER_KIND
from timecoin.params import PROTOCOL_VERSION

W = TypeVar("W", bound=Wire)

HELLO_TIMEOUT_MS = 10_000
PING_INTERVAL_MS, SILENCE_LIMIT_MS = 15_000, 60_000
VALIDATOR_PING_INTERVAL_MS, VALIDATOR_SILENCE_LIMIT_MS = 2_000, 6_000
"""Between two validators (PROTOCOL 7)."""
PINGS_BEFORE_GIVING_UP = 2
"""Unanswered ones, besides the silence: a pause of this process alone ends no link."""
MAX_OPEN_PINGS = 4
MAX_CLOCK_ROUND_TRIP_MS = 2_000
"""A slower answer says nothing about the peer's clock: half of the way is its uncertainty."""
VIOLATION_POINTS = 25
"""What a message that no honest node sends costs in reputation."""


@dataclass(frozen=True, slots=True)
class LocalEnd:
    """What this node says of itself on every link."""

    node_id: bytes
    chain_id: bytes
    agent: str
    nonce: int
    voting_key: SigningKey | None
    unix_ms: Callable[[], int]
    """The time of day, which pongs tell; all else goes by a clock that nobody sets."""

    @property
    def services(self) -> int:
        """The service bits of its hello."""
        return SERVICE_VALIDATOR if self.voting_key is not None else 0


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Put one frame on the link."""

    kind: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Established:
    """The link is up."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand one frame to the layers above."""

    kind: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Discover:
    """The peer speaks of addresses."""

    message: GetAddresses | Addresses | Observed


@dataclass(frozen=True, slots=True)
class Close:
    """End the link; tell the peer why if ``say``; charge it ``points``."""

    reason: str
    points: int = 0
    say: bool = True
    own_address: bool = False
    """The connection leads back to this node: the address is not worth another call."""


SessionEffect = SendFrame | Established | Deliver | Discover | Close


class State(enum.Enum):
    """How far a session has come."""

    AWAIT_HELLO = enum.auto()
    AWAIT_STAKE_PROOF = enum.auto()
    UP = enum.auto()
    CLOSED = enum.auto()


class Session:
    """One end of one link. Every method returns what is to be done, in order."""

    def __init__(self, local: LocalEnd, peer_id: bytes, exporter: bytes, opened_ms: int) -> None:
        self._local = local
        self._peer_id = peer_id
        self._exporter = exporter
        self._opened_ms = opened_ms
        self._heard_ms = opened_ms
        self._next_ping_ms = opened_ms
        self._pings_sent = 0
        self._pings_since_heard = 0
        self._open_pings: dict[int, int] = {}
        self.state = State.AWAIT_HELLO
        self.hello: Hello | None = None
        """The peer's hello, once accepted."""
        self.masternode: bytes | None = None
        """The voting key that the peer proved to hold."""
        self.latency_ms: int | None = None
        self.clock_offset_ms: int | None = None
        """By how much the peer's clock is ahead of this one, by its last quick answer."""

    def open(self, listen_port: int, height: int) -> list[SessionEffect]:
        """The TLS handshake is done: introduce this node, whose chain has ``height`` blocks."""
        local = self._local
        hello = Hello(
            local.chain_id,
            PROTOCOL_VERSION,
            local.agent,
            listen_port,
            height,
            local.services,
            local.nonce,
        )
        effects: list[SessionEffect] = [SendFrame(HELLO, encode(hello))]
        if local.voting_key is not None:
            statement = stake_statement(
                local.chain_id, local.node_id, self._peer_id, self._exporter
            )
            proof = StakeProof(local.voting_key.public, local.voting_key.sign(statement))
            effects.append(SendFrame(STAKE_PROOF, encode(proof)))
        return effects

    def bytes_arrived(self, now_ms: int) -> None:
        """The peer is alive: part of a large frame counts as well as a whole one."""
        self._heard_ms = now_ms
        self._pings_since_heard = 0

    def frame_arrived(self, kind: int, payload: bytes, now_ms: int) -> list[SessionEffect]:
        """Judge one whole frame."""
        if self.state is State.CLOSED:
            return []
        try:
            return self._judge(kind, payload, now_ms)
        except CodecError as error:
            return self._close(f"malformed message of kind {kind}: {error}", VIOLATION_POINTS)

    def due_ms(self) -> int:
        """When :meth:`tick` has something to do, if nothing arrives until then."""
        if self.state is not State.UP:
            return self._opened_ms + HELLO_TIMEOUT_MS
        if self._pings_since_heard < PINGS_BEFORE_GIVING_UP:
            return self._next_ping_ms
        return min(self._next_ping_ms, self._heard_ms + self._silence_limit_ms)

    def tick(self, now_ms: int) -> list[SessionEffect]:
        """Time has passed: ping, or give the peer up."""
        if self.state is State.CLOSED:
            return []
        if self.state is not State.UP:
            if now_ms < self._opened_ms + HELLO_TIMEOUT_MS:
                return []
            return self._close(f"no hello within {HELLO_TIMEOUT_MS} ms")
        silent_ms = now_ms - self._heard_ms
        if (
            silent_ms >= self._silence_limit_ms
            and self._pings_since_heard >= PINGS_BEFORE_GIVING_UP
        ):
            return self._close(f"silent for {silent_ms} ms")
        if now_ms < self._next_ping_ms:
            return []
        return [self._ping(now_ms)]

    def _judge(self, kind: int, payload: bytes, now_ms: int) -> list[SessionEffect]:
        if kind == GOODBYE:
            reason = _decode(payload, Goodbye).reason
            self.state = State.CLOSED
            return [Close(f"the peer said: {reason}", say=False)]
        match self.state:
            case State.AWAIT_HELLO if kind == HELLO:
                return self._accept_hello(_decode(payload, Hello), now_ms)
            case State.AWAIT_STAKE_PROOF if kind == STAKE_PROOF:
                return self._accept_stake_proof(_decode(payload, StakeProof), now_ms)
            case State.UP if kind >= FIRST_UPPER_KIND:
                return [Deliver(kind, payload)]
            case State.UP if kind == GET_ADDRESSES:
                return [Discover(_decode(payload, GetAddresses))]
            case State.UP if kind == ADDRESSES:
                return [Discover(decode(payload, Addresses, MAX_ADDRESSES_BYTES))]
            case State.UP if kind == OBSERVED:
                return [Discover(_decode(payload, Observed))]
            case State.UP if kind == PING:
                number = _decode(payload, Ping).number
                return [SendFrame(PONG, encode(Pong(number, self._local.unix_ms())))]
            case State.UP if kind == PONG:
                self._pong(_decode(payload, Pong), now_ms)
                return []
        return self._close(f"unexpected message of kind {kind}", VIOLATION_POINTS)

    def _pong(self, pong: Pong, now_ms: int) -> None:
        """Note the round trip, and how far apart the clocks are if it was quick."""
        sent_ms = self._open_pings.pop(pong.number, None)
        if sent_ms is None:
            return
        self.latency_ms = max(0, now_ms - sent_ms)
        if self.latency_ms <= MAX_CLOCK_ROUND_TRIP_MS:
            self.clock_offset_ms = pong.time_ms - (self._local.unix_ms() - self.latency_ms // 2)

    def _accept_hello(self, hello: Hello, now_ms: int) -> list[SessionEffect]:
        local = self._local
        if hello.chain_id != local.chain_id:
            return self._close(
                f"wrong chain: yours is {_chain_name(hello.chain_id)}, "
                f"mine is {_chain_name(local.chain_id)}"
            )
        if hello.protocol != PROTOCOL_VERSION:
            return self._close(
                f"wrong protocol version: yours is {hello.protocol}, mine is {PROTOCOL_VERSION}"
            )
        if hello.nonce == local.nonce:
            return self._close("connection to myself", own_address=True)
        if self._peer_id == local.node_id:
            return self._close("another process uses this node's key")
        self.hello = hello
        if hello.services & SERVICE_VALIDATOR:
            self.state = State.AWAIT_STAKE_PROOF
            return []
        return self._come_up(now_ms)

    def _accept_stake_proof(self, proof: StakeProof, now_ms: int) -> list[SessionEffect]:
        local = self._local
        statement = stake_statement(local.chain_id, self._peer_id, local.node_id, self._exporter)
        if not verify(proof.voting_key, statement, proof.signature):
            return self._close("the stake proof does not verify", VIOLATION_POINTS)
        if local.voting_key is not None and proof.voting_key == local.voting_key.public:
            return self._close("another node votes with this node's voting key")
        self.masternode = proof.voting_key
        return self._come_up(now_ms)

    def _come_up(self, now_ms: int) -> list[SessionEffect]:
        self.state = State.UP
        return [Established(), self._ping(now_ms)]

    def _ping(self, now_ms: int) -> SendFrame:
        self._pings_sent += 1
        self._pings_since_heard += 1
        self._next_ping_ms = now_ms + self._ping_interval_ms
        self._open_pings[self._pings_sent] = now_ms
        if len(self._open_pings) > MAX_OPEN_PINGS:
            del self._open_pings[min(self._open_pings)]
        return SendFrame(PING, encode(Ping(self._pings_sent)))

    def _close(
        self, reason: str, points: int = 0, *, own_address: bool = False
    ) -> list[SessionEffect]:
        self.state = State.CLOSED
        return [Close(printable(reason), points, own_address=own_address)]

    @property
    def _between_validators(self) -> bool:
        return self.masternode is not None and self._local.voting_key is not None

    @property
    def _ping_interval_ms(self) -> int:
        return VALIDATOR_PING_INTERVAL_MS if self._between_validators else PING_INTERVAL_MS

    @property
    def _silence_limit_ms(self) -> int:
        return VALIDATOR_SILENCE_LIMIT_MS if self._between_validators else SILENCE_LIMIT_MS


def _decode(payload: bytes, kind: type[W]) -> W:
    return decode(payload, kind, MAX_SESSION_PAYLOAD_BYTES)


def _chain_name(chain_id: bytes) -> str:
    return f"network {int.from_bytes(chain_id[:4], 'little')} genesis {chain_id[4:].hex()}"
