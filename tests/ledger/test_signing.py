"""Witnesses that wallets make are the ones that the rules accept."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import coin, genesis, key, output, script_of, spend, user
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import verify
from timecoin.ledger.check import check_witness
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import multisig, stake
from timecoin.ledger.signing import sign_input, sign_multisig, with_witnesses
from timecoin.ledger.transaction import Transaction, TxInput, TxOutput
from timecoin.ledger.utxo import Utxo

CHAIN_ID = genesis().chain_id
MEMBERS = [key(number) for number in range(3)]
SHARED = Utxo(5_000, multisig(2, [member.public for member in MEMBERS]), 1, False)
UNSIGNED = Transaction(
    1, (TxInput(b"\x01" * 32, 0, 0),), (TxOutput(1_000, script_of(key(9))),), 0, ((),)
)


class SigningTests(SynchronousTestCase):
    def test_a_payment(self) -> None:
        start = genesis()
        source = coin(start, 2)
        tx = spend(start.chain_id, [user(2)], [source], [output(user(3), 1)])
        check_witness(tx, 0, source[1], start.chain_id, verify)

    def test_a_stake_is_spent_by_its_owner(self) -> None:
        owner = key(5)
        script = stake(key(6).public, bytes(32), hash160(owner.public), bytes(20), 0)
        utxo = Utxo(5_000, script, 1, False)
        for signer, good in ((owner, True), (key(6), False)):
            tx = with_witnesses(UNSIGNED, [sign_input(UNSIGNED, 0, utxo, CHAIN_ID, signer)])
            if good:
                check_witness(tx, 0, utxo, CHAIN_ID, verify)
            else:
                self.assertRaises(RuleBroken, check_witness, tx, 0, utxo, CHAIN_ID, verify)

    def test_any_two_of_three_in_any_order(self) -> None:
        for signers in ((0, 1), (1, 0), (0, 2), (2, 1)):
            keys = [MEMBERS[index] for index in signers]
            witness = sign_multisig(UNSIGNED, 0, SHARED, CHAIN_ID, keys)
            check_witness(with_witnesses(UNSIGNED, [witness]), 0, SHARED, CHAIN_ID, verify)

    def test_not_the_required_keys(self) -> None:
        stranger = key(7)
        for keys in (
            MEMBERS[:1],
            MEMBERS,
            [MEMBERS[0], stranger],
            [MEMBERS[0], MEMBERS[0]],
            [*MEMBERS[:2], stranger],
            [],
        ):
            self.assertRaises(ValueError, sign_multisig, UNSIGNED, 0, SHARED, CHAIN_ID, keys)

    def test_not_a_multisig(self) -> None:
        single = Utxo(5_000, script_of(MEMBERS[0]), 1, False)
        self.assertRaises(ValueError, sign_multisig, UNSIGNED, 0, single, CHAIN_ID, MEMBERS[:2])

    def test_one_witness_for_each_input(self) -> None:
        self.assertRaises(ValueError, with_witnesses, UNSIGNED, [])
        self.assertRaises(ValueError, with_witnesses, UNSIGNED, [(), ()])
        signed = with_witnesses(UNSIGNED, [(b"x",)])
        self.assertEqual(signed, msgspec.structs.replace(UNSIGNED, witnesses=((b"x",),)))
        self.assertEqual(signed.txid, UNSIGNED.txid)
