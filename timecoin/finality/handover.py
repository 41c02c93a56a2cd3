"""Transactions of nodes outside the active set on their way to members (PROTOCOL 5)."""

from __future__ import annotations

from timecoin.crypto.hashing import blake3_256
from timecoin.finality.context import Context
from timecoin.finality.messages import Pending, Relay
from timecoin.finality.parameters import ENTRY_NODES, RELAY_PEERS
from timecoin.finality.sample import union_weights
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Effect, Send, Spread


def hand_over(context: Context, batch: tuple[Transaction, ...]) -> list[Effect]:
    """Give ``batch`` to three linked members; without any, to everybody."""
    peers = context.committee.some_staked(RELAY_PEERS)
    if peers:
        return [Send(peer, Relay(batch)) for peer in peers]
    return [Spread(Pending(batch))]


def is_entry_node(context: Context, tx: Transaction) -> bool:
    """Whether this member is to poll ``tx``, which gossip has carried to all.

    The three members with the lowest hash beside its txid do, so that not every member polls.
    """
    key = context.committee.signer(context.committee.current())
    if key is None:
        return False
    ranked = sorted(
        union_weights(context.committee.current()),
        key=lambda member: blake3_256(tx.txid + member),
    )
    return key.public in ranked[:ENTRY_NODES]
