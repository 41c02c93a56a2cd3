"""Step: two conflicting spends of one coin reach two nodes at once; exactly one becomes final."""

from __future__ import annotations

import os
import threading

from timecoin.cli.demo.stage import Actor, DemoFailure, Stage
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
from timecoin.node.config import GENESIS_NAME
from timecoin.node.genesisfile import read_genesis
from timecoin.params import MIN_FEE_UNITS, SEQUENCE_FINAL, Network

COIN = "20"
SLOTS = 6
REJECTED = -26


def double_spend(stage: Stage) -> str:
    """Fund a key of the demo's own, spend its coin twice, and see one side win everywhere."""
    genesis = read_genesis(stage.network.directory / GENESIS_NAME).genesis
    key = SigningKey.generate(os.urandom(32))
    funding = _fund(stage, key)
    spends = [_spend(genesis, key, funding, address) for address in stage.addresses[:2]]
    txids = [spend.txid.hex() for spend in spends]
    start = max(stage.heights())
    _send_at_once(stage, spends)

    def decided() -> int | None:
        finals = _finals(stage, txids)
        height = min(stage.heights())
        stage.progress(f"two conflicting spends are out, {height - start} blocks later")
        for index in (0, 1):
            if all(final[index] for final in finals):
                return index
        if height > start + SLOTS:
            raise stage.actors[0].fail(f"no side has won {SLOTS} blocks after the double spend")
        return None

    limit_s = 20 + 2 * SLOTS * stage.slot_s
    winner = stage.wait_for("one spend is final", limit_s, stage.actors[0], decided)
    blocks = max(stage.heights()) - start
    stage.final_txids.append(txids[winner])
    stage.lost_txids.append(txids[1 - winner])
    return f"exactly one of two conflicting spends is final, at every node, {blocks} blocks later"


def _fund(stage: Stage, key: SigningKey) -> tuple[bytes, int]:
    """Pay :data:`COIN` to ``key``; the outpoint, once it is final at every node."""
    address = encode_address(Network.DEVNET, hash160(key.public))
    script = pay_to_pubkey_hash(hash160(key.public))
    payer = stage.actors[0]
    txid = payer.call("sendtoaddress", [address, COIN])
    for actor in stage.actors:
        stage.wait_final(actor, txid)
    shown = payer.call("getrawtransaction", [txid, True])
    for output in shown["vout"]:
        if output["scriptPubKey"]["hex"] == script.hex():
            return bytes.fromhex(txid), int(output["n"])
    raise payer.fail(f"payment {txid} has no output for {address}")


def _spend(
    genesis: Genesis, key: SigningKey, funding: tuple[bytes, int], address: str
) -> Transaction:
    txid, index = funding
    value = parse_time(COIN)
    own = Utxo(value, pay_to_pubkey_hash(hash160(key.public)), height=0, coinbase=False)
    target = pay_to_pubkey_hash(decode_address(Network.DEVNET, address))
    unsigned = Transaction(
        version=1,
        inputs=(TxInput(txid, index, SEQUENCE_FINAL),),
        outputs=(TxOutput(value - MIN_FEE_UNITS, target),),
        lock_time=0,
        witnesses=((),),
    )
    return sign_transaction(unsigned, [own], genesis.chain_id, [key])


def _send_at_once(stage: Stage, spends: list[Transaction]) -> None:
    """One spend to each of two nodes, at one moment.

    A node may have heard of the other spend by then and refuse its own: then there is no tie to
    break, and still only one can win.
    """
    barrier = threading.Barrier(len(spends))
    failures: list[DemoFailure] = []

    def send(actor: Actor, spend: Transaction) -> None:
        client = actor.node.client()
        barrier.wait()
        try:
            client.call("sendrawtransaction", [spend.encoded.hex()])
        except RpcCallError as error:
            if error.code != REJECTED:
                failures.append(actor.fail(f"sendrawtransaction: {error}"))
        except RpcUnreachable as error:
            failures.append(actor.fail(f"sendrawtransaction: {error}"))
        finally:
            client.close()

    threads = [
        threading.Thread(target=send, args=(actor, spend))
        for actor, spend in zip(stage.actors, spends, strict=False)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _finals(stage: Stage, txids: list[str]) -> list[list[bool]]:
    """For each node, which of the two it calls final; :class:`DemoFailure` if both are anywhere."""
    finals = [[actor.calls_final(txid) for txid in txids] for actor in stage.actors]
    if all(any(final[index] for final in finals) for index in range(len(txids))):
        raise stage.actors[0].fail(f"both {' and '.join(txids)} are final")
    return finals
