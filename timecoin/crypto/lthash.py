"""LtHash: a hash of a set that elements can be added to and taken from in any order.

1,024 lanes of 16 bits, each lane a sum modulo 2^16 of that lane in every element's BLAKE3
extendable output (Bellare and Micciancio 1997; lattice variant by Lewi et al., "Securing
Update Propagation with Homomorphic Hashing", 2019). ``utxo_root`` is the digest of one over
the UTXO set (PROTOCOL 6). It hashes a multiset: that no element is added twice or removed
while absent is the caller's business.

All lanes stand in one Python integer, the first lane in the lowest bits. Even lanes are
masked out into fields of 32 bits, where sums cannot run into the neighbour; what remains of
the plain sum is the odd lanes, shifted by 16 bits. One addition thus serves 512 lanes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from timecoin.crypto.hashing import blake3_xof, tagged
from timecoin.params import TAG_LTHASH_ELEMENT, TAG_LTHASH_ROOT

STATE_BYTES = 2048

_FIELDS = STATE_BYTES // 4
_EVEN = int.from_bytes(b"\xff\xff\x00\x00" * _FIELDS, "little")
_ODD = _EVEN << 16
_BORROW = int.from_bytes(b"\x00\x00\x01\x00" * _FIELDS, "little")
_CHUNK = 2**16
"""So many 16-bit values sum up to less than 2^32: a field holds them."""


@dataclass(frozen=True, slots=True)
class LtHash:
    """The hash of a multiset of byte strings; immutable, the default is the empty one."""

    _lanes: int = 0

    def add(self, element: bytes) -> LtHash:
        """The hash of this multiset with ``element`` added."""
        return LtHash(_plus(self._lanes, _expand(element)))

    def subtract(self, element: bytes) -> LtHash:
        """The hash of this multiset with ``element`` taken out."""
        return LtHash(_minus(self._lanes, _expand(element)))

    def add_many(self, elements: Iterable[bytes]) -> LtHash:
        """The hash with all ``elements`` added: faster than one by one."""
        return LtHash(_plus(self._lanes, _sum(elements)))

    def subtract_many(self, elements: Iterable[bytes]) -> LtHash:
        """The hash with all ``elements`` taken out: faster than one by one."""
        return LtHash(_minus(self._lanes, _sum(elements)))

    def digest(self) -> bytes:
        """The 32-byte tagged BLAKE3 hash of the state."""
        return tagged(TAG_LTHASH_ROOT, self.to_bytes())

    def to_bytes(self) -> bytes:
        """The state as 2,048 bytes: 1,024 little-endian lanes."""
        return self._lanes.to_bytes(STATE_BYTES, "little")

    @classmethod
    def from_bytes(cls, state: bytes) -> LtHash:
        """The inverse of :meth:`to_bytes`; ``ValueError`` unless there are 2,048 bytes."""
        if len(state) != STATE_BYTES:
            raise ValueError(f"an LtHash state has {STATE_BYTES} bytes, not {len(state)}")
        return cls(int.from_bytes(state, "little"))


def _expand(element: bytes) -> int:
    return int.from_bytes(blake3_xof(TAG_LTHASH_ELEMENT + element, STATE_BYTES), "little")


def _sum(elements: Iterable[bytes]) -> int:
    """The lane-wise sum of all ``elements``."""
    remaining = iter(elements)
    lanes = 0
    # The running state is one value of each chunk's sums.
    while chunk := list(islice(remaining, _CHUNK - 1)):
        total = lanes
        even = lanes & _EVEN
        for element in chunk:
            value = _expand(element)
            total += value
            even += value & _EVEN
        lanes = (even & _EVEN) | ((total - even) & _ODD)
    return lanes


def _plus(left: int, right: int) -> int:
    even = (left & _EVEN) + (right & _EVEN)
    odd = (left & _ODD) + (right & _ODD)
    return (even & _EVEN) | (odd & _ODD)


def _minus(left: int, right: int) -> int:
    # A borrowed 2^16 in every field keeps each difference positive.
    even = (left & _EVEN) + _BORROW - (right & _EVEN)
    odd = (left & _ODD) + (_BORROW << 16) - (right & _ODD)
    return (even & _EVEN) | (odd & _ODD)
