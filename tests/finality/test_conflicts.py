"""Double spends: Snowball, locks, resolution by a block, emergency."""

from __future__ import annotations

from itertools import combinations

from twisted.trial.unittest import SynchronousTestCase

from tests.finality.world import World, genesis_coin, output_of, pay
from timecoin import params
from timecoin.codec import Wire
from timecoin.finality.events import Status
from timecoin.finality.messages import Answer, Code, Query, Relay
from timecoin.ledger.block import Resolution
from timecoin.ledger.transaction import Transaction
from timecoin.mempool.policy import PoolLimits


def double_spend() -> tuple[Transaction, Transaction]:
    """Two valid spends of one coin, the lower txid first."""
    first, second = sorted(
        (pay([genesis_coin(0)]), pay([genesis_coin(0)], nonce=1)), key=lambda tx: tx.txid
    )
    return first, second


def finals(world: World, txs: tuple[Transaction, ...]) -> list[bytes]:
    """Which of ``txs`` any node calls final."""
    return [tx.txid for tx in txs if any(node.is_final(tx.txid) for node in world.nodes)]


def teach(world: World, txs: tuple[Transaction, ...], numbers: range) -> None:
    """Let nodes learn of ``txs`` together, before any of them votes."""
    for number in numbers:
        node = world.nodes[number]
        other = world.nodes[0 if number else 1]
        query = Query(1, 0, tuple(tx.wtxid for tx in txs), txs, False)
        world.receive(node, other, query)


def is_of_snowball(message: Wire) -> bool:
    """Whether ``message`` asks for an opinion or gives one, without a vote."""
    return isinstance(message, Answer) or (isinstance(message, Query) and not message.want_vote)


class Snowballing(SynchronousTestCase):
    def test_both_known_everywhere_and_unlocked(self) -> None:
        for members in (3, 4, 7):
            world = World(members, seed=members)
            txs = double_spend()
            teach(world, txs, range(members))
            world.run(12_000)
            self.assertEqual(len(finals(world, txs)), 1, members)

    def test_even_split_falls_to_the_lowest_txid(self) -> None:
        world = World(4)
        low, high = double_spend()
        teach(world, (low, high), range(2))
        teach(world, (high, low), range(2, 4))
        world.run(10_000)
        self.assertEqual(finals(world, (low, high)), [low.txid])

    def test_no_vote_before_local_acceptance(self) -> None:
        world = World(4)
        world.cut = lambda source, target, message: True
        txs = double_spend()
        node, poller = world.nodes[:2]
        teach(world, txs, range(1))
        node.sent.clear()
        query = Query(2, 0, (txs[0].wtxid,), (), True)
        world.receive(node, poller, query)
        answer = next(m for _, m in node.sent if isinstance(m, Answer))
        self.assertIsNone(answer.vote)
        self.assertEqual(node.finality.statistics().locks, 0)

    def test_locked_members_pull_the_undecided(self) -> None:
        """Two members locked one side knowing nothing else; the other two prefer the other."""
        world = World(4)
        low, high = double_spend()
        world.cut = lambda source, target, message: True
        world.submit(world.nodes[0], low)
        world.submit(world.nodes[1], low)
        teach(world, (high, low), range(2, 4))
        world.cut = lambda source, target, message: False
        world.run(15_000)
        self.assertEqual(finals(world, (low, high)), [low.txid])

    def test_polls_stop_with_the_conflict(self) -> None:
        world = World(4)
        txs = double_spend()
        teach(world, txs, range(4))
        world.run(20_000)
        before = sum(len(node.sent) for node in world.nodes)
        world.run(8_000)
        self.assertLess(sum(len(node.sent) for node in world.nodes) - before, 60)
        world.propose(world.nodes[0])
        for node in world.nodes:
            self.assertEqual(node.finality.statistics().contests, 0)
            self.assertEqual(node.finality.statistics().scheduled, 0)

    def test_undecided_conflict_is_polled_ever_more_rarely(self) -> None:
        """Three members, one lock on each side: the third can never find a majority."""
        world = World(3)
        low, high = double_spend()
        world.cut = lambda source, target, message: True
        world.submit(world.nodes[0], low)
        world.submit(world.nodes[1], high)
        teach(world, (low, high), range(2, 3))
        world.cut = lambda source, target, message: False
        world.run(60_000)
        asked = [m for _, m in world.nodes[2].sent if isinstance(m, Query)]
        self.assertLess(len(asked), 120)
        self.assertEqual(finals(world, (low, high)), [])


class AtTwoNodesAtOnce(SynchronousTestCase):
    def test_never_two_and_one_in_the_end(self) -> None:
        for members in (3, 4, 7):
            for seed in range(2):
                world = World(members, seed=seed)
                txs = double_spend()
                world.submit(world.nodes[0], txs[0])
                world.submit(world.nodes[1], txs[1])
                for height in range(8):
                    world.run(500)
                    self.assertLessEqual(len(finals(world, txs)), 1)
                    world.propose(world.nodes[height % members])
                self.assertEqual(len(finals(world, txs)), 1, (members, seed))
                archived = {
                    tx.txid for tx in txs if world.nodes[0].chain.archived(tx.txid) is not None
                }
                self.assertEqual(archived, set(finals(world, txs)))

    def test_three_spends_of_several_coins(self) -> None:
        """A conflicts with B, B with C, A not with C: nobody ever has two conflicting finals."""
        coins = [genesis_coin(index) for index in range(3)]
        txs = (pay([coins[0]]), pay(coins), pay([coins[2]]))
        for seed in range(4):
            world = World(4, seed=seed)
            for index, tx in enumerate(txs):
                world.submit(world.nodes[index], tx)
            for height in range(8):
                world.run(1_000)
                world.propose(world.nodes[height % 4])
            done = finals(world, txs)
            self.assertIn(done, ([txs[0].txid, txs[2].txid], [txs[1].txid]), seed)

    def test_loser_and_its_descendants_are_rejected(self) -> None:
        world = World(4)
        txs = double_spend()
        world.submit(world.nodes[0], txs[0])
        world.run(1_000)
        world.submit(world.nodes[1], txs[1])
        verdict = world.submit(world.nodes[1], txs[1])
        self.assertEqual(verdict.rule, "txn-mempool-conflict")
        world.receive(world.nodes[1], world.nodes[2], Relay((txs[1],)))
        world.run(1_000)
        self.assertEqual(finals(world, txs), [txs[0].txid])
        world.propose(world.nodes[0])
        self.assertIs(world.nodes[1].statuses(txs[1].txid)[-1], Status.REJECTED)
        status = world.nodes[1].finality.status(txs[1].txid)
        assert status is not None
        self.assertIs(status.status, Status.REJECTED)


class WithoutLocks(SynchronousTestCase):
    """Snowball never ends, nobody votes: a block decides all the same."""

    def setUp(self) -> None:
        self.world = World(4)
        self.txs = double_spend()
        self.world.cut = lambda source, target, message: True
        teach(self.world, self.txs[::-1], range(4))

    def test_resolved_by_a_block_after_four(self) -> None:
        proposer = self.world.nodes[0]
        for _ in range(4):
            self.assertEqual(self.world.propose(proposer).body.resolutions, ())
            self.world.run(3_000)
        for node in self.world.nodes:
            self.assertEqual(node.finality.statistics().locks, 0)
        block = self.world.propose(proposer)
        preferred, other = self.txs
        resolution = Resolution(preferred.txid, genesis_coin(0)[0], other)
        self.assertEqual(block.body.resolutions, (resolution,))
        for node in self.world.nodes:
            self.assertTrue(node.is_final(preferred.txid))
            self.assertIs(node.statuses(other.txid)[-1], Status.REJECTED)
            self.assertEqual(node.finality.statistics().contests, 0)

    def test_a_third_spend_makes_no_conflict_younger(self) -> None:
        proposer = self.world.nodes[0]
        for _ in range(4):
            self.world.propose(proposer)
        third = pay([genesis_coin(0), genesis_coin(1)], nonce=2)
        teach(self.world, (third,), range(4))
        self.assertEqual(len(self.world.propose(proposer).body.resolutions), 1)

    def test_conflicts_that_become_one_are_as_old_as_the_older(self) -> None:
        proposer = self.world.nodes[0]
        for _ in range(3):
            self.world.propose(proposer)
        teach(self.world, (pay([genesis_coin(1)]), pay([genesis_coin(1)], nonce=1)), range(4))
        self.world.propose(proposer)
        teach(self.world, (pay([genesis_coin(1), genesis_coin(0)], nonce=3),), range(4))
        block = self.world.propose(proposer)
        points = {resolution.outpoint for resolution in block.body.resolutions}
        self.assertIn(genesis_coin(0)[0], points)

    def test_a_lock_counts_from_its_own_height(self) -> None:
        """What is locked at last gets the time that a lock has: votes may be on their way."""
        proposer = self.world.nodes[0]
        for _ in range(3):
            self.world.propose(proposer)
        self.world.cut = lambda source, target, message: not is_of_snowball(message)
        self.world.run(30_000)
        self.assertEqual(proposer.finality.statistics().locks, 1)
        self.world.cut = lambda source, target, message: True
        resolved = [len(self.world.propose(proposer).body.resolutions) for _ in range(5)]
        self.assertEqual(resolved, [0, 0, 0, 0, 1])

    def test_no_other_input_of_the_contest(self) -> None:
        """Only an outpoint that is spent twice is resolved."""
        proposer = self.world.nodes[0]
        coins = [genesis_coin(1), genesis_coin(2)]
        teach(self.world, (pay(coins), pay(coins[:1], nonce=1)), range(4))
        for _ in range(4):
            self.world.propose(proposer)
        found = self.world.propose(proposer).body.resolutions
        points = {resolution.outpoint for resolution in found}
        self.assertEqual(points, {genesis_coin(0)[0], genesis_coin(1)[0]})


class StuckLocks(SynchronousTestCase):
    def split(
        self, limits: PoolLimits | None = None
    ) -> tuple[World, tuple[Transaction, Transaction]]:
        """Half of the members locked one side, half the other, before they heard of both."""
        world = World(4, limits=limits)
        txs = double_spend()
        world.cut = lambda source, target, message: True
        for number, node in enumerate(world.nodes):
            world.submit(node, txs[number // 2])
        world.cut = lambda source, target, message: False
        return world, txs

    def test_resolved_by_a_block_after_four(self) -> None:
        world, txs = self.split()
        for _ in range(4):
            block = world.propose(world.nodes[0])
            self.assertEqual((block.body.entries, block.body.resolutions), ((), ()))
            world.run(3_000)
        self.assertEqual(finals(world, txs), [])
        block = world.propose(world.nodes[0])
        resolution = block.body.resolutions[0]
        self.assertEqual(resolution.winner, txs[0].txid)  # its own lock
        self.assertEqual(resolution.loser, txs[1])
        self.assertEqual(resolution.outpoint, genesis_coin(0)[0])
        self.assertEqual([entry.txid for entry in block.body.entries], [txs[0].txid])
        for node in world.nodes:
            self.assertEqual(node.finality.statistics().locks, 0)
            self.assertIs(node.statuses(txs[1].txid)[-1], Status.REJECTED)

    def test_other_side_may_win_at_another_proposer(self) -> None:
        world, txs = self.split()
        for _ in range(4):
            world.propose(world.nodes[0])
            world.run(3_000)
        block = world.propose(world.nodes[3])
        self.assertEqual([r.winner for r in block.body.resolutions], [txs[1].txid])

    def test_no_objection_of_members_that_hold_no_certificate(self) -> None:
        world, _ = self.split()
        for _ in range(4):
            world.propose(world.nodes[0])
            world.run(3_000)
        contents = world.nodes[0].finality.contents(world.now_ms, 1_000, params.MAX_BLOCK_BYTES)
        block = world.draft(contents.transactions, contents.resolutions)
        for node in world.nodes:
            self.assertIsNone(
                node.finality.objection(block, node.chain.tip_height, world.now_ms, world.now_ms)
            )

    def test_lock_for_a_void_transaction(self) -> None:
        """All members locked X = {a, b}; b goes to another by a block; a must not stay locked."""
        world = World(4)
        both = pay([genesis_coin(0), genesis_coin(1)])
        world.cut = lambda source, target, message: True
        for node in world.nodes:
            world.submit(node, both)
        rival = pay([genesis_coin(1)], nonce=1)
        world.connect([rival])
        world.cut = lambda source, target, message: False
        fresh = pay([genesis_coin(0)], nonce=2)
        self.assertEqual(world.nodes[0].finality.statistics().locks, 1)
        world.submit(world.nodes[0], fresh)
        for _ in range(6):
            world.run(2_000)
            if world.propose(world.nodes[0]).body.resolutions:
                break
        self.assertEqual(finals(world, (fresh,)), [fresh.txid])
        for node in world.nodes:
            self.assertEqual(node.finality.statistics().locks, 0)
            self.assertNotIn("pool", {table for table, _ in node.rows})

    def test_lock_outlives_time(self) -> None:
        world, txs = self.split(limits=PoolLimits(expiry_ms=30_000))
        world.run(200_000)
        for node in world.nodes:
            self.assertEqual(node.finality.statistics().locks, 1)
            self.assertTrue(any(tx.txid in node.pool for tx in txs))


class InnerOutputs(SynchronousTestCase):
    def test_lock_on_an_output_that_will_never_be_dies(self) -> None:
        """Its transaction was certified, then a block archived a conflicting one."""
        world = World(4)
        parent = pay([genesis_coin(0)])
        world.submit(world.nodes[0], parent)
        world.run(200)
        world.submit(world.nodes[0], pay([output_of(parent)]))
        world.run(200)
        world.next_slot([pay([genesis_coin(0)], nonce=1)])
        for node in world.nodes:
            self.assertEqual(node.finality.statistics().locks, 0)
            self.assertNotIn("pool", {table for table, _ in node.rows})

    def test_lock_on_an_output_made_and_spent_in_one_block_dies(self) -> None:
        world = World(4)
        parent = pay([genesis_coin(0)])
        world.submit(world.nodes[0], parent)
        world.run(200)
        child = pay([output_of(parent)])
        world.submit(world.nodes[0], child)
        world.run(200)
        self.assertEqual(world.nodes[0].finality.statistics().locks, 2)
        world.next_slot([parent, child])
        for node in world.nodes:
            self.assertEqual(node.finality.statistics().locks, 0)


class Opinions(SynchronousTestCase):
    def test_conflict_names_the_preferred(self) -> None:
        world = World(4)
        txs = double_spend()
        node, poller = world.nodes[:2]
        world.cut = lambda source, target, message: True
        world.submit(node, txs[0])
        node.sent.clear()
        world.receive(node, poller, Query(1, 0, (txs[1].wtxid,), (txs[1],), True))
        answer = next(m for _, m in node.sent if isinstance(m, Answer))
        self.assertIsNone(answer.vote)
        self.assertEqual(answer.answers[0].code, Code.CONFLICT)
        self.assertEqual(answer.answers[0].detail, txs[0].txid)

    def test_locked_is_valid_whatever_else_its_set_prefers(self) -> None:
        """A and C are locked and do not conflict with each other; B conflicts with both."""
        world = World(4)
        world.cut = lambda source, target, message: True
        node, poller = world.nodes[:2]
        coins = [genesis_coin(0), genesis_coin(1)]
        locked = [pay([coin]) for coin in coins]
        for tx in locked:
            world.submit(node, tx)
            world.run(10)
        self.assertEqual(node.finality.statistics().locks, 2)
        both = pay(coins, nonce=1)
        world.receive(node, poller, Query(1, 0, (both.wtxid,), (both,), False))
        for tx in locked:
            world.receive(node, poller, Query(1, 0, (tx.wtxid,), (), False))
        codes = [m.answers[0].code for _, m in node.sent if isinstance(m, Answer)]
        self.assertEqual(codes, [Code.CONFLICT, Code.VALID, Code.VALID])

    def test_conflicting_leaves_are_never_both_accepted(self) -> None:
        for first, second in combinations(
            (pay([genesis_coin(0)]), pay([genesis_coin(0)], nonce=1), pay([genesis_coin(1)])), 2
        ):
            world = World(4)
            world.cut = lambda source, target, message: True
            node, poller = world.nodes[:2]
            node.pool.admit(first, world.now_ms)
            world.receive(
                node, poller, Query(1, 0, (first.wtxid, second.wtxid), (first, second), True)
            )
            answer = next(m for _, m in node.sent if isinstance(m, Answer))
            if set(first.outpoints) & set(second.outpoints):
                self.assertIsNone(answer.vote)
            else:
                assert answer.vote is not None
                self.assertEqual(answer.vote.reject_bitmap, b"\x00")
