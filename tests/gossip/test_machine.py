"""Gossip: everybody gets an item, few times; nothing for nothing; hostile peers gain little."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.gossip.web import HOP_MS, KINDS, Rumour, Web, name_of
from timecoin.codec import Wire, encode
from timecoin.gossip import items
from timecoin.gossip.items import item_id
from timecoin.gossip.machine import (
    DYING_MS,
    FETCH_MS,
    FOLLOWERS_PER_SECOND,
    MAX_WANTED_PER_PEER,
    PUSH_PEERS,
    RELAY_MS,
    SETTLED_MS,
    TELL_LINKS_MS,
    Gossip,
)
from timecoin.gossip.messages import (
    MAX_IDS,
    MAX_KEYS,
    PUSH_BYTES,
    Announce,
    Bundle,
    Fetch,
    Neighbours,
)
from timecoin.machine import Received, Send
from timecoin.sim.topology import random_regular

LARGE = b"L" * (PUSH_BYTES + 1)


def full_mesh(nodes: int) -> list[tuple[int, int]]:
    return [(one, other) for other in range(nodes) for one in range(other)]


def chain(nodes: int) -> list[tuple[int, int]]:
    return [(number, number + 1) for number in range(nodes - 1)]


def said(number: int, text: bytes) -> bytes:
    """Text that names its author."""
    return name_of(number) + text


class ReachTests(SynchronousTestCase):
    def assert_reached(self, web: Web, text: bytes) -> None:
        self.assertEqual({node.accepted[text] for node in web.nodes}, {1})

    def test_in_a_full_mesh_of_validators_nothing_is_relayed(self) -> None:
        for text in (b"small", LARGE):
            web = Web(7, full_mesh(7), validators=7)
            web.say(2, said(2, text))
            web.run(5_000)
            self.assert_reached(web, said(2, text))
            self.assertEqual(web.sent, {Rumour: 6})

    def test_along_a_chain_small_items_are_pushed_and_large_ones_fetched(self) -> None:
        for text, each in ((b"small", {Rumour: 9}), (LARGE, {Rumour: 9, Announce: 8, Fetch: 8})):
            web = Web(10, chain(10), validators=10)
            web.say(0, said(0, text))
            web.run(5_000)
            self.assert_reached(web, said(0, text))
            self.assertEqual(web.sent, each)

    def test_every_node_of_a_random_graph_gets_every_item_with_bounded_copies(self) -> None:
        nodes, degree = 60, 8
        web = Web(nodes, random_regular(nodes, degree, Random(1)), validators=10)
        for number, text in ((0, b"small"), (40, b"other"), (59, LARGE), (3, LARGE + b"2")):
            web.sent.clear()
            web.say(number, said(number, text))
            web.run(5_000)
            self.assert_reached(web, said(number, text))
            whole = web.sent[Rumour]
            if len(text) > PUSH_BYTES:
                # Once for each node, and a neighbour of the author may get a second copy.
                self.assertLess(whole, nodes + degree)
                self.assertLessEqual(web.sent[Announce], nodes * (degree - 1))
            else:
                self.assertLessEqual(whole, nodes * (degree - 1) + 1)

    def test_what_is_refused_is_not_passed_on(self) -> None:
        web = Web(10, chain(10))
        web.say(0, b"x false")
        web.run(5_000)
        self.assertEqual([node.arrived[b"x false"] for node in web.nodes[1:3]], [1, 0])

    def test_an_item_is_spread_once_however_often_it_is_said(self) -> None:
        web = Web(4, full_mesh(4))
        web.say(0, b"again")
        web.run(1_000)
        web.sent.clear()
        web.say(0, b"again")
        web.run(1_000)
        self.assertEqual(web.sent, {})

    def test_fan_out_to_peers_without_a_voting_key_is_bounded(self) -> None:
        peers = PUSH_PEERS + 9
        web = Web(peers + 1, [(0, number) for number in range(1, peers + 1)])
        web.say(0, b"news")
        web.run(RELAY_MS)
        self.assertEqual(web.sent, {Rumour: PUSH_PEERS})
        web.run(peers * 1_000 // FOLLOWERS_PER_SECOND - RELAY_MS)
        self.assertEqual(web.sent, {Rumour: PUSH_PEERS, Announce: 9})
        web.run(1_000)
        self.assert_reached(web, b"news")
        self.assertEqual(web.sent, {Rumour: peers, Announce: 9, Fetch: 9})

    def test_announcements_to_many_followers_are_few_however_many_items_there_are(self) -> None:
        followers, items_each_ms = 400, 3
        web = Web(followers + 1, [(0, number) for number in range(1, followers + 1)])
        web.lost = lambda source, target, message: source != name_of(0)
        for at in range(400):
            for number in range(items_each_ms):
                web.say(0, LARGE + at.to_bytes(2, "big") + bytes([number]))
            web.run(1)
        web.lost = lambda source, target, message: False
        # The share of 400 ms, and the round under way.
        self.assertLessEqual(web.sent[Announce], FOLLOWERS_PER_SECOND * 2 // 5 + followers)
        self.assertGreater(web.sent[Announce], followers)

    def test_items_wait_for_company_in_one_announcement(self) -> None:
        web = Web(3, chain(3))
        for number in range(5):
            web.say(0, LARGE + bytes([number]))
        web.run(1_000)
        # Each of the two links carried one announcement; they had no voting key to push to.
        self.assertEqual(web.sent, {Announce: 2, Fetch: 2, Rumour: 10})

    def test_small_items_wait_for_company_in_one_bundle(self) -> None:
        web = Web(3, chain(3), validators=3)
        for number in range(5):
            web.say(0, said(0, bytes([number])))
        web.run(1_000)
        # The author sends at once; the relay bundles what came together.
        self.assertEqual(web.sent, {Rumour: 5, Bundle: 1})
        self.assertEqual(len(web.nodes[2].accepted), 5)

    def test_announcements_leave_in_time_under_a_stream_of_items(self) -> None:
        web = Web(2, chain(2))
        for number in range(10 * RELAY_MS):
            web.say(0, LARGE + number.to_bytes(2, "big"))
            web.run(1)
        self.assertGreater(len(web.nodes[1].accepted), 8 * RELAY_MS)


class LinkTests(SynchronousTestCase):
    def test_a_new_link_is_offered_what_was_said_lately(self) -> None:
        web = Web(4, [(0, 1), (2, 3)])
        web.say(0, b"missed")
        web.run(1_000)
        web.link(1, 2)
        web.run(1_000)
        self.assertEqual([node.accepted[b"missed"] for node in web.nodes], [1, 1, 1, 1])

    def newcomer(self, web: Web, links: range) -> list[bytes]:
        """The last node is linked with ``links``; the ids that it is told of from then on."""
        told: list[bytes] = []
        last = len(web.nodes) - 1

        def note(source: bytes, target: bytes, message: Wire) -> bool:
            if target == name_of(last) and isinstance(message, Announce):
                told.extend(message.ids)
            return False

        web.lost = note
        for number in links:
            web.link(number, last)
        web.run(3 * SETTLED_MS)
        return told

    def test_in_a_full_mesh_a_newcomer_is_told_of_items_by_their_authors_alone(self) -> None:
        web = Web(5, full_mesh(4), validators=5)
        for number in range(4):
            web.say(number, said(number, b"before it came"))
        web.run(100)
        self.assertEqual(len(self.newcomer(web, range(4))), 4)
        self.assertEqual(len(web.nodes[4].accepted), 4)

    def test_a_newcomer_is_told_by_others_of_authors_that_it_is_not_linked_with(self) -> None:
        web = Web(5, full_mesh(4), validators=5)
        for number in range(4):
            web.say(number, said(number, b"before it came"))
        web.run(100)
        self.newcomer(web, range(2))
        self.assertEqual(len(web.nodes[4].accepted), 4)

    def test_a_newcomer_is_told_by_others_of_what_an_author_forgot_when_it_was_restarted(
        self,
    ) -> None:
        web = Web(4, full_mesh(3), validators=4)
        web.say(0, said(0, b"before its restart"))
        web.run(100)
        for number in (1, 2):
            web.unlink(0, number)
        web.nodes[0].gossip = Gossip(KINDS)
        for number in (1, 2):
            web.link(0, number)
        web.run(100)
        self.newcomer(web, range(3))
        self.assertEqual(web.nodes[3].accepted[said(0, b"before its restart")], 1)

    def test_a_newcomer_that_goes_again_is_told_nothing(self) -> None:
        web = Web(3, chain(2), validators=3)
        web.say(0, said(0, b"before it came"))
        web.run(100)
        web.link(1, 2)
        web.unlink(1, 2)
        web.sent.clear()
        web.run(3 * SETTLED_MS)
        self.assertEqual(web.sent[Announce], 0)

    def test_a_lost_link_to_an_author_is_replaced_by_relays(self) -> None:
        web = Web(3, full_mesh(3), validators=3)
        web.unlink(0, 2)
        web.run(HOP_MS + 1)
        web.say(0, said(0, b"round about"))
        web.run(1_000)
        self.assertEqual(web.nodes[2].accepted[said(0, b"round about")], 1)

    def test_what_a_peer_missed_while_its_link_was_dying_is_offered_when_it_tells(self) -> None:
        web = Web(3, full_mesh(3), validators=3)
        web.lost = lambda source, target, message: (source, target) == (name_of(0), name_of(2))
        web.say(0, said(0, b"into the void"))
        web.run(1_000)
        self.assertEqual(web.nodes[2].accepted[said(0, b"into the void")], 0)
        web.unlink(0, 2)
        web.run(1_000)
        self.assertEqual(web.nodes[2].accepted[said(0, b"into the void")], 1)

    def test_what_came_over_a_line_before_it_can_have_died_is_not_offered(self) -> None:
        for validators, announcements in ((3, 0), (2, 1)):
            web = Web(3, full_mesh(3), validators=validators)
            web.say(0, said(0, b"heard by all"))
            web.run(DYING_MS + 1)
            web.sent.clear()
            web.unlink(0, 2)
            web.run(1_000)
            self.assertEqual(web.sent[Announce], announcements)

    def test_new_links_are_told_together_and_lost_ones_sooner(self) -> None:
        web = Web(6, chain(2), validators=6)
        for number in range(2, 6):
            web.link(0, number)
        web.sent.clear()
        web.run(TELL_LINKS_MS)
        told = web.sent[Neighbours]
        self.assertLessEqual(told, 5 + 4)
        web.sent.clear()
        web.unlink(0, 5)
        web.unlink(0, 4)
        web.run(RELAY_MS)
        self.assertEqual(web.sent[Neighbours], 3)

    def test_a_link_that_comes_back_before_it_was_told_lost_is_not_told_at_all(self) -> None:
        web = Web(3, full_mesh(3), validators=3)
        web.unlink(0, 2)
        web.link(0, 2)
        web.sent.clear()
        web.run(1_000)
        self.assertEqual(web.sent[Neighbours], 0)
        web.say(2, said(2, b"heard by all"))
        web.run(1_000)
        self.assertEqual(web.sent[Rumour], 2)

    def test_of_two_links_with_one_voting_key_the_first_to_go_is_not_told(self) -> None:
        web = Web(4, [(0, 1), (0, 2)], validators=3)
        web.nodes[3].key = web.nodes[2].key
        web.link(0, 3)
        web.run(1_000)
        web.sent.clear()
        web.unlink(0, 2)
        web.run(1_000)
        self.assertEqual(web.sent[Neighbours], 0)


class FetchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web(4, [(0, 1), (0, 2), (0, 3)])
        self.node = self.web.nodes[0]
        self.rumour = Rumour(LARGE)
        self.name = item_id(KINDS[Rumour], encode(self.rumour))

    def hear(self, peer: int, message: Announce | Fetch | Neighbours) -> list[Send]:
        effects = self.node.gossip.handle(Received(name_of(peer), message), self.web.now_ms)
        self.web.carry_out(self.node, [e for e in effects if not isinstance(e, Send)])
        return [effect for effect in effects if isinstance(effect, Send)]

    def test_one_peer_is_asked_and_the_next_when_it_does_not_deliver(self) -> None:
        asked = self.hear(1, Announce((self.name,)))
        self.assertEqual(asked, [Send(name_of(1), Fetch((self.name,)))])
        self.assertEqual(self.hear(2, Announce((self.name,))), [])
        self.web.run(FETCH_MS)
        self.assertEqual(self.web.sent, {Fetch: 1})
        self.web.run(10 * FETCH_MS)
        self.assertEqual(self.web.sent, {Fetch: 1})

    def test_a_lost_link_passes_the_question_on_at_once(self) -> None:
        self.hear(1, Announce((self.name,)))
        self.hear(3, Announce((self.name,)))
        self.web.sent.clear()
        self.web.unlink(0, 1)
        self.assertEqual(self.web.sent, {Fetch: 1})

    def test_what_has_arrived_is_not_fetched(self) -> None:
        self.node.gossip.heard(name_of(1), KINDS[Rumour], encode(self.rumour), 0)
        self.assertEqual(self.hear(2, Announce((self.name,))), [])

    def test_an_item_is_given_once_to_a_peer_and_asking_more_is_charged(self) -> None:
        self.web.say(0, LARGE)
        for peer in (1, 2):
            (sent,) = self.hear(peer, Fetch((self.name,)))
            self.assertEqual(sent, Send(name_of(peer), self.rumour))
            self.assertEqual(self.hear(peer, Fetch((self.name,))), [])
        self.assertEqual([blame.peer for blame in self.node.blames], [name_of(1), name_of(2)])

    def test_naming_an_item_many_times_in_one_question_brings_it_once(self) -> None:
        self.web.say(0, LARGE)
        self.assertEqual(len(self.hear(1, Fetch((self.name,) * MAX_IDS))), 1)
        self.assertEqual(len(self.node.blames), 1)

    def test_what_is_not_here_is_no_fault(self) -> None:
        self.assertEqual(self.hear(1, Fetch((self.name,))), [])
        self.assertEqual(self.node.blames, [])

    def test_announcements_of_what_never_comes_are_bounded(self) -> None:
        fetched = 0
        for page in range(5):
            names = tuple(name_of(1_000 * page + number) for number in range(MAX_IDS))
            for asked in self.hear(1, Announce(names)):
                assert isinstance(asked.message, Fetch)
                fetched += len(asked.message.ids)
        self.assertEqual(fetched, MAX_WANTED_PER_PEER)
        self.assertEqual(len(self.hear(2, Announce((self.name,)))), 1)


class BoundTests(SynchronousTestCase):
    def test_too_many_voting_keys_are_charged_and_believed_no_more(self) -> None:
        web = Web(2, chain(2), validators=2)
        keys = tuple(name_of(number) for number in range(100, 100 + MAX_KEYS))
        for joined in (keys, (name_of(9),)):
            web.hear(web.nodes[0], Received(name_of(1), Neighbours(joined, ())))
        self.assertEqual(len(web.nodes[0].blames), 1)

    def test_items_expire_and_their_number_and_bytes_are_bounded(self) -> None:
        held = items.Items()
        for number in range(items.MAX_ITEMS + 10):
            held.of(name_of(number), 0)
            author = name_of(number % 3)
            held.hold(name_of(number), Rumour(b""), author, items.MAX_BYTES // 100)
        self.assertLessEqual(len(held), 100)
        found = [name for author in held.authors() for name in held.held(author)]
        self.assertEqual(len(found), len(held))
        self.assertIn(name_of(items.MAX_ITEMS + 9), found)
        for number in range(items.MAX_ITEMS + 10):
            held.of(name_of(number), 1)
        self.assertEqual(len(held), items.MAX_ITEMS)
        held.of(b"late", items.KEEP_MS + 1)
        self.assertEqual(len(held), 1)
        self.assertEqual(list(held.authors()), [])

    def test_who_takes_the_place_of_a_lost_peer_has_nothing_yet(self) -> None:
        held = items.Items()
        item = held.of(b"item", 0)
        for name in (b"first", b"second"):
            held.meet(name)
            item.has |= held.bit(name)
            item.given |= held.bit(name)
        held.forget(b"first")
        self.assertEqual(held.bits([b"first"]), 0)
        self.assertEqual(held.meet(b"third") | held.bit(b"second"), 0b11)
        self.assertFalse((item.has | item.given) & held.bit(b"third"))
        self.assertEqual(item.has, held.bit(b"second"))
        self.assertEqual(item.given, held.bit(b"second"))

    def test_a_lie_about_links_keeps_items_from_the_liar_only(self) -> None:
        web = Web(4, [(0, 1), (1, 2), (1, 3)], validators=4)
        web.hear(web.nodes[1], Received(name_of(2), Neighbours((name_of(0),), ())))
        web.say(0, said(0, b"news"))
        web.run(1_000)
        self.assertEqual([node.accepted[said(0, b"news")] for node in web.nodes], [1, 1, 0, 1])

    def test_messages_of_strangers_change_nothing(self) -> None:
        web = Web(2, [])
        for message in (Neighbours((name_of(5),), ()), Neighbours((), (name_of(5),))):
            self.assertEqual(web.hear(web.nodes[0], Received(name_of(9), message)), [])

    @given(st.data())
    @settings(max_examples=60, deadline=None)
    def test_any_schedule_of_messages_is_survived_within_bounds(self, data: st.DataObject) -> None:
        web = Web(4, [(0, 1), (0, 2), (0, 3)], validators=2)
        names = st.sampled_from([name_of(number) for number in range(6)])
        texts = [b"a", b"x b", LARGE, said(1, b"c")]
        known = [item_id(KINDS[Rumour], encode(Rumour(text))) for text in texts]
        ids = st.lists(st.sampled_from([*known, name_of(77)]), min_size=1, max_size=4).map(tuple)
        for _ in range(data.draw(st.integers(1, 30))):
            what = data.draw(st.integers(0, 6))
            peer = data.draw(names)
            if what == 0:
                web.hear(web.nodes[0], Received(peer, Announce(data.draw(ids))))
            elif what == 1:
                web.hear(web.nodes[0], Received(peer, Fetch(data.draw(ids))))
            elif what == 2:
                keys = data.draw(st.lists(names, max_size=3).map(tuple))
                lost = data.draw(st.lists(names, max_size=3).map(tuple))
                web.hear(web.nodes[0], Received(peer, Neighbours(keys, lost)))
            elif what == 3:
                web.say(0, data.draw(st.sampled_from(texts)))
            elif what == 4 and (name_of(0), name_of(1)) in web.up:
                web.unlink(0, 1)
            elif what == 5 and (name_of(0), name_of(1)) not in web.up:
                web.link(0, 1)
            else:
                web.run(data.draw(st.integers(1, 3_000)))
        web.run(10_000)
        for node in web.nodes[1:]:
            # Whole copies of an item: from its author's push, and one for each time it asked.
            self.assertTrue(all(count <= 8 for count in node.arrived.values()), node.arrived)
