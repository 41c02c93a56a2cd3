"""The four lock scripts: a tag byte, then fields of fixed form (PROTOCOL 3).

A script has exactly one encoding: what :func:`parse_script` accepts, ``encode`` gives back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from timecoin.crypto.hashing import PUBKEY_HASH_BYTES
from timecoin.crypto.keys import PUBKEY_BYTES
from timecoin.ledger.rules import RuleBroken
from timecoin.params import MAX_DATA_BYTES, MAX_MULTISIG_KEYS

TAG_PAY_TO_PUBKEY_HASH = 0x01
TAG_MULTISIG = 0x02
TAG_DATA = 0x03
TAG_STAKE = 0x04

PAY_TO_PUBKEY_HASH_BYTES = 1 + PUBKEY_HASH_BYTES
STAKE_BYTES = 1 + 2 * PUBKEY_BYTES + 2 * PUBKEY_HASH_BYTES + 8


@dataclass(frozen=True, slots=True)
class PayToPubkeyHash:
    """Spent by the key whose hash it names."""

    pubkey_hash: bytes

    def encode(self) -> bytes:
        """The script's bytes."""
        return bytes((TAG_PAY_TO_PUBKEY_HASH,)) + self.pubkey_hash


@dataclass(frozen=True, slots=True)
class Multisig:
    """Spent by any ``required`` of ``pubkeys``, which ascend strictly."""

    required: int
    pubkeys: tuple[bytes, ...]

    def encode(self) -> bytes:
        """The script's bytes."""
        return bytes((TAG_MULTISIG, self.required, len(self.pubkeys))) + b"".join(self.pubkeys)


@dataclass(frozen=True, slots=True)
class Data:
    """Carries up to 256 bytes and no value; never spent."""

    payload: bytes

    def encode(self) -> bytes:
        """The script's bytes."""
        return bytes((TAG_DATA,)) + self.payload


@dataclass(frozen=True, slots=True)
class Stake:
    """The collateral of a masternode; spent by its owner under the conditions of PROTOCOL 4."""

    pubkey: bytes
    vrf_pubkey: bytes
    owner_hash: bytes
    payout_hash: bytes
    unlock_height: int

    def encode(self) -> bytes:
        """The script's bytes."""
        unlock = self.unlock_height.to_bytes(8, "little")
        keys = self.pubkey + self.vrf_pubkey
        return bytes((TAG_STAKE,)) + keys + self.owner_hash + self.payout_hash + unlock


Script = PayToPubkeyHash | Multisig | Data | Stake


def parse_script(script: bytes) -> Script:
    """The script that ``script`` encodes; ``RuleBroken`` ("bad-txns-script") when it is none."""
    tag = script[0] if script else None
    if tag == TAG_PAY_TO_PUBKEY_HASH:
        _check_length("pay-to-pubkey-hash", script, PAY_TO_PUBKEY_HASH_BYTES)
        return PayToPubkeyHash(script[1:])
    if tag == TAG_MULTISIG:
        return _parse_multisig(script)
    if tag == TAG_DATA:
        if len(script) > 1 + MAX_DATA_BYTES:
            raise _malformed(f"{len(script) - 1} bytes of data, at most {MAX_DATA_BYTES}")
        return Data(script[1:])
    if tag == TAG_STAKE:
        _check_length("stake", script, STAKE_BYTES)
        return Stake(
            pubkey=script[1:33],
            vrf_pubkey=script[33:65],
            owner_hash=script[65:85],
            payout_hash=script[85:105],
            unlock_height=int.from_bytes(script[105:], "little"),
        )
    raise _malformed("an empty script" if tag is None else f"unknown tag {tag}")


def pay_to_pubkey_hash(pubkey_hash: bytes) -> bytes:
    """The script that pays to the 20-byte ``pubkey_hash``; ``RuleBroken`` if it is malformed."""
    return _checked(PayToPubkeyHash(pubkey_hash))


def multisig(required: int, pubkeys: Sequence[bytes]) -> bytes:
    """The script that ``required`` of ``pubkeys`` (any order) spend together."""
    if not 1 <= required <= len(pubkeys) <= MAX_MULTISIG_KEYS:
        raise _malformed(f"{required} of {len(pubkeys)} keys")
    return _checked(Multisig(required, tuple(sorted(pubkeys))))


def data(payload: bytes) -> bytes:
    """The script that carries ``payload``; ``RuleBroken`` above 256 bytes."""
    return _checked(Data(payload))


def stake(
    pubkey: bytes, vrf_pubkey: bytes, owner_hash: bytes, payout_hash: bytes, unlock_height: int
) -> bytes:
    """The script of a masternode's collateral; ``RuleBroken`` when a field has no right length."""
    if not 0 <= unlock_height < 2**64:
        raise _malformed(f"unlock height {unlock_height}")
    return _checked(Stake(pubkey, vrf_pubkey, owner_hash, payout_hash, unlock_height))


def _parse_multisig(script: bytes) -> Multisig:
    if len(script) < 3:
        raise _malformed("a multisig without key count")
    required, count = script[1], script[2]
    if not 1 <= required <= count <= MAX_MULTISIG_KEYS:
        raise _malformed(f"{required} of {count} keys")
    _check_length("multisig", script, 3 + count * PUBKEY_BYTES)
    pubkeys = tuple(
        script[start : start + PUBKEY_BYTES] for start in range(3, len(script), PUBKEY_BYTES)
    )
    if any(later <= earlier for earlier, later in pairwise(pubkeys)):
        raise _malformed("multisig keys do not ascend strictly")
    return Multisig(required, pubkeys)


def _checked(script: Script) -> bytes:
    """The bytes of ``script``, if parsing them gives ``script`` again."""
    encoded = script.encode()
    if parse_script(encoded) != script:
        raise _malformed("a field of the wrong length")
    return encoded


def _check_length(name: str, script: bytes, expected: int) -> None:
    if len(script) != expected:
        raise _malformed(f"a {name} script has {expected} bytes, not {len(script)}")


def _malformed(detail: str) -> RuleBroken:
    return RuleBroken("bad-txns-script", detail)
