"""Evidence made by real signatures, for the tests of whoever takes it."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.ledger_kit import script_of, user
from timecoin.crypto.keys import SigningKey
from timecoin.crypto.merkle import merkle_root
from timecoin.ledger.transaction import Transaction, TxInput, TxOutput
from timecoin.quorum.bitmap import make_bitmap
from timecoin.quorum.evidence import (
    AcceptedLeaf,
    Evidence,
    SignedBlock,
    accepted_leaf,
    conflicting_votes,
    double_signature,
)
from timecoin.quorum.statement import (
    VoteKind,
    precommit_statement,
    prepare_statement,
    proposal_statement,
    vote_statement,
)


def signed_block(
    signer: SigningKey,
    chain_id: bytes,
    kind: VoteKind,
    height: int,
    round_: int,
    block_hash: bytes,
) -> SignedBlock:
    """The signature of ``signer`` under a block, as a fresh proposal in slot 7 or as a vote."""
    if kind == VoteKind.PROPOSAL:
        statement = proposal_statement(chain_id, height, round_, 0, 7, block_hash)
        return SignedBlock(0, 7, block_hash, signer.sign(statement))
    statement_of = prepare_statement if kind == VoteKind.PREPARE else precommit_statement
    statement = statement_of(chain_id, height, round_, block_hash)
    return SignedBlock(0, 0, block_hash, signer.sign(statement))


def signed_twice(
    signer: SigningKey,
    chain_id: bytes,
    height: int,
    kind: VoteKind = VoteKind.PREPARE,
    hashes: tuple[bytes, bytes] = (b"a" * 32, b"b" * 32),
    round_: int = 2,
) -> Evidence:
    """Evidence that ``signer`` signed both ``hashes`` at ``height``."""
    one, other = (
        signed_block(signer, chain_id, kind, height, round_, block_hash) for block_hash in hashes
    )
    return double_signature(kind, height, round_, signer.public, one, other)


def spend(point_of: int, to: int, value: int = 5_000_000) -> Transaction:
    """A transaction of one input, made of ``point_of``, and one output to user ``to``."""
    source = TxInput(bytes([point_of]) * 32, 0, 0)
    witnesses = ((user(point_of).public, bytes(64)),)
    return Transaction(1, (source,), (TxOutput(value, script_of(user(to))),), 0, witnesses)


def vote_for(
    signer: SigningKey,
    chain_id: bytes,
    anchor: int,
    batch: Sequence[Transaction],
    accepted: int,
    rejects: Sequence[int] = (),
) -> AcceptedLeaf:
    """The vote of ``signer`` on ``batch``, opened at the leaf ``accepted``."""
    leaves = [tx.txid for tx in batch]
    bitmap = make_bitmap(len(leaves), rejects)
    statement = vote_statement(chain_id, anchor, merkle_root(leaves), len(leaves), bitmap)
    return accepted_leaf(anchor, leaves, bitmap, signer.sign(statement), batch[accepted])


def voted_twice(signer: SigningKey, chain_id: bytes, anchors: tuple[int, int] = (9, 9)) -> Evidence:
    """Evidence that ``signer`` accepted two spends of one output, each amid a batch of three."""
    both = []
    for number, anchor in enumerate(anchors):
        batch = [spend(1, 10), spend(2, 20 + number), spend(3, 30)]
        both.append(vote_for(signer, chain_id, anchor, batch, accepted=1, rejects=(2,)))
    return conflicting_votes(signer.public, *both)
