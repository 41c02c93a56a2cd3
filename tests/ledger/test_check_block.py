"""Every rule that the ledger has for a block."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger import payments as random_payments
from tests.ledger.blocks import (
    COINS,
    HEIGHT,
    MEMBERS,
    START,
    block_of,
    check,
    header_of,
)
from tests.support.ledger_kit import (
    FEE_UNITS,
    TIME,
    Coins,
    coin,
    created,
    genesis,
    key,
    output,
    pay,
    spend,
    user,
    validator,
)
from timecoin import params
from timecoin.crypto.keys import verify
from timecoin.ledger.block import Block, Entry, Resolution
from timecoin.ledger.check_block import check_block, max_entries
from timecoin.ledger.connect import connect
from timecoin.ledger.rewards import block_reward, expected_reward, reward_transaction
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import data
from timecoin.ledger.transaction import Transaction
from timecoin.masternodes.active_set import genesis_set

replace = msgspec.structs.replace


def payment(number: int, to: int = 5, units: int = TIME) -> Transaction:
    """User ``number`` pays from its genesis coin."""
    return pay(START.chain_id, user(number), coin(START, number), user(to), units)


def in_order(*transactions: Transaction) -> list[Transaction]:
    return sorted(transactions, key=lambda tx: tx.txid)


class BlockCase(SynchronousTestCase):
    def refuse(
        self,
        rule: str,
        block: Block,
        transactions: list[Transaction],
        certified: frozenset[bytes] | None = None,
    ) -> None:
        broken = self.assertRaises(RuleBroken, check, block, transactions, certified)
        self.assertEqual(broken.rule, rule)


class SoundTests(BlockCase):
    def test_payments(self) -> None:
        txs = in_order(*(payment(number) for number in range(4)))
        block = block_of(txs, 4 * FEE_UNITS)
        diff, fees = check(block, txs)
        self.assertEqual(fees, 4 * FEE_UNITS)
        self.assertEqual(diff, connect(txs, block.body.reward, COINS, HEIGHT))

    def test_no_entries(self) -> None:
        block = block_of([], 0)
        diff, fees = check(block, [])
        self.assertEqual((diff.spent, fees), ((), 0))
        self.assertEqual(
            sum(utxo.value for _, utxo in diff.created), block_reward(START.base_reward, 3)
        )
        self.assertTrue(all(utxo.coinbase for _, utxo in diff.created))

    def test_a_child_may_stand_before_its_parent(self) -> None:
        parent = payment(0)
        for units in range(1, 50):
            child = pay(START.chain_id, user(5), created(parent, 0, HEIGHT), user(1), units)
            if child.txid < parent.txid:
                break
        else:
            self.fail("no child sorts before its parent")
        check(block_of([child, parent], 2 * FEE_UNITS), [child, parent])

    @settings(max_examples=40, deadline=None)
    @given(random_payments.payments())
    def test_coins_come_from_rewards_only(self, made: tuple[Transaction, ...]) -> None:
        txs = in_order(*made)
        members = genesis_set(random_payments.START).members
        coins = Coins(random_payments.COINS)
        reward = expected_reward(
            TIME, members, validator(1).public, len(txs) * random_payments.FEE_UNITS, HEIGHT
        )
        block = block_of(txs, 0, reward=reward)
        diff, _ = check_block(
            block,
            txs,
            view=coins,
            members=members,
            certified=frozenset(tx.txid for tx in txs),
            genesis=random_payments.START,
            parent_time_ms=0,
            verify=verify,
        )
        before = sum(utxo.value for utxo in coins.by_point.values())
        coins.apply(diff)
        after = sum(utxo.value for utxo in coins.by_point.values())
        self.assertEqual(after - before, block_reward(TIME, 3))


class EntryTests(BlockCase):
    def test_number(self) -> None:
        """25 entries in a millisecond of a devnet slot."""
        self.assertEqual(max_entries(START), 250_000)
        self.assertEqual(
            max_entries(genesis(network=params.Network.MAINNET, slot_ms=600_000)), 1_500_000
        )
        tiny = genesis(3, users=6, slot_ms=1)
        self.assertEqual(max_entries(tiny), 25)
        source = coin(START, 0)
        outputs = [output(user(0), 10 * TIME)] * 30
        parent = spend(tiny.chain_id, [user(0)], [source], outputs)
        children = [
            pay(tiny.chain_id, user(0), created(parent, n, HEIGHT), user(1), TIME)
            for n in range(25)
        ]

        def checked(count: int) -> None:
            txs = in_order(parent, *children[: count - 1])
            fees = source[1].value - 300 * TIME + (count - 1) * FEE_UNITS
            check_block(
                block_of(txs, fees),
                txs,
                view=COINS,
                members=MEMBERS,
                certified=frozenset(tx.txid for tx in txs),
                genesis=tiny,
                parent_time_ms=0,
                verify=verify,
            )

        checked(25)
        broken = self.assertRaises(RuleBroken, checked, 26)
        self.assertEqual(broken.rule, "bad-blk-entries")

    def test_order(self) -> None:
        txs = in_order(payment(0), payment(1))[::-1]
        self.refuse("bad-entries-order", block_of(txs, 2 * FEE_UNITS), txs)

    def test_an_entry_twice(self) -> None:
        tx = payment(0)
        self.refuse("bad-entries-order", block_of([tx, tx], 2 * FEE_UNITS), [tx, tx])

    def test_root(self) -> None:
        txs = [payment(0)]
        block = block_of(txs, FEE_UNITS)
        header = replace(block.header, entries_root=bytes(32))
        self.refuse("bad-entries-root", Block(header, block.body), txs)

    def test_bodies_must_be_those_of_the_entries(self) -> None:
        txs = in_order(payment(0), payment(1))
        block = block_of(txs, 2 * FEE_UNITS)
        certified = frozenset(tx.txid for tx in txs)
        self.refuse("bad-entries", block, txs[:1], certified)
        self.refuse("bad-entries", block, txs[::-1], certified)
        self.refuse("bad-entries", block, [txs[0], payment(2)], certified)
        other_witness = replace(txs[1], witnesses=((b"", b""),))
        self.refuse("bad-entries", block, [txs[0], other_witness], certified)

    def test_wtxid(self) -> None:
        tx = payment(0)
        block = block_of([tx], FEE_UNITS)
        body = replace(block.body, entries=(Entry(tx.txid, bytes(32)),))
        self.refuse("bad-entries", Block(header_of(body), body), [tx])

    def test_each_must_be_certified(self) -> None:
        txs = in_order(payment(0), payment(1))
        block = block_of(txs, 2 * FEE_UNITS)
        self.refuse("not-certified", block, txs, frozenset([txs[0].txid]))
        self.refuse("not-certified", block, txs, frozenset())
        check(block, txs, frozenset(tx.txid for tx in (*txs, payment(2))))


class TransactionTests(BlockCase):
    def test_structure(self) -> None:
        tx = replace(payment(0), version=2)
        self.refuse("bad-txns-version", block_of([tx], FEE_UNITS), [tx])

    def test_an_output_spent_by_two_entries(self) -> None:
        txs = in_order(payment(0), payment(0, units=2 * TIME))
        self.refuse("bad-txns-inputs-missingorspent", block_of(txs, 2 * FEE_UNITS), txs)

    def test_missing_input(self) -> None:
        tx = pay(START.chain_id, user(5), created(payment(0), 0, HEIGHT), user(1), 1)
        self.refuse("bad-txns-inputs-missingorspent", block_of([tx], FEE_UNITS), [tx])

    def test_fee(self) -> None:
        tx = pay(START.chain_id, user(0), coin(START, 0), user(1), 1, params.MIN_FEE_UNITS - 1)
        self.refuse("min-fee-not-met", block_of([tx], params.MIN_FEE_UNITS - 1), [tx])

    def test_signature(self) -> None:
        tx = pay(START.chain_id, user(1), coin(START, 0), user(1), 1)
        self.refuse("bad-witness", block_of([tx], FEE_UNITS), [tx])

    def test_chain_id(self) -> None:
        tx = pay(genesis(4).chain_id, user(0), coin(START, 0), user(1), 1)
        self.refuse("bad-witness", block_of([tx], FEE_UNITS), [tx])

    def test_lock_time_by_height_and_by_the_parent_s_time(self) -> None:
        seconds = START.time_ms // 1000
        for lock_time, rule in (
            (HEIGHT - 1, None),
            (HEIGHT, "non-final"),
            (seconds - 1, None),
            (seconds, "non-final"),
        ):
            outputs = [output(user(1), coin(START, 0)[1].value - FEE_UNITS)]
            tx = spend(
                START.chain_id,
                [user(0)],
                [coin(START, 0)],
                outputs,
                lock_time=lock_time,
                sequence=0,
            )
            block = block_of([tx], FEE_UNITS)
            if rule is None:
                check(block, [tx])
            else:
                self.refuse(rule, block, [tx])

    def test_dust_is_no_rule_of_blocks(self) -> None:
        tx = payment(0, units=1)
        check(block_of([tx], FEE_UNITS), [tx])


class RewardTests(BlockCase):
    def due(self, fees: int = 0) -> Transaction:
        return expected_reward(TIME, MEMBERS, validator(1).public, fees, HEIGHT)

    def refuse_reward(self, reward: Transaction) -> None:
        self.refuse("bad-cb-amount", block_of([], 0, reward=reward), [])

    def test_a_unit_more_or_less(self) -> None:
        first, *rest = self.due().outputs
        for step in (1, -1):
            outputs = [replace(first, value=first.value + step), *rest]
            self.refuse_reward(reward_transaction(HEIGHT, outputs))

    def test_fees_belong_to_the_reward(self) -> None:
        txs = [payment(0)]
        check(block_of(txs, FEE_UNITS), txs)
        self.refuse("bad-cb-amount", block_of(txs, 0), txs)
        self.refuse("bad-cb-amount", block_of(txs, FEE_UNITS + 1), txs)

    def test_height(self) -> None:
        self.refuse_reward(reward_transaction(HEIGHT + 1, self.due().outputs))

    def test_order_of_outputs(self) -> None:
        self.refuse_reward(reward_transaction(HEIGHT, self.due().outputs[::-1]))

    def test_another_producer_s(self) -> None:
        self.refuse_reward(expected_reward(TIME, MEMBERS, validator(2).public, 0, HEIGHT))

    def test_nothing_may_be_added(self) -> None:
        due = self.due()
        self.refuse_reward(replace(due, witnesses=((b"x",),)))
        self.refuse_reward(replace(due, lock_time=1))
        self.refuse_reward(replace(due, outputs=(*due.outputs, output(data(b"x"), 0))))

    def test_a_producer_who_is_no_member(self) -> None:
        stranger = key(99).public
        block = block_of([], 0, reward=self.due(), producer=stranger)
        self.refuse("bad-producer", block, [])


class ResolutionTests(BlockCase):
    winner = payment(0)
    loser = payment(0, units=2 * TIME)
    point = coin(START, 0)[0]

    def check_resolutions(self, *resolutions: Resolution) -> None:
        check(block_of([self.winner], FEE_UNITS, resolutions), [self.winner], frozenset())

    def refuse_resolution(self, resolution: Resolution, rule: str = "bad-resolution") -> None:
        """Refused although the winner is certified anyway: a false proof has no place."""
        txs = [self.winner]
        block = block_of(txs, FEE_UNITS, [resolution])
        self.refuse(rule, block, txs)

    def test_a_double_spend_resolves(self) -> None:
        self.check_resolutions(Resolution(self.winner.txid, self.point, self.loser))

    def test_either_side_may_win(self) -> None:
        resolution = Resolution(self.loser.txid, self.point, self.winner)
        check(block_of([self.loser], FEE_UNITS, [resolution]), [self.loser], frozenset())

    def test_a_loser_may_be_void_by_now(self) -> None:
        """Its other input does not exist, and only the proving witness is looked at."""
        gone = created(payment(3), 0)
        loser = spend(
            START.chain_id, [user(2), user(0)], [gone, coin(START, 0)], [output(user(1), 5)]
        )
        self.check_resolutions(Resolution(self.winner.txid, self.point, loser))

    def test_an_output_of_the_same_block(self) -> None:
        parent = payment(1)
        source = created(parent, 0, HEIGHT)
        winner = pay(START.chain_id, user(5), source, user(2), 1)
        loser = pay(START.chain_id, user(5), source, user(3), 2)
        txs = in_order(parent, winner)
        resolution = Resolution(winner.txid, source[0], loser)
        block = block_of(txs, 2 * FEE_UNITS, [resolution])
        check(block, txs, frozenset([parent.txid]))
        self.refuse("not-certified", block, txs, frozenset())

    def test_one_covers_its_winner_only(self) -> None:
        txs = in_order(self.winner, payment(1))
        resolution = Resolution(self.winner.txid, self.point, self.loser)
        block = block_of(txs, 2 * FEE_UNITS, [resolution])
        self.refuse("not-certified", block, txs, frozenset())

    def test_the_winner_must_be_an_entry(self) -> None:
        self.refuse_resolution(Resolution(payment(1).txid, self.point, self.loser))

    def test_the_loser_must_be_another_transaction(self) -> None:
        self.refuse_resolution(Resolution(self.winner.txid, self.point, self.winner))
        same = replace(self.winner, witnesses=((b"", b""),))
        self.refuse_resolution(Resolution(self.winner.txid, self.point, same))

    def test_the_outpoint_must_be_spent_by_both(self) -> None:
        other = coin(START, 1)
        self.refuse_resolution(Resolution(self.winner.txid, other[0], payment(1)))
        self.refuse_resolution(Resolution(self.winner.txid, self.point, payment(1)))
        both = spend(
            START.chain_id, [user(0), user(1)], [coin(START, 0), other], [output(user(1), 5)]
        )
        self.refuse_resolution(Resolution(self.winner.txid, other[0], both))
        self.refuse_resolution(Resolution(self.winner.txid, b"", self.loser))

    def test_the_loser_s_witness_must_verify(self) -> None:
        thief = pay(START.chain_id, user(4), coin(START, 0), user(4), 1)
        self.refuse_resolution(Resolution(self.winner.txid, self.point, thief), "bad-witness")

    def test_the_loser_s_witness_for_that_outpoint(self) -> None:
        """A good signature for another input proves nothing about this one."""
        outputs = [output(user(1), 5)]
        sources = [coin(START, 0), coin(START, 4)]
        good = spend(START.chain_id, [user(0), user(4)], sources, outputs)
        self.check_resolutions(Resolution(self.winner.txid, self.point, good))
        swapped = replace(good, witnesses=good.witnesses[::-1])
        self.refuse_resolution(Resolution(self.winner.txid, self.point, swapped), "bad-witness")

    def test_the_loser_s_structure(self) -> None:
        for broken, rule in (
            (replace(self.loser, version=2), "bad-txns-version"),
            (replace(self.loser, witnesses=()), "bad-witness"),
            (replace(self.loser, witnesses=((bytes(100_000),),)), "bad-txns-oversize"),
        ):
            self.refuse_resolution(Resolution(self.winner.txid, self.point, broken), rule)

    def test_order(self) -> None:
        txs = in_order(payment(0), payment(1))
        resolutions = []
        for tx in txs:
            number = 0 if tx.outpoints[0] == self.point else 1
            loser = payment(number, units=2 * TIME)
            resolutions.append(Resolution(tx.txid, tx.outpoints[0], loser))
        check(block_of(txs, 2 * FEE_UNITS, resolutions), txs, frozenset())
        for wrong in (resolutions[::-1], [resolutions[0], *resolutions]):
            block = block_of(txs, 2 * FEE_UNITS, wrong)
            self.refuse("bad-resolutions-order", block, txs, frozenset())

    def test_two_outpoints_of_one_winner(self) -> None:
        sources = [coin(START, 0), coin(START, 1)]
        units = sum(utxo.value for _, utxo in sources) - FEE_UNITS
        winner = spend(START.chain_id, [user(0), user(1)], sources, [output(user(2), units)])
        proofs = sorted((coin(START, n)[0], payment(n)) for n in (0, 1))
        resolutions = [Resolution(winner.txid, point, loser) for point, loser in proofs]
        block = block_of([winner], FEE_UNITS, resolutions)
        check(block, [winner], frozenset())
        block = block_of([winner], FEE_UNITS, resolutions[::-1])
        self.refuse("bad-resolutions-order", block, [winner], frozenset())
