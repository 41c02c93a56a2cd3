"""Active sets and signed certificates for the tests of this package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tests.support.ledger_kit import key
from timecoin.crypto.keys import SigningKey
from timecoin.masternodes.active_set import ActiveSet, Member, Tier
from timecoin.quorum.bitmap import make_bitmap
from timecoin.quorum.certificate import (
    BatchCertificate,
    BatchVote,
    BlockCertificate,
    BlockSignature,
    Receipt,
    ReceiptSet,
)
from timecoin.quorum.statement import precommit_statement, stored_statement, vote_statement

CHAIN_ID = b"\x03\x00\x00\x00genesis!"
KEYS = sorted((key(number) for number in range(8)), key=lambda found: found.public)
"""Keys in the order of their pubkeys, so that index and voter index agree for a whole set."""


def member(signer: SigningKey, weight: int = 100, tier: Tier = Tier.GENESIS) -> Member:
    """A member with ``weight``; what does not matter here is made up."""
    return Member(signer.public, bytes(32), weight, tier, bytes(20), 0, 1_000)


def active_set(weights: Mapping[int, int], free: Iterable[int] = ()) -> ActiveSet:
    """A set with staked ``weights`` by index into KEYS, and Free members."""
    members = [member(KEYS[index], weight) for index, weight in weights.items()]
    members += [member(KEYS[index], 1, Tier.FREE) for index in free]
    return ActiveSet(tuple(sorted(members, key=lambda found: found.pubkey)))


def batch_vote(
    certificate: BatchCertificate, voter: int, signer: SigningKey, rejects: Iterable[int] = ()
) -> BatchVote:
    """The vote of ``signer`` on the batch of ``certificate``."""
    bitmap = make_bitmap(certificate.leaf_count, rejects)
    statement = vote_statement(
        CHAIN_ID, certificate.anchor, certificate.root, certificate.leaf_count, bitmap
    )
    return BatchVote(voter, bitmap, signer.sign(statement))


def batch_certificate(
    leaves: Sequence[bytes],
    signers: Iterable[int],
    rejects: Mapping[int, Iterable[int]] | None = None,
    anchor: int = 9,
) -> BatchCertificate:
    """A certificate by the members ``signers``, who reject the leaves that ``rejects`` lists."""
    empty = BatchCertificate(anchor, tuple(leaves), ())
    votes = tuple(
        batch_vote(empty, signer, KEYS[signer], (rejects or {}).get(signer, ()))
        for signer in signers
    )
    return BatchCertificate(anchor, tuple(leaves), votes)


def receipt_set(
    signers: Mapping[int, Iterable[int]], leaf_count: int = 3, tip: int = 12
) -> ReceiptSet:
    """Receipts by each of ``signers`` for the leaves that it stores."""
    root = b"r" * 32
    receipts = []
    for signer, stored in signers.items():
        bitmap = make_bitmap(leaf_count, stored)
        statement = stored_statement(CHAIN_ID, tip, 9, root, leaf_count, bitmap)
        receipts.append(Receipt(signer, bitmap, KEYS[signer].sign(statement)))
    return ReceiptSet(tip, 9, root, leaf_count, tuple(receipts))


def block_certificate(
    signers: Iterable[int], statement_of: object = precommit_statement
) -> BlockCertificate:
    """Votes for block 32 x b at height 7, round 2, by each of ``signers``."""
    assert callable(statement_of)
    statement = statement_of(CHAIN_ID, 7, 2, b"b" * 32)
    return BlockCertificate(
        7,
        2,
        b"b" * 32,
        tuple(BlockSignature(signer, KEYS[signer].sign(statement)) for signer in signers),
    )
