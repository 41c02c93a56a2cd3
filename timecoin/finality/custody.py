"""Certificates on their way in and out: checked, stored before they count, given to who asks."""

from __future__ import annotations

from timecoin.codec import encode
from timecoin.finality.certificates import (
    CERTIFICATES,
    FINALS,
    Certificates,
    Held,
    final_key,
    merged,
)
from timecoin.finality.context import Context
from timecoin.finality.early import Early
from timecoin.finality.events import Status, StatusChanged
from timecoin.finality.intake import Intake
from timecoin.finality.messages import Certified, Finalized, GetCertificate
from timecoin.finality.parameters import (
    BAD_SIGNATURE_POINTS,
    BATCH_BYTES,
    MALFORMED_POINTS,
    MAX_ANSWERED,
    MAX_LINK_UP_CERTIFICATES,
)
from timecoin.finality.receipt_tally import ReceiptTally
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Blame, Effect, Emit, Record, Send, Spread
from timecoin.quorum.certificate import (
    BatchCertificate,
    CertificateError,
    check_batch_certificate,
)

REPEAT = "receipt"
"""The scheduled task (REPEAT, key): no receipt quorum yet, tell everybody this node's receipt."""
FETCH = "body"
"""The scheduled task (FETCH, key): ask for a certified transaction's body."""


class Custody:
    """Takes certificates in, finds the bodies that they need, hands both out."""

    def __init__(
        self,
        context: Context,
        certificates: Certificates,
        intake: Intake,
        tally: ReceiptTally,
        early: Early,
    ) -> None:
        self._context = context
        self._certificates = certificates
        self._intake = intake
        self._tally = tally
        self._early = early

    # coming in

    def take(
        self, peer: bytes, message: Certified, now_ms: int
    ) -> tuple[list[Effect], Held | None]:
        """A certificate from ``peer``; also what is held of it now, if anything."""
        certificate = message.certificate
        bodies = {tx.txid: tx for tx in message.bodies}
        if any(txid not in certificate.leaves for txid in bodies):
            return [Blame(peer, MALFORMED_POINTS, "body of no leaf of the certificate")], None
        held = self._certificates.get(certificate.anchor, certificate.root)
        is_new = held is None
        effects: list[Effect] = []
        if held is None or not _adds_nothing(held.certificate, certificate):
            try:
                checked = self._check(peer, certificate, held)
            except CertificateError as error:
                return [Blame(peer, BAD_SIGNATURE_POINTS, f"certificate: {error}")], None
            if checked is None:
                return [], held
            effects, held = self.store(*checked, now_ms, peer)
        if held is not None:
            effects += self._take_bodies(peer, held, bodies, is_new, now_ms)
            if not held.waiting:
                held = None
        return effects, held

    def _check(
        self, peer: bytes, certificate: BatchCertificate, held: Held | None
    ) -> tuple[BatchCertificate, tuple[int, ...]] | None:
        """What to store of ``certificate`` with the leaves it certifies; None if it has no place
        in the history known here."""
        context = self._context
        if certificate.anchor > context.chain.tip_height:
            self._early.put(certificate.anchor, peer, Certified(certificate, ()))
            return None
        snapshots = context.committee.vote_snapshots(certificate.anchor)
        if snapshots is None:
            return None
        chain_id, verify = context.chain_id, context.verify
        certified = check_batch_certificate(certificate, snapshots, chain_id, verify)
        if held is not None:
            certificate = merged(held.certificate, certificate)
            certified = check_batch_certificate(certificate, snapshots, chain_id, verify)
        return certificate, certified

    def store(
        self,
        certificate: BatchCertificate,
        certified: tuple[int, ...],
        now_ms: int,
        source: bytes | None = None,
    ) -> tuple[list[Effect], Held | None]:
        """Hold a checked certificate, unless all its transactions are archived or have enough.

        ``source`` is the peer that it came from; None if this node has gathered its votes.
        """
        context = self._context
        waiting = tuple(
            leaf for leaf in certified if context.chain.archived(certificate.leaves[leaf]) is None
        )
        if not waiting or not self._certificates.has_room(certificate, waiting):
            return [], None
        data = encode(certificate)
        is_new = self._certificates.get(certificate.anchor, certificate.root) is None
        held = self._certificates.put(certificate, waiting, data, now_ms)
        if is_new:
            held.source, held.collector = source, source is None
        effects: list[Effect] = [Record(CERTIFICATES, held.key, data)]
        effects += self._intake.certified(tuple(held.waiting), now_ms)
        pause_ms = context.jitter(context.pace.pause_ms(now_ms))
        context.schedule.put((REPEAT, held.key), now_ms + pause_ms)
        return effects, held

    def _take_bodies(
        self,
        peer: bytes,
        held: Held,
        bodies: dict[bytes, Transaction],
        is_new: bool,
        now_ms: int,
    ) -> list[Effect]:
        """Let in the bodies that were missing; ask ``peer`` for what is missing still."""
        effects: list[Effect] = []
        for txid in self._missing(held):
            tx = bodies.get(txid)
            if tx is not None:
                verdict, found = self._intake.take(peer, tx, now_ms)
                effects += found
                if verdict.rule == "bad-txns-inputs-missingorspent":
                    effects += self.close(txid)
        names: dict[bytes, None] = {}
        for txid in self._missing(held):
            if is_new:
                changed = StatusChanged(txid, Status.CERTIFIED_BODY_MISSING, now_ms)
                effects.append(Emit(changed))
            names.update(dict.fromkeys(self._parents(bodies[txid]) if txid in bodies else [txid]))
        if len(names) > 1 and not bodies:
            names = {held.certificate.root: None}  # one answer brings them all
        if names:
            self._fetch_later(held.key, now_ms)
        return effects + self._context.questions.ask(peer, names, now_ms)

    def _missing(self, held: Held) -> list[bytes]:
        return [txid for txid in held.waiting if txid not in self._context.pool]

    def _parents(self, tx: Transaction) -> list[bytes]:
        """What an orphan waits for."""
        pool = self._context.pool
        return [item.prev_txid for item in tx.inputs if pool.utxo(item.outpoint) is None]

    def fetch(self, key: bytes, now_ms: int) -> list[Effect]:
        """The task (FETCH, key) is due: ask a random peer for the bodies still missing."""
        held = self._certificates.of_key(key)
        missing = [] if held is None else self._missing(held)
        if not missing:
            return []
        self._fetch_later(key, now_ms)
        return [
            Send(peer, GetCertificate(txid))
            for peer in self._context.committee.some_peers(1)
            for txid in missing[:MAX_ANSWERED]
        ]

    def _fetch_later(self, key: bytes, now_ms: int) -> None:
        pause_ms = self._context.jitter(self._context.params.repoll_ms)
        self._context.schedule.put((FETCH, key), now_ms + pause_ms)

    def restored(self, held: Held, now_ms: int) -> None:
        """``held`` comes from the journal: go on with it."""
        pause_ms = self._context.jitter(self._context.params.repoll_ms)
        self._context.schedule.put((REPEAT, held.key), now_ms + pause_ms)
        if self._missing(held):
            self._fetch_later(held.key, now_ms)

    def close(self, txid: bytes) -> list[Effect]:
        """``txid`` is archived or void: certificates that covered nothing else end."""
        effects: list[Effect] = []
        for held in self._certificates.close(txid):
            self._tally.drop(held.key)
            self._context.schedule.drop((REPEAT, held.key))
            self._context.schedule.drop((FETCH, held.key))
            effects.append(Record(CERTIFICATES, held.key, None, durable=False))
            for receipts in held.finals.values():
                effects.append(Record(FINALS, final_key(receipts), None, durable=False))
        return effects

    # going out

    def pass_on(self, held: Held, skip: tuple[bytes, ...] = (), whole: bool = True) -> list[Effect]:
        """Let gossip carry the certificate on, once, past ``skip``.

        If it is to be ``whole``, not before its bodies are here: whoever lacks one asks where the
        certificate came from.
        """
        if held.passed_on or (whole and self._missing(held)):
            return []
        held.passed_on = True
        author = self._context.committee.key_of(held.source)
        known = skip if held.source is None else (held.source, *skip)
        return [Spread(Certified(held.certificate, ()), author, known)]

    def with_bodies(self, held: Held, first: bytes | None = None) -> Certified:
        """The certificate with as many bodies as a message may carry, ``first`` before others."""
        names = [txid for txid in held.waiting if txid != first]
        if first is not None and first in held.waiting:
            names.insert(0, first)
        bodies: list[Transaction] = []
        size = 0
        for txid in names:
            tx = self._context.pool.get(txid)
            if tx is None:
                continue
            size += len(tx.encoded)
            if bodies and size > BATCH_BYTES:
                break
            bodies.append(tx)
        return Certified(held.certificate, tuple(bodies))

    def on_get(self, peer: bytes, name: bytes) -> list[Effect]:
        """``peer`` asks for the certificates of a batch root or txid: one comes with bodies."""
        effects: list[Effect] = []
        named = sorted(self._certificates.named(name), key=lambda held: not held.is_final)
        for held in named[:MAX_ANSWERED]:
            bare = Certified(held.certificate, ())
            effects.append(Send(peer, bare if effects else self.with_bodies(held, name)))
            effects += [Send(peer, Finalized(item)) for item in held.finals.values()]
        return effects

    def greet(self, peer: bytes) -> list[Effect]:
        """A member was linked: it may have missed what waits. For bodies it asks itself."""
        effects: list[Effect] = []
        for held in self._certificates.all()[:MAX_LINK_UP_CERTIFICATES]:
            effects.append(Send(peer, Certified(held.certificate, ())))
            effects += [Send(peer, Finalized(item)) for item in held.finals.values()]
        return effects


def _adds_nothing(held: BatchCertificate, other: BatchCertificate) -> bool:
    """Whether ``other`` of the same batch brings no voter that ``held`` lacks."""
    voters = {vote.voter for vote in held.votes}
    return all(vote.voter in voters for vote in other.votes)
