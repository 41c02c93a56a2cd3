"""Blocks of payments for the ledger's own check: what the chain and votes add is made up."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.ledger_kit import Coins, coin, genesis, validator
from timecoin.crypto.keys import verify
from timecoin.ledger.block import Block, Body, Entry, Header, Resolution
from timecoin.ledger.check_block import check_block
from timecoin.ledger.connect import UtxoDiff
from timecoin.ledger.rewards import expected_reward
from timecoin.ledger.transaction import Transaction
from timecoin.masternodes.active_set import genesis_set

HEIGHT = 7
PARENT_TIME_MS = 1_800_000_000_000
START = genesis(3, users=6)
MEMBERS = genesis_set(START).members
COINS = Coins(coin(START, number) for number in range(6))


def header_of(body: Body, producer: bytes = validator(1).public) -> Header:
    """A header that commits to ``body``."""
    return Header(
        version=1,
        chain_id=START.chain_id,
        height=HEIGHT,
        slot=180_000_001,
        slot_time=PARENT_TIME_MS + START.slot_ms,
        prev_hash=bytes(32),
        producer=producer,
        round=0,
        vrf_proof=bytes(80),
        seed=bytes(32),
        timestamp_ms=PARENT_TIME_MS + START.slot_ms,
        entries_root=body.entries_root,
        avs_root=bytes(32),
        utxo_root=bytes(32),
        body_root=body.root,
    )


def block_of(
    transactions: Sequence[Transaction],
    fees: int,
    resolutions: Sequence[Resolution] = (),
    reward: Transaction | None = None,
    producer: bytes = validator(1).public,
) -> Block:
    """A block of ``transactions`` in this order; its reward is the one due for ``fees``."""
    if reward is None:
        reward = expected_reward(START.base_reward, MEMBERS, producer, fees, HEIGHT)
    entries = tuple(Entry(tx.txid, tx.wtxid) for tx in transactions)
    body = Body(reward, entries, (), tuple(resolutions), (), ())
    return Block(header_of(body, producer), body)


def check(
    block: Block, transactions: Sequence[Transaction], certified: frozenset[bytes] | None = None
) -> tuple[UtxoDiff, int]:
    """The ledger's check; without a word about it, all ``transactions`` are certified."""
    if certified is None:
        certified = frozenset(tx.txid for tx in transactions)
    return check_block(
        block,
        transactions,
        view=COINS,
        members=MEMBERS,
        certified=certified,
        genesis=START,
        parent_time_ms=PARENT_TIME_MS,
        verify=verify,
    )
