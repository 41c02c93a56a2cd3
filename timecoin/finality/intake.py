"""Transactions on their way into the pool, and what follows when one gets in or is certified."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from timecoin.finality.batch import Batches
from timecoin.finality.certificates import Certificates
from timecoin.finality.contests import Contests
from timecoin.finality.context import Context
from timecoin.finality.emergency import Emergencies
from timecoin.finality.events import Status, StatusChanged
from timecoin.finality.history import History
from timecoin.finality.parameters import MALFORMED_POINTS
from timecoin.finality.votes import POOL, Voter
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Blame, Effect, Emit, Record
from timecoin.mempool.entry import Admission, Verdict

CONTEXTUAL = frozenset(
    {
        "bad-txns-inputs-missingorspent",
        "bad-txns-premature-spend-of-coinbase",
        "dust",
        "mempool-full",
        "non-final",
        "stake-frozen",
        "too-many-conflicts",
    }
)
"""Refusals that an honest node may meet: others see another tip, or have other limits."""


class Intake:
    """Keeps pool, conflict sets, certificates and the rows of bodies in step."""

    def __init__(
        self,
        context: Context,
        voter: Voter,
        contests: Contests,
        batches: Batches,
        certificates: Certificates,
        emergencies: Emergencies,
        history: History,
    ) -> None:
        self._context = context
        self._voter = voter
        self._contests = contests
        self._batches = batches
        self._certificates = certificates
        self._emergencies = emergencies
        self._history = history
        self._rows: dict[bytes, None] = {}
        self._certified_ms: dict[bytes, int] = {}
        self._void: dict[bytes, Transaction] = {}
        self._stored: list[bytes] = []

    # reading

    def certified_ms(self, txid: bytes) -> int | None:
        """Since when ``txid`` is certified with its body here, while it waits."""
        return self._certified_ms.get(txid)

    def void(self, txid: bytes) -> Transaction | None:
        """A transaction that can never be archived, kept because a lock is held for it."""
        return self._void.get(txid)

    def take_stored(self) -> list[bytes]:
        """Txids that are certified with their bodies here since the last call."""
        stored, self._stored = self._stored, []
        return stored

    # coming in

    def offer(self, tx: Transaction, now_ms: int) -> tuple[Verdict, list[Effect]]:
        """Let the pool judge ``tx``."""
        certified = self._certificates.covers(tx.txid)
        verdict = self._context.pool.admit(tx, now_ms, certified=certified)
        if verdict.admission is Admission.ACCEPTED:
            return verdict, self.accepted((tx,), now_ms)
        return verdict, []

    def take(self, peer: bytes, tx: Transaction, now_ms: int) -> tuple[Verdict, list[Effect]]:
        """A transaction from ``peer``, who is charged for what no honest node would pass on."""
        verdict, effects = self.offer(tx, now_ms)
        if verdict.admission is Admission.REFUSED and verdict.rule not in CONTEXTUAL:
            reason = f"invalid transaction: {verdict.rule}"
            effects = [*effects, Blame(peer, MALFORMED_POINTS, reason)]
        return verdict, effects

    def accepted(self, transactions: Iterable[Transaction], now_ms: int) -> list[Effect]:
        """The pool has taken ``transactions``; some may be certified already."""
        effects: list[Effect] = []
        work = deque(transactions)
        while work:
            tx = work.popleft()
            self._rows[tx.txid] = None
            effects.append(Record(POOL, tx.txid, tx.encoded, durable=False))
            effects.append(Emit(StatusChanged(tx.txid, Status.SEEN, now_ms)))
            self._contests.join(tx.txid, self._context.chain.tip_height)
            if self._certificates.covers(tx.txid):
                more, found = self._certify(tx.txid, now_ms)
                effects += found
                work.extend(more)
            else:
                self._batches.watch(tx.txid, now_ms)
        return effects

    def certified(self, txids: Iterable[bytes], now_ms: int) -> list[Effect]:
        """Certificates are held for ``txids``; those with a body in the pool are done."""
        effects: list[Effect] = []
        for txid in txids:
            self._batches.forget(txid)
            more, found = self._certify(txid, now_ms)
            effects += found
            effects += self.accepted(more, now_ms)
        return effects

    def _certify(self, txid: bytes, now_ms: int) -> tuple[tuple[Transaction, ...], list[Effect]]:
        """Make the outputs of ``txid`` spendable; returns the orphans that this lets in."""
        entry = self._context.pool.entry(txid)
        if entry is None:
            return (), []
        tx = entry.tx
        self._stored.append(txid)
        if txid in self._certified_ms:
            return (), []
        self._certified_ms[txid] = now_ms
        self._context.pace.heard(now_ms - entry.received_ms, now_ms)
        admitted = self._context.pool.certify(txid, now_ms)
        self._contests.pin(txid)
        effects: list[Effect] = [
            # Written again, as durably as the certificate: a receipt vouches for both.
            Record(POOL, txid, tx.encoded),
            Emit(StatusChanged(txid, Status.CERTIFIED, now_ms)),
            *self._emergencies.check(txid),
        ]
        return admitted, effects

    # going out

    def leave(self, tx: Transaction) -> list[Effect]:
        """``tx`` was archived or rejected. What a lock is still held for is kept: it is the proof
        that resolves a stuck double spend (PROTOCOL 5)."""
        self._certified_ms.pop(tx.txid, None)
        self._batches.forget(tx.txid)
        self._contests.drop(tx.txid)
        if self._voter.is_locked_for(tx.txid):
            self._void[tx.txid] = tx
            return []
        return self._erase(tx.txid)

    def sweep(self, now_ms: int) -> list[Effect]:
        """Drop what waited too long, and the rows of what the pool has evicted meanwhile."""
        effects: list[Effect] = []
        for txid in self._context.pool.expire(now_ms):
            self._history.end(txid, Status.EXPIRED)
            effects.append(Emit(StatusChanged(txid, Status.EXPIRED, now_ms)))
        for txid in [txid for txid in self._rows if txid not in self._context.pool]:
            if txid not in self._void:
                self._batches.forget(txid)
                self._contests.drop(txid)
                effects += self._erase(txid)
        return effects + self.bury()

    def bury(self) -> list[Effect]:
        """Forget void transactions whose locks have died."""
        effects: list[Effect] = []
        for txid in [txid for txid in self._void if not self._voter.is_locked_for(txid)]:
            effects += self._erase(txid)
        return effects

    def restore_void(self, tx: Transaction) -> None:
        """A void transaction of an earlier life, for which a lock is still held."""
        self._rows[tx.txid] = None
        self._void[tx.txid] = tx

    def _erase(self, txid: bytes) -> list[Effect]:
        self._void.pop(txid, None)
        if self._rows.pop(txid, 0) is None:
            return [Record(POOL, txid, None, durable=False)]
        return []
