"""Signatures: messages, multisig, and transactions that were made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from timecoin.crypto.keys import PUBKEY_BYTES, verify
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import multisig
from timecoin.ledger.transaction import Outpoint, Transaction, TxOutput, outpoint
from timecoin.params import MAX_MULTISIG_KEYS, MAX_TX_BYTES
from timecoin.rpc.errors import DECODE_ERROR, INVALID_PARAMETER, TYPE_ERROR, RpcError
from timecoin.rpc.lookup import Lookup
from timecoin.rpc.method import rpc_method
from timecoin.rpc.methods.rawtransactions import TransactionHex, read_transaction
from timecoin.rpc.purse import Purse, wallet_errors
from timecoin.rpc.rawbuild import MAX_SCRIPT_BYTES
from timecoin.rpc.rendering import Json
from timecoin.rpc.valuetypes import AddressText, AmountOfTime, Array, Hex, Integer, Text
from timecoin.wallet.message import verify_message
from timecoin.wallet.rawsign import RawSigned, combine

MAX_COMBINED = 100
MAX_MESSAGE_CHARS = 100_000

Message = Annotated[str, Text(max_chars=MAX_MESSAGE_CHARS, label="message")]
Signature = Annotated[str, Text(max_chars=256, label="signature")]
SighashType = Annotated[str, Text(choices=("DEFAULT", "ALL"), label="sighash type")]
Required = Annotated[int, Integer(1, MAX_MULTISIG_KEYS, label="number")]
Pubkeys = Annotated[list[bytes], Array(Hex(PUBKEY_BYTES, PUBKEY_BYTES, label="pubkey"), 15)]
RawTransactions = Annotated[
    list[bytes], Array(Hex(1, MAX_TX_BYTES, label="hex", code=DECODE_ERROR), MAX_COMBINED)
]

_TXID = Hex(32, 32, label="hash")
_INDEX = Integer(0, 2**32 - 1, label="index")
_SCRIPT = Hex(1, MAX_SCRIPT_BYTES, label="script")
_AMOUNT = AmountOfTime()


class SigningMethods:
    """What keys can attest, this wallet's or others'."""

    def __init__(self, purse: Purse, lookup: Lookup, chain_id: bytes) -> None:
        self._purse = purse
        self._lookup = lookup
        self._chain_id = chain_id

    @rpc_method()
    def signmessage(self, address: AddressText, message: Message) -> str:
        """A text signed with the key of an address of the wallet, in base64.

        Errors: -4 not the wallet's, -5 no address, -13 passphrase needed.
        """
        self._purse.script(address)
        with wallet_errors():
            return self._purse.wallet.sign_message(address, message)

    @rpc_method()
    def verifymessage(self, address: AddressText, signature: Signature, message: Message) -> bool:
        """Whether a signature of signmessage is that of the text by the key of the address.

        Errors: -3 the signature is not base64 of the right length, -5 no address.
        """
        self._purse.script(address)
        try:
            return verify_message(self._purse.network, address, signature, message, verify)
        except ValueError as error:
            raise RpcError(TYPE_ERROR, f"Malformed signature: {error}") from error

    @rpc_method()
    def createmultisig(self, nrequired: Required, keys: Pubkeys) -> Json:
        """The lock script that nrequired of up to 15 public keys (in hex) spend together.

        No address stands for it (address is null): createrawtransaction pays to the script itself.
        Keys are sorted. Error -8 when there are too few of them, or one comes twice.
        """
        try:
            script = multisig(nrequired, keys)
        except RuleBroken as broken:
            raise RpcError(INVALID_PARAMETER, broken.detail) from broken
        return {"address": None, "redeemScript": script.hex(), "scriptPubKey": script.hex()}

    @rpc_method()
    def signrawtransactionwithwallet(
        self,
        hexstring: TransactionHex,
        prevtxs: list[dict[str, object]] | None = None,
        sighashtype: SighashType = "DEFAULT",
    ) -> Json:
        """Sign all inputs of a transaction whose keys the wallet has; nothing is sent.

        prevtxs: objects with txid, vout, scriptPubKey and amount, for outputs that this node does
        not know. complete is true when every input can be spent, else errors says what is missing:
        other signers go on from hex. Errors: -13 passphrase needed, -22 not a transaction.
        """
        tx = read_transaction(hexstring)
        prevouts = self._known([tx]) | _prevouts(prevtxs or [])
        with wallet_errors():
            try:
                return _signed_json(self._purse.wallet.sign_raw(tx, prevouts))
            except ValueError as error:
                raise RpcError(DECODE_ERROR, str(error)) from error

    @rpc_method()
    def combinerawtransaction(self, txs: RawTransactions) -> str:
        """One transaction in hex with the signatures of several copies of it.

        Error -8 when they are not the same but for their signatures.
        """
        read = [read_transaction(raw) for raw in txs]
        try:
            return combine(read, self._known(read), self._chain_id, verify).tx.encoded.hex()
        except ValueError as error:
            raise RpcError(INVALID_PARAMETER, str(error)) from error

    def _known(self, txs: Sequence[Transaction]) -> dict[Outpoint, TxOutput]:
        found = {point: self._lookup.output(point) for tx in txs[:1] for point in tx.outpoints}
        return {point: output for point, output in found.items() if output is not None}


def _prevouts(items: Sequence[Mapping[str, object]]) -> dict[Outpoint, TxOutput]:
    found = {}
    for number, item in enumerate(items):
        name = f"prevtxs[{number}]"
        for key in ("txid", "vout", "scriptPubKey", "amount"):
            if key not in item:
                raise RpcError(INVALID_PARAMETER, f"{name}: missing {key}")
        point = outpoint(
            _TXID.read(item["txid"], f"{name}.txid"), _INDEX.read(item["vout"], f"{name}.vout")
        )
        found[point] = TxOutput(
            _AMOUNT.read(item["amount"], f"{name}.amount"),
            _SCRIPT.read(item["scriptPubKey"], f"{name}.scriptPubKey"),
        )
    return found


def _signed_json(signed: RawSigned) -> Json:
    shown: Json = {"hex": signed.tx.encoded.hex(), "complete": signed.complete}
    if signed.unsigned:
        shown["errors"] = [
            {
                "txid": signed.tx.inputs[item.index].prev_txid.hex(),
                "vout": signed.tx.inputs[item.index].prev_index,
                "witness": [part.hex() for part in signed.tx.witnesses[item.index]],
                "sequence": signed.tx.inputs[item.index].sequence,
                "error": item.reason,
            }
            for item in signed.unsigned
        ]
    return shown
