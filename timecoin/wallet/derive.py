"""Keys of a wallet: ``m/44'/2024'/account'/change'/index'`` (SLIP-0010, BIP 44, PROTOCOL 2)."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import SigningKey
from timecoin.crypto.slip10 import ExtendedKey, master_key

PURPOSE = 44
COIN_TYPE = 2024


class Branch(enum.IntEnum):
    """The two branches of an account (BIP 44)."""

    RECEIVE = 0
    """Addresses that others are told."""
    CHANGE = 1
    """Where the rest of a payment returns to."""


@dataclass(frozen=True, slots=True)
class KeyPath:
    """Which key of the account: ``change'/index'``."""

    branch: Branch
    index: int


def path_text(account: int, path: KeyPath) -> str:
    """As people write it: ``m/44'/2024'/0'/0'/7'``."""
    steps = (PURPOSE, COIN_TYPE, account, int(path.branch), path.index)
    return "m/" + "/".join(f"{step}'" for step in steps)


class Account:
    """The private keys of one account of a seed."""

    def __init__(self, seed: bytes, number: int = 0) -> None:
        """``seed``: 16 to 64 secret bytes (BIP 39 gives 64); ``number``: the account's.

        ``ValueError`` for another length, or a number outside 0 .. 2^31 - 1.
        """
        account = master_key(seed).child(PURPOSE).child(COIN_TYPE).child(number)
        self._branches: tuple[ExtendedKey, ...] = tuple(account.child(each) for each in Branch)

    def key(self, path: KeyPath) -> SigningKey:
        """The key at ``path``; ``ValueError`` for an index outside 0 .. 2^31 - 1."""
        return SigningKey(self._branches[path.branch].child(path.index).private)

    def pubkey_hash(self, path: KeyPath) -> bytes:
        """The 20 bytes that the address of the key at ``path`` carries."""
        return hash160(self.key(path).public)
