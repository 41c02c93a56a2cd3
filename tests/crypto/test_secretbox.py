"""Sealed secrets: round trips, wrong passphrases, mutations, bounded costs."""

from __future__ import annotations

import struct
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.pwhash import argon2id
from nacl.secret import SecretBox
from twisted.trial.unittest import SynchronousTestCase

from timecoin.crypto import secretbox
from timecoin.crypto.secretbox import (
    MAX_MEM_BYTES,
    MAX_OPS,
    MAX_SECRET_BYTES,
    MIN_MEM_BYTES,
    MIN_OPS,
    SealedError,
    WrongPassphrase,
    open_sealed,
    seal,
)

SALT, NONCE = bytes(range(16)), bytes(range(24))
MEM_BYTES = 16 * 1024


def _seal(secret: bytes, passphrase: str = "correct horse") -> bytes:
    return seal(secret, passphrase, SALT, NONCE, MIN_OPS, MEM_BYTES)


class SecretBoxTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=20)
    @given(secret=st.binary(max_size=200), passphrase=st.text(min_size=1, max_size=30))
    def test_round_trip(self, secret: bytes, passphrase: str) -> None:
        sealed = _seal(secret, passphrase)
        self.assertEqual(open_sealed(sealed, passphrase), secret)
        self.assertRaises(WrongPassphrase, open_sealed, sealed, passphrase + "x")

    def test_the_format(self) -> None:
        """Put together by hand: files written once must open for ever."""
        key = argon2id.kdf(32, b"correct horse", SALT, opslimit=2, memlimit=MEM_BYTES)
        box = SecretBox(key).encrypt(b"secret", NONCE).ciphertext
        expected = b"TCSB\x01\x02" + struct.pack("<I", MEM_BYTES // 1024) + SALT + NONCE + box
        self.assertEqual(seal(b"secret", "correct horse", SALT, NONCE, 2, MEM_BYTES), expected)
        self.assertEqual(open_sealed(expected, "correct horse"), b"secret")

    def test_the_default_costs_are_allowed(self) -> None:
        secretbox._check_costs(secretbox.DEFAULT_OPS, secretbox.DEFAULT_MEM_BYTES)

    def test_a_passphrase_is_the_same_in_any_normal_form(self) -> None:
        sealed = _seal(b"secret", "caf\u00e9")
        self.assertEqual(open_sealed(sealed, "cafe\u0301"), b"secret")

    def test_bad_arguments(self) -> None:
        for secret, passphrase, salt, nonce, ops, mem_bytes in (
            (b"", "", SALT, NONCE, MIN_OPS, MEM_BYTES),
            (b"", "p", SALT[1:], NONCE, MIN_OPS, MEM_BYTES),
            (b"", "p", SALT, NONCE + b"\x00", MIN_OPS, MEM_BYTES),
            (bytes(MAX_SECRET_BYTES + 1), "p", SALT, NONCE, MIN_OPS, MEM_BYTES),
            (b"", "p", SALT, NONCE, MIN_OPS - 1, MEM_BYTES),
            (b"", "p", SALT, NONCE, MAX_OPS + 1, MEM_BYTES),
            (b"", "p", SALT, NONCE, MIN_OPS, MIN_MEM_BYTES - 1024),
            (b"", "p", SALT, NONCE, MIN_OPS, MAX_MEM_BYTES + 1024),
            (b"", "p", SALT, NONCE, MIN_OPS, MEM_BYTES + 1),
        ):
            self.assertRaises(ValueError, seal, secret, passphrase, salt, nonce, ops, mem_bytes)


class HostileFileTests(SynchronousTestCase):
    def test_costs_are_bounded_before_they_are_spent(self) -> None:
        self.patch(secretbox, "_derive", self._must_not_derive)
        sealed = header_of(MIN_OPS, 64 * 2**30) + bytes(16)
        error = self.assertRaises(SealedError, open_sealed, sealed, "p")
        self.assertIn("68719476736 bytes of memory", str(error))
        for ops, mem_bytes in (
            (0, MEM_BYTES),
            (MAX_OPS + 1, MEM_BYTES),
            (255, MEM_BYTES),
            (MIN_OPS, 0),
            (MIN_OPS, MIN_MEM_BYTES - 1024),
            (MIN_OPS, MAX_MEM_BYTES + 1024),
            (MIN_OPS, (2**32 - 1) * 1024),
        ):
            sealed = header_of(ops, mem_bytes) + bytes(16)
            self.assertRaises(SealedError, open_sealed, sealed, "p")

    def test_size_magic_and_version_are_looked_at_first(self) -> None:
        self.patch(secretbox, "_derive", self._must_not_derive)
        good = header_of(MIN_OPS, MEM_BYTES) + bytes(16)
        for sealed in (
            b"",
            good[:-1],
            good + bytes(MAX_SECRET_BYTES + 1),
            b"TCSX" + good[4:],
            good[:4] + b"\x02" + good[5:],
        ):
            self.assertRaises(SealedError, open_sealed, sealed, "p")

    def _must_not_derive(self, *_: object) -> bytes:
        raise AssertionError("derived a key")

    def test_every_changed_byte_is_found(self) -> None:
        self.patch(secretbox, "MAX_MEM_BYTES", 2**20)
        sealed = _seal(b"secret")
        for place in range(len(sealed)):
            for change in (1, 0x80):
                changed = bytearray(sealed)
                changed[place] ^= change
                self.assertRaises(
                    (SealedError, WrongPassphrase), open_sealed, bytes(changed), "correct horse"
                )

    @settings(deadline=None, max_examples=50)
    @given(data=st.binary(max_size=200), magic=st.sampled_from((b"", b"TCSB")))
    def test_random_bytes_are_refused(self, data: bytes, magic: bytes) -> None:
        with mock.patch.object(secretbox, "MAX_MEM_BYTES", 2**20):
            self.assertRaises((SealedError, WrongPassphrase), open_sealed, magic + data, "p")

    @settings(deadline=None, max_examples=50)
    @given(ops=st.integers(0, 255), mem_kib=st.integers(0, 64), box=st.binary(max_size=100))
    def test_random_boxes_are_refused(self, ops: int, mem_kib: int, box: bytes) -> None:
        sealed = header_of(ops, mem_kib * 1024) + box
        self.assertRaises((SealedError, WrongPassphrase), open_sealed, sealed, "p")


def header_of(ops: int, mem_bytes: int) -> bytes:
    """The header that asks for these costs."""
    return b"TCSB\x01" + struct.pack("<BI", ops, mem_bytes // 1024) + SALT + NONCE
