"""Whatever peers say about heartbeats, the machine stays up and believes nothing unproved."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.masternodes.world import CHAIN_ID, World, key
from timecoin.machine import Received
from timecoin.masternodes.changes import Join, Leave
from timecoin.masternodes.heartbeat import Attestation, Attested, Heartbeat, sign_heartbeat
from timecoin.masternodes.messages import BeatNews, Beats, BeatWants, Leaves, Witnessed

NUMBERS = st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1))
KEYS = st.one_of(
    st.integers(1, 9).map(lambda n: key(n).public), st.binary(min_size=32, max_size=32)
)
SIGNATURES = st.binary(min_size=64, max_size=64)
ATTESTATIONS = st.lists(st.builds(Attestation, KEYS, SIGNATURES), max_size=6).map(tuple)


@st.composite
def heartbeats(draw: st.DrawFn, now_ms: int) -> Heartbeat:
    """Some honestly signed by member 4, whom nobody attests to; others with random parts."""
    near = st.integers(now_ms - 20_000, now_ms + 20_000)
    if draw(st.booleans()):
        tip = draw(st.sampled_from((bytes(32), b"x" * 32)))
        return sign_heartbeat(
            key(4), CHAIN_ID, draw(NUMBERS), draw(st.integers(0, 2)), tip, draw(near)
        )
    return Heartbeat(
        draw(KEYS),
        draw(NUMBERS),
        draw(NUMBERS),
        draw(st.sampled_from((bytes(32), b"x" * 32))),
        draw(st.one_of(near, NUMBERS)),
        draw(SIGNATURES),
    )


class FuzzTests(SynchronousTestCase):
    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_any_message(self, data: st.DataObject) -> None:
        world = World(4)
        world.boot(1, 2)
        world.run(10)
        victim, sender = world.peers[1], world.peers[2]
        victim.chain.joinable.add(key(9).public)
        found = st.builds(Attested, heartbeats(world.now_ms), ATTESTATIONS)
        joins = st.builds(
            Join,
            found,
            st.binary(max_size=36),
            st.binary(max_size=20),
            st.binary(max_size=80),
            SIGNATURES,
        )
        # What the victim has, so that a name may mean something.
        own = sorted(victim.up.book.names())
        known = [victim.up.book.find(name) for name in own]
        hashes = st.sampled_from([bytes(32), *(each.hash for each in known if each is not None)])
        names = st.one_of(st.binary(min_size=8, max_size=8), st.sampled_from(own))
        witnessing = ATTESTATIONS.filter(len)
        leaves = st.builds(Leave, KEYS, NUMBERS, KEYS, SIGNATURES)
        messages = st.one_of(
            st.builds(
                Beats,
                st.lists(found, max_size=3).map(tuple),
                st.lists(joins, max_size=3).map(tuple),
                st.lists(st.builds(Witnessed, hashes, witnessing), max_size=3).map(tuple),
            ),
            st.builds(BeatNews, st.lists(names).map(tuple), st.lists(names).map(tuple)),
            st.builds(BeatWants, st.lists(names).map(tuple), st.lists(names).map(tuple)),
            st.lists(leaves, min_size=1, max_size=3).map(lambda items: Leaves(tuple(items))),
        )
        for _ in range(data.draw(st.integers(1, 4))):
            world.deliver(victim, Received(sender.name, data.draw(messages)))
            world.run(data.draw(st.integers(0, 2_000)))
            if data.draw(st.booleans()):
                world.grow_one(victim)
        world.run(100)
        self.assertIsNone(victim.up.book.verified(key(3).public))
        self.assertIsNone(victim.up.book.verified(key(9).public))
        self.assertEqual(victim.up.membership.changes(world.now_ms), ())
