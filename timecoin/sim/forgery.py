"""Faulty members that make things up: draws, weights, histories, a chain of their own."""

from __future__ import annotations

from collections import deque

import msgspec

from timecoin.chain.headers import CertifiedHeader
from timecoin.codec import Wire
from timecoin.consensus import messages as blocks
from timecoin.consensus.messages import BlockVote, CandidateMessage, Proposal
from timecoin.consensus.sortition import priority
from timecoin.crypto import vrf
from timecoin.finality.messages import Answer, Receipts, SignedReceipt, VoteReply
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.certificate import BlockCertificate
from timecoin.quorum.statement import proposal_statement, stored_statement
from timecoin.sim.behaviour import Behaviour, Faulty, frame_of
from timecoin.sim.network import Frame
from timecoin.sync.messages import Headers

DRAWS = 32
"""Own draws of the lottery that are kept to choose from."""
OTHER_CHAIN = bytes(12)
TOO_MUCH = 1_000
"""How many times its true weight a member claims to have."""


class GrindCandidates(Behaviour):
    """Claims the best of its earlier draws for each slot, and the slot after it."""

    def __init__(self, faulty: Faulty) -> None:
        super().__init__(faulty)
        self._draws: deque[bytes] = deque(maxlen=DRAWS)

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """Forged claims before the true one."""
        faulty = self.faulty
        if not isinstance(message, CandidateMessage) or message.pubkey != faulty.key.public:
            return [frame]
        if message.vrf_proof not in self._draws:
            self._draws.append(message.vrf_proof)
        best = min(self._draws, key=lambda proof: priority(vrf.proof_to_hash(proof), 1))
        slots = (message.slot, message.slot + 1)
        return [*(frame_of(self._claim(message.height, slot, best)) for slot in slots), frame]

    def _claim(self, height: int, slot: int, proof: bytes) -> CandidateMessage:
        statement = blocks.candidate_statement(self.faulty.chain_id, height, slot, proof)
        key = self.faulty.key
        return CandidateMessage(height, slot, key.public, proof, key.sign(statement))


class LieAboutWeights(Behaviour):
    """Gives out active sets in which it has a thousand times its weight."""

    def __init__(self, faulty: Faulty) -> None:
        super().__init__(faulty)
        self._set: ActiveSet | None = None

    def incoming(self, peer: bytes, message: Wire) -> None:
        """Sets come along with headers."""
        if isinstance(message, Headers):
            self._learn(message)

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """Each header comes with the set that it would like."""
        if not isinstance(message, Headers):
            return [frame]
        self._learn(message)
        items = tuple(
            msgspec.structs.replace(item, members=self._inflated(item.members or self._set))
            for item in message.items
        )
        return [frame_of(Headers(message.request, items))]

    def _learn(self, message: Headers) -> None:
        for item in message.items:
            self._set = item.members or self._set

    def _inflated(self, active: ActiveSet | None) -> ActiveSet:
        own = self.faulty.key.public
        members = () if active is None else active.members
        return ActiveSet(
            tuple(
                msgspec.structs.replace(member, weight=TOO_MUCH * member.weight)
                if member.pubkey == own
                else member
                for member in members
            )
        )


class ForgeHistory(Behaviour):
    """Gives out a history of its own, signed by nobody."""

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """Headers with other times, each the parent of the next."""
        if not isinstance(message, Headers):
            return [frame]
        items: list[CertifiedHeader] = []
        for item in message.items:
            parent = items[-1].header.hash if items else item.header.prev_hash
            later_ms = item.header.timestamp_ms + 1
            header = msgspec.structs.replace(item.header, prev_hash=parent, timestamp_ms=later_ms)
            certificate = BlockCertificate(header.height, header.round, header.hash, ())
            items.append(CertifiedHeader(header, certificate, item.members))
        return [frame_of(Headers(message.request, tuple(items)))]


class WrongChain(Behaviour):
    """Signs whatever it signs for another chain."""

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """The same with a signature that is good, and not here."""
        key = self.faulty.key
        match message:
            case BlockVote() if message.voter == key.public:
                statement = blocks.vote_statement(OTHER_CHAIN, message)
            case CandidateMessage() if message.pubkey == key.public:
                statement = blocks.candidate_statement(
                    OTHER_CHAIN, message.height, message.slot, message.vrf_proof
                )
            case Proposal() if message.proposer == key.public:
                statement = proposal_statement(
                    OTHER_CHAIN,
                    message.height,
                    message.round,
                    message.valid_round,
                    message.slot,
                    message.block.hash,
                )
            case Receipts(items, asked):
                return [frame_of(Receipts(tuple(self._receipt(item) for item in items), asked))]
            case Answer(vote=VoteReply() as vote):
                elsewhere = VoteReply(vote.reject_bitmap, key.sign(OTHER_CHAIN))
                return [frame_of(msgspec.structs.replace(message, vote=elsewhere))]
            case _:
                return [frame]
        return [frame_of(msgspec.structs.replace(message, signature=key.sign(statement)))]

    def _receipt(self, item: SignedReceipt) -> SignedReceipt:
        if item.voter != self.faulty.key.public:
            return item
        statement = stored_statement(
            OTHER_CHAIN, item.tip, item.anchor, item.root, item.leaf_count, item.stored_bitmap
        )
        return msgspec.structs.replace(item, signature=self.faulty.key.sign(statement))
