"""Signed text: good only for the address, the text and nothing else."""

from __future__ import annotations

import base64

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import key
from tests.wallet.kit import NETWORK
from timecoin.crypto.address import AddressError, encode_address
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import verify
from timecoin.params import TAG_MESSAGE, TAG_TX, Network
from timecoin.wallet.message import sign_message, verify_message

KEY = key(1)
ADDRESS = encode_address(NETWORK, hash160(KEY.public))
TEXT = "I hold this coin — 時"
SIGNATURE = sign_message(KEY, TEXT)


def good(address: str = ADDRESS, signature: str = SIGNATURE, text: str = TEXT) -> bool:
    return verify_message(NETWORK, address, signature, text, verify)


class MessageTests(SynchronousTestCase):
    @settings(max_examples=40, deadline=None)
    @given(st.text(max_size=40), st.text(max_size=40))
    def test_of_this_text_alone(self, text: str, other: str) -> None:
        signature = sign_message(KEY, text)
        self.assertTrue(good(signature=signature, text=text))
        self.assertEqual(good(signature=signature, text=other), text == other)

    def test_of_this_address_alone(self) -> None:
        other = encode_address(NETWORK, hash160(key(2).public))
        self.assertFalse(good(address=other))
        self.assertFalse(good(signature=sign_message(key(2), TEXT)))
        forged = base64.b64encode(KEY.public + base64.b64decode(sign_message(key(2), TEXT))[32:])
        self.assertFalse(good(signature=forged.decode()))

    def test_it_is_tagged(self) -> None:
        raw = base64.b64decode(SIGNATURE)
        self.assertTrue(verify(KEY.public, TAG_MESSAGE + TEXT.encode(), raw[32:]))
        for tag in (b"", TAG_TX):
            signed = base64.b64encode(KEY.public + KEY.sign(tag + TEXT.encode())).decode()
            self.assertFalse(good(signature=signed))

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 95), st.integers(1, 255))
    def test_any_changed_byte(self, position: int, change: int) -> None:
        raw = bytearray(base64.b64decode(SIGNATURE))
        raw[position] ^= change
        self.assertFalse(good(signature=base64.b64encode(raw).decode()))

    @given(st.text(max_size=140))
    def test_anything_else_is_refused(self, signature: str) -> None:
        self.assertRaises(ValueError, good, ADDRESS, signature)

    def test_malformed(self) -> None:
        for signature in (SIGNATURE[:-4], SIGNATURE + "AAAA", SIGNATURE + "\n", f" {SIGNATURE}"):
            self.assertRaises(ValueError, good, ADDRESS, signature)
        self.assertRaises(ValueError, sign_message, KEY, "\ud800")
        self.assertRaises(AddressError, good, ADDRESS + "q")
        self.assertRaises(
            AddressError, verify_message, Network.MAINNET, ADDRESS, SIGNATURE, TEXT, verify
        )
