"""This node's receipts: "I durably hold it and everything it stands on" (PROTOCOL 5, Final).

Never for two conflicting transactions, and never against a resolution that this node has
prepared. Both memories are on disk before anything leaves that depends on them.
"""

from __future__ import annotations

from timecoin.codec import U64, Bytes32, Wire, encode
from timecoin.finality.certificates import Held
from timecoin.finality.context import Context
from timecoin.finality.messages import SignedReceipt
from timecoin.ledger.transaction import Outpoint, Transaction
from timecoin.machine import Effect, Record
from timecoin.quorum.bitmap import make_bitmap
from timecoin.quorum.statement import stored_statement

RECEIPTS = "receipts"
"""outpoint -> Receipted."""
BANS = "bans"
"""height (u64, big-endian) | outpoint | winner -> nothing."""


class Receipted(Wire, frozen=True):
    """An outpoint is receipted for ``txid``, first at this tip."""

    txid: Bytes32
    tip: U64


class ReceiptBook:
    """What this node has receipted, and what it must not."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._receipted: dict[Outpoint, Receipted] = {}
        self._first_tip: dict[bytes, int] = {}
        self._bans: dict[Outpoint, dict[tuple[int, bytes], None]] = {}

    def __len__(self) -> int:
        return len(self._first_tip)

    # reading

    def first_tip(self, txid: bytes) -> int | None:
        """The tip at which ``txid`` was first receipted, while it waits."""
        return self._first_tip.get(txid)

    def receipted_conflict(self, tx: Transaction) -> bytes | None:
        """The receipted transaction that ``tx`` conflicts with."""
        for point in tx.outpoints:
            held = self._receipted.get(point)
            if held is not None and held.txid != tx.txid:
                return held.txid
        return None

    def is_banned(self, tx: Transaction) -> bool:
        """Whether this node has prepared a resolution in favour of a conflicting spend."""
        return any(
            winner != tx.txid for point in tx.outpoints for _, winner in self._bans.get(point, ())
        )

    def may_receipt(self, txid: bytes, memo: dict[bytes, bool]) -> bool:
        """Whether ``txid`` and all its ancestors not yet archived are held and free of conflicts.

        The pool holds a transaction only with its parents, and certified ones durably. ``memo``
        spares looking twice at what several transactions stand on.
        """
        for item in self._ancestry(txid, memo):
            entry = self._context.pool.entry(item)
            memo[item] = (
                entry is not None
                and entry.certified
                and self.receipted_conflict(entry.tx) is None
                and not self.is_banned(entry.tx)
                and all(memo.get(parent, True) for parent in self._parents(entry.tx))
            )
        return memo[txid]

    def _parents(self, tx: Transaction) -> list[bytes]:
        return [item.prev_txid for item in tx.inputs if item.prev_txid in self._context.pool]

    def _ancestry(self, txid: bytes, memo: dict[bytes, bool]) -> list[bytes]:
        """``txid`` and its waiting ancestors that ``memo`` lacks, parents before children."""
        order: list[bytes] = []
        stack = [(txid, False)]
        placed: dict[bytes, None] = {}
        while stack:
            item, expanded = stack.pop()
            if item in memo or item in placed:
                continue
            if expanded:
                placed[item] = None
                order.append(item)
                continue
            stack.append((item, True))
            tx = self._context.pool.get(item)
            if tx is not None:
                stack.extend((parent, False) for parent in self._parents(tx))
        return order

    # signing

    def sign(
        self, held: Held, memo: dict[bytes, bool]
    ) -> tuple[SignedReceipt | None, list[Effect]]:
        """The receipt of this tip for ``held``, with what makes it durable.

        None when this node is no member, is catching up, or holds nothing of the batch whole.
        """
        context = self._context
        tip = context.chain.tip_height
        key = context.committee.signer(context.committee.receipt_snapshots(tip))
        if key is None or context.catching_up:
            return None, []
        effects: list[Effect] = []
        stored: list[int] = []
        for txid, leaf in held.waiting.items():
            if not self.may_receipt(txid, memo):
                continue
            stored.append(leaf)
            effects += self._note(txid, tip, memo)
        if not stored:
            return None, []
        certificate = held.certificate
        bitmap = make_bitmap(certificate.leaf_count, stored)
        last = held.receipt
        if last is not None and (last.tip, last.stored_bitmap) == (tip, bitmap):
            return last, effects
        statement = stored_statement(
            context.chain_id,
            tip,
            certificate.anchor,
            certificate.root,
            certificate.leaf_count,
            bitmap,
        )
        receipt = SignedReceipt(
            tip=tip,
            anchor=certificate.anchor,
            root=certificate.root,
            leaf_count=certificate.leaf_count,
            stored_bitmap=bitmap,
            voter=key.public,
            signature=key.sign(statement),
        )
        return receipt, effects

    def _note(self, txid: bytes, tip: int, memo: dict[bytes, bool]) -> list[Effect]:
        """Remember that ``txid`` and its waiting ancestors are receipted, if that is new.

        ``memo`` may hold a word on something that this rules out: it is forgotten then.
        """
        effects: list[Effect] = []
        stack = [txid]
        while stack:
            item = stack.pop()
            tx = self._context.pool.get(item)
            if item in self._first_tip or tx is None:
                continue
            row = Receipted(item, tip)
            self._first_tip[item] = tip
            if self._context.pool.conflicts(item):
                memo.clear()
            for point in tx.outpoints:
                self._receipted[point] = row
                effects.append(Record(RECEIPTS, point, encode(row)))
            stack.extend(self._parents(tx))
        return effects

    # bans

    def ban(self, height: int, winner: Transaction) -> tuple[Record, ...]:
        """This node prepares the block at ``height``, which resolves in favour of ``winner``."""
        for point in winner.outpoints:
            self.restore_ban(height, point, winner.txid)
        return tuple(
            Record(BANS, ban_key(height, point, winner.txid), b"") for point in winner.outpoints
        )

    # blocks and restarts

    def connected(self, tip: int) -> list[Effect]:
        """Height ``tip`` is decided: bans up to it end."""
        effects: list[Effect] = []
        for point in tuple(self._bans):
            bans = self._bans[point]
            for height, winner in [ban for ban in bans if ban[0] <= tip]:
                del bans[height, winner]
                key = ban_key(height, point, winner)
                effects.append(Record(BANS, key, None, durable=False))
            if not bans:
                del self._bans[point]
        return effects

    def forget(self, tx: Transaction) -> list[Effect]:
        """``tx`` is archived, or void because another spend of an input is."""
        if self._first_tip.pop(tx.txid, None) is None:
            return []
        effects: list[Effect] = []
        for point in tx.outpoints:
            held = self._receipted.get(point)
            if held is not None and held.txid == tx.txid:
                del self._receipted[point]
                effects.append(Record(RECEIPTS, point, None, durable=False))
        return effects

    def restore_receipt(self, point: Outpoint, row: Receipted) -> None:
        """Remember a receipt of an earlier life."""
        self._receipted[point] = row
        self._first_tip[row.txid] = min(row.tip, self._first_tip.get(row.txid, row.tip))

    def restore_ban(self, height: int, point: Outpoint, winner: bytes) -> None:
        """Remember a ban that is (about to be) on disk."""
        self._bans.setdefault(point, {})[height, winner] = None


def ban_key(height: int, point: Outpoint, winner: bytes) -> bytes:
    """The row key of a ban."""
    return height.to_bytes(8, "big") + point + winner


def split_ban_key(key: bytes) -> tuple[int, Outpoint, bytes]:
    """Height, outpoint and winner of a row of :data:`BANS`."""
    return int.from_bytes(key[:8], "big"), key[8:-32], key[-32:]
