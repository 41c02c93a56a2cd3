"""Paths of the wallet's keys, computed beside it from the definition of SLIP-0010."""

from __future__ import annotations

import hashlib
import hmac

from nacl.signing import SigningKey
from twisted.trial.unittest import SynchronousTestCase

from timecoin.crypto.hashing import hash160
from timecoin.wallet.derive import Account, Branch, KeyPath

SEED = bytes.fromhex("000102030405060708090a0b0c0d0e0f")


def slip10(seed: bytes, *path: int) -> bytes:
    digest = hmac.new(b"ed25519 seed", seed, hashlib.sha512).digest()
    for index in path:
        data = b"\x00" + digest[:32] + (0x80000000 | index).to_bytes(4, "big")
        digest = hmac.new(digest[32:], data, hashlib.sha512).digest()
    return digest[:32]


class AccountTests(SynchronousTestCase):
    def test_keys_lie_where_bip_44_puts_them(self) -> None:
        account = Account(SEED)
        for branch, index in ((Branch.RECEIVE, 0), (Branch.RECEIVE, 7), (Branch.CHANGE, 3)):
            expected = slip10(SEED, 44, 2024, 0, int(branch), index)
            key = account.key(KeyPath(branch, index))
            self.assertEqual(key.seed, expected)
            self.assertEqual(key.public, bytes(SigningKey(expected).verify_key))
            self.assertEqual(account.pubkey_hash(KeyPath(branch, index)), hash160(key.public))

    def test_accounts_share_no_key(self) -> None:
        path = KeyPath(Branch.RECEIVE, 0)
        self.assertEqual(Account(SEED, 5).key(path).seed, slip10(SEED, 44, 2024, 5, 0, 0))
        self.assertRaises(ValueError, Account, SEED, 2**31)

    def test_branches_are_those_of_bip_44(self) -> None:
        self.assertEqual(
            [(each.name, int(each)) for each in Branch], [("RECEIVE", 0), ("CHANGE", 1)]
        )

    def test_a_seed_of_the_wrong_length_and_an_index_out_of_range(self) -> None:
        self.assertRaises(ValueError, Account, bytes(15))
        self.assertRaises(ValueError, Account(SEED).key, KeyPath(Branch.RECEIVE, 2**31))
