"""Users of a simulated world: they hold genesis coins and pay each other.

A user spends only coins whose transaction it has seen final, as a careful wallet does.
"""

from __future__ import annotations

from collections import deque
from random import Random

from timecoin import params
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import SigningKey
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.signing import sign_transaction
from timecoin.ledger.transaction import (
    Outpoint,
    Transaction,
    TxInput,
    TxOutput,
    outpoint,
    split_outpoint,
)
from timecoin.ledger.utxo import Utxo

USER_COINS_UNITS = 1_000 * params.UNITS_PER_TIME
FEE_UNITS = 2 * params.MIN_FEE_UNITS
MIN_PAYMENT_UNITS = params.UNITS_PER_TIME // 100


class Users:
    """``count`` users with one genesis coin each, and what they may spend now."""

    def __init__(self, count: int, rng: Random) -> None:
        self._rng = rng
        self._keys = [SigningKey(rng.randbytes(32)) for _ in range(count)]
        self.hashes = [hash160(key.public) for key in self._keys]
        self._key_of = dict(zip(self.hashes, self._keys, strict=True))
        self._coins: deque[tuple[Outpoint, Utxo]] = deque()
        self._pending: dict[bytes, Transaction] = {}
        self._chain_id = bytes(12)

    def fund(self, chain_id: bytes, coins: tuple[tuple[Outpoint, Utxo], ...]) -> None:
        """Hand out the genesis coins."""
        self._chain_id = chain_id
        self._coins.extend(coins)

    def payment(self, fee_units: int = FEE_UNITS) -> Transaction | None:
        """A signed payment of one coin to two users; None while no coin is free."""
        if not self._coins:
            return None
        point, coin = self._coins.popleft()
        payment = self._spend(point, coin, fee_units)
        self._pending[payment.txid] = payment
        return payment

    def double_spend(self) -> tuple[Transaction, Transaction] | None:
        """Two signed payments of one coin; None while no coin is free."""
        found = self.spends(2)
        return None if found is None else (found[0], found[1])

    def spends(self, count: int) -> tuple[Transaction, ...] | None:
        """``count`` signed payments of one coin; None while no coin is free."""
        if not self._coins:
            return None
        point, coin = self._coins.popleft()
        found = tuple(self._spend(point, coin) for _ in range(count))
        for tx in found:
            self._pending[tx.txid] = tx
        return found

    def settled(self, txid: bytes) -> None:
        """``txid`` is final: its outputs may be spent."""
        tx = self._pending.pop(txid, None)
        if tx is None:
            return
        for index, output in enumerate(tx.outputs):
            if output.value >= 4 * MIN_PAYMENT_UNITS:
                coin = Utxo(output.value, output.lock_script, height=0, coinbase=False)
                self._coins.append((outpoint(txid, index), coin))

    def _spend(self, point: Outpoint, coin: Utxo, fee_units: int = FEE_UNITS) -> Transaction:
        amount = self._rng.randrange(MIN_PAYMENT_UNITS, coin.value // 2)
        payee = self._rng.choice(self.hashes)
        payer_hash = coin.script[1:21]
        outputs = (
            TxOutput(amount, pay_to_pubkey_hash(payee)),
            TxOutput(coin.value - amount - fee_units, coin.script),
        )
        txid, index = split_outpoint(point)
        inputs = (TxInput(txid, index, params.SEQUENCE_FINAL),)
        unsigned = Transaction(params.TX_VERSION, inputs, outputs, 0, ((),))
        return sign_transaction(unsigned, (coin,), self._chain_id, (self._key_of[payer_hash],))
