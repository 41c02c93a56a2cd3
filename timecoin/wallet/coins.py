"""Which outputs are ours, and what may be done with them now.

Two sources: the chain, by blocks or a walk over the UTXO set, and transactions that wait to be
archived. Of the latter those are followed that spend a coin of ours, from the start, and those
that pay to us, once they are certified: no one can fill the wallet with promises. Nothing here
is stored; after a restart the chain and the pool tell it again.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from timecoin import params
from timecoin.ledger.connect import Coin
from timecoin.ledger.script import TAG_STAKE
from timecoin.ledger.transaction import Outpoint, Transaction, TxOutput, outpoint, split_outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.wallet.derive import KeyPath

_KEPT_SUMS = 64


class OwnKeys(Protocol):
    """Port: which scripts are ours. Seeing one in use may make further ones known."""

    @property
    def known(self) -> int:
        """The number of keys that are recognized."""

    def owner(self, script: bytes) -> KeyPath | None:
        """The own key that spends ``script``."""

    def mark_used(self, path: KeyPath) -> None:
        """The key at ``path`` was seen in use."""


class Standing(enum.Enum):
    """What may be done with a coin of ours."""

    SPENDABLE = "spendable"
    """Archived and mature, or final: it may be spent now."""
    PENDING = "pending"
    """Its transaction is not final yet."""
    IMMATURE = "immature"
    """A reward that has to rest (PROTOCOL 3)."""
    STAKED = "staked"
    """The collateral of a masternode."""


@dataclass(frozen=True, slots=True)
class OwnCoin:
    """An output of ours that no transaction which we know of spends."""

    point: Outpoint
    utxo: Utxo
    """Its ``height`` is the next block's while it waits to be archived."""
    path: KeyPath
    standing: Standing
    confirmations: int
    """Blocks from the archiving one to the tip; 0 before."""

    def satisfies(self, minconf: int) -> bool:
        """Whether it has ``minconf`` confirmations; being final is worth one at once."""
        depth = 0 if self.standing is Standing.PENDING else max(1, self.confirmations)
        return depth >= minconf


@dataclass(frozen=True, slots=True)
class Balance:
    """Sums of own coins, in units; what our waiting transactions spend is in none of them."""

    spendable: int = 0
    pending: int = 0
    immature: int = 0
    staked: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.spendable + self.pending + self.immature + self.staked


@dataclass(slots=True)
class _Waiting:
    tx: Transaction
    coins: tuple[tuple[Outpoint, Utxo, KeyPath], ...]
    final: bool


class Coins:
    """The coins of one set of keys."""

    def __init__(self, keys: OwnKeys) -> None:
        self._keys = keys
        self._tip_height = 0
        self._archived: dict[Outpoint, tuple[Utxo, KeyPath]] = {}
        """By height and outpoint, so that a reader of the oldest ten reads ten."""
        self._waiting: dict[bytes, _Waiting] = {}
        self._waiting_coins: dict[Outpoint, bytes] = {}
        """Own output of a waiting transaction -> its txid."""
        self._spenders: dict[Outpoint, list[bytes]] = {}
        """Every input of every waiting transaction -> who spends it."""
        self._archived_sums: dict[tuple[int, bytes | None], dict[Standing, int]] = {}
        """Of archived coins, whoever waits to spend them: what was asked for since the block."""
        self._archived_spendable: list[Coin] | None = None
        """The same of what may be spent."""

    # reading

    def __iter__(self) -> Iterator[OwnCoin]:
        """All coins that nothing spends, oldest first; of the same age by outpoint."""
        for point, (utxo, path) in self._archived.items():
            if point not in self._spenders:
                age = self._tip_height - utxo.height
                yield OwnCoin(point, utxo, path, self._standing(utxo), age + 1)
        yield from sorted(self._waiting_unspent(), key=lambda coin: coin.point)

    def _waiting_unspent(self) -> Iterator[OwnCoin]:
        for waiting in self._waiting.values():
            for point, utxo, path in waiting.coins:
                if point not in self._spenders:
                    standing = self._standing(utxo) if waiting.final else Standing.PENDING
                    yield OwnCoin(point, utxo, path, standing, 0)

    def balance(self, minconf: int = 0, script: bytes | None = None) -> Balance:
        """The sums over coins with at least ``minconf`` confirmations (final counts as one).

        ``script`` restricts them to one lock script.
        """
        asked = (minconf, script)
        if asked not in self._archived_sums:
            if len(self._archived_sums) == _KEPT_SUMS:
                self._archived_sums.clear()
            self._archived_sums[asked] = self._sum_archived(minconf, script)
        sums = dict(self._archived_sums[asked])
        youngest = self._youngest(minconf)
        for point in self._spenders:
            if point in self._archived:
                utxo, _ = self._archived[point]
                if utxo.height <= youngest and script in (None, utxo.script):
                    sums[self._standing(utxo)] -= utxo.value
        for coin in self._waiting_unspent():
            if coin.satisfies(minconf) and script in (None, coin.utxo.script):
                sums[coin.standing] += coin.utxo.value
        return Balance(**{each.value: units for each, units in sums.items()})

    def _sum_archived(self, minconf: int, script: bytes | None) -> dict[Standing, int]:
        # Without an OwnCoin for each: a wallet may have a hundred thousand, and the loop waits.
        sums = dict.fromkeys(Standing, 0)
        youngest, standing = self._youngest(minconf), self._standing
        for utxo, _ in self._archived.values():
            if utxo.height <= youngest and script in (None, utxo.script):
                sums[standing(utxo)] += utxo.value
        return sums

    def _youngest(self, minconf: int) -> int:
        """The height that archived coins with ``minconf`` confirmations do not exceed."""
        return self._tip_height + 1 - max(1, minconf)

    def spendable(self) -> list[Coin]:
        """The coins that may be spent now, oldest first."""
        if self._archived_spendable is None:
            standing = self._standing
            self._archived_spendable = [
                (point, utxo)
                for point, (utxo, _) in self._archived.items()
                if standing(utxo) is Standing.SPENDABLE
            ]
        archived = [coin for coin in self._archived_spendable if coin[0] not in self._spenders]
        waiting = [
            (coin.point, coin.utxo)
            for coin in self._waiting_unspent()
            if coin.standing is Standing.SPENDABLE
        ]
        return archived + sorted(waiting, key=lambda coin: coin[0])

    def is_unspent(self, point: Outpoint) -> bool:
        """Whether ``point`` is an output of ours that nothing spends."""
        return self.owns(point) and point not in self._spenders

    def owns(self, point: Outpoint) -> bool:
        """Whether ``point`` is an output of ours, archived or waiting, spent or not."""
        return point in self._archived or point in self._waiting_coins

    def follows(self, txid: bytes) -> bool:
        """Whether ``txid`` waits and concerns us."""
        return txid in self._waiting

    def find_output(self, point: Outpoint) -> TxOutput | None:
        """The output of ours that ``point`` names, while no archived transaction spends it."""
        archived = self._archived.get(point)
        if archived is not None:
            return TxOutput(archived[0].value, archived[0].script)
        waiting = self._waiting.get(self._waiting_coins.get(point, b""))
        return None if waiting is None else waiting.tx.outputs[split_outpoint(point)[1]]

    def waiting(self) -> list[tuple[Transaction, bool]]:
        """The transactions that wait to be archived, newest first, and whether they are final."""
        return [(each.tx, each.final) for each in reversed(self._waiting.values())]

    def is_final(self, txid: bytes) -> bool:
        """Whether ``txid`` is followed and final."""
        waiting = self._waiting.get(txid)
        return waiting is not None and waiting.final

    # the chain

    def rescan(self, utxos: Callable[[], Iterable[Coin]], tip_height: int) -> None:
        """Learn the archived coins anew from the whole UTXO set at ``tip_height``.

        ``utxos`` is called again whenever that made further keys known.
        """
        self._archived.clear()
        self._tip_height = tip_height
        self._adopt(utxos)

    def connect(
        self,
        height: int,
        transactions: Sequence[Transaction],
        spent: Sequence[Coin],
        created: Sequence[Coin],
    ) -> tuple[bytes, ...]:
        """Take in the block at ``height``; the txids of followed transactions it made void."""
        self._tip_height = height
        for point, _ in spent:
            self._archived.pop(point, None)
        self._adopt(lambda: created)
        for tx in transactions:
            self._forget(tx.txid)
        return tuple(
            void
            for tx in transactions
            for point in tx.outpoints
            for spender in tuple(self._spenders.get(point, ()))
            for void in self.drop(spender)
        )

    def _adopt(self, created: Callable[[], Iterable[Coin]]) -> None:
        """Take ours of ``created``, which are younger than all that are archived already."""
        ours: dict[Outpoint, tuple[Utxo, KeyPath]] = {}
        known = -1
        while known != self._keys.known:
            known = self._keys.known
            for point, utxo in created():
                path = self._keys.owner(utxo.script)
                if path is not None:
                    ours[point] = (utxo, path)
                    self._keys.mark_used(path)
        self._archived_sums.clear()
        self._archived_spendable = None
        self._archived.update(sorted(ours.items(), key=lambda item: (item[1][0].height, item[0])))

    # what waits

    def concerns(self, tx: Transaction, certified: bool) -> bool:
        """Whether ``tx`` is to be followed: it spends ours, or it is certified and pays to us."""
        return any(map(self.owns, tx.outpoints)) or (
            certified and any(self._keys.owner(output.lock_script) for output in tx.outputs)
        )

    def follow(self, tx: Transaction, final: bool) -> None:
        """``tx`` waits to be archived: its inputs are taken. What was final stays so."""
        waiting = self._waiting.get(tx.txid)
        if waiting is not None:
            waiting.final = waiting.final or final
            return
        height = self._tip_height + 1
        coins = []
        for index, output in enumerate(tx.outputs):
            path = self._keys.owner(output.lock_script)
            if path is not None:
                utxo = Utxo(output.value, output.lock_script, height, coinbase=False)
                coins.append((outpoint(tx.txid, index), utxo, path))
                self._keys.mark_used(path)
        self._waiting[tx.txid] = _Waiting(tx, tuple(coins), final)
        for point, _, _ in coins:
            self._waiting_coins[point] = tx.txid
        for point in tx.outpoints:
            self._spenders.setdefault(point, []).append(tx.txid)

    def drop(self, txid: bytes) -> tuple[bytes, ...]:
        """``txid`` will never be archived: its inputs are free again.

        It and its followed descendants, which go with it; nothing if it is not followed.
        """
        dropped = []
        doomed = [txid]
        while doomed:
            tx = self._forget(doomed.pop())
            if tx is not None:
                dropped.append(tx.txid)
                for index in range(len(tx.outputs)):
                    doomed.extend(self._spenders.get(outpoint(tx.txid, index), ()))
        return tuple(dropped)

    def _forget(self, txid: bytes) -> Transaction | None:
        waiting = self._waiting.pop(txid, None)
        if waiting is None:
            return None
        for point, _, _ in waiting.coins:
            del self._waiting_coins[point]
        for point in waiting.tx.outpoints:
            spenders = self._spenders[point]
            spenders.remove(txid)
            if not spenders:
                del self._spenders[point]
        return waiting.tx

    def _standing(self, utxo: Utxo) -> Standing:
        if utxo.script[0] == TAG_STAKE:
            return Standing.STAKED
        rest = params.COINBASE_MATURITY_BLOCKS
        if utxo.coinbase and self._tip_height + 1 - utxo.height < rest:
            return Standing.IMMATURE
        return Standing.SPENDABLE
