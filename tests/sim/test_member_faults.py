"""Faults of members and of their machines, by name (FAULTS F5 to F10, F17, F18)."""

from __future__ import annotations

from itertools import pairwise

from tests.sim.faultcase import FIRST_BLOCK_S, ROUND_S, SLOT_S, FaultCase
from tests.sim.overrun import corrupt
from timecoin.ledger.transaction import Transaction
from timecoin.mempool.entry import Admission
from timecoin.node.node import Node, NodeSettings
from timecoin.node.runtime import Runtime
from timecoin.rpc.condition import Kind
from timecoin.sim.clock import SkewedClock

HONEST = (0, 2, 3)
SILENT = ("withhold-votes", "withhold-proposals", "ambush-certificates")
"""Without a resolution in sight: certificates, which hold an own vote, stay here too."""
LONGEST_GAP_S = SLOT_S + 2 * ROUND_S + 1
"""Between two blocks when one leader in between is of no use: two rounds beyond the slot."""
DAY_S = 86_400


class ProposerTests(FaultCase):
    """One member of four does not lead as it should."""

    def check_goes_on(self, slots: int = 8) -> None:
        """Blocks keep coming, one for each slot, at most two rounds late."""
        start, began = self.height(0), self.now
        self.world.run(slots * SLOT_S)
        self.assertGreaterEqual(self.height(0), start + slots - 1)
        times = [at for at, number, _ in self.blocks if number == 0 and at > began]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        self.assertLessEqual(max(gaps), LONGEST_GAP_S)
        self.check_one_history(HONEST)

    def test_f5_two_blocks_in_one_round(self) -> None:
        self.begin(faulty=(1,))
        corrupt(self.world, self.nodes[1], "equivocate-proposals")
        self.check_goes_on()
        key = self.nodes[1].voting_key.public
        chain = self.nodes[0].running.chain
        blocks = [chain.block(height) for height in range(1, chain.tip_height + 1)]
        settled = any(block is not None and block.body.evidence for block in blocks)
        held = [proof.signer for proof in self.nodes[0].running.evidence.held]
        self.assertTrue(settled or key in held, "the evidence is kept, and put into a block")

    def test_f6_a_silent_leader(self) -> None:
        self.begin(faulty=(1,))
        corrupt(self.world, self.nodes[1], "withhold-proposals")
        self.check_goes_on()

    def test_f6_a_slow_leader(self) -> None:
        self.begin(faulty=(1,))
        corrupt(self.world, self.nodes[1], "delay")
        self.check_goes_on()


class F7Tests(FaultCase):
    """A member signs twice, on payments and on blocks."""

    def test_it_counts_once_and_is_accused(self) -> None:
        self.begin(faulty=(1,))
        corrupt(self.world, self.nodes[1], "vote-for-everything", "equivocate-votes")
        pairs = []
        for _ in range(6):
            pair = self.world.users.double_spend()
            assert pair is not None
            for number in HONEST:
                self.world.submit(number, pair[number % 2])
            pairs.append(pair)
            self.world.run(1)
        self.world.run(7 * SLOT_S)
        for pair in pairs:
            final = [tx for tx in pair if self.final_at(tx, 0) is not None]
            self.assertEqual(len(final), 1)
        active = self.nodes[0].running.chain.active_set(self.height(0))
        assert active is not None
        self.assertNotIn(self.nodes[1].voting_key.public, active.weights, "it is jailed")
        self.check_one_history(HONEST)


class F8Tests(FaultCase):
    """Members keep their votes back."""

    def withhold(self, numbers: tuple[int, ...]) -> None:
        for number in numbers:
            corrupt(self.world, self.nodes[number], *SILENT)

    def test_a_third_leaves_a_quorum(self) -> None:
        self.begin(nodes=3, faulty=(2,))
        self.withhold((2,))
        start = self.height(0)
        payments = self.pay_for(20, (0, 1))
        self.world.run(5)
        self.latencies_ms(payments)
        self.assertGreater(self.height(0), start)
        self.check_one_history((0, 1))

    def test_more_leaves_none_and_nothing_is_lowered_for_it(self) -> None:
        self.begin(nodes=4, faulty=(2, 3))
        self.withhold((2, 3))
        height = self.height(0)
        self.assertNotIn(Kind.TIP, self.problems(0))
        payments = self.pay_for(30, (0, 1))
        self.assertFalse(any(self.is_final(tx) for tx in payments))
        self.assertEqual(self.height(0), height)
        self.assertIn(Kind.TIP, self.problems(0), "RPC and health say that it is stalled")
        back = self.now
        self.world.network.tampers.clear()
        self.world.run(3 * SLOT_S)
        first = self.first_block_after(back, (0, 1))
        for tx in payments:
            at = self.final_at(tx, 0)
            assert at is not None
            self.assertLessEqual(at, first + 5)
        self.assertNotIn(Kind.TIP, self.problems(0))
        self.check_one_history()


class DoubleSpendTests(FaultCase):
    """F9: many spends of one coin, each sent to another node first."""

    def race(self, count: int) -> None:
        self.begin()
        spends = self.world.users.spends(count)
        assert spends is not None
        height = self.height(0)
        for number, tx in enumerate(spends):
            self.world.submit(number % 4, tx)
        unrelated = self.pay_for(10, (0, 1, 2, 3))
        self.latencies_ms(unrelated)
        self.world.run(6 * SLOT_S)
        chain = self.nodes[0].running.chain
        archived = [at for tx in spends if (at := chain.archived(tx.txid)) is not None]
        self.assertEqual(len(archived), 1)
        self.assertLessEqual(archived[0], height + 6)
        self.assertEqual(sum(self.is_final(tx) for tx in spends), 1)
        self.check_one_history()

    def test_f9_two(self) -> None:
        self.race(2)

    def test_f9_ten(self) -> None:
        self.race(10)

    def test_f9_a_hundred(self) -> None:
        self.race(100)


class F10Tests(FaultCase):
    """A coin that is spent for good is spent again."""

    def refused(self, number: int, tx: Transaction) -> str:
        verdict = self.nodes[number].running.submit(tx)
        self.assertEqual(verdict.admission, Admission.REFUSED)
        return verdict.rule

    def test_each_has_its_code(self) -> None:
        self.begin()
        pair = self.world.users.double_spend()
        assert pair is not None
        first, second = pair
        self.world.submit(0, first)
        self.world.run(1)
        self.assertTrue(self.is_final(first))
        for number in range(4):
            self.assertEqual(self.refused(number, second), "txn-mempool-conflict")
        self.world.run(SLOT_S + 2)
        self.assertIsNotNone(self.nodes[0].running.chain.archived(first.txid))
        for number in range(4):
            self.assertEqual(self.refused(number, second), "bad-txns-inputs-missingorspent")
        self.check_one_history()


class F17Tests(FaultCase):
    """All processes are killed at once."""

    def test_what_was_final_is_kept_and_finality_is_back(self) -> None:
        self.begin()
        payments = self.pay_for(10, (0, 1, 2, 3))
        self.world.run(2)
        tip = self.nodes[0].running.chain.tip
        for node in self.nodes:
            node.kill()
        self.world.run(15)
        started = self.now
        for node in self.nodes:
            node.start()
        self.world.run(1)
        for node in self.nodes:
            self.assertEqual(node.running.chain.block_hash(tip.height), tip.hash)
            for tx in payments:
                found = node.running.finality.status(tx.txid)
                self.assertTrue(found is not None and found.status.finalized)
        fresh = self.pay(0)
        self.world.run(2 * SLOT_S)
        first = self.first_block_after(started, range(4))
        self.assertLessEqual(first - started, SLOT_S + ROUND_S)
        at = self.final_at(fresh, 0)
        assert at is not None
        self.assertLessEqual(at, first + 10)
        self.check_one_history()


class SkewCase(FaultCase):
    """The clock of one node is wrong."""

    def check_goes_on(self) -> None:
        """The others agree and pay, and no block has the wrong time."""
        start = self.height(0)
        payments = self.pay_for(3 * SLOT_S, (0, 1, 2))
        self.world.run(3)
        self.latencies_ms(payments)
        self.assertGreaterEqual(self.height(0), start + 2)
        chain = self.nodes[0].running.chain
        for at, number, height in self.blocks:
            header = chain.header(height)
            if number == 0 and header is not None:
                self.assertLessEqual(abs(header.timestamp_ms / 1000 - at), FIRST_BLOCK_S)
        self.nodes[3].kill()
        self.nodes[3].skew_ms = 0
        self.nodes[3].start()
        self.world.run(2 * SLOT_S)
        self.check_one_history()


class F18Tests(SkewCase):
    """From its start on."""

    def skewed(self, skew_s: int) -> None:
        self.begin()
        self.nodes[3].kill()
        self.nodes[3].skew_ms = skew_s * 1000
        self.nodes[3].start()
        self.check_goes_on()

    def test_five_minutes(self) -> None:
        for skew_s in (300, -300):
            self.skewed(skew_s)

    def test_a_day(self) -> None:
        for skew_s in (DAY_S, -DAY_S):
            self.skewed(skew_s)


class F18JumpTests(SkewCase):
    """It jumps while the node runs; timers go on as they were."""

    def prepare(self) -> None:
        """Keep hold of the last node's clock."""
        self.clocks: list[SkewedClock] = []
        last = self.nodes[3]
        build = last.build

        def keeping(settings: NodeSettings, runtime: Runtime) -> Node:
            assert isinstance(runtime.clock, SkewedClock)
            self.clocks.append(runtime.clock)
            return build(settings, runtime)

        last.build = keeping

    def test_back_by_an_hour(self) -> None:
        self.begin()
        self.jump(-3_600)
        self.check_goes_on()

    def test_by_a_day(self) -> None:
        for seconds in (DAY_S, -DAY_S):
            self.begin()
            self.jump(seconds)
            self.check_goes_on()

    def test_a_day_that_is_set_right(self) -> None:
        """The node is as good as ever, without a restart."""
        for seconds in (DAY_S, -DAY_S):
            self.begin()
            self.jump(seconds)
            self.world.run(2 * SLOT_S)
            self.jump(-seconds)
            self.world.run(2 * SLOT_S)
            self.assertEqual(self.height(3), self.height(0))
            payments = self.pay_for(2 * SLOT_S, (3,))
            self.world.run(3)
            self.latencies_ms(payments)
            key, others = self.nodes[3].voting_key.public, self.nodes[0].running
            active = others.chain.active_set(self.height(0))
            assert active is not None
            self.assertIn(key, active.weights, "it was taken out, and is back")
            self.assertTrue(others.masternodes.book.is_live(key, int(self.now * 1000)))
            self.check_one_history()

    def jump(self, seconds: int) -> None:
        """The last node's clock does, this time."""
        (clock,) = self.clocks
        clock._skew += seconds
