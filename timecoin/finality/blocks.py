"""What a new tip does to finality: things end, locks die, receipts are given anew."""

from __future__ import annotations

from timecoin.finality.events import Status, StatusChanged
from timecoin.finality.parts import Parts
from timecoin.ledger.block import Block
from timecoin.ledger.transaction import Transaction, outpoint
from timecoin.machine import Effect, Emit


def connect(
    parts: Parts, block: Block, transactions: tuple[Transaction, ...], now_ms: int
) -> list[Effect]:
    """``block`` is the tip; the chain shows it already. ``transactions``: its entries' bodies."""
    context = parts.context
    context.tip_since_ms = now_ms
    # Outputs made and spent within the block are in no UTXO diff, but may be locked all the same.
    spent = {point: tx.txid for tx in transactions for point in tx.outpoints}
    change = context.pool.connect_block(transactions, spent, now_ms)
    never = [outpoint(tx.txid, index) for tx in change.rejected for index in range(len(tx.outputs))]
    effects = parts.voter.connected(block.height, (*spent, *never))
    effects += parts.book.connected(block.height)
    for tx in transactions:
        effects += _end(parts, tx)
        effects.append(Emit(StatusChanged(tx.txid, Status.ARCHIVED, now_ms)))
    for tx in change.rejected:
        effects += _end(parts, tx)
        parts.history.end(tx.txid, Status.REJECTED)
        effects.append(Emit(StatusChanged(tx.txid, Status.REJECTED, now_ms)))
    effects += parts.intake.bury()
    effects += parts.intake.accepted(change.admitted, now_ms)
    effects += parts.batches.connected(now_ms)
    parts.calls.connected()
    if not context.catching_up:
        effects += parts.settlement.new_tip(now_ms)
    return effects


def _end(parts: Parts, tx: Transaction) -> list[Effect]:
    """``tx`` waits no longer: archived, or void because a block spent an input otherwise."""
    parts.settlement.forget(tx.txid)
    return [
        *parts.intake.leave(tx),
        *parts.book.forget(tx),
        *parts.custody.close(tx.txid),
    ]
