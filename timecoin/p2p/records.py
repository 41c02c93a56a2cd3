"""Address records: where a node says that it listens, signed by its key (PROTOCOL 7).

An address is a hint; the key is the node. Of two records of one node the newer one counts.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from timecoin.codec import U64, Bytes32, Bytes64, Wire, encode
from timecoin.crypto.keys import SigningKey, verify
from timecoin.p2p.address import PeerAddress
from timecoin.p2p.netgroup import IPV4_BYTES, IPV6_BYTES, host_text, is_canonical
from timecoin.params import TAG_ADDRESS_RECORD

MAX_AGE_S = 30 * 24 * 3600
MAX_AHEAD_S = 10 * 60
"""How far a record may be dated ahead of this node's clock."""

Host = Annotated[bytes, Meta(min_length=IPV4_BYTES, max_length=IPV6_BYTES)]
Port = Annotated[int, Meta(ge=1, le=2**16 - 1)]


class AddressRecord(Wire, frozen=True):
    """``node_id`` listens at ``host`` and ``port``, as of ``timestamp`` (Unix seconds)."""

    node_id: Bytes32
    host: Host
    port: Port
    services: U64
    timestamp: U64
    signature: Bytes64

    @property
    def address(self) -> PeerAddress:
        """Where to call it."""
        return PeerAddress(host_text(self.host), self.port)


def sign_record(
    key: SigningKey, chain_id: bytes, host: bytes, port: int, services: int, now_s: int
) -> AddressRecord:
    """This node's own record; ``key`` is its node key."""
    signature = key.sign(_statement(chain_id, key.public, host, port, services, now_s))
    return AddressRecord(key.public, host, port, services, now_s, signature)


def is_timely(record: AddressRecord, now_s: int) -> bool:
    """Whether the record is neither too old nor dated ahead, and its host can be called."""
    if not now_s - MAX_AGE_S <= record.timestamp <= now_s + MAX_AHEAD_S:
        return False
    return is_canonical(record.host)


def is_signed(record: AddressRecord, chain_id: bytes) -> bool:
    """Whether the node itself signed it, for this chain."""
    statement = _statement(
        chain_id, record.node_id, record.host, record.port, record.services, record.timestamp
    )
    return verify(record.node_id, statement, record.signature)


def _statement(
    chain_id: bytes, node_id: bytes, host: bytes, port: int, services: int, timestamp: int
) -> bytes:
    return TAG_ADDRESS_RECORD + chain_id + encode((node_id, host, port, services, timestamp))
