"""What block consensus puts on the wire, and the statements its signatures cover (PROTOCOL 6).

Statements of proposals and block votes stand in ``quorum.statement``: certificates and evidence
need them too.
"""

from __future__ import annotations

import functools
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from timecoin import params
from timecoin.codec import U8, U32, U64, Bytes32, Bytes64, Bytes80, Wire
from timecoin.ledger.block import Block
from timecoin.quorum.certificate import BlockCertificate, certificate_name
from timecoin.quorum.statement import VoteKind, precommit_statement, prepare_statement

MAX_CANDIDATES = 1_024
"""Candidates that one proposal may carry."""
MAX_VOTES = 1_024
"""Votes in one :class:`Votes`."""
MAX_NAMES = 1_000
"""Certificates that one message may ask for."""
MAX_PROPOSAL_BYTES = params.MAX_BLOCK_BYTES + 500_000
"""Bound of an encoded proposal: its block, candidates and prepare quorum."""


class CandidateMessage(Wire, frozen=True):
    """A member's claim to propose in a slot, by its VRF proof."""

    height: U64
    slot: U64
    pubkey: Bytes32
    vrf_proof: Bytes80
    signature: Bytes64


class BlockVote(Wire, frozen=True):
    """One member's prepare or precommit; ``block_hash`` is NIL for none.

    With kind PROPOSAL it stands in journals only: the signed identity of a proposal.
    """

    kind: U8
    height: U64
    round: U32
    block_hash: Bytes32
    voter: Bytes32
    signature: Bytes64


class Votes(Wire, frozen=True):
    """Votes sent again, the sender's own and others'."""

    votes: Annotated[tuple[BlockVote, ...], Meta(min_length=1, max_length=MAX_VOTES)]


class Proposal(Wire, frozen=True):
    """A block for a round, with the candidates by which its proposer ranked itself in ``slot``.

    ``valid_round`` is 0 for a fresh block; else ``valid_round - 1`` is the round of
    ``prepare_quorum``, and the block is byte for byte the one that was prepared there.

    It travels as :attr:`compact`: in place of each certificate its name.
    """

    height: U64
    round: U32
    valid_round: U32
    slot: U64
    candidates: Annotated[tuple[CandidateMessage, ...], Meta(max_length=MAX_CANDIDATES)]
    block: Block
    prepare_quorum: BlockCertificate | None
    proposer: Bytes32
    signature: Bytes64

    @functools.cached_property
    def compact(self) -> Proposal:
        """As it travels: most of those who get it hold its certificates."""
        names = tuple(map(certificate_name, self.block.body.certificates))
        body = replace(self.block.body, certificates=names)
        return replace(self, block=Block(self.block.header, body))


class GetProposedCertificates(Wire, frozen=True):
    """Send these certificates of a proposed block."""

    height: U64
    block_hash: Bytes32
    names: Annotated[tuple[Bytes32, ...], Meta(min_length=1, max_length=MAX_NAMES)]


class ProposedCertificates(Wire, frozen=True):
    """Certificates that were asked for, encoded as in the block."""

    height: U64
    certificates: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=MAX_NAMES)]


def candidate_statement(chain_id: bytes, height: int, slot: int, vrf_proof: bytes) -> bytes:
    """What the signature of a :class:`CandidateMessage` covers."""
    head = params.TAG_CANDIDATE + chain_id
    return head + height.to_bytes(8, "little") + slot.to_bytes(8, "little") + vrf_proof


def vote_statement(chain_id: bytes, vote: BlockVote) -> bytes:
    """What the signature of ``vote`` covers; its kind is PREPARE or PRECOMMIT."""
    statement = prepare_statement if vote.kind == VoteKind.PREPARE else precommit_statement
    return statement(chain_id, vote.height, vote.round, vote.block_hash)
