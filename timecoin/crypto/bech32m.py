"""Bech32m (BIP 350): text with a checksum that finds any four wrong characters.

A string is ``hrp | "1" | data | six characters of checksum``, each data character five bits.
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_LENGTH = 90
CHECKSUM_LENGTH = 6

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_CONSTANT = 1
_BECH32M_CONSTANT = 0x2BC830A3


class Bech32mError(ValueError):
    """Text that is not bech32m; the message says why."""


def encode(hrp: str, groups: Sequence[int]) -> str:
    """The lower-case string of human-readable part ``hrp`` and 5-bit ``groups``.

    ``Bech32mError`` when they do not make a string that :func:`decode` takes.
    """
    _check_hrp(hrp)
    if hrp != hrp.lower():
        raise Bech32mError(f"human-readable part {hrp!r} is not lower case")
    if any(not 0 <= group < 32 for group in groups):
        raise Bech32mError("a group is not of five bits")
    length = len(hrp) + 1 + len(groups) + CHECKSUM_LENGTH
    if length > MAX_LENGTH:
        raise Bech32mError(f"{length} characters exceed {MAX_LENGTH}")
    padded = [*_expand(hrp), *groups, *bytes(CHECKSUM_LENGTH)]
    checksum = _polymod(padded) ^ _BECH32M_CONSTANT
    tail = [checksum >> shift & 31 for shift in range(25, -1, -5)]
    return hrp + "1" + "".join(_ALPHABET[group] for group in (*groups, *tail))


def decode(text: str) -> tuple[str, list[int]]:
    """The human-readable part, in lower case, and the 5-bit groups of ``text``.

    ``Bech32mError`` names what is wrong with it.
    """
    if len(text) > MAX_LENGTH:
        raise Bech32mError(f"{len(text)} characters exceed {MAX_LENGTH}")
    if not text.isascii():
        # Before any change of case: the Kelvin sign, for one, becomes an ASCII "k".
        raise Bech32mError("not ASCII")
    if text != text.lower() and text != text.upper():
        raise Bech32mError("mixed upper and lower case")
    hrp, separator, data = text.lower().rpartition("1")
    if not separator:
        raise Bech32mError("no separator '1'")
    _check_hrp(hrp)
    if len(data) < CHECKSUM_LENGTH:
        raise Bech32mError("too short for a checksum")
    for character in data:
        if character not in _VALUES:
            raise Bech32mError(f"{character!r} is not a bech32 character")
    groups = [_VALUES[character] for character in data]
    remainder = _polymod([*_expand(hrp), *groups])
    if remainder == _BECH32_CONSTANT:
        raise Bech32mError("the checksum is bech32, not bech32m")
    if remainder != _BECH32M_CONSTANT:
        raise Bech32mError("bad checksum")
    return hrp, groups[:-CHECKSUM_LENGTH]


def to_groups(data: bytes) -> list[int]:
    """``data`` regrouped into 5-bit values, the last one padded with zero bits."""
    count = -(-len(data) * 8 // 5)
    bits = int.from_bytes(data, "big") << (count * 5 - len(data) * 8)
    return [bits >> 5 * position & 31 for position in range(count - 1, -1, -1)]


def from_groups(groups: Sequence[int]) -> bytes:
    """The inverse of :func:`to_groups`; ``Bech32mError`` unless it would give ``groups``."""
    length, padding = divmod(len(groups) * 5, 8)
    bits = 0
    for group in groups:
        bits = bits << 5 | group
    if padding >= 5:
        raise Bech32mError("a whole group of padding")
    if bits & ((1 << padding) - 1):
        raise Bech32mError("padding is not zero")
    return (bits >> padding).to_bytes(length, "big")


def _check_hrp(hrp: str) -> None:
    if not hrp:
        raise Bech32mError("empty human-readable part")
    for character in hrp:
        if not 33 <= ord(character) <= 126:
            raise Bech32mError(f"{character!r} may not stand in a human-readable part")


def _expand(hrp: str) -> list[int]:
    codes = hrp.encode("ascii")
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _polymod(groups: Sequence[int]) -> int:
    """The remainder of the BCH code of BIP 173."""
    remainder = 1
    for group in groups:
        top = remainder >> 25
        remainder = (remainder & 0x1FFFFFF) << 5 ^ group
        for position, term in enumerate(_GENERATOR):
            if top >> position & 1:
                remainder ^= term
    return remainder
