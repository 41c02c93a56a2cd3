"""The neighbourhood against the plainest model of it: sets of keys, by peer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.gossip.items import Items
from timecoin.gossip.messages import MAX_KEYS, Neighbours
from timecoin.gossip.neighbourhood import Neighbourhood

PEERS = [b"peer%d" % number for number in range(4)]
KEYS = [b"key%d" % number for number in range(5)]
keys = st.lists(st.sampled_from(KEYS), max_size=4).map(tuple)
step = st.one_of(
    st.tuples(st.just("up"), st.sampled_from(PEERS), st.sampled_from([*KEYS, None])),
    st.tuples(st.just("down"), st.sampled_from(PEERS), st.none()),
    st.tuples(st.just("told"), st.sampled_from(PEERS), st.tuples(keys, keys)),
)


class NeighbourhoodTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.items = Items()
        self.near = Neighbourhood()

    def up(self, peer: bytes, key: bytes | None) -> bool:
        return self.near.add(peer, key, self.items.meet(peer))

    @given(st.lists(step, max_size=30))
    def test_is_what_sets_would_say(self, steps: list[tuple[str, bytes, object]]) -> None:
        self.setUp()
        linked: dict[bytes, bytes | None] = {}
        told: dict[bytes, set[bytes]] = {}
        for what, peer, detail in steps:
            if what == "up" and peer not in linked:
                key = detail if isinstance(detail, bytes) else None
                new = key is not None and key not in linked.values()
                self.assertEqual(self.up(peer, key), new)
                linked[peer], told[peer] = key, set()
            elif what == "down":
                key = linked.pop(peer, None)
                told.pop(peer, None)
                left = key if key not in linked.values() else None
                self.assertEqual(self.near.remove(peer), left)
                self.items.forget(peer)
            elif what == "told" and peer in linked and isinstance(detail, tuple):
                joined, gone = detail
                lost = self.near.take(peer, Neighbours(joined, gone))
                self.assertEqual(set(lost), told[peer] & set(gone))
                told[peer] = (told[peer] - set(gone)) | set(joined)
        near = self.near
        self.assertEqual(near.peers, tuple(linked))
        self.assertEqual(near.among(near.validators), [p for p, key in linked.items() if key])
        self.assertEqual(near.among(near.followers), [p for p, key in linked.items() if not key])
        for author in KEYS:
            hearers = [p for p in linked if linked[p] == author or author in told[p]]
            self.assertEqual(near.among(near.hearers(author)), hearers)

    def test_nothing_counts_of_one_who_tells_too_many(self) -> None:
        for peer in PEERS[:2]:
            self.up(peer, None)
        many = tuple(number.to_bytes(32, "big") for number in range(MAX_KEYS))
        for peer in PEERS[:2]:
            self.near.take(peer, Neighbours(many, ()))
        self.near.take(PEERS[0], Neighbours(many, ()))
        self.assertEqual(self.near.among(self.near.hearers(many[0])), PEERS[:2])
        self.assertRaises(ValueError, self.near.take, PEERS[0], Neighbours((KEYS[0],), ()))
        self.assertEqual(self.near.among(self.near.hearers(many[0])), PEERS[1:2])
        self.assertEqual(self.near.hearers(KEYS[0]), 0)
        self.near.take(PEERS[0], Neighbours(many, ()))
        self.assertEqual(self.near.among(self.near.hearers(many[0])), PEERS[:2])
