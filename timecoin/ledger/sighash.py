"""What a spend's signature covers (PROTOCOL 3)."""

from __future__ import annotations

from timecoin.crypto.hashing import tagged
from timecoin.params import TAG_TX

SIGHASH_ALL = 1
"""The one type there is: the signature covers the whole transaction but the witnesses."""


def sighash(
    chain_id: bytes, sighash_type: int, txid: bytes, input_index: int, value: int, script: bytes
) -> bytes:
    """The 32 bytes to sign for input ``input_index`` of ``txid``.

    ``value`` and ``script`` are those of the spent output: a signer need not trust whoever told
    it what it spends (as in BIP 143).
    """
    return tagged(
        TAG_TX,
        chain_id,
        sighash_type.to_bytes(1, "little"),
        txid,
        input_index.to_bytes(4, "little"),
        value.to_bytes(8, "little"),
        script,
    )
