"""Payment links: made for who is to be paid, and read for who pays."""

from __future__ import annotations

from typing import Annotated

from timecoin.crypto.address import AddressError
from timecoin.rpc.errors import INVALID_PARAMETER, NOT_FOUND, RpcError
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.method import rpc_method
from timecoin.rpc.purse import Purse, wallet_errors
from timecoin.rpc.rendering import Json
from timecoin.rpc.valuetypes import AddressText, Amount, Text
from timecoin.wallet.uri import (
    MAX_TEXT_CHARS,
    MAX_URI_CHARS,
    PaymentUri,
    UriError,
    parse_payment_uri,
    payment_uri,
)

Words = Annotated[str, Text(max_chars=MAX_TEXT_CHARS, label="text")]
Link = Annotated[str, Text(max_chars=MAX_URI_CHARS, label="link")]


class LinkMethods:
    """Links as ``timecoin:ADDRESS?amount=1.5&label=Shop&memo=order%207``."""

    def __init__(self, purse: Purse) -> None:
        self._purse = purse

    @rpc_method()
    def createpaymenturi(
        self,
        amount: Amount | None = None,
        label: Words = "",
        memo: Words = "",
        address: AddressText | None = None,
    ) -> str:
        """A link that asks to be paid: amount is left to the payer unless told.

        label says who is paid, memo what for, each in one line. address is a fresh one of the
        wallet, called label, unless told. Errors: -5 no address, -8 text that a link cannot carry.
        """
        wallet = self._purse.wallet
        with wallet_errors():
            target = wallet.next_address() if address is None else address
        try:
            uri = payment_uri(self._purse.network, PaymentUri(target, amount, label, memo))
        except AddressError as error:
            raise RpcError(NOT_FOUND, f"Invalid address: {error}") from error
        except UriError as error:
            raise RpcError(INVALID_PARAMETER, str(error)) from error
        if address is None:
            with wallet_errors():
                wallet.new_address(label)
        return uri

    @rpc_method()
    def parsepaymenturi(self, uri: Link) -> Json:
        """What a payment link asks for; amount is null when it leaves that to the payer.

        Errors: -5 its address is not one of this network, -8 no payment link.
        """
        try:
            asked = parse_payment_uri(self._purse.network, uri)
        except AddressError as error:
            raise RpcError(NOT_FOUND, f"Invalid address: {error}") from error
        except UriError as error:
            raise RpcError(INVALID_PARAMETER, str(error)) from error
        return {
            "address": asked.address,
            "amount": None if asked.amount_units is None else amount_json(asked.amount_units),
            "label": asked.label,
            "memo": asked.memo,
        }
