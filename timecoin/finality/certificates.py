"""The certificates that this node holds, by batch and by transaction (PROTOCOL 5, Certificate).

None is ever dropped while a transaction that it certifies waits: it ends when each of them is
archived, or void because another archived transaction spent an input of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from timecoin.finality.messages import SignedReceipt
from timecoin.finality.parameters import MAX_CERTIFICATES_PER_TRANSACTION
from timecoin.quorum.certificate import BatchCertificate, BatchVote, ReceiptSet, certificate_name

CERTIFICATES = "certificates"
"""root | anchor (u64, big-endian) -> BatchCertificate."""
FINALS = "finals"
"""root | anchor | tip (u64, big-endian) -> ReceiptSet."""


def certificate_key(anchor: int, root: bytes) -> bytes:
    """The row key of a batch."""
    return root + anchor.to_bytes(8, "big")


def final_key(receipts: ReceiptSet) -> bytes:
    """The row key of a receipt quorum."""
    return certificate_key(receipts.anchor, receipts.root) + receipts.tip.to_bytes(8, "big")


@dataclass(slots=True)
class Held:
    """A certificate on disk and what has become of its transactions."""

    certificate: BatchCertificate
    stored_ms: int
    size: int
    """Bytes of the certificate."""
    name: bytes
    """Their hash."""
    waiting: dict[bytes, int] = field(default_factory=dict)
    """Certified txids neither archived nor void, with their leaf index."""
    certified: dict[int, None] = field(default_factory=dict)
    """Leaves that were found certified while they waited, also those that have ended."""
    finals: dict[int, ReceiptSet] = field(default_factory=dict)
    """Receipt quorums by tip."""
    final: dict[bytes, None] = field(default_factory=dict)
    """Certified txids with a receipt quorum."""
    receipt: SignedReceipt | None = None
    """This node's newest receipt."""
    collector: bool = False
    """Whether this node gathered the votes, so that others send it their receipts."""
    source: bytes | None = None
    """The peer that the certificate came from: receipts go back to the collector that way."""
    passed_on: bool = False
    """Whether gossip has carried it on from here."""
    final_passed_on: bool = False
    """Whether gossip has carried on a receipt quorum from here."""
    final_to_pass: ReceiptSet | None = None
    """A receipt quorum that waits until the certificate has been passed on."""
    told_tip: int | None = None
    """Tip of the newest receipt that was told to all members, not to the collector alone."""
    repeats: int = 0
    """How often the receipt was repeated because no quorum of them was heard of."""

    @property
    def key(self) -> bytes:
        """The row key."""
        return certificate_key(self.certificate.anchor, self.certificate.root)

    @property
    def is_final(self) -> bool:
        """Whether everything that still waits is final."""
        return all(txid in self.final for txid in self.waiting)

    @property
    def is_awaited(self) -> bool:
        """Whether its collector, another node, may still lack the receipts that are known here."""
        return not self.collector and not self.final_passed_on


class Certificates:
    """Held certificates by row key, by batch root and by certified txid, oldest first."""

    def __init__(self) -> None:
        self._held: dict[bytes, Held] = {}
        self._hashed: dict[bytes, Held] = {}
        self._named: dict[bytes, dict[bytes, None]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def all(self) -> tuple[Held, ...]:
        """All certificates with waiting transactions."""
        return tuple(self._held.values())

    def get(self, anchor: int, root: bytes) -> Held | None:
        """The certificate of one batch."""
        return self._held.get(certificate_key(anchor, root))

    def of_key(self, key: bytes) -> Held | None:
        """The certificate with the row key ``key``."""
        return self._held.get(key)

    def of_name(self, name: bytes) -> Held | None:
        """The certificate whose bytes have the hash ``name``."""
        return self._hashed.get(name)

    def named(self, name: bytes) -> tuple[Held, ...]:
        """The certificates of the batch root or certified, waiting txid ``name``."""
        return tuple(self._held[key] for key in self._named.get(name, ()))

    def covers(self, txid: bytes) -> bool:
        """Whether ``txid`` is certified and waits."""
        return txid in self._named

    def is_final(self, txid: bytes) -> bool:
        """Whether ``txid`` waits and has a receipt quorum."""
        return any(txid in held.final for held in self.named(txid))

    def has_room(self, certificate: BatchCertificate, certified: Iterable[int]) -> bool:
        """Whether ``certificate`` tells something new, and not too often the same."""
        if self.get(certificate.anchor, certificate.root) is not None:
            return True
        return any(
            len(self._named.get(certificate.leaves[leaf], ())) < MAX_CERTIFICATES_PER_TRANSACTION
            for leaf in certified
        )

    def put(
        self, certificate: BatchCertificate, certified: tuple[int, ...], data: bytes, now_ms: int
    ) -> Held:
        """Hold ``certificate`` for the leaves ``certified``; one of the same batch is replaced.

        ``data`` is its encoding.
        What it was known by before stays until it is closed, and stays closed after that.
        """
        held = self.get(certificate.anchor, certificate.root)
        name = certificate_name(data)
        if held is None:
            held = Held(certificate, now_ms, len(data), name)
            self._held[held.key] = held
            self._named.setdefault(certificate.root, {})[held.key] = None
        fresh = tuple(leaf for leaf in certified if leaf not in held.certified)
        self._hashed.pop(held.name, None)
        held.certificate, held.size, held.name = certificate, len(data), name
        self._hashed[name] = held
        held.certified.update(dict.fromkeys(fresh))
        for leaf in fresh:
            txid = certificate.leaves[leaf]
            held.waiting[txid] = leaf
            self._named.setdefault(txid, {})[held.key] = None
        return held

    def close(self, txid: bytes) -> tuple[Held, ...]:
        """``txid`` is archived or void; returns the certificates that end with it."""
        ended = []
        for key in tuple(self._named.get(txid, ())):
            held = self._held[key]
            held.waiting.pop(txid, None)
            self._unname(txid, key)
            if not held.waiting:
                del self._held[key], self._hashed[held.name]
                self._unname(held.certificate.root, key)
                ended.append(held)
        return tuple(ended)

    def _unname(self, name: bytes, key: bytes) -> None:
        keys = self._named[name]
        del keys[key]
        if not keys:
            del self._named[name]


def merged(first: BatchCertificate, second: BatchCertificate) -> BatchCertificate:
    """Both certificates' votes on one batch; of a voter in both, the first's."""
    votes: dict[int, BatchVote] = {vote.voter: vote for vote in second.votes}
    votes.update({vote.voter: vote for vote in first.votes})
    ordered = tuple(votes[voter] for voter in sorted(votes))
    return BatchCertificate(first.anchor, first.leaves, ordered)
