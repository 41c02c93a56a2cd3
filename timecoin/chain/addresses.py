"""Outputs and history by address: what a block changes, and reading it page by page.

An address stands for the script that pays to it, so every script that holds coins can be asked
for, a multisig as well. A stake counts for the address of its owner. The index is beside the
chain's rules: no validity depends on it, and a node can do without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from timecoin.chain.ports import AddressStore, Place
from timecoin.ledger.connect import Coin, UtxoDiff
from timecoin.ledger.script import TAG_DATA, TAG_STAKE, Stake, parse_script, pay_to_pubkey_hash
from timecoin.ledger.transaction import Outpoint, Transaction

PAGE = 1_000
"""Rows read at a time; a larger limit is no error, only longer."""


class AddressIndexOff(LookupError):
    """This node keeps no index of addresses (``addressindex=0``)."""


def owner_script(script: bytes) -> bytes | None:
    """The script by which the owner of an output is found; None for data, which nobody owns."""
    tag = script[0]
    if tag == TAG_STAKE:
        parsed = parse_script(script)
        assert isinstance(parsed, Stake)
        return pay_to_pubkey_hash(parsed.owner_hash)
    return None if tag == TAG_DATA else script


@dataclass(frozen=True, slots=True)
class AddressChanges:
    """What a block does to the index; scripts are those of the owners."""

    spent: tuple[tuple[bytes, Outpoint], ...]
    created: tuple[tuple[bytes, Outpoint], ...]
    history: tuple[tuple[bytes, int, bytes], ...]
    """Script, position in the block, txid: each transaction once for each owner."""


def address_changes(transactions: Sequence[Transaction], diff: UtxoDiff) -> AddressChanges:
    """The changes of a block: ``transactions`` in the order of their positions, reward last."""
    made = {tx.txid: tx.outputs for tx in transactions}
    spent = {point: utxo.script for point, utxo in diff.spent}
    history: list[tuple[bytes, int, bytes]] = []
    for position, tx in enumerate(transactions):
        scripts = [output.lock_script for output in tx.outputs]
        for item in tx.inputs:
            script = spent.get(item.outpoint)
            if script is not None:
                scripts.append(script)
            elif item.prev_txid in made:  # else it is a reward, which spends nothing
                scripts.append(made[item.prev_txid][item.prev_index].lock_script)
        owners = dict.fromkeys(map(owner_script, scripts))
        history += [(owner, position, tx.txid) for owner in owners if owner is not None]
    return AddressChanges(owned(diff.spent), owned(diff.created), tuple(history))


def owned(coins: Sequence[Coin]) -> tuple[tuple[bytes, Outpoint], ...]:
    """The outputs that somebody owns, each with the owner's script."""
    found = ((owner_script(utxo.script), point) for point, utxo in coins)
    return tuple((owner, point) for owner, point in found if owner is not None)


@dataclass(frozen=True, slots=True)
class CoinPage:
    """Unspent outputs in outpoint order; ``next`` continues, None at the end."""

    coins: tuple[Coin, ...]
    next: Outpoint | None


@dataclass(frozen=True, slots=True)
class AddressEntry:
    """An archived transaction that pays to an address or spends from it."""

    place: Place
    txid: bytes


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Transactions, newest first; ``next`` continues, None at the end."""

    entries: tuple[AddressEntry, ...]
    next: Place | None


class AddressViews:
    """Reads the index; each call raises :class:`AddressIndexOff` when there is none.

    ``script`` is the one that pays to the address (``pay_to_pubkey_hash``). Allocations of the
    genesis file are outputs without a transaction: they are coins, but no history.
    """

    def __init__(self, store: AddressStore) -> None:
        self._store = store

    @property
    def enabled(self) -> bool:
        """Whether this node keeps the index."""
        return self._store.indexes_addresses

    def coins(self, script: bytes, after: Outpoint | None = None, limit: int = PAGE) -> CoinPage:
        """At most ``limit`` unspent outputs behind the outpoint ``after``.

        The pages are of the moment of each call: a block in between may add and take outputs.
        """
        self._require()
        points = self._store.address_unspent(script, after, limit + 1)
        coins = []
        for point in points[:limit]:
            utxo = self._store.utxo(point)
            assert utxo is not None  # written in one batch with the index
            coins.append((point, utxo))
        return CoinPage(tuple(coins), points[limit - 1] if len(points) > limit else None)

    def coins_in_steps(
        self, script: bytes, after: Outpoint | None = None
    ) -> Iterator[tuple[Coin, ...]]:
        """All unspent outputs behind the outpoint ``after``, a page a step."""
        while True:
            page = self.coins(script, after)
            yield page.coins
            after = page.next
            if after is None:
                return

    def history(self, script: bytes, before: Place | None = None, limit: int = PAGE) -> HistoryPage:
        """At most ``limit`` transactions that stand in the chain before the place ``before``.

        Pages stay what they are: new blocks come before the first one.
        """
        self._require()
        rows = self._store.address_history(script, before, limit + 1)
        entries = tuple(AddressEntry(place, txid) for place, txid in rows[:limit])
        return HistoryPage(entries, entries[-1].place if len(rows) > limit else None)

    def _require(self) -> None:
        if not self.enabled:
            raise AddressIndexOff("this node keeps no index of addresses (addressindex=0)")
