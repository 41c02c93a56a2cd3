"""The ledger's rules of a block: one check for production, proposals, sync and replay (PROTOCOL 6).

What certificates prove comes in as the set of txids that they certify; header fields that belong to
the chain, the lottery or the active set are checked there.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import pairwise

from timecoin import params
from timecoin.crypto.keys import Verify
from timecoin.ledger.block import Block, Body, Resolution
from timecoin.ledger.check import (
    StakeFree,
    check_spend,
    check_structure,
    check_witness,
    stake_kept,
)
from timecoin.ledger.connect import UtxoDiff, spent_outputs, utxo_diff
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.memo import SpendMemo
from timecoin.ledger.rewards import Earner, expected_reward
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.transaction import Transaction
from timecoin.ledger.utxo import Utxo, UtxoView


def max_entries(genesis: Genesis) -> int:
    """How many transactions one block may archive: so many for each second of a slot."""
    rate = params.ENTRIES_PER_SLOT_SECOND[params.Network(genesis.network)]
    return rate * genesis.slot_ms // 1000


def check_block(
    block: Block,
    transactions: Sequence[Transaction],
    *,
    view: UtxoView,
    members: Sequence[Earner],
    certified: Container[bytes],
    genesis: Genesis,
    parent_time_ms: int,
    verify: Verify,
    stake_free: StakeFree = stake_kept,
    memo: SpendMemo | None = None,
) -> tuple[UtxoDiff, int]:
    """The change of the UTXO set and the fees (units) of a valid ``block``; else ``RuleBroken``.

    ``transactions`` are the bodies of its entries, in their order; ``view`` is the UTXO set after
    the parent, ``members`` its whole active set, ``parent_time_ms`` its slot_time, and
    ``certified`` the txids that the block's certificates certify; ``stake_free`` tells which stakes
    may be spent. ``memo`` spares a second look at what no block can change.
    """
    header, body = block.header, block.body
    _check_entries(block, transactions, max_entries(genesis))
    _check_covered(body, certified)
    for tx in transactions:
        if memo is None or memo.fee_units(tx.wtxid) is None:
            check_structure(tx)
    spent = spent_outputs(transactions, view, header.height)
    disputed = _disputed(body, transactions, spent)
    fees = sum(
        check_spend(
            tx,
            coins,
            genesis.chain_id,
            header.height,
            parent_time_ms,
            verify,
            stake_free=stake_free,
            memo=memo,
        )
        for tx, coins in zip(transactions, spent, strict=True)
    )
    for resolution, index, utxo in disputed:
        check_witness(resolution.loser, index, utxo, genesis.chain_id, verify)
    reward = expected_reward(genesis.base_reward, members, header.producer, fees, header.height)
    if body.reward != reward:
        raise RuleBroken("bad-cb-amount", "the reward transaction is not the one due")
    return utxo_diff(transactions, spent, reward, header.height), fees


def _check_entries(block: Block, transactions: Sequence[Transaction], limit: int) -> None:
    """Number, order, identity and root of the entries."""
    entries = block.body.entries
    if len(entries) > limit:
        raise RuleBroken("bad-blk-entries", f"{len(entries)} entries, at most {limit}")
    if any(later.txid <= earlier.txid for earlier, later in pairwise(entries)):
        raise RuleBroken("bad-entries-order", "entries do not ascend strictly by txid")
    if block.header.entries_root != block.body.entries_root:
        raise RuleBroken("bad-entries-root", "the header names other entries")
    if [(entry.txid, entry.wtxid) for entry in entries] != [
        (tx.txid, tx.wtxid) for tx in transactions
    ]:
        raise RuleBroken("bad-entries", "the entries are not these transactions")


def _check_covered(body: Body, certified: Container[bytes]) -> None:
    """Each entry is certified or the winner of a resolution; resolutions ascend strictly."""
    keys = [(resolution.winner, resolution.outpoint) for resolution in body.resolutions]
    if any(later <= earlier for earlier, later in pairwise(keys)):
        raise RuleBroken(
            "bad-resolutions-order", "resolutions do not ascend by winner and outpoint"
        )
    resolved = {winner for winner, _ in keys}
    for entry in body.entries:
        if entry.txid not in certified and entry.txid not in resolved:
            raise RuleBroken("not-certified", f"{entry.txid.hex()} is not certified or resolved")


def _disputed(
    body: Body, transactions: Sequence[Transaction], spent: Sequence[tuple[Utxo, ...]]
) -> list[tuple[Resolution, int, Utxo]]:
    """Each resolution, the loser's input that proves it, and the output spent there twice."""
    place = {tx.txid: position for position, tx in enumerate(transactions)}
    found = []
    for resolution in body.resolutions:
        position = place.get(resolution.winner)
        if position is None:
            raise RuleBroken("bad-resolution", "the winner is no entry")
        loser = resolution.loser
        if loser.txid == resolution.winner:
            raise RuleBroken("bad-resolution", "the loser is the winner")
        check_structure(loser)
        winners = transactions[position].outpoints
        if resolution.outpoint not in winners or resolution.outpoint not in loser.outpoints:
            raise RuleBroken("bad-resolution", "the outpoint is not spent by both")
        utxo = spent[position][winners.index(resolution.outpoint)]
        found.append((resolution, loser.outpoints.index(resolution.outpoint), utxo))
    return found
