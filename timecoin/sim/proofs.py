"""Certificates and lottery proofs checked once more, by other code than the nodes' (PROTOCOL 4-6).

Only the primitives (Ed25519, VRF, tagged hashes) and the signed bytes are shared with the nodes:
who counts, how much is enough and which snapshots are asked is written here a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from timecoin.consensus.sortition import alpha, next_seed
from timecoin.crypto import vrf
from timecoin.crypto.keys import VerifiedCache
from timecoin.ledger.block import Header
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum import statement as signed
from timecoin.quorum.certificate import BatchCertificate, BlockCertificate, Receipt
from timecoin.sim.broken import InvariantBroken
from timecoin.sim.history import History

REMEMBERED = 200_000
"""Good signatures that need no second look."""
ANCHOR_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Certified:
    """A batch certificate that was found good."""

    txids: tuple[bytes, ...]
    voters: tuple[bytes, ...]
    """In the order of its votes."""


def two_thirds(signers: Iterable[bytes], snapshots: Sequence[ActiveSet]) -> bool:
    """Whether ``signers`` weigh two thirds or more in each of ``snapshots``."""
    distinct = set(signers)
    return bool(snapshots) and all(
        3 * sum(weight for key, weight in snapshot.weights.items() if key in distinct)
        >= 2 * sum(snapshot.weights.values())
        > 0
        for snapshot in snapshots
    )


class Proofs:
    """Raises :class:`InvariantBroken` for what proves nothing."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._chain_id = history.chain_id
        self._verified = VerifiedCache(bytes(32), REMEMBERED)

    def verify(self, pubkey: bytes, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is good; good ones are checked once."""
        return self._verified.check(pubkey, message, signature)

    def batch(self, certificate: BatchCertificate) -> Certified:
        """What ``certificate`` certifies, which is something, and who has voted in it."""
        anchor, leaves = certificate.anchor, certificate.leaves
        where = f"certificate: anchor {anchor}, root {certificate.root.hex()}"
        snapshots = self._snapshots(range(anchor - ANCHOR_DEPTH, anchor + 1), where)
        voters = _union(snapshots)
        accepting: list[list[bytes]] = [[] for _ in leaves]
        for vote in certificate.votes:
            voter = voters[vote.voter]
            statement = signed.vote_statement(
                self._chain_id, anchor, certificate.root, len(leaves), vote.reject_bitmap
            )
            self._demand(voter, statement, vote.signature, where)
            for leaf in _bits(vote.reject_bitmap, len(leaves), 0):
                accepting[leaf].append(voter)
        certified = tuple(
            txid
            for txid, signers in zip(leaves, accepting, strict=True)
            if two_thirds(signers, snapshots)
        )
        if not certified:
            raise InvariantBroken(f"{where}: no quorum for any leaf")
        return Certified(certified, tuple(voters[vote.voter] for vote in certificate.votes))

    def receipts(
        self, tip: int, anchor: int, root: bytes, count: int, items: Sequence[Receipt]
    ) -> tuple[int, ...]:
        """The leaves that these receipts of ``tip`` make final; there is at least one."""
        where = f"receipts: tip {tip}, root {root.hex()}"
        snapshots = self._snapshots(range(tip - 1, tip + 1), where)
        voters = _union(snapshots)
        holding: list[list[bytes]] = [[] for _ in range(count)]
        for item in items:
            voter = voters[item.voter]
            statement = signed.stored_statement(
                self._chain_id, tip, anchor, root, count, item.stored_bitmap
            )
            self._demand(voter, statement, item.signature, where)
            for leaf in _bits(item.stored_bitmap, count, 1):
                holding[leaf].append(voter)
        final = tuple(leaf for leaf in range(count) if two_thirds(holding[leaf], snapshots))
        if not final:
            raise InvariantBroken(f"{where}: no quorum for any leaf")
        return final

    def prepares(self, quorum: BlockCertificate) -> tuple[bytes, ...]:
        """The signers of a prepare quorum."""
        return self._block(quorum, signed.prepare_statement, "prepare quorum")

    def precommits(self, certificate: BlockCertificate) -> tuple[bytes, ...]:
        """The signers of what makes a block final."""
        return self._block(certificate, signed.precommit_statement, "precommit certificate")

    def _block(
        self,
        certificate: BlockCertificate,
        statement_of: Callable[[bytes, int, int, bytes], bytes],
        name: str,
    ) -> tuple[bytes, ...]:
        height = certificate.height
        where = f"{name}: height {height}, round {certificate.round}"
        snapshots = self._snapshots(range(height - 2, height), where)
        voters = _union(snapshots)
        statement = statement_of(self._chain_id, height, certificate.round, certificate.block_hash)
        signers = tuple(voters[item.voter] for item in certificate.signatures)
        for signer, item in zip(signers, certificate.signatures, strict=True):
            self._demand(signer, statement, item.signature, where)
        if not two_thirds(signers, snapshots):
            raise InvariantBroken(f"{where}: no quorum")
        return signers

    def header(self, header: Header) -> None:
        """The lottery of a block: its producer drew this output, and the seed follows from it."""
        where = f"lottery: height {header.height}"
        (members,) = self._snapshots(range(header.height - 1, header.height), where)
        producer = members.by_pubkey.get(header.producer)
        if producer is None or not producer.staked:
            raise InvariantBroken(f"{where}: produced by no staked member")
        seed = self._history.seed(header.height - 1)
        drawn = alpha(self._chain_id, seed, header.slot)
        beta = vrf.verify(producer.vrf_pubkey, drawn, header.vrf_proof)
        if beta is None or header.seed != next_seed(seed, beta):
            raise InvariantBroken(f"{where}: the VRF proof does not verify")

    def _snapshots(self, heights: range, where: str) -> list[ActiveSet]:
        found = self._history.active_sets(heights)
        if not found:
            raise InvariantBroken(f"{where}: ahead of history")
        return found

    def _demand(self, signer: bytes, statement: bytes, signature: bytes, where: str) -> None:
        if not self.verify(signer, statement, signature):
            raise InvariantBroken(f"{where}: bad signature of {signer.hex()}")


def _union(snapshots: Sequence[ActiveSet]) -> list[bytes]:
    """Voters by their index: all staked members, sorted."""
    return sorted({key for snapshot in snapshots for key in snapshot.weights})


def _bits(bitmap: bytes, count: int, value: int) -> list[int]:
    """The positions below ``count`` whose bit is ``value``, lowest bit of the first byte first."""
    return [bit for bit in range(count) if bitmap[bit // 8] >> bit % 8 & 1 == value]
