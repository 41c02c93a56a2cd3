"""Text signed with the key of an address, to show who can spend what it holds.

A signature is base64 of the public key (32 bytes) and its Ed25519 signature (64 bytes) of the
domain tag and the UTF-8 text. An Ed25519 signature does not give its key away as Bitcoin's do, so
the key travels with it. The tag keeps a text from being a payment or a vote.
"""

from __future__ import annotations

import base64
import binascii

from timecoin.crypto.address import decode_address
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import PUBKEY_BYTES, SIGNATURE_BYTES, SigningKey, Verify
from timecoin.params import TAG_MESSAGE, Network


def sign_message(key: SigningKey, text: str) -> str:
    """The signature of ``text`` by ``key``; ``ValueError`` for text that is no Unicode."""
    signature = key.sign(TAG_MESSAGE + text.encode())
    return base64.b64encode(key.public + signature).decode("ascii")


def verify_message(
    network: Network, address: str, signature: str, text: str, verify: Verify
) -> bool:
    """Whether ``signature`` is that of ``text`` by the key of ``address``.

    ``AddressError`` for what is no address of ``network``, ``ValueError`` for a signature that is
    not base64 of the right length or text that is no Unicode.
    """
    pubkey_hash = decode_address(network, address)
    message = TAG_MESSAGE + text.encode()
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("a signature is base64") from error
    if len(raw) != PUBKEY_BYTES + SIGNATURE_BYTES:
        raise ValueError(f"a signature has {PUBKEY_BYTES + SIGNATURE_BYTES} bytes, not {len(raw)}")
    pubkey = raw[:PUBKEY_BYTES]
    return hash160(pubkey) == pubkey_hash and verify(pubkey, message, raw[PUBKEY_BYTES:])
