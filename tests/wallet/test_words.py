"""Words for entropy: BIP 39's vectors, and what is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.vectors.loader import load_vectors
from timecoin.wallet.words import ENTROPY_BYTES, WordsError, entropy_of, seed_of, words_of

ABOUT = "abandon " * 11 + "about"

entropies = st.sampled_from(ENTROPY_BYTES).flatmap(
    lambda size: st.binary(min_size=size, max_size=size)
)


class VectorTests(SynchronousTestCase):
    def test_published_vectors(self) -> None:
        known = load_vectors("bip39_english")
        self.assertEqual(len(known["vectors"]), 24)
        for vector in known["vectors"]:
            entropy = bytes.fromhex(vector["entropy"])
            self.assertEqual(words_of(entropy), vector["words"])
            self.assertEqual(entropy_of(vector["words"]), entropy)
            self.assertEqual(seed_of(vector["words"], known["passphrase"]).hex(), vector["seed"])


class WordsTests(SynchronousTestCase):
    @given(entropies)
    def test_round_trip(self, entropy: bytes) -> None:
        words = words_of(entropy)
        self.assertEqual(len(words.split()), len(entropy) * 3 // 4)
        self.assertEqual(entropy_of(words), entropy)

    @given(entropies, st.data())
    def test_typed_by_a_person(self, entropy: bytes, draw: st.DataObject) -> None:
        words = words_of(entropy)
        typed = "".join(
            draw.draw(st.sampled_from((letter, letter.upper())))
            if letter != " "
            else draw.draw(st.sampled_from((" ", "  ", "\n", "\t ")))
            for letter in words
        )
        self.assertEqual(entropy_of(f" {typed}\n"), entropy)
        self.assertEqual(seed_of(typed), seed_of(words))

    @given(st.text(max_size=60))
    def test_any_other_text(self, text: str) -> None:
        self.assertRaises(WordsError, entropy_of, text)

    @given(st.lists(st.sampled_from([*ABOUT.split(), "zoo", "legal"]), min_size=12, max_size=12))
    def test_words_in_any_order_stand_for_themselves_or_for_nothing(self, words: list[str]) -> None:
        try:
            entropy = entropy_of(" ".join(words))
        except WordsError as error:
            self.assertIn("checksum", str(error))
            self.assertIsNone(error.__cause__)
        else:
            self.assertEqual(words_of(entropy), " ".join(words))

    def test_refusals_name_no_word(self) -> None:
        for words, reason in (
            (ABOUT + " about", "13 words"),
            ("", "0 words"),
            (ABOUT.replace("about", "abuot"), "word 12 is not in"),
            ("abandon " * 12, "checksum is wrong"),
        ):
            error = self.assertRaises(WordsError, entropy_of, words)
            self.assertIn(reason, str(error))
            for word in ("abandon", "abuot", "about"):
                self.assertNotIn(word, str(error))

    def test_entropy_of_the_wrong_length(self) -> None:
        for size in (0, 15, 17, 33, 64):
            self.assertRaises(ValueError, words_of, bytes(size))
