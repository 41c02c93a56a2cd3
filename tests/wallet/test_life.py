"""Any course of events: the wallet agrees with a count made from chain and pool alone."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import output, spend
from tests.wallet.kit import CHAIN_ID, STRANGER, TIME, Fixture, script_at
from timecoin import params
from timecoin.finality.events import Status
from timecoin.ledger.transaction import Transaction, TxOutput, outpoint
from timecoin.wallet.coins import Balance
from timecoin.wallet.derive import Branch
from timecoin.wallet.errors import InsufficientFunds, PaymentRefused
from timecoin.wallet.wallet import Wallet

CERTIFIED = (Status.CERTIFIED, Status.FINAL)
OWN = {script_at(branch, index) for branch in Branch for index in range(120)}

# Named more than once: what makes the other steps possible.
STEPS = ["promise", "receive", "receive", "advance", "advance", "send", "send", "send"]
STEPS += ["block", "block", "reward", "refuse", "reject", "usurp", "restart"]
steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2**16)), min_size=20, max_size=50)


class Course:
    """Turns steps into what may really happen."""

    def __init__(self, fixture: Fixture) -> None:
        self.fixture = fixture
        self.world = fixture.world

    def take(self, step: str, number: int) -> None:
        getattr(self, step)(number)

    def chosen(self, number: int, *statuses: Status) -> Transaction | None:
        """A transaction of the pool whose status is none of ``statuses``."""
        found = [tx for tx, status in self.world.pool.values() if status not in statuses]
        return found[number % len(found)] if found else None

    def promise(self, number: int) -> None:
        units = 1 + number * TIME // 1_000
        self.world.promise(script_at(Branch.RECEIVE, number % 15), max(units, params.DUST_UNITS))

    def receive(self, number: int) -> None:
        self.fixture.receive(TIME + number * TIME // 1_000, number % 15)

    def advance(self, number: int) -> None:
        tx = self.chosen(number, Status.FINAL)
        if tx is not None:
            certified = self.world.pool[tx.txid][1] is Status.CERTIFIED
            self.fixture.reach(tx, Status.FINAL if certified else Status.CERTIFIED)

    def send(self, number: int) -> None:
        before = {point for tx, _ in self.world.pool.values() for point in tx.outpoints}
        spendable = self.fixture.wallet.balance().spendable
        try:
            # The pool's check_spend refuses foreign, immature and missing coins.
            tx = self.fixture.send(1 + number * TIME // 500, *range(number % 2))
        except (InsufficientFunds, PaymentRefused):
            assert self.fixture.wallet.balance().spendable == spendable
            return
        assert not before.intersection(tx.outpoints), "spent twice"

    def refuse(self, number: int) -> None:
        """The node does not take a payment."""
        try:
            tx = self.fixture.wallet.send([output(STRANGER, 1 + number * TIME // 500)])
        except (InsufficientFunds, PaymentRefused):
            return
        self.fixture.wallet.abandon(tx.txid)

    def reject(self, number: int) -> None:
        tx = self.chosen(number, *CERTIFIED)
        if tx is not None:
            self.world.remove(tx.txid)
            status = Status.REJECTED if number % 2 else Status.EXPIRED
            self.fixture.wallet.on_status(tx.txid, status, None)

    def block(self, number: int) -> None:
        """Archives final transactions, parents first, perhaps not all of them."""
        final = [tx for tx, status in self.world.pool.values() if status is Status.FINAL]
        self.fixture.block(*final[: 1 + number % 4])

    def reward(self, number: int) -> None:
        self.fixture.block(reward=[TxOutput(TIME, script_at(Branch.RECEIVE, number % 15))])

    def usurp(self, number: int) -> None:
        """Another holder of the seed has a coin archived that we may be spending."""
        coins = [
            (point, utxo)
            for point, utxo in self.world.utxos()
            if utxo.script in OWN and not utxo.coinbase and utxo.value > params.MIN_FEE_UNITS * 2
        ]
        if coins:
            point, utxo = coins[number % len(coins)]
            path = self.fixture.keystore.owner(utxo.script)
            assert path is not None
            owner = self.fixture.keystore.key(path)
            left = output(STRANGER, utxo.value - params.MIN_FEE_UNITS)
            self.fixture.block(spend(CHAIN_ID, [owner], [(point, utxo)], [left]))

    def restart(self, number: int) -> None:
        self.fixture.restart()

    def expected(self) -> Balance:
        """The sums, from the chain and the pool alone."""
        waiting = list(self.world.pool.values())
        ours = [
            (tx, status)
            for tx, status in waiting
            if status in CERTIFIED or tx.witnesses[0][0] != STRANGER.public
        ]
        taken = {point for tx, _ in waiting for point in tx.outpoints}
        sums = dict.fromkeys(("spendable", "pending", "immature"), 0)
        for point, utxo in self.world.utxos():
            if utxo.script in OWN and point not in taken:
                rest = utxo.height + params.COINBASE_MATURITY_BLOCKS if utxo.coinbase else 0
                name = "immature" if rest > self.world.tip_height + 1 else "spendable"
                sums[name] += utxo.value
        for tx, status in ours:
            for index, made in enumerate(tx.outputs):
                if made.lock_script in OWN and outpoint(tx.txid, index) not in taken:
                    sums["spendable" if status is Status.FINAL else "pending"] += made.value
        return Balance(**sums)


class LifeTests(SynchronousTestCase):
    def check_sums(self, wallet: Wallet) -> None:
        """Balances are sums of what is listed, however they are restricted."""
        for minconf in (0, 1, 2, 4):
            coins = list(wallet.unspent(minconf))
            balance = wallet.balance(minconf)
            ages = [(-coin.confirmations, coin.point) for coin in coins]
            self.assertEqual(ages, sorted(ages), "oldest first")
            listed = sum(coin.utxo.value for coin in coins)
            self.assertEqual(listed, balance.spendable + balance.pending)
            for script in {coin.utxo.script for coin in coins}:
                balance = wallet.balance(minconf, script)
                listed = sum(coin.utxo.value for coin in wallet.unspent(minconf, scripts=[script]))
                self.assertEqual(listed, balance.spendable + balance.pending)

    @settings(max_examples=80, deadline=None)
    @given(steps)
    def test_the_wallet_agrees_with_chain_and_pool(self, course: list[tuple[str, int]]) -> None:
        with TemporaryDirectory() as folder:
            life = Course(Fixture(Path(folder) / "wallet"))
            for step, number in course:
                life.take(step, number)
                self.assertEqual(life.fixture.wallet.balance(), life.expected(), step)
            self.check_sums(life.fixture.wallet)
            life.restart(0)
            self.assertEqual(life.fixture.wallet.balance(), life.expected())
