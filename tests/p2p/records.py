"""Nodes with addresses, for tests of the book and of what is built on it."""

from __future__ import annotations

from tests.p2p.wire import CHAIN
from timecoin.crypto.keys import SigningKey
from timecoin.p2p.netgroup import pack_host
from timecoin.p2p.records import AddressRecord, sign_record

NOW_S = 1_800_000_000
NOW_MS = NOW_S * 1000


def host(text: str) -> bytes:
    """An address as bytes."""
    packed = pack_host(text)
    assert packed is not None
    return packed


def node_key(number: int) -> SigningKey:
    """A node's key."""
    return SigningKey(number.to_bytes(32, "big"))


def record(
    number: int, address: str, port: int = 24000, at_s: int = NOW_S, chain_id: bytes = CHAIN
) -> AddressRecord:
    """The signed record of node ``number``."""
    return sign_record(node_key(number), chain_id, host(address), port, 0, at_s)


def unsigned(number: int, address: str, at_s: int = NOW_S) -> AddressRecord:
    """A record as the book takes it after somebody has checked it; cheap to make."""
    return AddressRecord(number.to_bytes(32, "big"), host(address), 24000, 0, at_s, bytes(64))
