"""The history: what each transaction is called, in which order, and that it is never lost."""

from __future__ import annotations

from collections import Counter

from tests.support.ledger_kit import output, script_of, spend
from tests.wallet.kit import CHAIN_ID, CREATED_MS, NETWORK, SLOT_MS, STRANGER, TIME, script_at
from tests.wallet.test_wallet import WalletCase
from timecoin import params
from timecoin.crypto.address import encode_address
from timecoin.finality.events import Status
from timecoin.ledger.script import stake
from timecoin.ledger.transaction import Transaction, TxOutput, outpoint
from timecoin.wallet.derive import Branch
from timecoin.wallet.history import HistoryEntry

FEE = params.MIN_FEE_UNITS
RECEIVE = Branch.RECEIVE


class HistoryCase(WalletCase):
    def listed(self, count: int = 99, skip: int = 0) -> list[tuple[str, int]]:
        return [(entry.category, entry.units) for entry in self.wallet.transactions(count, skip)]

    def entry(self, tx: Transaction) -> HistoryEntry:
        (found,) = (entry for entry in self.wallet.entries() if entry.txid == tx.txid)
        return found


class CategoryTests(HistoryCase):
    def test_a_payment_received(self) -> None:
        address = encode_address(NETWORK, script_at(RECEIVE, 0)[1:])
        self.wallet.set_label(address, "rent")
        tx = self.world.promise(script_at(RECEIVE, 0), 5 * TIME)
        self.assertEqual(self.listed(), [])
        self.fixture.reach(tx, Status.CERTIFIED)
        entry = self.entry(tx)
        self.assertEqual((entry.category, entry.units, entry.label), ("receive", 5 * TIME, "rent"))
        self.assertEqual((entry.final, entry.confirmations, entry.height), (False, 0, None))
        self.fixture.reach(tx, Status.FINAL)
        self.assertTrue(self.entry(tx).final)
        self.fixture.block(tx)
        self.fixture.block()
        entry = self.entry(tx)
        self.assertEqual((entry.height, entry.position, entry.confirmations), (1, 0, 2))
        self.assertEqual((entry.time_ms, entry.final), (CREATED_MS + SLOT_MS, True))
        self.assertIsNone(entry.fee_units)

    def test_a_payment_sent(self) -> None:
        self.fixture.block(self.fixture.receive(5 * TIME))
        tx = self.fixture.send(TIME)
        for height in (None, 2):
            entry = self.entry(tx)
            self.assertEqual((entry.category, entry.units), ("send", -TIME))
            self.assertEqual((entry.fee_units, entry.height), (FEE, height))
            self.assertEqual(entry.lock_script, script_of(STRANGER))
            self.fixture.reach(tx, Status.FINAL)
            if height is None:
                self.fixture.block(tx)

    def test_to_many(self) -> None:
        self.fixture.block(self.fixture.receive(5 * TIME))
        outputs = [output(STRANGER, TIME), TxOutput(2 * TIME, script_at(RECEIVE, 1))]
        tx = self.wallet.send(outputs, subtract_fee_from=[0])
        self.assertEqual(
            self.listed()[:3],
            [("send", FEE - TIME), ("send", -2 * TIME), ("receive", 2 * TIME)],
        )
        self.world.accept(tx)
        self.fixture.block(tx)
        self.assertEqual(len(self.listed()), 4)

    def test_a_reward_rests_first(self) -> None:
        self.fixture.block(reward=[TxOutput(3 * TIME, script_at(RECEIVE, 0))])
        for _ in range(params.COINBASE_MATURITY_BLOCKS - 1):
            self.assertEqual(self.listed(), [("immature", 3 * TIME)])
            self.assert_balance(immature=3 * TIME)
            self.fixture.block()
        self.assertEqual(self.listed(), [("generate", 3 * TIME)])
        self.assert_balance(spendable=3 * TIME)

    def test_a_stake_of_ours_is_not_sent(self) -> None:
        self.fixture.block(self.fixture.receive(5 * TIME))
        own = script_at(RECEIVE, 1)[1:]
        script = stake(bytes(32), bytes(32), own, bytes(20), 0)
        tx = self.wallet.send([TxOutput(4 * TIME, script)])
        self.assertEqual(self.listed()[0], ("stake", 4 * TIME))
        self.world.accept(tx)
        self.fixture.block(tx)
        self.assertEqual(self.listed(), [("stake", 4 * TIME), ("receive", 5 * TIME)])

    def test_a_stake_comes_back(self) -> None:
        self.fixture.block(self.fixture.receive(5 * TIME))
        script = stake(bytes(32), bytes(32), script_at(RECEIVE, 1)[1:], bytes(20), 0)
        staking = self.wallet.send([TxOutput(4 * TIME, script)])
        self.world.accept(staking)
        self.fixture.block(staking)
        back = self.wallet.unstake(outpoint(staking.txid, 0))
        self.fixture.block(back)
        returned = back.outputs[0].value
        self.assertEqual(self.listed()[0], ("unstake", returned))
        self.assertEqual(len(self.listed()), 3)
        self.assert_balance(spendable=returned + staking.outputs[1].value)

    def test_what_was_rejected_is_gone(self) -> None:
        self.fixture.block(self.fixture.receive(5 * TIME))
        tx = self.fixture.send(TIME)
        self.wallet.on_status(tx.txid, Status.REJECTED, None)
        self.assertEqual(self.listed(), [("receive", 5 * TIME)])

    def test_strangers_in_the_same_block(self) -> None:
        own = self.fixture.receive(5 * TIME)
        foreign = self.world.promise(script_of(STRANGER), TIME)
        child = spend(
            CHAIN_ID,
            [STRANGER],
            [(foreign.txid + bytes(4), self.world.archive([foreign]).created[0][1])],
            [output(STRANGER, TIME // 2)],
        )
        self.world.accept(child)
        self.wallet.on_block(self.world.archive([own, child]))
        self.assertEqual(self.listed(), [])  # block 1 was not heard of: both wait for a walk
        self.assertEqual([step.height for step in self.wallet.catch_up()], [1, 2])
        self.assertEqual(self.listed(), [("receive", 5 * TIME)])


class OrderTests(HistoryCase):
    def setUp(self) -> None:
        super().setUp()
        for number in range(1, 5):
            self.fixture.block(self.fixture.receive(number * TIME, number))
        self.fixture.receive(5 * TIME, 5)
        self.fixture.receive(6 * TIME, 6)

    def units(self, entries: list[HistoryEntry]) -> list[int]:
        return [entry.units // TIME for entry in entries]

    def test_newest_first_in_pages(self) -> None:
        self.assertEqual(self.units(self.wallet.transactions(99)), [6, 5, 4, 3, 2, 1])
        self.assertEqual(self.units(self.wallet.transactions(2, 1)), [5, 4])
        self.assertEqual(self.units(self.wallet.transactions(3, 4)), [2, 1])
        self.assertEqual(self.wallet.transactions(0), [])
        self.assertEqual(self.wallet.transactions(5, 6), [])

    def test_since_a_block(self) -> None:
        self.assertEqual(self.units(self.wallet.since(2)), [6, 5, 4, 3])
        self.assertEqual(self.units(self.wallet.since(4)), [6, 5])
        self.assertEqual(self.units(self.wallet.since(0)), [6, 5, 4, 3, 2, 1])

    def test_within_a_block_by_position(self) -> None:
        both = sorted(
            [self.fixture.receive(7 * TIME, 7), self.fixture.receive(8 * TIME, 8)],
            key=lambda tx: tx.txid,
        )
        self.fixture.block(*both, reward=[TxOutput(9 * TIME, script_at(RECEIVE, 9))])
        found = self.wallet.since(4)
        self.assertEqual(Counter(entry.height for entry in found), {None: 2, 5: 3})
        self.assertEqual([entry.position for entry in found[2:]], [2, 1, 0])
        self.assertEqual([entry.txid for entry in found[3:]], [both[1].txid, both[0].txid])

    def test_a_block_between_two_steps(self) -> None:
        walk = self.wallet.entries()
        first = next(walk)
        self.assertIsNone(first.height)
        self.fixture.block(*[tx for tx, _ in self.world.pool.values()])
        rest = list(walk)
        self.assertEqual([entry.height for entry in rest], [5, 5, 4, 3, 2, 1])
        self.assertEqual([entry.confirmations for entry in rest], [1, 1, 2, 3, 4, 5])
        self.assertIn(first.txid, [entry.txid for entry in rest[:2]])

    def test_a_restart_keeps_it(self) -> None:
        before = [(each.txid, each.units) for each in self.wallet.entries() if each.height]
        self.fixture.restart()
        archived = [(each.txid, each.units) for each in self.wallet.entries() if each.height]
        self.assertEqual(archived, before)
        self.assertEqual(list(self.wallet.catch_up()), [])  # nothing is read again
