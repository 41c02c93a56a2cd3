"""Payment links: ``timecoin:ADDRESS?amount=1.5&label=Shop&memo=order%207`` (after BIP 21).

Read strictly: what is unknown, doubled or malformed is refused, as it may be what matters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from timecoin.crypto.address import decode_address
from timecoin.ledger.amount import format_time, parse_time
from timecoin.params import Network

SCHEME = "timecoin"
MAX_URI_CHARS = 4_096
MAX_TEXT_CHARS = 256
"""Of a label or a memo."""

# RFC 3986: unreserved characters, some harmless others, and escapes.
_VALUE = re.compile(r"(?:[A-Za-z0-9\-._~!$'()*,;:@/?]|%[0-9A-Fa-f]{2})*")


class UriError(ValueError):
    """Text that is no payment link of this network; the message says why."""


@dataclass(frozen=True, slots=True)
class PaymentUri:
    """Whom to pay, and what the payee says about it."""

    address: str
    amount_units: int | None = None
    label: str = ""
    """What the payee is called."""
    memo: str = ""
    """What the payment is for."""


def payment_uri(network: Network, payment: PaymentUri) -> str:
    """The link that :func:`parse_payment_uri` reads back; ``ValueError`` for what it refuses."""
    fields = {"label": payment.label, "memo": payment.memo}
    query = [f"{name}={quote(text, safe='')}" for name, text in fields.items() if text]
    if payment.amount_units is not None:
        query.insert(0, f"amount={format_time(payment.amount_units)}")
    uri = f"{SCHEME}:{payment.address}" + ("?" + "&".join(query) if query else "")
    parse_payment_uri(network, uri)
    return uri


def parse_payment_uri(network: Network, text: str) -> PaymentUri:
    """What the link ``text`` asks for; :class:`UriError`, or ``AddressError`` for its address."""
    if len(text) > MAX_URI_CHARS:
        raise UriError(f"a payment link has at most {MAX_URI_CHARS} characters")
    scheme, colon, rest = text.partition(":")
    if not colon or scheme.lower() != SCHEME:
        raise UriError(f"a payment link begins with {SCHEME}:")
    address, question, query = rest.partition("?")
    decode_address(network, address)
    fields: dict[str, str] = {}
    for field in query.split("&") if question else ():
        name, equals, value = field.partition("=")
        if name not in ("amount", "label", "memo") or not equals:
            raise UriError(f"a payment link with {field[:40]!r}, which is unknown")
        if name in fields:
            raise UriError(f"a payment link with two fields {name}")
        fields[name] = _unquoted(name, value)
    return PaymentUri(
        address=address,
        amount_units=_amount(fields["amount"]) if "amount" in fields else None,
        label=fields.get("label", ""),
        memo=fields.get("memo", ""),
    )


def _unquoted(name: str, value: str) -> str:
    if not _VALUE.fullmatch(value):
        raise UriError(f"{name}: characters that a link must escape")
    try:
        text = unquote(value, errors="strict")
    except UnicodeDecodeError as error:
        raise UriError(f"{name}: not UTF-8") from error
    if not text or len(text) > MAX_TEXT_CHARS or not text.isprintable():
        raise UriError(f"{name}: not one line of 1 to {MAX_TEXT_CHARS} characters")
    return text


def _amount(text: str) -> int:
    try:
        units = parse_time(text)
    except ValueError as error:
        raise UriError(f"amount: {error}") from error
    if not units:
        raise UriError("amount: nothing to pay")
    return units
