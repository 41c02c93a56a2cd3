"""Addresses: bech32m of a version byte and a public key's hash (PROTOCOL 2).

The human-readable part names the network, so that coins cannot be sent to an address of
another one by mistake.
"""

from __future__ import annotations

from timecoin.crypto import bech32m
from timecoin.crypto.hashing import PUBKEY_HASH_BYTES
from timecoin.params import HRP, Network

ADDRESS_VERSION = 0


class AddressError(ValueError):
    """Text that is no address of this network; the message says why."""


def encode_address(network: Network, pubkey_hash: bytes) -> str:
    """The address on ``network`` of a 20-byte ``pubkey_hash``; ``AddressError`` if it is not."""
    if len(pubkey_hash) != PUBKEY_HASH_BYTES:
        raise AddressError(f"a key hash has {PUBKEY_HASH_BYTES} bytes, not {len(pubkey_hash)}")
    payload = bytes((ADDRESS_VERSION,)) + pubkey_hash
    return bech32m.encode(HRP[network], bech32m.to_groups(payload))


def decode_address(network: Network, text: str) -> bytes:
    """The 20-byte key hash of the address ``text`` on ``network``; ``AddressError`` if none."""
    try:
        hrp, groups = bech32m.decode(text)
        payload = bech32m.from_groups(groups)
    except bech32m.Bech32mError as error:
        raise AddressError(f"not an address: {error}") from error
    if hrp != HRP[network]:
        for other in Network:
            if HRP[other] == hrp:
                raise AddressError(f"an address of {other.label}, this is {network.label}")
        raise AddressError(f"an address begins with {HRP[network]!r}, not {hrp!r}")
    if not payload:
        raise AddressError("an address without payload")
    if payload[0] != ADDRESS_VERSION:
        raise AddressError(f"unknown address version {payload[0]}")
    if len(payload) != 1 + PUBKEY_HASH_BYTES:
        raise AddressError(
            f"an address holds {PUBKEY_HASH_BYTES} bytes of key hash, not {len(payload) - 1}"
        )
    return payload[1:]
