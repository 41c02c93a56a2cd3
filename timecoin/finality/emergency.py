"""Two certificates for conflicting spends: proof that a third of the weight signed twice.

Both are kept, an alarm is raised, the signers of both are named; neither is picked (PROTOCOL 5).
"""

from __future__ import annotations

from dataclasses import dataclass

from timecoin.codec import Bytes32, Wire, encode
from timecoin.crypto.hashing import blake3_256
from timecoin.finality.certificates import Certificates
from timecoin.finality.context import Context
from timecoin.finality.double_votes import DoubleVotes
from timecoin.finality.events import EmergencyRaised
from timecoin.machine import Effect, Emit, Record
from timecoin.quorum.bitmap import has_leaf
from timecoin.quorum.certificate import BatchCertificate
from timecoin.quorum.snapshots import voter_index

EMERGENCIES = "emergencies"
"""Hash of both txids -> EmergencyRow."""

MAX_EMERGENCIES = 1_000


class EmergencyRow(Wire, frozen=True):
    """Two certified transactions that conflict, and the proof."""

    first: Bytes32
    second: Bytes32
    first_certificate: BatchCertificate
    second_certificate: BatchCertificate


@dataclass(frozen=True, slots=True)
class Emergency:
    """A row with the members that voted for both."""

    row: EmergencyRow
    signers: tuple[bytes, ...]


class Emergencies:
    """All emergencies ever seen by this node, up to a bound."""

    def __init__(
        self, context: Context, certificates: Certificates, double_votes: DoubleVotes
    ) -> None:
        self._context = context
        self._certificates = certificates
        self._double_votes = double_votes
        self._found: dict[bytes, Emergency] = {}

    def __len__(self) -> int:
        return len(self._found)

    def all(self) -> tuple[Emergency, ...]:
        """The emergencies, oldest first."""
        return tuple(self._found.values())

    def opponents(self, txid: bytes) -> tuple[bytes, ...]:
        """Certified, waiting transactions that conflict with the pooled ``txid``."""
        return tuple(t for t in self._context.pool.conflicts(txid) if self._certificates.covers(t))

    def check(self, txid: bytes) -> list[Effect]:
        """``txid`` has become certified with its body at hand: does that contradict another?"""
        effects = self._double_votes.check(txid)
        for other in self.opponents(txid):
            first, second = sorted((txid, other))
            key = blake3_256(first + second)
            if key in self._found or len(self._found) >= MAX_EMERGENCIES:
                continue
            row = EmergencyRow(
                first,
                second,
                self._certificates.named(first)[0].certificate,
                self._certificates.named(second)[0].certificate,
            )
            self.restore(key, row)
            effects.append(Record(EMERGENCIES, key, encode(row)))
            effects.append(Emit(EmergencyRaised(first, second, self._found[key].signers)))
        return effects

    def restore(self, key: bytes, row: EmergencyRow) -> None:
        """Remember an emergency that is (about to be) on disk."""
        second = self._accepting(row.second_certificate, row.second)
        signers = [
            voter for voter in self._accepting(row.first_certificate, row.first) if voter in second
        ]
        self._found[key] = Emergency(row, tuple(signers))

    def _accepting(self, certificate: BatchCertificate, txid: bytes) -> dict[bytes, None]:
        """The voters that accepted ``txid``; none when the snapshots are no longer kept."""
        voters = voter_index(self._context.committee.vote_snapshots(certificate.anchor) or ())
        leaf = certificate.leaves.index(txid)
        return {
            voters[vote.voter]: None
            for vote in certificate.votes
            if vote.voter < len(voters) and not has_leaf(vote.reject_bitmap, leaf)
        }
