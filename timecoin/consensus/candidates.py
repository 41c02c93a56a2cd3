"""The candidates known for one height, by slot: gossiped, merged and ranked (PROTOCOL 6)."""

from __future__ import annotations

from dataclasses import dataclass

from timecoin import params
from timecoin.consensus.messages import CandidateMessage, candidate_statement
from timecoin.consensus.ports import Tip
from timecoin.consensus.signer import Signer
from timecoin.consensus.sortition import (
    SortitionError,
    alpha,
    announces,
    check_candidate,
    eligible,
    eligible_member,
    priority,
)
from timecoin.crypto import vrf
from timecoin.crypto.keys import Verify
from timecoin.masternodes.active_set import ActiveSet

SLOTS_KEPT = 8
"""Candidates of slots that began longer ago than this many slots are forgotten."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A verified claim and its place in the order."""

    priority: int
    message: CandidateMessage


class Candidates:
    """All candidates of one height; at most one a member and slot, since a VRF has one output."""

    def __init__(
        self, chain_id: bytes, slot_ms: int, tip: Tip, active_set: ActiveSet, verify: Verify
    ) -> None:
        """``active_set`` is avs(tip), whose staked members may stand for the next height."""
        self._chain_id = chain_id
        self._slot_ms = slot_ms
        self._tip = tip
        self._active_set = active_set
        self._verify = verify
        self._slots: dict[int, dict[bytes, Candidate]] = {}

    @property
    def height(self) -> int:
        """The height that these candidates stand for."""
        return self._tip.height + 1

    def in_window(self, slot: int, now_ms: int) -> bool:
        """Whether ``slot`` lies after the tip's and is neither too early nor long past."""
        newest = (now_ms + params.SLOT_EARLY_MS) // self._slot_ms
        return max(self._tip.slot, now_ms // self._slot_ms - SLOTS_KEPT) < slot <= newest

    def of(self, slot: int, pubkey: bytes) -> CandidateMessage | None:
        """The candidate of ``pubkey`` for ``slot``, if it is known."""
        candidate = self._slots.get(slot, {}).get(pubkey)
        return None if candidate is None else candidate.message

    def add(self, message: CandidateMessage, now_ms: int) -> bool:
        """Verify and keep ``message``; False when it is known or outside the window of slots.

        ``SortitionError`` when it is forged. Cheap checks come first.
        """
        if message.height != self.height:
            raise SortitionError("candidate of another height")
        known = self.of(message.slot, message.pubkey) is not None
        if known or not self.in_window(message.slot, now_ms):
            return False
        member = eligible_member(self._active_set, self.height, message.pubkey)
        statement = candidate_statement(
            self._chain_id, message.height, message.slot, message.vrf_proof
        )
        if not self._verify(message.pubkey, statement, message.signature):
            raise SortitionError("bad signature of a candidate")
        beta = check_candidate(
            self._chain_id,
            self._active_set,
            self.height,
            self._tip.seed,
            message.slot,
            message.pubkey,
            message.vrf_proof,
        )
        slot = self._slots.setdefault(message.slot, {})
        slot[message.pubkey] = Candidate(priority(beta, member.weight), message)
        for old in [slot for slot in self._slots if not self.in_window(slot, now_ms)]:
            del self._slots[old]
        return True

    def own(self, signer: Signer, vrf_seed: bytes, slot: int) -> CandidateMessage | None:
        """The candidate of this node for ``slot``; None if it may not or need not stand."""
        weights = {m.pubkey: m.weight for m in eligible(self._active_set, self.height)}
        weight = weights.get(signer.public)
        if weight is None:
            return None
        proof = vrf.prove(vrf_seed, alpha(self._chain_id, self._tip.seed, slot))
        own_priority = priority(vrf.proof_to_hash(proof), weight)
        if not announces(own_priority, self._active_set, self.height):
            return None
        statement = candidate_statement(self._chain_id, self.height, slot, proof)
        signature = signer.sign_candidate(statement)
        return CandidateMessage(self.height, slot, signer.public, proof, signature)

    def ranking(self, slot: int) -> tuple[CandidateMessage, ...]:
        """The known candidates of ``slot``: lowest priority first, ties by lowest pubkey."""
        known = self._slots.get(slot, {}).values()
        ordered = sorted(known, key=lambda each: (each.priority, each.message.pubkey))
        return tuple(candidate.message for candidate in ordered)

    def newest_slot(self, up_to: int) -> int | None:
        """The newest slot, not after ``up_to``, that has a candidate."""
        return max((slot for slot in self._slots if slot <= up_to), default=None)

    def turn(self, slot: int, round_: int) -> CandidateMessage | None:
        """Whose turn ``round_`` is by the candidates of ``slot``: rank r mod k."""
        ranking = self.ranking(slot)
        return ranking[round_ % len(ranking)] if ranking else None
