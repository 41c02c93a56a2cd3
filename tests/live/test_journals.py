"""The kill test's look into journals finds what it is there to find."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.live.journals import StoppedNode, double_signatures
from timecoin.consensus.messages import BlockVote
from timecoin.crypto.keys import SigningKey
from timecoin.ledger.genesis import Genesis, GenesisValidator
from timecoin.masternodes.active_set import genesis_set
from timecoin.quorum.certificate import (
    BatchCertificate,
    BatchVote,
    BlockCertificate,
    BlockSignature,
)
from timecoin.quorum.statement import VoteKind, precommit_statement

KEY = SigningKey(b"\x01" * 32)
VALIDATOR = GenesisValidator(KEY.public, b"\x02" * 32, 100, b"\x03" * 20, 2**32)
GENESIS = Genesis(1, 3, 1, 1000, 1, (VALIDATOR,), ())
BLOCK, OTHER = b"\xaa" * 32, b"\xbb" * 32
FIRST_TX, SECOND_TX = b"\x11" * 32, b"\x22" * 32
COIN = b"\x33" * 36
ACCEPTED, REJECTED = b"\x00", b"\x01"


def precommit(block_hash: bytes) -> BlockVote:
    signature = KEY.sign(precommit_statement(GENESIS.chain_id, 1, 0, block_hash))
    return BlockVote(VoteKind.PRECOMMIT, 1, 0, block_hash, KEY.public, signature)


def batch(txid: bytes, reject_bitmap: bytes) -> BatchCertificate:
    return BatchCertificate(0, (txid,), (BatchVote(0, reject_bitmap, b"\x00" * 64),))


class DoubleSignatureTests(SynchronousTestCase):
    def setUp(self) -> None:
        vote = precommit(BLOCK)
        quorum = BlockCertificate(1, 0, BLOCK, (BlockSignature(0, vote.signature),))
        self.node = StoppedNode(
            KEY.public,
            {(1, 0, VoteKind.PRECOMMIT): vote},
            [(VoteKind.PRECOMMIT, quorum)],
            [batch(FIRST_TX, ACCEPTED), batch(SECOND_TX, REJECTED)],
            {FIRST_TX: (COIN,), SECOND_TX: (COIN,)},
            [genesis_set(GENESIS)],
        )

    def found(self) -> list[str]:
        return double_signatures([self.node], GENESIS)

    def test_an_honest_node(self) -> None:
        self.assertEqual(self.found(), [])

    def test_signed_but_not_recorded(self) -> None:
        self.node.votes.clear()
        self.assertIn("its journal does not know", self.found()[0])

    def test_two_blocks(self) -> None:
        self.node.votes[1, 0, VoteKind.PRECOMMIT] = precommit(OTHER)
        self.assertIn("signed two blocks", self.found()[0])

    def test_a_wrong_signature_of_its_own(self) -> None:
        vote = precommit(OTHER)
        forged = BlockVote(vote.kind, 1, 0, BLOCK, vote.voter, vote.signature)
        self.node.votes[1, 0, VoteKind.PRECOMMIT] = forged
        self.assertIn("wrong signature", self.found()[0])

    def test_two_spends_of_one_coin(self) -> None:
        self.node.batches.append(batch(SECOND_TX, ACCEPTED))
        self.assertIn("both spend", self.found()[0])
