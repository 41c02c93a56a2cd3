"""Bech32m: the lists of BIP 350, round trips and mutations."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.vectors.loader import load_vectors
from timecoin.crypto import bech32m
from timecoin.crypto.bech32m import Bech32mError

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

hrps = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20).map(
    str.lower
)
group_lists = st.lists(st.integers(0, 31), max_size=60)


class Bip350Tests(SynchronousTestCase):
    def setUp(self) -> None:
        self.vectors = load_vectors("bip350")

    def test_valid(self) -> None:
        for text in self.vectors["valid"]:
            hrp, groups = bech32m.decode(text)
            self.assertEqual(bech32m.encode(hrp, groups), text.lower())

    def test_invalid(self) -> None:
        for text in self.vectors["invalid"]:
            self.assertRaises(Bech32mError, bech32m.decode, text)

    def test_reasons(self) -> None:
        for text, reason in (
            ("\x801vctc34", "not ASCII"),
            ("\x7f1g6xzxy", "'\\x7f' may not stand in a human-readable part"),
            (self.vectors["invalid"][3], "91 characters exceed 90"),
            ("qyrz8wqd2c9m", "no separator '1'"),
            ("1qyrz8wqd2c9m", "empty human-readable part"),
            ("y1b0jsk6g", "'b' is not a bech32 character"),
            ("in1muywd", "too short for a checksum"),
            ("M1VUXWEZ", "bad checksum"),
            ("A1lqfn3a", "mixed upper and lower case"),
        ):
            error = self.assertRaises(Bech32mError, bech32m.decode, text)
            self.assertEqual(str(error), reason)

    def test_bech32_is_told_apart(self) -> None:
        for text in self.vectors["bech32_not_m"]:
            error = self.assertRaises(Bech32mError, bech32m.decode, text)
            self.assertEqual(str(error), "the checksum is bech32, not bech32m")


class CodecTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=50)
    @given(hrp=hrps, groups=group_lists)
    def test_round_trip_in_both_cases(self, hrp: str, groups: list[int]) -> None:
        text = bech32m.encode(hrp, groups)
        self.assertEqual(bech32m.decode(text), (hrp, groups))
        self.assertEqual(bech32m.decode(text.upper()), (hrp, groups))

    @settings(deadline=None, max_examples=100)
    @given(groups=group_lists, data=st.data())
    def test_up_to_four_wrong_characters_are_found(
        self, groups: list[int], data: st.DataObject
    ) -> None:
        text = bech32m.encode("time", groups)
        places = data.draw(
            st.lists(st.integers(5, len(text) - 1), min_size=1, max_size=4, unique=True)
        )
        changed = list(text)
        for place in places:
            changed[place] = data.draw(st.sampled_from(ALPHABET.replace(text[place], "")))
        self.assertRaises(Bech32mError, bech32m.decode, "".join(changed))

    @settings(deadline=None, max_examples=200)
    @given(text=st.text(max_size=100))
    def test_any_text_is_decoded_or_refused(self, text: str) -> None:
        try:
            hrp, groups = bech32m.decode(text)
        except Bech32mError:
            return
        self.assertEqual(bech32m.encode(hrp, groups), text.lower())

    def test_letters_that_only_lower_to_ascii_are_refused(self) -> None:
        """U+212A, the Kelvin sign, lowers to 'k': an address must have one spelling a case."""
        groups = [ALPHABET.index("k")] * 3
        text = bech32m.encode("time", groups).upper()
        self.assertEqual(text.replace("K", "\u212a").lower(), text.lower())
        error = self.assertRaises(Bech32mError, bech32m.decode, text.replace("K", "\u212a"))
        self.assertEqual(str(error), "not ASCII")

    def test_encode_refuses_what_decode_would(self) -> None:
        for hrp, groups in (
            ("", [0]),
            ("TIME", [0]),
            ("ti me", [0]),
            ("t\u00efme", [0]),
            ("time", [32]),
            ("time", [-1]),
            ("time", [0] * 80),
        ):
            self.assertRaises(Bech32mError, bech32m.encode, hrp, groups)
        self.assertEqual(len(bech32m.encode("time", [0] * 79)), 90)


class RegroupingTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=100)
    @given(data=st.binary(max_size=60))
    def test_round_trip(self, data: bytes) -> None:
        groups = bech32m.to_groups(data)
        self.assertTrue(all(0 <= group < 32 for group in groups))
        self.assertEqual(len(groups), (len(data) * 8 + 4) // 5)
        self.assertEqual(bech32m.from_groups(groups), data)

    @settings(deadline=None, max_examples=200)
    @given(groups=st.lists(st.integers(0, 31), max_size=40))
    def test_only_one_grouping_of_any_bytes(self, groups: list[int]) -> None:
        try:
            data = bech32m.from_groups(groups)
        except Bech32mError:
            return
        self.assertEqual(bech32m.to_groups(data), groups)

    def test_padding(self) -> None:
        self.assertEqual(bech32m.to_groups(b"\xff"), [31, 28])
        error = self.assertRaises(Bech32mError, bech32m.from_groups, [31, 29])
        self.assertEqual(str(error), "padding is not zero")
        error = self.assertRaises(Bech32mError, bech32m.from_groups, [31, 28, 0])
        self.assertEqual(str(error), "a whole group of padding")
