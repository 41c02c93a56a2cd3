"""The wallet's archived history, one row a transaction, newest first.

::

    "n" | wallet                              -> u64: every block below this height was read
    "h" | wallet | u64 height | u32 position  -> what that transaction meant to us

Numbers in keys are big-endian complements, so that a scan meets the newest first. ``wallet`` is
the hash of its first key: another wallet in the same data directory has rows of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from timecoin.codec import U32, U64, Bytes32, CodecError, Wire, decode, encode
from timecoin.wallet.history import Detail, Effect
from timecoin.wallet.ports import HistoryRows

_MAX_HEIGHT = 2**64 - 1
_MAX_POSITION = 2**32 - 1
_MAX_ROW_BYTES = 10_000_000


class BookRow(Wire, frozen=True):
    """What one archived transaction meant to us when its block was read."""

    txid: Bytes32
    time_ms: U64
    """slot_time of its block."""
    received_units: U64
    spent_units: U64
    fee_units: U64 | None
    details: tuple[tuple[str, U32, bytes, U64], ...]

    @classmethod
    def of(cls, txid: bytes, time_ms: int, effect: Effect) -> BookRow:
        """The row of ``txid``, archived at ``time_ms``."""
        return cls(
            txid=txid,
            time_ms=time_ms,
            received_units=effect.received_units,
            spent_units=effect.spent_units,
            fee_units=effect.fee_units,
            details=tuple(
                (each.category, each.index, each.lock_script, each.units) for each in effect.details
            ),
        )

    @property
    def effect(self) -> Effect:
        """The sums and outputs that concern us."""
        return Effect(
            self.received_units,
            self.spent_units,
            self.fee_units,
            tuple(Detail(*each) for each in self.details),
        )


@dataclass(frozen=True, slots=True)
class Archived:
    """A row and where it stands."""

    height: int
    position: int
    """Index in the block; the reward comes behind the last entry."""
    row: BookRow


class HistoryBook:
    """The rows of one wallet, and how far the chain was read for them."""

    def __init__(self, rows: HistoryRows, wallet: bytes, first_height: int) -> None:
        """``first_height``: where a wallet that has read nothing yet begins."""
        self._rows = rows
        self._pointer = b"n" + wallet
        self._prefix = b"h" + wallet
        stored = rows.get(self._pointer)
        self._next = first_height if stored is None else int.from_bytes(stored, "big")

    @property
    def next_height(self) -> int:
        """The first block that has not been read; all below have been."""
        return self._next

    def add(self, height: int, found: Sequence[tuple[int, BookRow]]) -> None:
        """The block at ``height`` holds ``found`` (position, row) for us.

        Reading a block again writes the same rows again, and those of keys that have become known.
        """
        rows = [(self._key(height, position), encode(row)) for position, row in found]
        following = self._next
        if height == following:
            following += 1
            rows.append((self._pointer, following.to_bytes(8, "big")))
        if rows:
            self._rows.write(rows)
        self._next = following

    def skip_to(self, height: int) -> None:
        """The blocks below ``height`` cannot be read: go on with that one."""
        if height > self._next:
            self._rows.write([(self._pointer, height.to_bytes(8, "big"))])
            self._next = height

    def rewind(self, height: int) -> None:
        """Have the blocks from ``height`` on read once more; what is known of them stays."""
        if height < self._next:
            self._rows.write([(self._pointer, height.to_bytes(8, "big"))])
            self._next = height

    def __iter__(self) -> Iterator[Archived]:
        """All rows, newest first; ``LookupError`` for one that the disk has damaged."""
        for key, value in self._rows.scan(self._prefix):
            place = key[len(self._prefix) :]
            try:
                row = decode(value, BookRow, _MAX_ROW_BYTES)
            except CodecError as error:
                raise LookupError(f"a damaged row of the wallet's history: {error}") from error
            yield Archived(
                height=_MAX_HEIGHT - int.from_bytes(place[:8], "big"),
                position=_MAX_POSITION - int.from_bytes(place[8:], "big"),
                row=row,
            )

    def _key(self, height: int, position: int) -> bytes:
        place = (_MAX_HEIGHT - height).to_bytes(8, "big")
        return self._prefix + place + (_MAX_POSITION - position).to_bytes(4, "big")
