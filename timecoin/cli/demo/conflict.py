"""Two payments of one coin: a key of our own, what it was paid, and both spends at one moment."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from timecoin.cli.devnet.record import NodeRecord
from timecoin.client.blocking import RpcCallError, RpcUnreachable
from timecoin.crypto.address import decode_address, encode_address
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import SigningKey
from timecoin.ledger.amount import parse_time
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.signing import sign_transaction
from timecoin.ledger.transaction import Transaction, TxInput, TxOutput
from timecoin.ledger.utxo import Utxo
from timecoin.params import MIN_FEE_UNITS, SEQUENCE_FINAL, Network

REJECTED = -26


class Purse:
    """One key outside every wallet, and the coin that it is paid."""

    def __init__(self, genesis: Genesis) -> None:
        self._genesis = genesis
        self._key = SigningKey.generate(os.urandom(32))
        self._script = pay_to_pubkey_hash(hash160(self._key.public))
        self.address = encode_address(Network(genesis.network), hash160(self._key.public))

    def take(self, shown: Mapping[str, Any]) -> None:
        """Keep the coin of the transaction that ``getrawtransaction`` shows.

        ``LookupError`` when it pays nothing to this purse.
        """
        for output in shown["vout"]:
            if output["scriptPubKey"]["hex"] == self._script.hex():
                self._input = TxInput(bytes.fromhex(shown["txid"]), output["n"], SEQUENCE_FINAL)
                self._value = parse_time(f"{output['value']:f}")
                return
        raise LookupError(f"{shown['txid']} has no output for {self.address}")

    def spend(self, address: str) -> Transaction:
        """The signed payment of the whole coin to ``address``."""
        network = Network(self._genesis.network)
        target = pay_to_pubkey_hash(decode_address(network, address))
        unsigned = Transaction(
            version=1,
            inputs=(self._input,),
            outputs=(TxOutput(self._value - MIN_FEE_UNITS, target),),
            lock_time=0,
            witnesses=((),),
        )
        own = Utxo(self._value, self._script, height=0, coinbase=False)
        return sign_transaction(unsigned, [own], self._genesis.chain_id, [self._key])


@dataclass(frozen=True, slots=True)
class Sent:
    """What nodes said to spends that reached them at one moment."""

    taken: list[str] = field(default_factory=list)
    """Nodes that took theirs; one that had heard of the other spend may have refused its own."""
    failures: list[str] = field(default_factory=list)
    """What went wrong, one line each."""


def send_at_once(nodes: Sequence[NodeRecord], spends: Sequence[Transaction]) -> Sent:
    """Give each of ``spends`` to the node of the same position, all at one moment."""
    barrier = threading.Barrier(len(spends))
    sent = Sent()

    def send(node: NodeRecord, spend: Transaction) -> None:
        client = node.client()
        barrier.wait()
        try:
            client.call("sendrawtransaction", [spend.encoded.hex()])
            sent.taken.append(node.name)
        except RpcCallError as error:
            if error.code != REJECTED:
                sent.failures.append(f"{node.name}: sendrawtransaction: {error}")
        except RpcUnreachable as error:
            sent.failures.append(f"{node.name}: sendrawtransaction: {error}")
        finally:
            client.close()

    threads = [threading.Thread(target=send, args=pair) for pair in zip(nodes, spends, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sent
