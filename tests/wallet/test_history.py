"""What one transaction means for us."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import TIME, key, output, script_of, spend
from tests.wallet.kit import CHAIN_ID
from timecoin.ledger.connect import Coin
from timecoin.ledger.rewards import reward_transaction
from timecoin.ledger.transaction import Outpoint, Transaction, TxOutput, outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.wallet.derive import Branch, KeyPath
from timecoin.wallet.history import Detail, Effect, effect_of

RECEIVER, CHANGE, STRANGER = key(1), key(2), key(3)
PATHS = {
    script_of(RECEIVER): KeyPath(Branch.RECEIVE, 0),
    script_of(CHANGE): KeyPath(Branch.CHANGE, 0),
}
OWN: Coin = (outpoint(bytes([7]) * 32, 0), Utxo(5 * TIME, script_of(RECEIVER), 0, coinbase=False))
FOREIGN: Coin = (
    outpoint(bytes([7]) * 32, 1),
    Utxo(3 * TIME, script_of(STRANGER), 0, coinbase=False),
)
KNOWN = {point: TxOutput(utxo.value, utxo.script) for point, utxo in (OWN, FOREIGN)}


class EffectTests(SynchronousTestCase):
    def effect(self, tx: Transaction, known: dict[Outpoint, TxOutput] = KNOWN) -> Effect:
        return effect_of(tx, known.get, PATHS.get)

    def test_a_payment_to_others_with_change(self) -> None:
        tx = spend(
            CHAIN_ID, [RECEIVER], [OWN], [output(STRANGER, TIME), output(CHANGE, 4 * TIME - 9)]
        )
        effect = self.effect(tx)
        self.assertEqual(
            effect,
            Effect(4 * TIME - 9, 5 * TIME, 9, (Detail("send", 0, script_of(STRANGER), TIME),)),
        )
        self.assertEqual(effect.net_units, -TIME)

    def test_a_payment_received(self) -> None:
        tx = spend(
            CHAIN_ID, [STRANGER], [FOREIGN], [output(STRANGER, TIME), output(RECEIVER, TIME)]
        )
        effect = self.effect(tx)
        self.assertEqual(
            effect, Effect(TIME, 0, None, (Detail("receive", 1, script_of(RECEIVER), TIME),))
        )
        self.assertEqual(effect.net_units, TIME)

    def test_a_payment_to_oneself_is_sent_and_received(self) -> None:
        tx = spend(CHAIN_ID, [RECEIVER], [OWN], [output(RECEIVER, 5 * TIME - 7)])
        effect = self.effect(tx)
        self.assertEqual([detail.category for detail in effect.details], ["send", "receive"])
        self.assertEqual((effect.net_units, effect.fee_units), (0, 7))

    def test_coins_of_both(self) -> None:
        """Who paid how much of the fee cannot be told."""
        tx = spend(CHAIN_ID, [RECEIVER, STRANGER], [OWN, FOREIGN], [output(STRANGER, 7 * TIME)])
        effect = self.effect(tx)
        self.assertEqual((effect.fee_units, effect.net_units), (None, -5 * TIME))

    def test_inputs_that_nobody_knows_are_foreign(self) -> None:
        tx = spend(CHAIN_ID, [RECEIVER], [OWN], [output(RECEIVER, TIME)])
        self.assertEqual(self.effect(tx, {}).fee_units, None)
        self.assertEqual(self.effect(tx, {}).net_units, TIME)

    def test_a_reward(self) -> None:
        tx = reward_transaction(4, [output(STRANGER, TIME), output(RECEIVER, 2 * TIME)])
        effect = self.effect(tx)
        self.assertEqual(effect.details, (Detail("generate", 1, script_of(RECEIVER), 2 * TIME),))
        self.assertEqual((effect.fee_units, effect.net_units), (None, 2 * TIME))

    def test_change_that_a_stranger_pays_is_received(self) -> None:
        tx = spend(CHAIN_ID, [STRANGER], [FOREIGN], [output(CHANGE, TIME)])
        self.assertEqual(self.effect(tx).details[0].category, "receive")

    def test_nothing_of_ours(self) -> None:
        tx = spend(CHAIN_ID, [STRANGER], [FOREIGN], [output(STRANGER, TIME)])
        self.assertEqual(self.effect(tx), Effect(0, 0, None, ()))
