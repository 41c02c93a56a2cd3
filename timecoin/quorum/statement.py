"""The bytes that members sign (PROTOCOL 5, 6): each with its own tag and the chain id."""

from __future__ import annotations

import enum

from timecoin import params

NIL = bytes(32)
"""Block hash of a vote for no block."""


class VoteKind(enum.IntEnum):
    """What a member signs at most once for a height and round, in this order."""

    PROPOSAL = 0
    PREPARE = 1
    PRECOMMIT = 2


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "little")


def vote_statement(
    chain_id: bytes, anchor: int, root: bytes, leaf_count: int, reject_bitmap: bytes
) -> bytes:
    """A finality vote on a batch: every leaf not rejected is voted for."""
    return params.TAG_VOTE + chain_id + _u64(anchor) + root + _u32(leaf_count) + reject_bitmap


def stored_statement(
    chain_id: bytes, tip: int, anchor: int, root: bytes, leaf_count: int, stored_bitmap: bytes
) -> bytes:
    """A receipt: the signer durably holds these leaves, their certificate and their ancestors."""
    head = params.TAG_STORED + chain_id + _u64(tip) + _u64(anchor)
    return head + root + _u32(leaf_count) + stored_bitmap


def proposal_statement(
    chain_id: bytes, height: int, round_: int, valid_round: int, slot: int, block_hash: bytes
) -> bytes:
    """What the signature of a proposal covers.

    Candidates and prepare quorum prove themselves and need no cover.
    """
    head = params.TAG_PROPOSAL + chain_id + _u64(height)
    return head + _u32(round_) + _u32(valid_round) + _u64(slot) + block_hash


def prepare_statement(chain_id: bytes, height: int, round_: int, block_hash: bytes) -> bytes:
    """A prepare vote; ``block_hash`` is NIL for none."""
    return params.TAG_PREPARE + chain_id + _u64(height) + _u32(round_) + block_hash


def precommit_statement(chain_id: bytes, height: int, round_: int, block_hash: bytes) -> bytes:
    """A precommit vote; ``block_hash`` is NIL for none."""
    return params.TAG_PRECOMMIT + chain_id + _u64(height) + _u32(round_) + block_hash
