"""Every rule of a transaction: kept at its limit, broken one step beyond."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import key, output, script_of, spend
from timecoin import params
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import SigningKey, verify
from timecoin.ledger import script
from timecoin.ledger.check import (
    check_spend,
    check_structure,
    check_witness,
    is_dust,
    is_final,
    min_fee_units,
)
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.signing import sign_multisig, with_witnesses
from timecoin.ledger.transaction import Outpoint, Transaction, TxInput, TxOutput, outpoint
from timecoin.ledger.utxo import Utxo

replace = msgspec.structs.replace

CHAIN_ID = b"\x03\x00\x00\x00genesis!"
OTHER_CHAIN = b"\x03\x00\x00\x00genesis?"
ALICE, BOB = key(1), key(2)
HEIGHT = 100
PARENT_TIME_MS = 1_800_000_000_000
TIME = params.UNITS_PER_TIME


def point(number: int) -> Outpoint:
    return outpoint(number.to_bytes(32, "big"), 0)


def utxo(value: int = TIME, lock: bytes | None = None, **rest: object) -> Utxo:
    settled: dict[str, object] = {"height": 1, "coinbase": False, **rest}
    return Utxo(value, script_of(ALICE) if lock is None else lock, **settled)  # type: ignore[arg-type]


def payment(
    spent: Sequence[Utxo] = (utxo(),),
    outputs: Sequence[TxOutput] | None = None,
    owners: Sequence[SigningKey] | None = None,
    *,
    lock_time: int = 0,
    sequence: int = params.SEQUENCE_FINAL,
) -> Transaction:
    if outputs is None:
        outputs = [output(BOB, sum(coin.value for coin in spent) - TIME // 10)]
    return spend(
        CHAIN_ID,
        owners or [ALICE] * len(spent),
        [(point(number + 1), coin) for number, coin in enumerate(spent)],
        outputs,
        lock_time=lock_time,
        sequence=sequence,
    )


def no_verify(pubkey: bytes, message: bytes, signature: bytes) -> bool:
    raise AssertionError("a signature was checked before the cheap rules")


class StructureTests(SynchronousTestCase):
    def refuse(self, tx: Transaction, rule: str) -> None:
        self.assertEqual(self.assertRaises(RuleBroken, check_structure, tx).rule, rule)

    def test_sound(self) -> None:
        check_structure(payment())

    def test_version(self) -> None:
        for version in (0, 2):
            self.refuse(replace(payment(), version=version), "bad-txns-version")

    def test_no_input(self) -> None:
        self.refuse(replace(payment(), inputs=(), witnesses=()), "bad-txns-vin-empty")

    def test_no_output(self) -> None:
        self.refuse(replace(payment(), outputs=()), "bad-txns-vout-empty")

    def test_one_witness_for_each_input(self) -> None:
        good = payment()
        self.refuse(replace(good, witnesses=()), "bad-witness")
        self.refuse(replace(good, witnesses=good.witnesses * 2), "bad-witness")

    def test_size(self) -> None:
        good = payment()

        def padded(extra: int) -> Transaction:
            return replace(good, witnesses=((bytes(extra),),))

        room = params.MAX_TX_BYTES - len(padded(70_000).encoded) + 70_000
        self.assertEqual(len(padded(room).encoded), params.MAX_TX_BYTES)
        check_structure(padded(room))
        self.refuse(padded(room + 1), "bad-txns-oversize")

    def test_an_input_twice(self) -> None:
        good = payment([utxo(), utxo()])
        first = good.inputs[0]
        self.refuse(replace(good, inputs=(first, first)), "bad-txns-inputs-duplicate")
        other_sequence = replace(first, sequence=0)
        self.refuse(replace(good, inputs=(first, other_sequence)), "bad-txns-inputs-duplicate")
        check_structure(replace(good, inputs=(first, replace(first, prev_index=1))))

    def test_null_input(self) -> None:
        null = TxInput(bytes(32), 5, params.SEQUENCE_FINAL)
        self.refuse(replace(payment(), inputs=(null,)), "bad-txns-prevout-null")

    def test_lock_scripts(self) -> None:
        for lock in (b"", b"\x01", b"\x09", b"\x03" + bytes(257)):
            self.refuse(replace(payment(), outputs=(TxOutput(1, lock),)), "bad-txns-script")

    def test_values(self) -> None:
        self.refuse(payment(outputs=[output(BOB, 0)]), "bad-txns-vout-zero")
        check_structure(payment(outputs=[output(BOB, 1)]))

    def test_data_has_no_value(self) -> None:
        check_structure(payment(outputs=[output(script.data(b"x"), 0)]))
        self.refuse(payment(outputs=[output(script.data(b"x"), 1)]), "bad-txns-data-value")

    def test_sum_of_outputs(self) -> None:
        most = params.MAX_AMOUNT_UNITS
        check_structure(payment(outputs=[output(BOB, most - 1), output(BOB, 1)]))
        self.refuse(
            payment(outputs=[output(BOB, most), output(BOB, 1)]), "bad-txns-txouttotal-toolarge"
        )
        self.refuse(payment(outputs=[output(BOB, most + 1)]), "bad-txns-txouttotal-toolarge")


class SpendTests(SynchronousTestCase):
    def check(self, tx: Transaction, *spent: Utxo, height: int = HEIGHT) -> int:
        return check_spend(tx, spent or (utxo(),), CHAIN_ID, height, PARENT_TIME_MS, verify)

    def refuse(self, tx: Transaction, rule: str, *spent: Utxo, height: int = HEIGHT) -> None:
        """Refused, and without a look at signatures."""
        broken = self.assertRaises(
            RuleBroken,
            check_spend,
            tx,
            spent or (utxo(),),
            CHAIN_ID,
            height,
            PARENT_TIME_MS,
            no_verify,
        )
        self.assertEqual(broken.rule, rule)

    def test_fee_is_what_the_outputs_leave(self) -> None:
        self.assertEqual(self.check(payment()), TIME // 10)
        both = (utxo(7 * TIME), utxo(5 * TIME))
        tx = payment(both, [output(BOB, 6 * TIME), output(ALICE, 5 * TIME)])
        self.assertEqual(self.check(tx, *both), TIME)

    def test_least_fee(self) -> None:
        least = params.MIN_FEE_UNITS
        self.assertEqual(self.check(payment(outputs=[output(BOB, TIME - least)])), least)
        self.refuse(payment(outputs=[output(BOB, TIME - least + 1)]), "min-fee-not-met")

    def test_least_fee_of_large_transactions_grows_with_their_size(self) -> None:
        self.assertEqual(min_fee_units(1), params.MIN_FEE_UNITS)
        self.assertEqual(min_fee_units(10_000), params.MIN_FEE_UNITS)
        self.assertEqual(min_fee_units(10_001), params.MIN_FEE_UNITS + 10)
        many = [output(BOB, 1)] * 500
        size = len(payment(outputs=[*many, output(BOB, TIME // 2)]).encoded)
        self.assertGreater(10 * size, params.MIN_FEE_UNITS)
        rest = TIME - 500 - 10 * size
        self.assertEqual(self.check(payment(outputs=[*many, output(BOB, rest)])), 10 * size)
        self.refuse(payment(outputs=[*many, output(BOB, rest + 1)]), "min-fee-not-met")

    def test_more_than_the_inputs(self) -> None:
        self.refuse(payment(outputs=[output(BOB, TIME + 1)]), "bad-txns-in-belowout")
        self.refuse(payment(outputs=[output(BOB, TIME)]), "min-fee-not-met")

    def test_sum_of_inputs(self) -> None:
        rich = (utxo(params.MAX_AMOUNT_UNITS), utxo(1))
        tx = payment(rich, [output(BOB, TIME)])
        self.refuse(tx, "bad-txns-inputvalues-outofrange", *rich)
        enough = (utxo(params.MAX_AMOUNT_UNITS - 1), utxo(1))
        self.check(payment(enough, [output(BOB, TIME)]), *enough)

    def test_spent_outputs_must_be_those_of_the_inputs(self) -> None:
        with self.assertRaises(ValueError):
            self.check(payment(), utxo(), utxo())

    def test_rewards_mature_after_ten_blocks(self) -> None:
        reward = utxo(height=90, coinbase=True)
        tx = payment([reward])
        self.check(tx, reward, height=100)
        self.refuse(tx, "bad-txns-premature-spend-of-coinbase", reward, height=99)
        self.check(tx, utxo(height=99), height=99)

    def test_a_block_height_as_lock_time(self) -> None:
        self.check(payment(lock_time=HEIGHT - 1, sequence=0))
        self.refuse(payment(lock_time=HEIGHT, sequence=0), "non-final")

    def test_a_time_as_lock_time(self) -> None:
        seconds = PARENT_TIME_MS // 1000
        self.check(payment(lock_time=seconds - 1, sequence=0))
        self.refuse(payment(lock_time=seconds, sequence=0), "non-final")

    def test_where_heights_end_and_times_begin(self) -> None:
        threshold = params.LOCK_TIME_THRESHOLD
        height = payment(lock_time=threshold - 1, sequence=0)
        self.assertFalse(is_final(height, HEIGHT, PARENT_TIME_MS))
        self.assertTrue(is_final(height, threshold, 0))
        moment = payment(lock_time=threshold, sequence=0)
        self.assertTrue(is_final(moment, HEIGHT, PARENT_TIME_MS))
        self.assertFalse(is_final(moment, threshold + 1, 0))

    def test_final_sequences_ignore_the_lock_time(self) -> None:
        self.check(payment(lock_time=2**64 - 1))
        both = (utxo(), utxo())
        mixed = payment(both, lock_time=HEIGHT, sequence=0)
        one_final = replace(mixed.inputs[0], sequence=params.SEQUENCE_FINAL)
        self.refuse(replace(mixed, inputs=(one_final, mixed.inputs[1])), "non-final", *both)

    def test_stakes_are_frozen(self) -> None:
        lock = script.stake(BOB.public, bytes(32), hash160(ALICE.public), bytes(20), HEIGHT - 1)
        frozen = utxo(lock=lock)
        tx = payment([frozen])
        self.refuse(tx, "stake-frozen", frozen)
        asked: list[tuple[bytes, Outpoint, bytes]] = []

        def free(txid: bytes, wanted: Outpoint, stake: script.Stake) -> bool:
            asked.append((txid, wanted, stake.pubkey))
            return True

        arguments = (tx, (frozen,), CHAIN_ID)
        self.assertEqual(check_spend(*arguments, HEIGHT, PARENT_TIME_MS, verify, free), TIME // 10)
        self.assertEqual(asked, [(tx.txid, point(1), BOB.public)])
        broken = self.assertRaises(
            RuleBroken, check_spend, *arguments, HEIGHT - 1, PARENT_TIME_MS, verify, free
        )
        self.assertEqual(broken.rule, "stake-frozen")

    def test_every_signature(self) -> None:
        both = (utxo(), utxo())
        good = payment(both)
        self.check(good, *both)
        for index in range(2):
            pubkey, signature = good.witnesses[index]
            witnesses = list(good.witnesses)
            witnesses[index] = (pubkey, bytes((signature[0] ^ 1,)) + signature[1:])
            with self.assertRaises(RuleBroken) as caught:
                self.check(replace(good, witnesses=tuple(witnesses)), *both)
            self.assertEqual(caught.exception.rule, "bad-witness")

    def test_all_keys_are_compared_before_any_signature_is_checked(self) -> None:
        both = (utxo(), utxo(lock=script_of(BOB)))
        self.refuse(payment(both, owners=[ALICE, ALICE]), "bad-witness", *both)


class WitnessTests(SynchronousTestCase):
    def refuse(self, tx: Transaction, spent: Utxo, chain_id: bytes = CHAIN_ID) -> None:
        broken = self.assertRaises(RuleBroken, check_witness, tx, 0, spent, chain_id, verify)
        self.assertEqual(broken.rule, "bad-witness")

    def with_witness(self, tx: Transaction, *parts: bytes) -> Transaction:
        return replace(tx, witnesses=(parts,))

    def test_the_owner(self) -> None:
        check_witness(payment(), 0, utxo(), CHAIN_ID, verify)

    def test_another_key(self) -> None:
        self.refuse(payment(owners=[BOB]), utxo())

    def test_what_the_signature_covers(self) -> None:
        tx = payment()
        self.refuse(tx, utxo(), OTHER_CHAIN)
        self.refuse(tx, utxo(TIME + 1))
        self.refuse(replace(tx, lock_time=1), utxo())
        self.refuse(replace(tx, outputs=(output(ALICE, 5),)), utxo())
        same_key = script.stake(BOB.public, bytes(32), hash160(ALICE.public), bytes(20), 0)
        self.refuse(tx, utxo(lock=same_key))

    def test_an_input_cannot_borrow_the_signature_of_another(self) -> None:
        both = (utxo(), utxo())
        good = payment(both)
        self.refuse(replace(good, witnesses=good.witnesses[::-1]), utxo())

    def test_number_and_length_of_parts(self) -> None:
        good = payment()
        pubkey, signature = good.witnesses[0]
        for parts in (
            (),
            (pubkey,),
            (pubkey, signature, b""),
            (signature, pubkey),
            (pubkey, signature[:63]),
            (pubkey, signature + b"\x00"),
            (pubkey, b""),
        ):
            self.refuse(self.with_witness(good, *parts), utxo())

    def test_data_is_never_spent(self) -> None:
        spent = utxo(0, script.data(b""))
        self.refuse(payment([spent], [output(BOB, 1)]), spent)
        self.refuse(self.with_witness(payment(), b""), spent)


class MultisigWitnessTests(SynchronousTestCase):
    members = sorted((key(number) for number in range(3)), key=lambda found: found.public)
    shared = utxo(lock=script.multisig(2, [member.public for member in members]))

    def setUp(self) -> None:
        unsigned = payment([self.shared])
        witness = sign_multisig(unsigned, 0, self.shared, CHAIN_ID, self.members[:2])
        self.tx = with_witnesses(unsigned, [witness])
        self.bitmap, self.first, self.second = witness

    def refuse(self, *witness: bytes) -> None:
        tx = with_witnesses(self.tx, [witness])
        broken = self.assertRaises(RuleBroken, check_witness, tx, 0, self.shared, CHAIN_ID, verify)
        self.assertEqual(broken.rule, "bad-witness")

    def test_bitmap_then_signatures_in_its_order(self) -> None:
        self.assertEqual(self.bitmap, b"\x03\x00")
        check_witness(self.tx, 0, self.shared, CHAIN_ID, verify)
        self.refuse(self.bitmap, self.second, self.first)

    def test_number_of_signatures(self) -> None:
        self.refuse(self.bitmap)
        self.refuse(self.bitmap, self.first)
        self.refuse(self.bitmap, self.first, self.second, self.second)
        third = sign_multisig(self.tx, 0, self.shared, CHAIN_ID, self.members[1:])[2]
        self.refuse(b"\x07\x00", self.first, self.second, third)
        self.refuse()

    def test_bitmaps(self) -> None:
        for bitmap in (b"", b"\x03", b"\x03\x00\x00", b"\x01\x00", b"\x07\x00", b"\x09\x00"):
            self.refuse(bitmap, self.first, self.second)
        self.refuse(b"\x01\x80", self.first, self.second)
        self.refuse(b"\x05\x00", self.first, self.second)

    def test_one_signature_does_not_count_twice(self) -> None:
        self.refuse(b"\x03\x00", self.first, self.first)

    def test_each_signature(self) -> None:
        self.refuse(self.bitmap, bytes(64), self.second)
        self.refuse(self.bitmap, self.first, bytes(64))
        self.refuse(self.bitmap, self.first, self.second[:63])


class DustTests(SynchronousTestCase):
    """A policy of pools: the checks above let dust pass (``test_values``)."""

    def test_limit(self) -> None:
        self.assertTrue(is_dust(output(BOB, params.DUST_UNITS - 1)))
        self.assertFalse(is_dust(output(BOB, params.DUST_UNITS)))

    def test_data_is_no_dust(self) -> None:
        self.assertFalse(is_dust(output(script.data(b"x"), 0)))
