"""Payment links by RPC: there and back, and what no link can say."""

from __future__ import annotations

from tests.rpc.methods.walletcase import STRANGER, WalletTestCase
from timecoin.rpc.errors import INVALID_PARAMETER, NOT_FOUND


class LinkTests(WalletTestCase):
    def test_there_and_back(self) -> None:
        uri = self.call("createpaymenturi", 1.5, "Shop & Co", "order 7", STRANGER)
        self.assertEqual(
            uri, f"timecoin:{STRANGER}?amount=1.50000000&label=Shop%20%26%20Co&memo=order%207"
        )
        self.assertEqual(
            self.call("parsepaymenturi", uri),
            {"address": STRANGER, "amount": 1.5, "label": "Shop & Co", "memo": "order 7"},
        )

    def test_to_a_fresh_address_of_the_wallet(self) -> None:
        uri = self.call("createpaymenturi", label="rent")
        asked = self.call("parsepaymenturi", uri)
        self.assertEqual((asked["amount"], asked["label"], asked["memo"]), (None, "rent", ""))
        shown = self.call("getaddressinfo", asked["address"])
        self.assertEqual((shown["ismine"], shown["labels"]), (True, ["rent"]))

    def test_a_link_that_cannot_be_made_takes_no_address(self) -> None:
        before = self.node.wallet.next_address()
        self.refused(INVALID_PARAMETER, "createpaymenturi", 1, "rent", "two\nlines")
        self.assertEqual(self.node.wallet.next_address(), before)
        uri = self.call("createpaymenturi", 1, "rent")
        self.assertIn(before, uri)

    def test_refused(self) -> None:
        self.refused(NOT_FOUND, "createpaymenturi", 1, "", "", "nonsense")
        self.refused(INVALID_PARAMETER, "createpaymenturi", 0, "", "", STRANGER)
        self.refused(INVALID_PARAMETER, "createpaymenturi", 1, "two\nlines", "", STRANGER)
        self.refused(INVALID_PARAMETER, "parsepaymenturi", "bitcoin:x")
        self.refused(NOT_FOUND, "parsepaymenturi", "timecoin:x")
        self.refused(INVALID_PARAMETER, "parsepaymenturi", f"timecoin:{STRANGER}?amount=0")
