"""Addresses: round trips, and a clear reason for every refusal."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.crypto import bech32m
from timecoin.crypto.address import AddressError, decode_address, encode_address
from timecoin.params import Network

KEY_HASH = bytes(range(20))

key_hashes = st.binary(min_size=20, max_size=20)
networks = st.sampled_from(Network)


class AddressTests(SynchronousTestCase):
    def test_fixed_addresses(self) -> None:
        """Pins hrp, version byte and checksum: addresses once given out must stay good."""
        for network, address in (
            (Network.MAINNET, "time1qqqqzqsrqszsvpcgpy9qkrqdpc83qygjzvqw4el2"),
            (Network.TESTNET, "timet1qqqqzqsrqszsvpcgpy9qkrqdpc83qygjzv5upspa"),
            (Network.DEVNET, "timed1qqqqzqsrqszsvpcgpy9qkrqdpc83qygjzv8vmrpe"),
        ):
            self.assertEqual(encode_address(network, KEY_HASH), address)

    @settings(deadline=None, max_examples=50)
    @given(network=networks, key_hash=key_hashes)
    def test_round_trip(self, network: Network, key_hash: bytes) -> None:
        address = encode_address(network, key_hash)
        self.assertEqual(decode_address(network, address), key_hash)
        self.assertEqual(decode_address(network, address.upper()), key_hash)

    @settings(deadline=None, max_examples=50)
    @given(key_hash=key_hashes, data=st.data())
    def test_a_changed_character_is_found(self, key_hash: bytes, data: st.DataObject) -> None:
        address = encode_address(Network.DEVNET, key_hash)
        place = data.draw(st.integers(0, len(address) - 1))
        character = data.draw(st.characters(min_codepoint=32, max_codepoint=126))
        changed = address[:place] + character + address[place + 1 :]
        if changed != address:
            self.assertRaises(AddressError, decode_address, Network.DEVNET, changed)

    @settings(deadline=None, max_examples=100)
    @given(network=networks, text=st.text(max_size=100))
    def test_any_text_is_refused(self, network: Network, text: str) -> None:
        self.assertRaises(AddressError, decode_address, network, text)

    @settings(deadline=None, max_examples=100)
    @given(payload=st.binary(max_size=40))
    def test_any_payload_is_an_address_or_refused(self, payload: bytes) -> None:
        text = bech32m.encode("timed", bech32m.to_groups(payload))
        if len(payload) == 21 and payload[0] == 0:
            self.assertEqual(decode_address(Network.DEVNET, text), payload[1:])
        else:
            self.assertRaises(AddressError, decode_address, Network.DEVNET, text)

    def _refusal(self, text: str) -> str:
        return str(self.assertRaises(AddressError, decode_address, Network.DEVNET, text))

    def _with_payload(self, hrp: str, payload: bytes) -> str:
        return self._refusal(bech32m.encode(hrp, bech32m.to_groups(payload)))

    def test_reasons(self) -> None:
        good = encode_address(Network.DEVNET, KEY_HASH)
        self.assertEqual(
            self._refusal(encode_address(Network.MAINNET, KEY_HASH)),
            "an address of mainnet, this is devnet",
        )
        self.assertEqual(
            self._with_payload("bc", b"\x00" + KEY_HASH), "an address begins with 'timed', not 'bc'"
        )
        self.assertEqual(
            self._refusal(good[:-1] + ("q" if good[-1] != "q" else "p")),
            "not an address: bad checksum",
        )
        self.assertEqual(
            self._refusal(good[:-1] + good[-1].upper() + "Q"),
            "not an address: mixed upper and lower case",
        )
        self.assertEqual(
            self._with_payload("timed", b"\x01" + KEY_HASH), "unknown address version 1"
        )
        self.assertEqual(
            self._with_payload("timed", b"\x00" + KEY_HASH[1:]),
            "an address holds 20 bytes of key hash, not 19",
        )
        self.assertEqual(self._with_payload("timed", b""), "an address without payload")
        groups = bech32m.to_groups(b"\x00" + KEY_HASH)
        self.assertEqual(
            self._refusal(bech32m.encode("timed", [*groups[:-1], groups[-1] | 1])),
            "not an address: padding is not zero",
        )

    def test_a_key_hash_has_20_bytes(self) -> None:
        for length in (0, 19, 21, 32):
            self.assertRaises(AddressError, encode_address, Network.DEVNET, bytes(length))
