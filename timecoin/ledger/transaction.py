"""Transactions: structure, identity and outpoints (PROTOCOL 3).

Rules about them stand in ``check``; this module only says what the bytes are.
"""

from __future__ import annotations

import functools

from timecoin import params
from timecoin.codec import U8, U32, U64, Bytes32, Wire, decode, encode
from timecoin.crypto.hashing import tagged

Outpoint = bytes
"""36 bytes: txid, then the output index as u32 little-endian."""
OUTPOINT_BYTES = 36


def outpoint(txid: bytes, index: int) -> Outpoint:
    """The 36-byte name of output ``index`` of transaction ``txid``."""
    return txid + index.to_bytes(4, "little")


def split_outpoint(point: Outpoint) -> tuple[bytes, int]:
    """Txid and index of ``point``."""
    return point[:32], int.from_bytes(point[32:], "little")


class TxInput(Wire, frozen=True):
    """A reference to the output that is spent."""

    prev_txid: Bytes32
    prev_index: U32
    sequence: U32

    @functools.cached_property
    def outpoint(self) -> Outpoint:
        """The 36-byte name of the spent output."""
        return outpoint(self.prev_txid, self.prev_index)


class TxOutput(Wire, frozen=True):
    """An amount and the script that locks it."""

    value: U64
    lock_script: bytes


class Transaction(Wire, frozen=True):
    """A payment, a stake, or (with one null input) a block's reward."""

    version: U8
    inputs: tuple[TxInput, ...]
    outputs: tuple[TxOutput, ...]
    lock_time: U64
    witnesses: tuple[tuple[bytes, ...], ...]

    @functools.cached_property
    def encoded(self) -> bytes:
        """Canonical bytes with witnesses."""
        return encode(self)

    @functools.cached_property
    def txid(self) -> bytes:
        """Identity: tagged hash of the four fields before the witnesses."""
        core = (self.version, self.inputs, self.outputs, self.lock_time)
        return tagged(params.TAG_TXID, encode(core))

    @functools.cached_property
    def wtxid(self) -> bytes:
        """Tagged hash of the whole transaction, witnesses included."""
        return tagged(params.TAG_WTXID, self.encoded)

    @functools.cached_property
    def outpoints(self) -> tuple[Outpoint, ...]:
        """The outputs that this transaction spends, in input order."""
        return tuple(item.outpoint for item in self.inputs)


def decode_transaction(data: bytes, max_bytes: int = params.MAX_TX_BYTES) -> Transaction:
    """The transaction that ``data`` encodes; ``CodecError`` when it is none."""
    return decode(data, Transaction, max_bytes)
