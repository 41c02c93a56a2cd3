"""Proposals name their certificates: what is here is taken, what is not is asked for by name."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

from msgspec.structs import replace

from tests.consensus.desk import (
    Desk,
    blames_in,
    broadcasts,
    peer,
    sends_in,
    votes_in,
)
from tests.consensus.fakes import signing_key
from tests.consensus.test_proposal import Case
from timecoin import params
from timecoin.codec import encode
from timecoin.consensus import assembly
from timecoin.consensus.assembly import MAX_OPEN_OF_PEER, MAX_SIZE
from timecoin.consensus.intake import FORGED_POINTS, UNREQUESTED_POINTS
from timecoin.consensus.messages import (
    GetProposedCertificates,
    Proposal,
    ProposedCertificates,
)
from timecoin.ledger.block import Block
from timecoin.machine import Blame, Broadcast, Effect, LinkDown, LinkUp, Send, Spread, TimerFired
from timecoin.quorum.certificate import BatchCertificate, BatchVote, certificate_name


def certificate(number: int, signature: bytes = bytes(64)) -> BatchCertificate:
    return BatchCertificate(number, (bytes([number]) * 32,), (BatchVote(0, b"\x00", signature),))


def names(certificates: Sequence[BatchCertificate]) -> tuple[bytes, ...]:
    return tuple(certificate_name(encode(each)) for each in certificates)


def named(desk: Desk, proposal: Proposal, *wanted: bytes) -> GetProposedCertificates:
    return GetProposedCertificates(desk.height, proposal.block.hash, wanted)


def proposals_in(effects: Sequence[Effect]) -> list[Proposal]:
    """All that leave, to whomever."""
    leaving = [e.message for e in effects if isinstance(e, Send | Broadcast | Spread)]
    return [message for message in leaving if isinstance(message, Proposal)]


class Incoming(Case):
    def setUp(self) -> None:
        super().setUp()
        self.begin()
        self.certificates = tuple(certificate(number) for number in range(3))
        self.names = names(self.certificates)
        block = self.desk.block(self.first, certificates=self.certificates)
        self.whole = self.desk.proposal(self.first, block)

    def page(self, *certificates: BatchCertificate) -> ProposedCertificates:
        return ProposedCertificates(self.desk.height, tuple(map(encode, certificates)))

    def with_names(self, *certificates: bytes) -> Proposal:
        """The signed header of the good one with another body."""
        block = self.whole.block
        body = replace(block.body, certificates=certificates)
        return replace(self.whole, block=Block(block.header, body))

    def again(self) -> list[Effect]:
        return self.desk.do(TimerFired(("retransmit", self.desk.height)))

    def fetches(self, effects: Sequence[Effect]) -> list[tuple[bytes, object]]:
        return [
            (to, message)
            for to, message in sends_in(effects)
            if isinstance(message, GetProposedCertificates)
        ]

    def test_names_travel_and_the_block_stays_what_it_is(self) -> None:
        compact = self.whole.compact
        self.assertEqual(compact.block.hash, self.whole.block.hash)
        self.assertEqual(compact.block.body.certificates, self.names)
        self.assertNotEqual(compact.block.body.root, self.whole.block.header.body_root)

    def test_what_is_held_here_is_not_asked_for(self) -> None:
        self.desk.archive.waiting = self.certificates
        effects = self.desk.hear(self.first, self.whole.compact)
        self.assertEqual(votes_in(effects), [self.whole.block.hash])
        self.assertEqual(self.fetches(effects), [])

    def test_what_is_lacking_is_asked_of_the_sender(self) -> None:
        self.desk.archive.waiting = self.certificates[:1]
        effects = self.desk.hear(self.first, self.whole.compact)
        wanted = named(self.desk, self.whole, *self.names[1:])
        self.assertEqual(self.fetches(effects), [(peer(self.first), wanted)])
        self.assertEqual(votes_in(effects), [])
        self.assertEqual(votes_in(self.desk.hear(self.first, self.page(self.certificates[1]))), [])
        effects = self.desk.hear(self.first, self.page(self.certificates[2]))
        self.assertEqual(votes_in(effects), [self.whole.block.hash])
        self.assertEqual(self.again_fetches(), [])

    def again_fetches(self) -> list[tuple[bytes, object]]:
        return self.fetches(self.again())

    def test_it_is_passed_on_as_it_came_once_it_is_whole(self) -> None:
        effects = self.desk.hear(self.first, self.whole.compact)
        self.assertEqual(proposals_in(effects), [])
        effects = self.desk.hear(self.first, self.page(*self.certificates))
        self.assertEqual(proposals_in(effects), [self.whole.compact])

    def test_the_next_peer_is_asked_when_one_does_not_deliver(self) -> None:
        first, *others = (self.first, *(index for index in (1, 2, 3) if index != self.first))
        self.desk.hear(first, self.whole.compact)
        wanted = named(self.desk, self.whole, *self.names)
        asked = [self.again_fetches() for _ in range(3)]
        self.assertEqual(asked, [[(peer(other), wanted)] for other in others] + [[]])
        # All have been asked: from the first one again.
        self.assertEqual(self.again_fetches(), [(peer(first), wanted)])
        effects = self.desk.hear(others[1], self.page(*self.certificates))
        self.assertEqual(votes_in(effects), [self.whole.block.hash])

    def test_a_lost_link_is_not_asked(self) -> None:
        self.desk.hear(self.first, self.whole.compact)
        for index in (1, 2, 3):
            self.desk.do(LinkDown(peer(index)))
        self.assertEqual(self.again_fetches(), [])

    def test_what_arrives_by_other_ways_counts(self) -> None:
        self.desk.hear(self.first, self.whole.compact)
        self.desk.archive.waiting = self.certificates
        self.assertEqual(votes_in(self.again()), [self.whole.block.hash])

    def test_another_vote_in_a_certificate_is_another_certificate(self) -> None:
        """The producer's copy is fetched: the body has to hash to what was signed."""
        mine = certificate(0, signature=b"\x01" * 64)
        self.desk.archive.waiting = (mine, *self.certificates[1:])
        effects = self.desk.hear(self.first, self.whole.compact)
        ((_, wanted),) = self.fetches(effects)
        self.assertEqual(wanted, named(self.desk, self.whole, self.names[0]))

    def test_a_body_that_is_not_the_headers_is_charged_to_who_sent_it(self) -> None:
        liar, honest = (index for index in (1, 2, 3) if index != self.first)
        bogus = certificate(9)
        self.desk.hear(liar, self.with_names(*names([bogus])))
        effects = self.desk.hear(liar, self.page(bogus))
        reason = "proposal: the body does not match the header"
        self.assertIn(Blame(peer(liar), FORGED_POINTS, reason), effects)
        self.assertEqual(votes_in(effects), [])
        self.desk.hear(honest, self.whole.compact)
        effects = self.desk.hear(honest, self.page(*self.certificates))
        self.assertEqual(votes_in(effects), [self.whole.block.hash])

    def test_a_bogus_body_that_never_gets_whole_is_in_nobodys_way(self) -> None:
        liar, honest = (index for index in (1, 2, 3) if index != self.first)
        self.desk.hear(liar, self.with_names(bytes(32)))
        self.desk.hear(honest, self.whole.compact)
        effects = self.desk.hear(honest, self.page(*self.certificates))
        self.assertEqual(votes_in(effects), [self.whole.block.hash])
        self.assertEqual(self.again_fetches(), [])

    def test_what_comes_when_its_round_is_over_serves_the_next(self) -> None:
        open_ = assembly.Assembly(self.desk.height, lambda name: None)
        opened = open_.begin(peer(1), self.whole.compact, 0)
        assert opened is not None
        open_.ask(opened, [peer(1)])
        open_.end(opened)
        self.assertEqual(open_.got(self.page(*self.certificates)), [])
        again = open_.begin(peer(1), replace(self.whole.compact, signature=bytes(64)), 0)
        assert again is not None
        self.assertEqual((again.lacking, again.whole().block), ({}, self.whole.block))

    def test_what_is_kept_has_a_bound(self) -> None:
        with patch.object(assembly, "MAX_KEPT_BYTES", 2 * len(encode(self.certificates[0]))):
            open_ = assembly.Assembly(self.desk.height, lambda name: None)
            open_.got(self.page(*self.certificates))
            opened = open_.begin(peer(1), self.whole.compact, 0)
        assert opened is not None
        self.assertEqual([*opened.lacking], [self.names[0]])

    def test_names_are_hashes_each_once(self) -> None:
        self.forged(self.whole, "a certificate that is no name")
        twice = self.with_names(self.names[0], self.names[0])
        self.forged(twice, "a certificate named twice")

    def test_what_nobody_asked_for_is_charged(self) -> None:
        effects = self.desk.hear(2, self.page(*self.certificates))
        reason = "unrequested certificates of a proposal"
        self.assertEqual(effects, [Blame(peer(2), UNREQUESTED_POINTS, reason)])

    def test_of_other_heights_nothing_is_kept(self) -> None:
        page = ProposedCertificates(self.desk.height + 1, (b"x",))
        self.assertEqual(self.desk.hear(2, page), [])

    def test_a_peer_has_a_few_open_at_most(self) -> None:
        for number in range(MAX_OPEN_OF_PEER):
            effects = self.desk.hear(2, self.with_names(bytes([number]) * 32))
            self.assertEqual(len(self.fetches(effects)), 1)
        self.assertEqual(self.fetches(self.desk.hear(2, self.with_names(b"\x09" * 32))), [])
        self.assertEqual(len(self.fetches(self.desk.hear(3, self.with_names(b"\x09" * 32)))), 1)

    def test_more_than_a_block_is_forgotten(self) -> None:
        big = ProposedCertificates(self.desk.height, (bytes(MAX_SIZE),))
        self.desk.hear(2, self.with_names(certificate_name(bytes(MAX_SIZE)), bytes(32)))
        self.desk.hear(2, big)
        self.assertEqual(self.again_fetches(), [])

    def test_beyond_its_bytes_the_oldest_goes(self) -> None:
        with patch.object(assembly, "MAX_OPEN_BYTES", 2 * len(encode(self.whole))):
            for index, name in ((1, b"\x01"), (2, b"\x02"), (3, b"\x03")):
                self.desk.hear(index, self.with_names(name * 32))
            fetched = [message for _, message in self.again_fetches()]
        self.assertNotIn(named(self.desk, self.whole, b"\x01" * 32), fetched)
        self.assertIn(named(self.desk, self.whole, b"\x03" * 32), fetched)


class Outgoing(Case):
    def setUp(self) -> None:
        super().setUp()
        while self.desk.ranking()[0] != 0:
            self.desk.now_ms += 10_000
            self.desk.first_slot += 1
        self.certificates = tuple(certificate(number) for number in range(3))
        self.desk.archive.waiting = self.certificates
        self.desk.start(1, 2, 3)
        effects = self.desk.collect(self.desk.first_slot)
        self.sent = next(m for m in broadcasts(effects) if isinstance(m, Proposal))
        self.wanted = named(self.desk, self.sent, *names(self.certificates))

    def test_an_own_proposal_leaves_with_names(self) -> None:
        self.assertEqual(self.sent.block.body.certificates, names(self.certificates))
        for effects in (
            self.desk.do(TimerFired(("retransmit", self.desk.height))),
            self.desk.do(LinkUp(peer(3), signing_key(3).public)),
        ):
            self.assertEqual(proposals_in(effects), [self.sent])

    def test_certificates_are_given_once_for_a_proposal_and_link(self) -> None:
        page = ProposedCertificates(self.desk.height, tuple(map(encode, self.certificates)))
        self.assertEqual(self.desk.hear(2, self.wanted), [Send(peer(2), page)])
        self.assertEqual(self.desk.hear(2, self.wanted), [])
        self.desk.do(LinkDown(peer(2)))
        self.desk.do(LinkUp(peer(2), signing_key(2).public))
        self.assertEqual(self.desk.hear(2, self.wanted), [Send(peer(2), page)])

    def test_another_proposal_is_another_matter(self) -> None:
        """Who asked too late in one round has lost what it got, and asks again in the next."""
        block = self.desk.block(1, certificates=self.certificates)
        other = self.desk.proposal(1, block)
        self.desk.hear(1, other.compact)
        wanted = named(self.desk, other, *names(self.certificates))
        page = ProposedCertificates(self.desk.height, tuple(map(encode, self.certificates)))
        for each in (self.wanted, wanted):
            self.assertEqual(self.desk.hear(2, each), [Send(peer(2), page)])

    def test_pages_are_bounded(self) -> None:
        with patch.object(params, "QUERY_MAX_BYTES", 200):
            pages = self.desk.hear(2, self.wanted)
        self.assertEqual(len(pages), 3)

    def test_what_is_not_here_is_no_fault(self) -> None:
        unknown = GetProposedCertificates(self.desk.height, bytes(32), self.wanted.names)
        self.assertEqual(self.desk.hear(2, unknown), [])
        self.assertEqual(self.desk.hear(2, named(self.desk, self.sent, bytes(32))), [])
        self.assertEqual(blames_in(self.desk.effects), [])
