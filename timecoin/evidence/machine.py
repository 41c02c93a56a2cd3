"""The pool of evidence: one proof for each accused member, until a block has jailed it.

What this node finds out and what peers send goes the same way: checked against the snapshots of
its time, durable, passed on once, offered to this node as a proposer. It is told again at each
new tip, since a peer that was a block behind could not judge it; it ends when the accused can no
longer be punished for it.
"""

from __future__ import annotations

from timecoin.crypto.keys import Verify
from timecoin.evidence.events import EvidenceHeld, Witnessed
from timecoin.evidence.ports import EvidenceChain
from timecoin.machine import (
    Blame,
    Broadcast,
    Effect,
    Emit,
    LinkUp,
    NewTip,
    Received,
    Record,
    Restore,
    Send,
)
from timecoin.masternodes.jailing import is_punishable
from timecoin.quorum.evidence import (
    Evidence,
    EvidenceError,
    SnapshotsUnknown,
    check_evidence,
    decode_evidence,
)

TABLE = "evidence"
"""voting key of the accused -> Evidence."""

FORGED_POINTS = 20
STALE_POINTS = 5
GRACE_BLOCKS = 8
"""Evidence that a block has just settled may still come from peers that do not know the block."""
MAX_HELD = 1_000
MAX_BYTES = 16_000_000
"""Evidence held at a time: one proof has at most 202 kB, most have 400 bytes."""
MAX_TOLD = 8
"""Proofs that are told again at a new tip, or to a new link."""


class EvidencePool:
    """The machine. Hears Restore, then everything else."""

    def __init__(self, chain_id: bytes, chain: EvidenceChain, verify: Verify) -> None:
        self._chain_id = chain_id
        self._chain = chain
        self._verify = verify
        self._held: dict[bytes, Evidence] = {}
        """By accused, oldest first."""
        self._bytes = 0

    def handle(self, event: object, now_ms: int) -> list[Effect]:
        """Take one event at Unix time ``now_ms``."""
        match event:
            case Witnessed(evidence):
                return self._take(evidence, None)
            case Received(peer, Evidence() as evidence):
                return self._take(evidence, peer)
            case LinkUp(peer, _):
                return [Send(peer, evidence) for evidence in self.held[:MAX_TOLD]]
            case NewTip():
                return self._new_tip()
            case Restore(rows):
                return self._restore(rows)
        return []

    # reading

    @property
    def held(self) -> tuple[Evidence, ...]:
        """Checked evidence that no block has settled yet, oldest first."""
        return tuple(self._held.values())

    def evidence(self) -> tuple[bytes, ...]:
        """What a proposer puts into its block; the port ``Accusations`` of consensus."""
        return tuple(evidence.encoded for evidence in self._held.values())

    # events

    def _take(self, evidence: Evidence, peer: bytes | None) -> list[Effect]:
        if evidence.signer in self._held:
            return []  # one proof is enough
        if not self._may_punish(evidence):
            return self._stale(evidence, peer)
        if not self._has_room(evidence):
            return []
        try:
            check_evidence(evidence, self._chain, self._chain_id, self._verify)
        except SnapshotsUnknown:
            return self._stale(evidence, peer)
        except EvidenceError as error:
            return [] if peer is None else [Blame(peer, FORGED_POINTS, f"evidence: {error}")]
        self._put(evidence)
        return [
            Record(TABLE, evidence.signer, evidence.encoded),
            Broadcast(evidence, skip=peer),
            Emit(EvidenceHeld(evidence)),
        ]

    def _stale(self, evidence: Evidence, peer: bytes | None) -> list[Effect]:
        """Refused unread: settled, too old, or of blocks that this node does not know yet."""
        if peer is None or evidence.height > self._chain.tip_height - GRACE_BLOCKS:
            return []
        return [Blame(peer, STALE_POINTS, "evidence that no block may carry")]

    def _new_tip(self) -> list[Effect]:
        effects: list[Effect] = []
        for evidence in self.held:
            if not self._is_good(evidence):
                effects.append(self._drop(evidence))
        return effects + [Broadcast(evidence) for evidence in self.held[:MAX_TOLD]]

    def _restore(self, rows: tuple[tuple[str, bytes, bytes], ...]) -> list[Effect]:
        effects: list[Effect] = []
        for table, _, value in rows:
            if table != TABLE:
                continue
            evidence = decode_evidence(value)
            if self._is_good(evidence):
                self._put(evidence)
            else:
                effects.append(Record(TABLE, evidence.signer, None, durable=False))
        return effects

    # what is held

    def _put(self, evidence: Evidence) -> None:
        self._held[evidence.signer] = evidence
        self._bytes += len(evidence.encoded)

    def _drop(self, evidence: Evidence) -> Record:
        del self._held[evidence.signer]
        self._bytes -= len(evidence.encoded)
        return Record(TABLE, evidence.signer, None, durable=False)

    def _has_room(self, evidence: Evidence) -> bool:
        size = self._bytes + len(evidence.encoded)
        return len(self._held) < MAX_HELD and size <= MAX_BYTES

    # rules

    def _may_punish(self, evidence: Evidence) -> bool:
        """Whether the next block may jail the accused for this, as far as height and name say."""
        members = self._chain.active_set(self._chain.tip_height)
        return members is not None and is_punishable(members, evidence.signer, evidence.height)

    def _is_good(self, evidence: Evidence) -> bool:
        """Whether a block after the tip may carry ``evidence``, which was good once."""
        if not self._may_punish(evidence):
            return False
        try:
            check_evidence(evidence, self._chain, self._chain_id, self._verify)
        except EvidenceError:
            return False
        return True
