"""The history as its user reads it: what waits on top, then what is archived, newest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from timecoin import params
from timecoin.wallet.book import Archived, HistoryBook
from timecoin.wallet.coins import Coins
from timecoin.wallet.history import Effect, HistoryEntry, Owner, effect_of

LabelOf = Callable[[bytes], str | None]


def list_entries(
    book: HistoryBook,
    coins: Coins,
    owner: Owner,
    label_of: LabelOf,
    tip_height: Callable[[], int],
) -> Iterator[HistoryEntry]:
    """All entries of waiting and archived transactions.

    Taken one after the other they cost what they cost: a reader of the newest ten reads ten.
    What is archived between two steps comes once more, or only then.
    """
    for tx, final in coins.waiting():
        if coins.follows(tx.txid):
            effect = effect_of(tx, coins.find_output, owner)
            yield from _entries(tx.txid, effect, None, final, label_of, 0)
    height = tip_height()
    for archived in book:
        row = archived.row
        yield from _entries(row.txid, row.effect, archived, True, label_of, height)


def _entries(
    txid: bytes,
    effect: Effect,
    archived: Archived | None,
    final: bool,
    label_of: LabelOf,
    tip_height: int,
) -> Iterator[HistoryEntry]:
    confirmations = 0 if archived is None else tip_height - archived.height + 1
    for detail in effect.details:
        sent = detail.category == "send"
        rests = detail.category == "generate" and confirmations < params.COINBASE_MATURITY_BLOCKS
        yield HistoryEntry(
            txid=txid,
            category="immature" if rests else detail.category,
            index=detail.index,
            lock_script=detail.lock_script,
            units=-detail.units if sent else detail.units,
            fee_units=effect.fee_units if sent else None,
            height=None if archived is None else archived.height,
            position=None if archived is None else archived.position,
            time_ms=None if archived is None else archived.row.time_ms,
            confirmations=confirmations,
            final=final,
            label=label_of(detail.lock_script),
        )
