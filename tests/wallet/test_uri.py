"""Payment links: what is made is read back, and nothing else is read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wallet.kit import NETWORK, TIME
from timecoin.crypto.address import AddressError, encode_address
from timecoin.params import MAX_AMOUNT_UNITS, Network
from timecoin.wallet.uri import (
    MAX_TEXT_CHARS,
    MAX_URI_CHARS,
    PaymentUri,
    UriError,
    parse_payment_uri,
    payment_uri,
)

ADDRESS = encode_address(NETWORK, bytes(range(20)))
texts = st.text(max_size=MAX_TEXT_CHARS).filter(str.isprintable)


def parse(text: str) -> PaymentUri:
    return parse_payment_uri(NETWORK, text)


class UriTests(SynchronousTestCase):
    def test_an_example(self) -> None:
        uri = f"timecoin:{ADDRESS}?amount=1.50000000&label=Zo%C3%AB%27s%20%26%20co&memo=order%207"
        payment = PaymentUri(ADDRESS, 3 * TIME // 2, "Zoë's & co", "order 7")
        self.assertEqual(payment_uri(NETWORK, payment), uri)
        self.assertEqual(parse(uri), payment)
        self.assertEqual(parse(uri.replace("timecoin", "TimeCoin")), payment)
        self.assertEqual(
            parse(f"timecoin:{ADDRESS}?memo=order%207&amount=1.5&label=Zo%c3%ab's%20%26%20co"),
            payment,
        )
        self.assertEqual(payment_uri(NETWORK, PaymentUri(ADDRESS)), f"timecoin:{ADDRESS}")

    @given(
        st.binary(min_size=20, max_size=20),
        st.none() | st.integers(1, MAX_AMOUNT_UNITS),
        texts,
        texts,
    )
    def test_round_trip(
        self, pubkey_hash: bytes, amount: int | None, label: str, memo: str
    ) -> None:
        payment = PaymentUri(encode_address(NETWORK, pubkey_hash), amount, label, memo)
        try:
            uri = payment_uri(NETWORK, payment)
        except UriError:
            self.assertGreater(len(label) + len(memo), MAX_URI_CHARS // 12)
        else:
            self.assertEqual(parse(uri), payment)

    @given(st.text(max_size=80))
    def test_any_text(self, text: str) -> None:
        for uri in (text, f"timecoin:{text}", f"timecoin:{ADDRESS}{text}"):
            try:
                payment = parse(uri)
            except (UriError, AddressError):
                continue
            self.assertEqual(parse(payment_uri(NETWORK, payment)), payment)

    def test_refusals(self) -> None:
        for query in (
            "",
            "amount=",
            "amount=0",
            "amount=-1",
            "amount=1e3",
            "amount=1,5",
            "amount=0.000000001",
            "amount=99999999999999",
            "amount=1&amount=1",
            "Amount=1",
            "label",
            "label=",
            "label=two words",
            "label=%",
            "label=%zz",
            "label=%ff",
            "label=%0a",
            "label=" + "x" * (MAX_TEXT_CHARS + 1),
            "label=a&",
            "label=a#b",
            "label=ë",
            "req-time=1",
            "message=hello",
        ):
            self.assertRaises(UriError, parse, f"timecoin:{ADDRESS}?{query}")
        for uri in ("", ADDRESS, f"bitcoin:{ADDRESS}", "x" * (MAX_URI_CHARS + 1)):
            self.assertRaises(UriError, parse, uri)
        for uri in ("timecoin:", "timecoin:?amount=1", f"timecoin://{ADDRESS}"):
            self.assertRaises(AddressError, parse, uri)
        self.assertRaises(AddressError, parse_payment_uri, Network.MAINNET, f"timecoin:{ADDRESS}")

    def test_nothing_is_made_that_is_not_read(self) -> None:
        for payment in (
            PaymentUri(ADDRESS, 0),
            PaymentUri(ADDRESS, -5),
            PaymentUri(ADDRESS, None, "two\nlines"),
            PaymentUri("nobody"),
        ):
            self.assertRaises(ValueError, payment_uri, NETWORK, payment)
