"""Addresses: what their text means."""

from __future__ import annotations

from timecoin.crypto.address import AddressError, decode_address, encode_address
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.params import Network
from timecoin.rpc.method import rpc_method
from timecoin.rpc.rendering import Json


class AddressMethods:
    """Needs to know the network alone."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @rpc_method()
    def validateaddress(self, address: str) -> Json:
        """Whether a text is an address of this network, and the script that it stands for.

        Any text is answered; error says what is wrong with one that is no address.
        """
        try:
            pubkey_hash = decode_address(self._network, address)
        except AddressError as error:
            return {"isvalid": False, "error_locations": [], "error": str(error)}
        return {
            "isvalid": True,
            "address": encode_address(self._network, pubkey_hash),
            "scriptPubKey": pay_to_pubkey_hash(pubkey_hash).hex(),
            "isscript": False,
            "iswitness": False,
        }
