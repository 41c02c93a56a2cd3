"""Proposals: their form, whose turn it is, and whether to prepare them (PROTOCOL 6).

Form is checked on arrival and blames the sender. The objective rules are the chain's. The
subjective ones apply to fresh proposals only, and at the time the protocol names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from timecoin import params
from timecoin.codec import Wire
from timecoin.consensus.candidates import Candidates
from timecoin.consensus.messages import Proposal
from timecoin.consensus.ports import CheckedBlock, MissingBodies, Ports
from timecoin.consensus.sortition import SortitionError
from timecoin.crypto.hashing import HASH_BYTES
from timecoin.ledger.block import Block
from timecoin.ledger.rules import RuleBroken
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.certificate import CertificateError, check_prepare_quorum
from timecoin.quorum.statement import proposal_statement


class ProposalError(ValueError):
    """A proposal that nobody honest would send; the text says why."""


def check_names(proposal: Proposal) -> None:
    """``ProposalError`` unless ``proposal`` names each of its certificates once."""
    names = proposal.block.body.certificates
    if any(len(name) != HASH_BYTES for name in names):
        raise ProposalError("a certificate that is no name")
    if len(dict.fromkeys(names)) != len(names):
        raise ProposalError("a certificate named twice")


@dataclass(frozen=True, slots=True)
class Offer:
    """A proposal of good form, as it arrived; ``peer`` None is this node itself."""

    proposal: Proposal
    peer: bytes | None
    arrived_ms: int

    @property
    def block(self) -> Block:
        """The proposed block."""
        return self.proposal.block


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a proposal is not prepared.

    ``messages`` are what its proposer lacks; ``fault``: an objective rule is broken.
    """

    reason: str
    messages: tuple[Wire, ...] = ()
    fault: bool = False


Examined = CheckedBlock | RuleBroken | MissingBodies


class Judge:
    """Judges the proposals of one height; remembers what the costly checks found."""

    def __init__(
        self,
        chain_id: bytes,
        ports: Ports,
        candidates: Candidates,
        snapshots: tuple[ActiveSet, ...],
    ) -> None:
        """``snapshots`` are those in which a prepare quorum is demanded."""
        self._chain_id = chain_id
        self._ports = ports
        self._tip = ports.rules.tip
        self._candidates = candidates
        self._snapshots = snapshots
        self._examined: dict[bytes, Examined] = {}

    def check_form(self, proposal: Proposal, now_ms: int) -> bool:
        """Whether to keep ``proposal``; False when its slot is too early or long past.

        Its certificates do not matter here: see :meth:`check_body`. Merges the candidates that it
        carries. ``ProposalError`` when it is forged or malformed; cheap checks come first.
        """
        header = proposal.block.header
        if (proposal.height, header.height) != (self._tip.height + 1,) * 2:
            raise ProposalError("another height")
        if header.prev_hash != self._tip.hash:
            raise ProposalError("does not follow the final tip")
        if not self._candidates.in_window(proposal.slot, now_ms):
            return False
        if proposal.valid_round == 0:
            self._check_fresh(proposal)
        else:
            self._check_repeated(proposal)
        statement = proposal_statement(
            self._chain_id,
            proposal.height,
            proposal.round,
            proposal.valid_round,
            proposal.slot,
            proposal.block.hash,
        )
        if not self._ports.verify(proposal.proposer, statement, proposal.signature):
            raise ProposalError("bad signature")
        if proposal.block.body.entries_root != header.entries_root:
            raise ProposalError("the entries do not match the header")
        self._merge(proposal, now_ms)
        if proposal.prepare_quorum is not None:
            try:
                check_prepare_quorum(
                    proposal.prepare_quorum,
                    self._snapshots,
                    self._chain_id,
                    self._ports.verify,
                )
            except CertificateError as error:
                raise ProposalError(f"prepare quorum: {error}") from error
        return True

    def check_body(self, proposal: Proposal) -> None:
        """``ProposalError`` unless the whole body is the header's."""
        if proposal.block.body.root != proposal.block.header.body_root:
            raise ProposalError("the body does not match the header")

    def has_turn(self, proposal: Proposal) -> bool:
        """Whether the round is the proposer's, by all candidates known for the slot it names."""
        turn = self._candidates.turn(proposal.slot, proposal.round)
        return turn is not None and turn.pubkey == proposal.proposer

    def examine(self, block: Block) -> Examined:
        """What the objective rules say; asked again only when missing bodies have come."""
        found = self._examined.get(block.hash)
        if found is None or (isinstance(found, MissingBodies) and not self.lacks(found)):
            try:
                found = self._ports.rules.check(block, self._ports.find)
            except (RuleBroken, MissingBodies) as error:
                found = error
            self._examined[block.hash] = found
        return found

    def forget_but(self, block_hashes: Iterable[bytes]) -> None:
        """Remember what was found out about these blocks only."""
        kept = dict.fromkeys(block_hashes)
        self._examined = {key: found for key, found in self._examined.items() if key in kept}

    def lacks(self, missing: MissingBodies) -> bool:
        """Whether any of the bodies is still missing."""
        return any(self._ports.find(wtxid) is None for wtxid in missing.wtxids)

    def missing(self) -> dict[bytes, MissingBodies]:
        """What the blocks that cannot be judged yet lack, by block hash."""
        return {
            block_hash: found
            for block_hash, found in self._examined.items()
            if isinstance(found, MissingBodies) and self.lacks(found)
        }

    def refusal(self, offer: Offer, round_start_ms: int, now_ms: int) -> Refusal | None:
        """Whether the subjective rules forbid to prepare a fresh proposal."""
        timestamp_ms = offer.block.header.timestamp_ms
        if timestamp_ms <= self._tip.timestamp_ms:
            return Refusal("timestamp not above the parent's")
        if timestamp_ms > max(offer.arrived_ms, round_start_ms) + params.TIMESTAMP_DRIFT_MS:
            return Refusal("timestamp too far ahead of this node's clock")
        judged_ms = min(offer.arrived_ms, round_start_ms)
        objection = self._ports.archive.objection(
            offer.block, self._tip.height, judged_ms, now_ms
        ) or self._ports.membership.objection(offer.block, judged_ms, now_ms)
        if objection is None:
            return None
        return Refusal(objection.reason, objection.messages)

    def _check_fresh(self, proposal: Proposal) -> None:
        header = proposal.block.header
        if proposal.prepare_quorum is not None:
            raise ProposalError("a fresh block with a prepare quorum")
        named = (header.producer, header.round, header.slot)
        if named != (proposal.proposer, proposal.round, proposal.slot):
            raise ProposalError("the header names another producer, round or slot")

    def _check_repeated(self, proposal: Proposal) -> None:
        quorum = proposal.prepare_quorum
        valid_round = proposal.valid_round - 1
        if quorum is None:
            raise ProposalError("a repeated block without its prepare quorum")
        named = (quorum.height, quorum.round, quorum.block_hash)
        if named != (proposal.height, valid_round, proposal.block.hash):
            raise ProposalError("a prepare quorum of something else")
        if not proposal.block.header.round <= valid_round < proposal.round:
            raise ProposalError("rounds out of order")

    def _merge(self, proposal: Proposal, now_ms: int) -> None:
        """Merge the carried candidates; the proposer's own must be among those known then."""
        for candidate in proposal.candidates:
            if candidate.slot != proposal.slot:
                raise ProposalError("candidate of another slot")
            try:
                self._candidates.add(candidate, now_ms)
            except SortitionError as error:
                raise ProposalError(f"candidate: {error}") from error
        own = self._candidates.of(proposal.slot, proposal.proposer)
        if own is None:
            raise ProposalError("the proposer is no candidate")
        fresh = proposal.valid_round == 0
        if fresh and own.vrf_proof != proposal.block.header.vrf_proof:
            raise ProposalError("another VRF proof than the candidate's")
