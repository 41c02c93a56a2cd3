"""Headers first while masternodes join, leave and are removed, and the founders expire."""

from __future__ import annotations

import functools

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.chain.membership_run import MembershipRun
from tests.sync.desk import World
from timecoin.chain import pastset
from timecoin.chain.headers import HeaderChain, HeaderError
from timecoin.codec import Wire
from timecoin.masternodes.active_set import ActiveSet
from timecoin.store.memory import MemoryEngine
from timecoin.sync import coins as sync_coins
from timecoin.sync.messages import GetHeaders, Headers
from timecoin.sync.serve import headers_page

SLOTS = 60


@functools.cache
def history() -> MembershipRun:
    """A chain whose set changes all the time; at its end no founder is left in it."""
    run = MembershipRun(1, 20, SLOTS // 2, audit_every=SLOTS)
    for _ in range(SLOTS):
        run.step(2)
    return run


class ChangingSetTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.run_ = history()
        self.net, self.chain = self.run_.net, self.run_.chain
        self.world = World(self.net)

    def headers(self) -> tuple[HeaderChain, Headers]:
        """A header chain at genesis, and all headers."""
        chain = self.net.chain()
        page = headers_page(self.chain, GetHeaders(1, 1, 1_000))
        return HeaderChain(self.net.genesis, chain._store, self.net.verify, chain.tip), page

    def test_sets_come_along_where_they_change(self) -> None:
        headers, page = self.headers()
        changed = [item for item in page.items if item.members is not None]
        self.assertEqual(len(page.items), SLOTS)
        self.assertTrue(SLOTS // 4 < len(changed) < SLOTS)
        headers.append(headers.check(page.items))
        self.assertEqual(headers.top.hash, self.chain.tip_hash)
        for height in range(SLOTS + 1):
            ours, theirs = headers.active_set(height), self.chain.stored_set(height)
            assert ours is not None and theirs is not None
            self.assertEqual(ours.root, theirs.root)

    def test_a_set_that_avs_root_does_not_commit_to(self) -> None:
        headers, page = self.headers()
        index = next(i for i, item in enumerate(page.items) if item.members is not None)
        item = page.items[index]
        assert item.members is not None
        fewer = msgspec.structs.replace(item.members, members=item.members.members[1:])
        before = self.net.chain().stored_set(0)
        for members in (None, fewer, before):
            bent = msgspec.structs.replace(item, members=members)
            with self.assertRaises(HeaderError) as caught:
                headers.check([*page.items[:index], bent])
            self.assertIn("avs_root", str(caught.exception))

    def test_a_set_that_has_not_changed(self) -> None:
        headers, page = self.headers()
        index = next(i for i, item in enumerate(page.items) if item.members is None)
        same = self.chain.stored_set(index + 1)
        assert isinstance(same, ActiveSet)
        bent = msgspec.structs.replace(page.items[index], members=same)
        with self.assertRaises(HeaderError):
            headers.check([*page.items[:index], bent])

    def test_those_who_have_left_cannot_certify(self) -> None:
        """A header at the end, signed by all founders: their quorum is of long ago."""
        headers, page = self.headers()
        headers.append(headers.check(page.items[:-1]))
        block = self.chain.block(SLOTS)
        assert block is not None
        weights = [self.chain.stored_set(h) for h in (0, SLOTS - 1)]
        founders, now = (found.weights.keys() for found in weights if found is not None)
        self.assertTrue(founders.isdisjoint(now))
        bent = msgspec.structs.replace(page.items[-1], certificate=self.net.finalize(block))
        with self.assertRaises(HeaderError):
            headers.check([bent])

    def test_all_blocks(self) -> None:
        late = self.world.desk("late")
        self.world.link(late, self.world.desk("honest", self.chain))
        self.world.run(20_000)
        self.assertEqual(late.chain.tip, self.chain.tip)
        self.assertEqual(late.chain.lthash, self.chain.lthash)
        self.assertEqual(late.blamed, [])

    def test_from_a_set_of_outputs(self) -> None:
        """What has been loaded is enough to judge the blocks that follow, stakes and all."""
        for module in (pastset, sync_coins):
            self.patch(module, "SERVED_EVERY", 25)
        self.patch(sync_coins, "SHORT_CHAIN", 20)
        late = self.world.desk("late", load_into=MemoryEngine())
        self.world.link(late, self.world.desk("honest", self.chain))
        self.world.run(20_000)
        self.assertEqual(late.chain.first_body, 51)
        self.assertEqual(late.chain.tip, self.chain.tip)
        self.assertEqual(late.chain.lthash, self.chain.lthash)
        self.assertEqual(late.blamed, [])

    def test_a_peer_that_bends_a_set(self) -> None:
        def bend(peer: bytes, message: Wire) -> Wire:
            if not isinstance(message, Headers):
                return message
            items = [msgspec.structs.replace(item, members=None) for item in message.items]
            return msgspec.structs.replace(message, items=tuple(items))

        late = self.world.desk("late")
        liar = self.world.desk("liar", self.chain)
        liar.rewrite = bend
        self.world.link(late, liar)
        self.world.run(2_000)
        self.assertEqual([b[:2] for b in late.blamed], [(liar.name, 50)])
        self.world.link(late, self.world.desk("honest", self.chain))
        self.world.run(20_000)
        self.assertEqual(late.chain.tip, self.chain.tip)
