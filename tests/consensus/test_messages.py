"""Every message survives its encoding; nothing else decodes; statements do not collide."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.fakes import (
    FakeArchive,
    FakeChain,
    make_genesis,
    payment,
    signing_key,
    vrf_seed,
)
from tests.consensus.test_votes import ballot
from timecoin.codec import CodecError, Wire, decode, encode
from timecoin.consensus.journal import Broken, Place
from timecoin.consensus.messages import (
    MAX_CANDIDATES,
    MAX_PROPOSAL_BYTES,
    MAX_VOTES,
    BlockVote,
    CandidateMessage,
    GetProposedCertificates,
    Proposal,
    ProposedCertificates,
    Votes,
    candidate_statement,
    vote_statement,
)
from timecoin.consensus.sortition import alpha
from timecoin.crypto import vrf
from timecoin.quorum.certificate import BlockCertificate, BlockSignature
from timecoin.quorum.statement import VoteKind, proposal_statement


def samples() -> list[Wire]:
    chain = FakeChain(make_genesis([100] * 3))
    slot = chain.tip.slot + 1
    proof = vrf.prove(vrf_seed(0), alpha(chain.genesis.chain_id, chain.tip.seed, slot))
    pubkey = signing_key(0).public
    archive = FakeArchive([payment(1), payment(2)])
    contents = archive.contents(0, 10, 10)
    block = chain.assemble(contents, slot, 0, pubkey, proof, chain.tip.timestamp_ms + 1).block
    candidate = CandidateMessage(1, slot, pubkey, proof, bytes(64))
    quorum = BlockCertificate(1, 0, block.hash, (BlockSignature(0, bytes(64)),))
    return [
        candidate,
        ballot(0),
        Votes((ballot(0), ballot(1, kind=VoteKind.PRECOMMIT))),
        Proposal(1, 0, 0, slot, (candidate,), block, None, pubkey, bytes(64)),
        Proposal(1, 2, 1, slot, (), block, quorum, pubkey, bytes(64)),
        GetProposedCertificates(7, bytes(32), (bytes(32),)),
        ProposedCertificates(7, (b"certificate", b"other")),
        Place(7, 2),
        Broken(quorum, quorum),
    ]


SAMPLES = samples()
KINDS = list(dict.fromkeys(type(sample) for sample in SAMPLES))


class Encoding(SynchronousTestCase):
    def test_round_trip(self) -> None:
        for sample in SAMPLES:
            self.assertEqual(decode(encode(sample), type(sample), MAX_PROPOSAL_BYTES), sample)

    @given(st.sampled_from(KINDS), st.binary(max_size=300))
    def test_random_bytes_are_refused_or_canonical(self, kind: type[Wire], data: bytes) -> None:
        try:
            value = decode(data, kind, MAX_PROPOSAL_BYTES)
        except CodecError:
            return
        self.assertEqual(encode(value), data)

    @given(st.sampled_from(SAMPLES), st.data())
    def test_mutated_bytes_are_refused_or_canonical(
        self, sample: Wire, data: st.DataObject
    ) -> None:
        encoded = bytearray(encode(sample))
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(encoded) - 1))
            encoded[at] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(encoded)))
        for mutated in (bytes(encoded), bytes(encoded[:cut])):
            try:
                value = decode(mutated, type(sample), MAX_PROPOSAL_BYTES)
            except CodecError:
                continue
            self.assertEqual(encode(value), mutated)

    def test_lists_are_bounded(self) -> None:
        vote = ballot(0)
        decode(encode(Votes((vote,) * MAX_VOTES)), Votes, MAX_PROPOSAL_BYTES)
        for bad in (Votes((vote,) * (MAX_VOTES + 1)), Votes(())):
            with self.assertRaises(CodecError):
                decode(encode(bad), Votes, MAX_PROPOSAL_BYTES)
        proposal = next(sample for sample in SAMPLES if isinstance(sample, Proposal))
        many = proposal.candidates * (MAX_CANDIDATES + 1)
        bad_proposal = Proposal(
            1, 0, 0, proposal.slot, many, proposal.block, None, bytes(32), bytes(64)
        )
        with self.assertRaises(CodecError):
            decode(encode(bad_proposal), Proposal, MAX_PROPOSAL_BYTES)


class Statements(SynchronousTestCase):
    def test_no_two_are_alike(self) -> None:
        """Another chain, height, round, kind or block: another statement (PROTOCOL 1)."""
        votes = [
            BlockVote(kind, height, round_, block, bytes(32), bytes(64))
            for kind in (1, 2)
            for height in (1, 2)
            for round_ in (0, 1)
            for block in (bytes(32), b"\x01" * 32)
        ]
        statements = []
        for chain_id in (bytes(12), b"\x01" * 12):
            statements += [vote_statement(chain_id, vote) for vote in votes]
            statements += [
                proposal_statement(chain_id, height, round_, valid_round, slot, block)
                for height in (1, 2)
                for round_ in (0, 1)
                for valid_round in (0, 1)
                for slot in (5, 6)
                for block in (bytes(32), b"\x01" * 32)
            ]
            statements += [
                candidate_statement(chain_id, height, slot, proof)
                for height in (1, 2)
                for slot in (1, 2)
                for proof in (bytes(80), b"\x01" * 80)
            ]
        self.assertEqual(len(set(statements)), len(statements))
