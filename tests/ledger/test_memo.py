"""What a memo may spare, and what must be looked at every time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.blocks import COINS, HEIGHT, MEMBERS, PARENT_TIME_MS, START, block_of
from tests.support.ledger_kit import FEE_UNITS, TIME, coin, key, output, pay, script_of, spend, user
from timecoin import params
from timecoin.crypto.keys import Verify, verify
from timecoin.ledger.check import check_spend
from timecoin.ledger.check_block import check_block
from timecoin.ledger.memo import SpendMemo
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import stake
from timecoin.ledger.transaction import Transaction
from timecoin.ledger.utxo import Utxo

CHAIN_ID = START.chain_id
OWNER = user(0)
POINT, COIN = coin(START, 0)
PAYMENT = pay(CHAIN_ID, OWNER, (POINT, COIN), user(5), TIME)


def never(pubkey: bytes, message: bytes, signature: bytes) -> bool:
    raise AssertionError("a signature was checked twice")


def with_signature(tx: Transaction, signature: bytes) -> Transaction:
    """``tx`` with another signature on its only input: the same txid, another wtxid."""
    return msgspec.structs.replace(tx, witnesses=((tx.witnesses[0][0], signature),))


class MemoTests(SynchronousTestCase):
    def test_the_last_ones_are_kept(self) -> None:
        memo = SpendMemo(4)
        for number in range(5):
            memo.add(bytes((number,)), number)
        self.assertLessEqual(len(memo), 4)
        self.assertEqual([memo.fee_units(bytes((n,))) for n in (0, 3, 4)], [None, 3, 4])


class SpendTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.memo = SpendMemo(10)

    def check(self, tx: Transaction, spent: Utxo, height: int = HEIGHT) -> int:
        return check_spend(tx, (spent,), CHAIN_ID, height, PARENT_TIME_MS, verify, memo=self.memo)

    def again(self, tx: Transaction, spent: Utxo, height: int) -> int:
        return check_spend(tx, (spent,), CHAIN_ID, height, PARENT_TIME_MS, never, memo=self.memo)

    def refuse_later(self, rule: str, tx: Transaction, spent: Utxo, height: int) -> None:
        broken = self.assertRaises(RuleBroken, self.again, tx, spent, height)
        self.assertEqual(broken.rule, rule)

    def test_signatures_are_checked_once(self) -> None:
        fee = self.check(PAYMENT, COIN)
        self.assertEqual(fee, FEE_UNITS)
        self.assertEqual(self.again(PAYMENT, COIN, HEIGHT + 1), fee)

    def test_a_refusal_is_not_remembered(self) -> None:
        forged = with_signature(PAYMENT, bytes(64))
        for _ in range(2):
            self.assertRaises(RuleBroken, self.check, forged, COIN)
        self.assertEqual(len(self.memo), 0)

    def test_another_witness_is_another_question(self) -> None:
        self.check(PAYMENT, COIN)
        forged = with_signature(PAYMENT, bytes(64))
        self.assertEqual(forged.txid, PAYMENT.txid)
        broken = self.assertRaises(RuleBroken, self.check, forged, COIN)
        self.assertEqual(broken.rule, "bad-witness")

    def test_maturity_is_looked_at_every_time(self) -> None:
        reward = msgspec.structs.replace(COIN, height=1, coinbase=True)
        ripe = 1 + params.COINBASE_MATURITY_BLOCKS
        self.check(PAYMENT, reward, ripe)
        self.refuse_later("bad-txns-premature-spend-of-coinbase", PAYMENT, reward, ripe - 1)

    def test_lock_time_is_looked_at_every_time(self) -> None:
        tx = spend(
            CHAIN_ID,
            [OWNER],
            [(POINT, COIN)],
            [output(user(5), COIN.value - FEE_UNITS)],
            lock_time=HEIGHT,
            sequence=0,
        )
        self.check(tx, COIN, HEIGHT + 1)
        self.refuse_later("non-final", tx, COIN, HEIGHT)

    def test_stakes_are_looked_at_every_time(self) -> None:
        script = stake(
            key(7).public, bytes(32), script_of(OWNER)[1:], script_of(OWNER)[1:], HEIGHT - 1
        )
        held = Utxo(COIN.value, script, 0, False)
        tx = pay(CHAIN_ID, OWNER, (POINT, held), user(5), TIME)
        check_spend(
            tx,
            (held,),
            CHAIN_ID,
            HEIGHT,
            PARENT_TIME_MS,
            verify,
            stake_free=lambda txid, point, stake: True,
            memo=self.memo,
        )
        self.assertEqual(len(self.memo), 1)
        self.refuse_later("stake-frozen", tx, held, HEIGHT)


class BlockTests(SynchronousTestCase):
    def check(
        self, transactions: Sequence[Transaction], memo: SpendMemo, check: Verify = verify
    ) -> int:
        _, found = check_block(
            block_of(transactions, FEE_UNITS),
            transactions,
            view=COINS,
            members=MEMBERS,
            certified=frozenset(tx.txid for tx in transactions),
            genesis=START,
            parent_time_ms=PARENT_TIME_MS,
            verify=check,
            memo=memo,
        )
        return found

    def test_a_block_believes_the_pool(self) -> None:
        memo = SpendMemo(10)
        check_spend(PAYMENT, (COIN,), CHAIN_ID, HEIGHT, PARENT_TIME_MS, verify, memo=memo)
        self.assertEqual(self.check([PAYMENT], memo, never), FEE_UNITS)

    def test_a_block_with_another_witness_is_judged(self) -> None:
        memo = SpendMemo(10)
        self.check([PAYMENT], memo)
        broken = self.assertRaises(
            RuleBroken, self.check, [with_signature(PAYMENT, bytes(64))], memo
        )
        self.assertEqual(broken.rule, "bad-witness")

    def test_structure_of_what_is_not_known(self) -> None:
        broken = self.assertRaises(
            RuleBroken,
            self.check,
            [msgspec.structs.replace(PAYMENT, version=9)],
            SpendMemo(10),
        )
        self.assertEqual(broken.rule, "bad-txns-version")
