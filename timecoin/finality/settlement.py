"""From certified to final: this node's receipts go out, everybody's are counted.

The node that gathered the votes gathers the receipts too and tells everybody; if it is not heard
of in time, each member tells its receipt to all (PROTOCOL 5, Final).
"""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from timecoin.codec import encode
from timecoin.finality.certificates import FINALS, Certificates, Held, final_key
from timecoin.finality.context import Context
from timecoin.finality.custody import REPEAT, Custody
from timecoin.finality.early import Early
from timecoin.finality.events import Status, StatusChanged
from timecoin.finality.history import History
from timecoin.finality.messages import (
    MAX_RECEIPTS,
    Finalized,
    GetCertificate,
    Receipts,
    SignedReceipt,
)
from timecoin.finality.parameters import (
    BAD_SIGNATURE_POINTS,
    MALFORMED_POINTS,
    RETRY_MAX_MS,
    UNSOLICITED_POINTS,
)
from timecoin.finality.receipt_tally import Counted, ReceiptTally, holders_in
from timecoin.finality.receipts import ReceiptBook
from timecoin.machine import Blame, Broadcast, Effect, Emit, Record, Send, Spread
from timecoin.quorum.bitmap import is_bitmap
from timecoin.quorum.certificate import CertificateError, ReceiptSet, check_receipt_set
from timecoin.quorum.snapshots import voter_index
from timecoin.quorum.statement import stored_statement
from timecoin.quorum.tally import has_quorum


class Settlement:
    """Receipts, this node's and everybody's."""

    def __init__(
        self,
        context: Context,
        certificates: Certificates,
        custody: Custody,
        book: ReceiptBook,
        tally: ReceiptTally,
        early: Early,
        history: History,
    ) -> None:
        self._context = context
        self._certificates = certificates
        self._custody = custody
        self._book = book
        self._tally = tally
        self._early = early
        self._history = history
        self._announced: dict[bytes, None] = {}
        """Waiting txids that were reported as final."""

    # this node's receipts

    def settle(
        self, stored: list[bytes], now_ms: int, peer: bytes | None = None, held: Held | None = None
    ) -> list[Effect]:
        """Receipt what has become whole: the txids ``stored``, and ``held``, which ``peer`` sent
        and is told the receipt for. Other receipts that this makes possible go to all members."""
        effects: list[Effect] = []
        for txid in stored:
            effects += self._announce(txid, now_ms)
        touched = {item.key: item for txid in stored for item in self._certificates.named(txid)}
        if held is not None:
            touched[held.key] = held
        memo: dict[bytes, bool] = {}
        for item in touched.values():
            effects += self._custody.pass_on(item)
            effects += self._pass_final(item)
            before = item.receipt
            effects += self._receipt(item, memo, now_ms)
            if item.receipt is None:
                continue
            if peer is not None and item is held:
                effects.append(Send(peer, Receipts((item.receipt,), 1)))
            elif item.receipt is not before and not item.collector:
                effects += self._tell(item)
        return effects

    def new_tip(self, now_ms: int) -> list[Effect]:
        """Receipt at the new tip everything that waits, and tell all members."""
        effects: list[Effect] = []
        made: list[SignedReceipt] = []
        lost: list[SignedReceipt] = []
        memo: dict[bytes, bool] = {}
        back: dict[bytes, list[SignedReceipt]] = {}
        for held in self._certificates.all():
            effects += self._receipt(held, memo, now_ms)
            if held.receipt is None:
                continue
            made.append(held.receipt)
            held.told_tip = held.receipt.tip
            if held.is_final or held.collector:
                continue
            if (source := self._way_back(held)) is None:
                lost.append(held.receipt)
            else:
                back.setdefault(source, []).append(held.receipt)
        return effects + self._send_all(made, lost, back)

    def _way_back(self, held: Held) -> bytes | None:
        """The peer that brings receipts for ``held`` to its collector; None if it is gone."""
        source = held.source
        return source if source and self._context.committee.is_linked(source) else None

    def _send_all(
        self,
        made: list[SignedReceipt],
        lost: list[SignedReceipt],
        back: dict[bytes, list[SignedReceipt]],
    ) -> list[Effect]:
        """Send the receipts ``made`` to all linked members, and those of ``back`` to these peers.

        These are asked to bring them to the collectors, everybody is of what is ``lost``.
        """
        effects: list[Effect] = []
        staked = self._context.committee.staked_peers()
        alike = _pages(lost, made)
        for peer in staked:
            own = back.get(peer)
            pages = alike if own is None else _pages([*lost, *own], made)
            effects += [Send(peer, page) for page in pages]
        for peer, items in back.items():
            if peer not in staked:
                effects += [Send(peer, page) for page in _pages(items, items)]
        return effects

    def repeat(self, key: bytes, now_ms: int) -> list[Effect]:
        """The task (REPEAT, key) is due: no receipt quorum is known yet. Tell all members this
        node's receipt, and ask one of them for what it knows."""
        held = self._certificates.of_key(key)
        if held is None or all(self._certificates.is_final(txid) for txid in held.waiting):
            return []
        committee = self._context.committee
        usual_ms = self._context.pace.pause_ms(now_ms)
        pause_ms = min(RETRY_MAX_MS, usual_ms << min(held.repeats, 10))
        held.repeats += 1
        self._context.schedule.put((REPEAT, key), now_ms + self._context.jitter(pause_ms))
        question = GetCertificate(held.certificate.root)
        asked: list[Effect] = [Send(peer, question) for peer in committee.some_peers(1)]
        effects = self._custody.pass_on(held, whole=False) + self._pass_final(held)
        if held.receipt is not None and not committee.sees_all:
            held.told_tip = held.receipt.tip
            return [*effects, Broadcast(Receipts((held.receipt,), 1)), *asked]
        return effects + self._tell(held) + asked

    def _tell(self, held: Held) -> list[Effect]:
        """Send this node's receipt to all linked members, and on its way to the collector."""
        if held.receipt is None:
            return []
        held.told_tip = held.receipt.tip
        made = [held.receipt]
        if held.collector:
            return self._send_all(made, [], {})
        source = self._way_back(held)
        if source is None:
            return self._send_all(made, made, {})
        return self._send_all(made, [], {source: made})

    def _receipt(self, held: Held, memo: dict[bytes, bool], now_ms: int) -> list[Effect]:
        receipt, effects = self._book.sign(held, memo)
        if receipt is None or receipt is held.receipt:
            return effects
        held.receipt = receipt
        counted = Counted(receipt.stored_bitmap, receipt.signature)
        self._tally.add(held.key, receipt.tip, receipt.voter, counted)
        return effects + self._count(held, receipt.tip, now_ms)

    # everybody's receipts

    def on_receipts(self, peer: bytes, message: Receipts, now_ms: int) -> list[Effect]:
        """Receipts, the sender's own or passed on; each signature is checked once."""
        effects: list[Effect] = []
        onward: list[tuple[Held, SignedReceipt, bool]] = []
        ahead: dict[int, list[SignedReceipt]] = {}
        asked_ahead: Counter[int] = Counter()
        unknown: dict[bytes, None] = {}
        changed: dict[tuple[bytes, int], Held] = {}
        for number, item in enumerate(message.items):
            asked = number < message.asked
            held = self._certificates.get(item.anchor, item.root)
            if held is None:
                unknown[item.root] = None
            elif item.tip > self._context.chain.tip_height:
                ahead.setdefault(item.tip, []).append(item)
                asked_ahead[item.tip] += asked
            elif not held.is_final or (asked and held.is_awaited):
                taken = self._take(held, item)
                if isinstance(taken, tuple):
                    effects.append(Blame(peer, *taken))
                    break
                if taken:
                    changed[held.key, item.tip] = held
                if taken or asked:
                    onward.append((held, item, asked))
        effects += self._carry_on(peer, onward, now_ms)
        for (_, tip), held in changed.items():
            effects += self._count(held, tip, now_ms)
        for tip, waiting in ahead.items():
            self._early.put(tip, peer, Receipts(tuple(waiting), asked_ahead[tip]))
        return effects + self._context.questions.ask(peer, unknown, now_ms)

    def _carry_on(
        self, peer: bytes, onward: list[tuple[Held, SignedReceipt, bool]], now_ms: int
    ) -> list[Effect]:
        """Others' receipts go on to the collector the way their certificate has come, once, if
        that was asked for; when it has brought no quorum in time, to everybody."""
        back: dict[bytes, list[SignedReceipt]] = {}
        by_author: dict[bytes, list[SignedReceipt]] = {}
        for held, item, asked in onward:
            counted = self._tally.find(held.key, item.tip, item.voter)
            if held.collector or counted is None:
                continue
            # What was checked, which may say more.
            good = replace(item, stored_bitmap=counted.stored_bitmap, signature=counted.signature)
            source = self._way_back(held)
            if source is None or now_ms - held.stored_ms >= self._context.params.repoll_ms:
                if not counted.spread:
                    counted.spread = True
                    by_author.setdefault(item.voter, []).append(good)
            elif asked and source != peer and not counted.carried_on:
                counted.carried_on = True
                back.setdefault(source, []).append(good)
        effects: list[Effect] = [
            Send(source, Receipts(tuple(items), len(items))) for source, items in back.items()
        ]
        for author, items in by_author.items():
            effects.append(Spread(Receipts(tuple(items)), author, (peer,)))
        return effects

    def _take(self, held: Held, item: SignedReceipt) -> tuple[int, str] | bool:
        """Count one receipt; whether it was new, or what is wrong with it and how bad that is."""
        count = held.certificate.leaf_count
        if item.leaf_count != count or not is_bitmap(item.stored_bitmap, count):
            return MALFORMED_POINTS, "receipt does not fit its batch"
        snapshots = self._context.committee.receipt_snapshots(item.tip)
        if snapshots is None:
            return False
        if not any(item.voter in snapshot.weights for snapshot in snapshots):
            return UNSOLICITED_POINTS, "receipt of no member"
        if self._tally.is_counted(held.key, item.tip, item.voter, item.stored_bitmap):
            return False
        statement = stored_statement(
            self._context.chain_id, item.tip, item.anchor, item.root, count, item.stored_bitmap
        )
        if not self._context.verify(item.voter, statement, item.signature):
            return BAD_SIGNATURE_POINTS, "bad signature of a receipt"
        counted = Counted(item.stored_bitmap, item.signature)
        self._tally.add(held.key, item.tip, item.voter, counted)
        return True

    def on_finalized(self, peer: bytes, receipts: ReceiptSet, now_ms: int) -> list[Effect]:
        """A quorum of receipts that somebody else has gathered."""
        held = self._certificates.get(receipts.anchor, receipts.root)
        if held is None:
            return self._context.questions.ask(peer, (receipts.root,), now_ms)
        if receipts.leaf_count != held.certificate.leaf_count:
            return [Blame(peer, MALFORMED_POINTS, "receipts do not fit their batch")]
        if held.is_final and held.final_passed_on:
            return []
        if receipts.tip > self._context.chain.tip_height:
            self._early.put(receipts.tip, peer, Finalized(receipts))
            return []
        snapshots = self._context.committee.receipt_snapshots(receipts.tip)
        if snapshots is None:
            return []
        try:
            check_receipt_set(receipts, snapshots, self._context.chain_id, self._context.verify)
        except CertificateError as error:
            return [Blame(peer, BAD_SIGNATURE_POINTS, f"receipts: {error}")]
        known = len(held.final)
        self._add_all(held, receipts)
        effects = self._count(held, receipts.tip, now_ms, source=peer)
        if len(held.final) > known or not held.final_passed_on:
            held.final_to_pass = receipts
        return effects + self._pass_final(held, peer)

    def _pass_final(self, held: Held, peer: bytes | None = None) -> list[Effect]:
        """Let gossip carry on the receipt quorum that waits for that, after its certificate."""
        receipts = held.final_to_pass
        if receipts is None or not held.passed_on:
            return []
        held.final_to_pass, held.final_passed_on = None, True
        origin = held.source if peer is None else peer
        author = self._context.committee.key_of(origin)
        return [Spread(Finalized(receipts), author, () if origin is None else (origin,))]

    def _add_all(self, held: Held, receipts: ReceiptSet) -> None:
        snapshots = self._context.committee.receipt_snapshots(receipts.tip) or ()
        voters = voter_index(snapshots)
        for item in receipts.receipts:
            counted = Counted(item.stored_bitmap, item.signature)
            self._tally.add(held.key, receipts.tip, voters[item.voter], counted)

    def _count(
        self, held: Held, tip: int, now_ms: int, source: bytes | None = None
    ) -> list[Effect]:
        """Is anything final by the receipts of ``tip``? Under a stale tip nothing becomes so."""
        snapshots = self._context.committee.receipt_snapshots(tip)
        if snapshots is None or self._context.is_stale(now_ms):
            return []
        found = self._tally.quorum(held, tip, snapshots)
        if found is None:
            return []
        receipts, final = found
        fresh = [txid for txid in final if txid not in held.final]
        if not fresh:
            return []
        held.finals[tip] = receipts
        held.final.update(dict.fromkeys(fresh))
        effects: list[Effect] = [
            Record(FINALS, final_key(receipts), encode(receipts), durable=False)
        ]
        for txid in fresh:
            effects += self._announce(txid, now_ms)
        if held.is_final:
            self._context.schedule.drop((REPEAT, held.key))
        if source is not None:
            return effects
        if held.collector:
            held.final_to_pass = receipts
            return effects + self._pass_final(held)
        if held.receipt is not None and held.told_tip != held.receipt.tip:
            # Counted without the collector: others need this receipt as this node needed theirs.
            effects += self._tell(held)
        return effects + self._context.committee.to_followers(Finalized(receipts))

    def _announce(self, txid: bytes, now_ms: int) -> list[Effect]:
        """Report ``txid`` once as final, when it is and its body is here."""
        entry = self._context.pool.entry(txid)
        if entry is None or txid in self._announced or not self._certificates.is_final(txid):
            return []
        self._announced[txid] = None
        self._history.add_final(txid, entry.received_ms, now_ms)
        return [Emit(StatusChanged(txid, Status.FINAL, now_ms))]

    # ends and restarts

    def forget(self, txid: bytes) -> None:
        """``txid`` waits no longer."""
        self._announced.pop(txid, None)

    def restore(self, held: Held, receipts: ReceiptSet) -> None:
        """A receipt quorum of an earlier life: what was final stays final."""
        snapshots = self._context.committee.receipt_snapshots(receipts.tip)
        if snapshots is None:
            return
        held.finals[receipts.tip] = receipts
        for txid, leaf in held.waiting.items():
            if has_quorum(holders_in(receipts, leaf, snapshots), snapshots):
                held.final[txid] = self._announced[txid] = None


def _pages(asked: list[SignedReceipt], made: list[SignedReceipt]) -> list[Receipts]:
    """The receipts ``made``, those first that the receiver is ``asked`` to carry on."""
    first = dict.fromkeys(map(id, asked))
    items = [*asked, *(item for item in made if id(item) not in first)]
    return [
        Receipts(
            tuple(items[start : start + MAX_RECEIPTS]),
            max(0, min(MAX_RECEIPTS, len(asked) - start)),
        )
        for start in range(0, len(items), MAX_RECEIPTS)
    ]
