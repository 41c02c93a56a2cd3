"""What the user calls addresses."""

from __future__ import annotations

import os
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.ledger_kit import script_of
from tests.wallet.kit import NETWORK, STRANGER
from tests.wallet.test_wallet import WalletCase
from timecoin.crypto.address import AddressError, encode_address
from timecoin.ledger.script import data, pay_to_pubkey_hash
from timecoin.wallet.derive import Branch
from timecoin.wallet.errors import LabelRefused, WalletFileError
from timecoin.wallet.keystore import MAX_LABEL_CHARS, Keystore

FOREIGN = encode_address(NETWORK, script_of(STRANGER)[1:])


class LabelTests(WalletCase):
    def names(self) -> dict[str, str]:
        """As they stand in the file, after a look at what the wallet says."""
        reopened = Keystore.open(self.path, NETWORK)
        self.assertEqual(reopened.labels, self.fixture.keystore.labels)
        return self.wallet.labelled()

    def test_own_and_foreign_addresses(self) -> None:
        own = self.wallet.new_address("rent")
        self.wallet.set_label(FOREIGN, "baker")
        self.assertEqual(self.names(), {own: "rent", FOREIGN: "baker"})
        self.assertEqual(self.wallet.labelled("rent"), {own: "rent"})
        self.assertEqual(self.wallet.label_of(script_of(STRANGER)), "baker")
        self.wallet.set_label(FOREIGN, "the baker")
        self.wallet.set_label(own, "")
        self.wallet.set_label(own, "")
        self.assertEqual(self.names(), {FOREIGN: "the baker"})

    def test_scripts_without_a_name(self) -> None:
        self.wallet.new_address()
        self.assertEqual(self.names(), {})
        for script in (b"", data(b"x" * 20), pay_to_pubkey_hash(bytes(20))):
            self.assertIsNone(self.wallet.label_of(script))

    def test_refusals_change_nothing(self) -> None:
        self.wallet.set_label(FOREIGN, "baker")
        for label in ("x" * (MAX_LABEL_CHARS + 1), "two\nlines", "\x1b[31mred"):
            self.assertRaises(LabelRefused, self.wallet.set_label, FOREIGN, label)
            self.assertRaises(LabelRefused, self.wallet.new_address, label)
        self.assertRaises(AddressError, self.wallet.set_label, "timed1nonsense", "x")
        with mock.patch.object(os, "fsync", side_effect=OSError(5, "I/O error")):
            self.assertRaises(WalletFileError, self.wallet.set_label, FOREIGN, "x")
            self.assertRaises(WalletFileError, self.wallet.new_address, "x")
        self.assertEqual(self.names(), {FOREIGN: "baker"})
        self.assertEqual(self.fixture.keystore.count(Branch.RECEIVE), 0)

    @settings(max_examples=30, deadline=None)
    @given(st.dictionaries(st.binary(min_size=20, max_size=20), st.text(max_size=20), max_size=5))
    def test_any_names(self, names: dict[bytes, str]) -> None:
        expected = {}
        for pubkey_hash in list(self.fixture.keystore.labels):
            self.fixture.keystore.set_label(pubkey_hash, "")
        for pubkey_hash, label in names.items():
            address = encode_address(NETWORK, pubkey_hash)
            try:
                self.wallet.set_label(address, label)
            except LabelRefused:
                self.assertFalse(label.isprintable())
            else:
                expected.update({address: label} if label else {})
        self.assertEqual(self.names(), expected)
