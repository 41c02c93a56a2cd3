"""Offline signatures: complete exactly when the ledger agrees, whoever signs in whatever order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import key, output, script_of
from tests.wallet.kit import CHAIN_ID, TIME
from tests.wallet.test_wallet import WalletCase
from timecoin import params
from timecoin.crypto.keys import verify
from timecoin.ledger.check import check_witness
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import data, multisig, stake
from timecoin.ledger.signing import with_witnesses
from timecoin.ledger.transaction import Transaction, TxInput, TxOutput, outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.wallet.errors import WalletLocked
from timecoin.wallet.rawsign import RawSigned, combine, key_finder, sign_raw

KEYS = [key(number) for number in range(6)]
PREV = bytes([9]) * 32


def unsigned(count: int) -> Transaction:
    inputs = tuple(TxInput(PREV, index, params.SEQUENCE_FINAL) for index in range(count))
    return Transaction(1, inputs, (output(KEYS[0], TIME),), 0, ((),) * count)


def spending(*scripts: bytes) -> tuple[Transaction, dict[bytes, TxOutput]]:
    """An unsigned transaction, and what it spends."""
    prevouts = {
        outpoint(PREV, index): TxOutput((index + 1) * TIME, script)
        for index, script in enumerate(scripts)
    }
    return unsigned(len(scripts)), prevouts


def sign(tx: Transaction, prevouts: dict[bytes, TxOutput], *numbers: int) -> RawSigned:
    keys = key_finder(KEYS[number] for number in numbers)
    return sign_raw(tx, prevouts, keys, CHAIN_ID, verify)


def valid(tx: Transaction, prevouts: dict[bytes, TxOutput], index: int) -> bool:
    spent = prevouts[tx.outpoints[index]]
    try:
        check_witness(tx, index, Utxo(spent.value, spent.lock_script, 0, False), CHAIN_ID, verify)
    except RuleBroken:
        return False
    return True


class SignTests(SynchronousTestCase):
    def test_one_owner_each(self) -> None:
        own = script_of(KEYS[2])[1:]
        tx, prevouts = spending(script_of(KEYS[1]), stake(bytes(32), bytes(32), own, bytes(20), 0))
        signed = sign(tx, prevouts, 1, 2)
        self.assertTrue(signed.complete)
        self.assertEqual(signed.tx.txid, tx.txid)
        self.assertTrue(valid(signed.tx, prevouts, 0) and valid(signed.tx, prevouts, 1))

    def test_what_is_missing_is_told(self) -> None:
        tx, prevouts = spending(
            script_of(KEYS[1]), script_of(KEYS[2]), data(b"x"), b"\x09", script_of(KEYS[1])
        )
        del prevouts[tx.outpoints[4]]
        signed = sign(tx, prevouts, 1)
        self.assertEqual(
            [(each.index, each.point) for each in signed.unsigned],
            [(index, tx.outpoints[index]) for index in (1, 2, 3, 4)],
        )
        reasons = [each.reason for each in signed.unsigned]
        for reason, words in zip(
            reasons, ("not at hand", "data", "bad-txns-script", "not known"), strict=True
        ):
            self.assertIn(words, reason)
        self.assertTrue(valid(signed.tx, prevouts, 0))
        self.assertEqual(signed.tx.witnesses[1:], ((),) * 4)

    def test_a_right_signature_is_kept_and_a_wrong_one_replaced(self) -> None:
        tx, prevouts = spending(script_of(KEYS[1]), script_of(KEYS[2]))
        first = sign(tx, prevouts, 1).tx
        both = sign(first, prevouts, 2)
        self.assertTrue(both.complete)
        self.assertEqual(both.tx.witnesses[0], first.witnesses[0])
        self.assertEqual(sign(both.tx, prevouts).tx, both.tx)
        wrong = with_witnesses(tx, [(KEYS[1].public, bytes(64)), (b"",)])
        self.assertEqual(sign(wrong, prevouts).tx, tx)
        self.assertEqual(sign(wrong, prevouts, 1, 2).tx, both.tx)

    def test_a_lie_about_the_value_makes_the_signature_void(self) -> None:
        tx, prevouts = spending(script_of(KEYS[1]))
        lie = {tx.outpoints[0]: TxOutput(7 * TIME, script_of(KEYS[1]))}
        signed = sign(tx, lie, 1)
        self.assertTrue(signed.complete)
        self.assertFalse(valid(signed.tx, prevouts, 0))

    def test_an_unknown_output_keeps_its_witness(self) -> None:
        tx, prevouts = spending(script_of(KEYS[1]))
        signed = sign(tx, prevouts, 1).tx
        again = sign(signed, {}, 1)
        self.assertEqual((again.tx, again.complete), (signed, False))

    def test_a_witness_for_each_input(self) -> None:
        tx = Transaction(1, unsigned(1).inputs, unsigned(1).outputs, 0, ())
        self.assertRaises(ValueError, sign, tx, {})


class MultisigTests(SynchronousTestCase):
    @settings(max_examples=60, deadline=None)
    @given(
        st.integers(1, 5).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))),
        st.lists(st.lists(st.integers(0, 5), max_size=3), max_size=5),
        st.booleans(),
    )
    def test_signers_one_after_the_other_or_apart(
        self, kind: tuple[int, int], rounds: list[list[int]], apart: bool
    ) -> None:
        required, count = kind
        tx, prevouts = spending(multisig(required, [each.public for each in KEYS[:count]]))
        parts = [tx]
        for numbers in rounds:
            parts.append(sign(tx if apart else parts[-1], prevouts, *numbers).tx)
        made = combine(parts, prevouts, CHAIN_ID, verify)
        signers = {number for numbers in rounds for number in numbers if number < count}
        self.assertEqual(made.complete, len(signers) >= required)
        self.assertEqual(valid(made.tx, prevouts, 0), made.complete)
        self.assertEqual(sign(made.tx, prevouts, *range(6)).complete, True)
        if not made.complete:
            (missing,) = made.unsigned
            self.assertIn(f"{required - len(signers)} ", missing.reason)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.lists(st.binary(max_size=66), min_size=1, max_size=4), max_size=3))
    def test_any_witness(self, witnesses: list[list[bytes]]) -> None:
        tx, prevouts = spending(multisig(2, [each.public for each in KEYS[:3]]))
        offered = [with_witnesses(tx, [tuple(witness)]) for witness in witnesses]
        made = combine([*offered, sign(tx, prevouts, 0).tx], prevouts, CHAIN_ID, verify)
        self.assertEqual(made.tx, sign(tx, prevouts, 0).tx)

    def test_a_changed_bitmap_is_left_out(self) -> None:
        tx, prevouts = spending(multisig(2, [each.public for each in KEYS[:3]]))
        bitmap, signature = sign(tx, prevouts, 1).tx.witnesses[0]
        for witness in (
            (bytes([bitmap[0] ^ 7, 0]), signature),
            (b"\x08\x00", signature),
            (bitmap, signature, signature),
            (bitmap[:1], signature),
            (bitmap,),
        ):
            made = combine([with_witnesses(tx, [witness])], prevouts, CHAIN_ID, verify)
            self.assertEqual(made.tx, tx, witness)

    def test_no_more_signatures_than_the_rules_allow(self) -> None:
        tx, prevouts = spending(multisig(2, [each.public for each in KEYS[:4]]))
        parts = [sign(tx, prevouts, *numbers).tx for numbers in ((0, 1), (2, 3))]
        made = combine(parts, prevouts, CHAIN_ID, verify)
        self.assertEqual(len(made.tx.witnesses[0]), 3)
        self.assertTrue(valid(made.tx, prevouts, 0))

    def test_transactions_that_differ(self) -> None:
        tx, prevouts = spending(script_of(KEYS[1]))
        other = Transaction(1, tx.inputs, (output(KEYS[3], TIME),), 0, ((),))
        for txs in ([], [tx, other]):
            self.assertRaises(ValueError, combine, txs, prevouts, CHAIN_ID, verify)


class WalletSignTests(WalletCase):
    passphrase = "words"

    def test_own_coins_and_a_share_in_a_multisig(self) -> None:
        address = self.wallet.new_address()
        script = multisig(2, [self.wallet.pubkey(address), KEYS[1].public])
        received = self.fixture.receive(5 * TIME, 1)
        shared = (outpoint(PREV, 0), TxOutput(3 * TIME, script))
        tx = Transaction(
            1,
            (
                TxInput(received.txid, 0, params.SEQUENCE_FINAL),
                TxInput(PREV, 0, params.SEQUENCE_FINAL),
            ),
            (output(KEYS[2], TIME),),
            0,
            ((), ()),
        )
        half = self.wallet.sign_raw(tx, dict([shared]))
        self.assertEqual([each.index for each in half.unsigned], [1])
        point = outpoint(received.txid, 0)
        prevouts = dict([shared, (point, received.outputs[0])])
        whole = sign(half.tx, prevouts, 1)
        self.assertTrue(whole.complete)
        self.assertTrue(all(valid(whole.tx, prevouts, index) for index in range(2)))
        self.wallet.lock()
        self.assertRaises(WalletLocked, self.wallet.sign_raw, tx, {})
        self.assertRaises(WalletLocked, self.wallet.pubkey, address)
