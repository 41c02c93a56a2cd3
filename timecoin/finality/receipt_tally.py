"""Receipts of all members, by batch and tip, until they are a quorum (PROTOCOL 5, Final)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from timecoin.finality.certificates import Held
from timecoin.finality.parameters import MAX_TALLIED_TIPS
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.bitmap import has_leaf
from timecoin.quorum.certificate import Receipt, ReceiptSet
from timecoin.quorum.snapshots import voter_index
from timecoin.quorum.tally import has_quorum, weight_of


@dataclass(slots=True)
class Counted:
    """One member's receipt, its signature checked."""

    stored_bitmap: bytes
    signature: bytes
    carried_on: bool = False
    """Whether it was sent on from here towards the collector."""
    spread: bool = False
    """Whether gossip has carried it from here to everybody."""


class ReceiptTally:
    """Checked receipts by row key of the certificate and tip; the newest tips only."""

    def __init__(self) -> None:
        self._tips: dict[bytes, dict[int, dict[bytes, Counted]]] = {}

    def __len__(self) -> int:
        return len(self._tips)

    def is_counted(self, key: bytes, tip: int, voter: bytes, bitmap: bytes) -> bool:
        """Whether a receipt of ``voter`` that says as much is counted, or ``tip`` is too old."""
        tips = self._tips.get(key, {})
        if tip not in tips:
            return len(tips) >= MAX_TALLIED_TIPS and tip < min(tips)
        known = tips[tip].get(voter)
        return known is not None and _bits(known.stored_bitmap) >= _bits(bitmap)

    def find(self, key: bytes, tip: int, voter: bytes) -> Counted | None:
        """What is counted of ``voter``."""
        return self._tips.get(key, {}).get(tip, {}).get(voter)

    def add(self, key: bytes, tip: int, voter: bytes, counted: Counted) -> None:
        """Count a checked receipt; of two of one member, the one that says more."""
        if self.is_counted(key, tip, voter, counted.stored_bitmap):
            return
        tips = self._tips.setdefault(key, {})
        tips.setdefault(tip, {})[voter] = counted
        if len(tips) > MAX_TALLIED_TIPS:
            del tips[min(tips)]

    def quorum(
        self, held: Held, tip: int, snapshots: Sequence[ActiveSet]
    ) -> tuple[ReceiptSet, tuple[bytes, ...]] | None:
        """The receipts of ``tip`` and the waiting txids that they make final; None for none."""
        counted = self._tips.get(held.key, {}).get(tip, {})
        if not has_quorum(counted, snapshots):
            return None
        certificate = held.certificate
        final = tuple(
            txid
            for txid, leaf in held.waiting.items()
            if has_quorum(_holders(counted, leaf), snapshots)
        )
        if not final:
            return None
        receipts = tuple(
            Receipt(index, counted[voter].stored_bitmap, counted[voter].signature)
            for index, voter in enumerate(voter_index(snapshots))
            if voter in counted
        )
        received = ReceiptSet(
            tip, certificate.anchor, certificate.root, certificate.leaf_count, receipts
        )
        return received, final

    def weight(self, held: Held, txid: bytes, tip: int, snapshot: ActiveSet) -> int:
        """Weight in ``snapshot`` of the receipts of ``tip`` for ``txid``."""
        counted = self._tips.get(held.key, {}).get(tip, {})
        leaf = held.waiting.get(txid)
        return 0 if leaf is None else weight_of(_holders(counted, leaf), snapshot)

    def drop(self, key: bytes) -> None:
        """The certificate ``key`` has ended."""
        self._tips.pop(key, None)


def holders_in(
    receipts: ReceiptSet, leaf: int, snapshots: Sequence[ActiveSet]
) -> tuple[bytes, ...]:
    """The members that vouch for ``leaf`` in a checked set."""
    voters = voter_index(snapshots)
    return tuple(
        voters[item.voter] for item in receipts.receipts if has_leaf(item.stored_bitmap, leaf)
    )


def _holders(counted: Mapping[bytes, Counted], leaf: int) -> list[bytes]:
    return [voter for voter, item in counted.items() if has_leaf(item.stored_bitmap, leaf)]


def _bits(bitmap: bytes) -> int:
    return int.from_bytes(bitmap, "little").bit_count()
