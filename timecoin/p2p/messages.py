"""The link's own messages: frame kinds 0 to 7 (PROTOCOL 7).

Text is printable ASCII, so that what a peer says can stand in a log line.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from timecoin.codec import U32, U64, Bytes12, Bytes32, Bytes64, Wire
from timecoin.p2p.records import AddressRecord, Host
from timecoin.params import TAG_STAKE_PROOF

HELLO, STAKE_PROOF, PING, PONG, GOODBYE, GET_ADDRESSES, ADDRESSES, OBSERVED = range(8)
NAMES = dict(
    enumerate(
        (
            "Hello",
            "StakeProof",
            "Ping",
            "Pong",
            "Goodbye",
            "GetAddresses",
            "Addresses",
            "Observed",
        )
    )
)

SERVICE_VALIDATOR = 1
"""Bit of ``Hello.services``: a stake proof follows."""

MAX_AGENT_CHARS = 64
MAX_REASON_CHARS = 200
MAX_SESSION_PAYLOAD_BYTES = 512
"""Bound of the link's own messages but ``Addresses``, and of everything before the link is up."""
MAX_ADDRESSES = 250
MAX_ADDRESSES_BYTES = 50_000

U16 = Annotated[int, Meta(ge=0, le=2**16 - 1)]
_PRINTABLE = r"^[ -~]*\Z"
Agent = Annotated[str, Meta(max_length=MAX_AGENT_CHARS, pattern=_PRINTABLE)]
Reason = Annotated[str, Meta(max_length=MAX_REASON_CHARS, pattern=_PRINTABLE)]


class Hello(Wire, frozen=True):
    """The first message each way.

    ``nonce`` is drawn once per process: it tells a node its own calls and its peers' restarts.
    """

    chain_id: Bytes12
    protocol: U32
    agent: Agent
    listen_port: U16
    height: U64
    services: U64
    nonce: U64


class StakeProof(Wire, frozen=True):
    """Follows the hello of a validator: its voting key signs :func:`stake_statement`."""

    voting_key: Bytes32
    signature: Bytes64


class Ping(Wire, frozen=True):
    """Asks for a :class:`Pong` of the same number."""

    number: U64


class Pong(Wire, frozen=True):
    """Answers the :class:`Ping` of that number at once.

    ``time_ms`` is the sender's Unix time: the other side compares its own (PROTOCOL 7).
    """

    number: U64
    time_ms: U64


class Goodbye(Wire, frozen=True):
    """Why the sender closes the link, which it does next."""

    reason: Reason


class GetAddresses(Wire, frozen=True):
    """Asks for :class:`Addresses` of other nodes."""


class Addresses(Wire, frozen=True):
    """Where nodes listen: what was asked for, or the sender's own record."""

    records: Annotated[tuple[AddressRecord, ...], Meta(min_length=1, max_length=MAX_ADDRESSES)]


class Observed(Wire, frozen=True):
    """From who was called to who called: the host that the call came from."""

    host: Host


def stake_statement(chain_id: bytes, prover: bytes, verifier: bytes, exporter: bytes) -> bytes:
    """What a stake proof signs: valid on one TLS connection only, and in one direction.

    ``prover`` and ``verifier`` are node ids, ``exporter`` is the connection's exporter value
    (RFC 8446, section 7.5). All parts have fixed lengths.
    """
    return TAG_STAKE_PROOF + chain_id + prover + verifier + exporter


def printable(text: str, max_chars: int = MAX_REASON_CHARS) -> str:
    """``text`` as the messages above allow it: anything else becomes ``?``, and it is cut."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:max_chars])
