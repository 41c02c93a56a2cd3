"""Random payments that spend genesis coins and each other's outputs."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support.ledger_kit import coin, created, genesis, output, spend, user
from timecoin.crypto.keys import SigningKey
from timecoin.ledger.connect import Coin
from timecoin.ledger.script import data
from timecoin.ledger.transaction import Transaction

USERS = 6
HEIGHT = 7
FEE_UNITS = 200_000
START = genesis(users=USERS, coin_units=100_000_000)
COINS = [coin(START, number) for number in range(USERS)]


@st.composite
def payments(draw: st.DrawFn) -> tuple[Transaction, ...]:
    """Up to six transactions, each valid after those before it, with a fee of FEE_UNITS each."""
    free: list[tuple[SigningKey, Coin]] = [(user(n), COINS[n]) for n in range(USERS)]
    made = []
    for _ in range(draw(st.integers(0, 6))):
        chosen = [
            free.pop(draw(st.integers(0, len(free) - 1)))
            for _ in range(draw(st.integers(1, min(3, len(free)))))
        ]
        rest = sum(source[1].value for _, source in chosen) - FEE_UNITS
        payees = [user(draw(st.integers(0, USERS - 1))) for _ in range(draw(st.integers(1, 3)))]
        share = rest // len(payees)
        values = [share] * (len(payees) - 1) + [rest - share * (len(payees) - 1)]
        outputs = [output(to, value) for to, value in zip(payees, values, strict=True)]
        if draw(st.booleans()):
            outputs.append(output(data(b"memo"), 0))
        tx = spend(
            START.chain_id, [owner for owner, _ in chosen], [found for _, found in chosen], outputs
        )
        made.append(tx)
        free += [(to, created(tx, index, HEIGHT)) for index, to in enumerate(payees)]
    return tuple(made)
