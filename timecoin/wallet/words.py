"""A wallet as words on paper (BIP 39, the English list).

The words are their entropy with a checksum, nothing else: either gives the other. The seed that
the keys are derived from (SLIP-0010) is stretched out of the words.
"""

from __future__ import annotations

import functools

from mnemonic import Mnemonic

ENTROPY_BYTES = (16, 20, 24, 28, 32)
"""What 12, 15, 18, 21 and 24 words hold."""
WORD_COUNTS = (12, 15, 18, 21, 24)


class WordsError(ValueError):
    """Words that are no wallet. The text names positions only: the words are secret."""


def words_of(entropy: bytes) -> str:
    """The words that stand for ``entropy``: 12 for 16 bytes, 24 for 32.

    ``ValueError`` for a length that is not one of :data:`ENTROPY_BYTES`.
    """
    if len(entropy) not in ENTROPY_BYTES:
        raise ValueError(f"a wallet's entropy has 16, 20, 24, 28 or 32 bytes, not {len(entropy)}")
    return _english().to_mnemonic(entropy)


def entropy_of(words: str) -> bytes:
    """The entropy that ``words`` stand for; their case and the spaces between do not matter.

    :class:`WordsError` for a number of words that is not one of :data:`WORD_COUNTS`, a word that is
    not in the list, or a checksum that is wrong.
    """
    given = words.lower().split()
    if len(given) not in WORD_COUNTS:
        raise WordsError(f"{len(given)} words; a wallet has 12, 15, 18, 21 or 24")
    known = _english().wordlist
    for position, word in enumerate(given, start=1):
        if word not in known:
            raise WordsError(f"word {position} is not in the English list of BIP 39")
    try:
        return bytes(_english().to_entropy(given))
    except ValueError:
        raise WordsError("the checksum is wrong: a word is another one, or misplaced") from None


def seed_of(words: str, passphrase: str = "") -> bytes:
    """The 64 bytes that keys are derived from. Takes a millisecond; ``words`` are not judged.

    ``passphrase`` is BIP 39's, which a wallet here does not use.
    """
    return Mnemonic.to_seed(" ".join(words.lower().split()), passphrase)


@functools.cache
def _english() -> Mnemonic:
    return Mnemonic("english")
