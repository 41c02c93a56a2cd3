"""Short ways to keys, a genesis, coins and signed payments for tests of every row.

Keys come from a small number, so that failures can be read and repeated. Users hold the genesis
coins: user ``i`` is ``user(i)`` and owns allocation ``i``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from timecoin import params
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import SigningKey
from timecoin.crypto.vrf import vrf_public
from timecoin.ledger.connect import Coin, UtxoDiff
from timecoin.ledger.genesis import Allocation, Genesis, GenesisValidator, genesis_utxos
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.signing import sign_transaction
from timecoin.ledger.transaction import (
    Outpoint,
    Transaction,
    TxInput,
    TxOutput,
    outpoint,
    split_outpoint,
)
from timecoin.ledger.utxo import Utxo

TIME = params.UNITS_PER_TIME
FEE_UNITS = 2 * params.MIN_FEE_UNITS
GENESIS_TIME_MS = 1_800_000_000_000
COIN_UNITS = 1_000 * TIME


def key(number: int) -> SigningKey:
    """The deterministic key ``number``."""
    return SigningKey(b"test key" + number.to_bytes(24, "little"))


def validator(number: int) -> SigningKey:
    """The voting key of genesis validator ``number``."""
    return key(1_000_000 + number)


def vrf_seed(number: int) -> bytes:
    """The VRF secret of genesis validator ``number``."""
    return key(2_000_000 + number).seed


def user(number: int) -> SigningKey:
    """The owner of genesis allocation ``number``."""
    return key(3_000_000 + number)


def script_of(owner: SigningKey) -> bytes:
    """The lock script that pays to ``owner``."""
    return pay_to_pubkey_hash(hash160(owner.public))


def genesis(
    validators: int = 3,
    *,
    weights: Sequence[int] = (),
    users: int = 4,
    coin_units: int = COIN_UNITS,
    network: params.Network = params.Network.DEVNET,
    slot_ms: int = 10_000,
    base_reward: int = TIME,
) -> Genesis:
    """A genesis with ``validators`` of weight 100 (or ``weights``) and one coin for each user.

    The reward of validator ``i`` goes to its voting key's hash.
    """
    chosen = tuple(weights) or (100,) * validators
    return Genesis(
        version=1,
        network=network,
        time_ms=GENESIS_TIME_MS,
        slot_ms=slot_ms,
        base_reward=base_reward,
        validators=tuple(
            GenesisValidator(
                pubkey=validator(number).public,
                vrf_pubkey=vrf_public(vrf_seed(number)),
                weight=weight,
                payout_hash=hash160(validator(number).public),
                expiry_height=1_000_000,
            )
            for number, weight in enumerate(chosen)
        ),
        allocations=tuple(
            Allocation(hash160(user(number).public), coin_units) for number in range(users)
        ),
    )


def coin(start: Genesis, number: int) -> Coin:
    """The genesis coin of ``user(number)``."""
    return genesis_utxos(start)[number]


def output(to: SigningKey | bytes, units: int) -> TxOutput:
    """An output to a key or a lock script."""
    return TxOutput(units, to if isinstance(to, bytes) else script_of(to))


def spend(
    chain_id: bytes,
    owners: Sequence[SigningKey],
    coins: Sequence[Coin],
    outputs: Sequence[TxOutput],
    *,
    lock_time: int = 0,
    sequence: int = params.SEQUENCE_FINAL,
) -> Transaction:
    """A signed transaction of ``coins``, each with one of ``owners``, to exactly ``outputs``."""
    inputs = tuple(TxInput(*split_outpoint(point), sequence) for point, _ in coins)
    unsigned = Transaction(
        params.TX_VERSION, inputs, tuple(outputs), lock_time, ((),) * len(inputs)
    )
    return sign_transaction(unsigned, [utxo for _, utxo in coins], chain_id, owners)


def pay(
    chain_id: bytes,
    owner: SigningKey,
    source: Coin,
    to: SigningKey | bytes,
    units: int,
    fee_units: int = FEE_UNITS,
) -> Transaction:
    """``owner`` pays ``units`` from the coin ``source`` to a key or script; change comes back."""
    change = source[1].value - units - fee_units
    outputs = [output(to, units)] + ([output(owner, change)] if change else [])
    return spend(chain_id, [owner], [source], outputs)


def created(tx: Transaction, index: int, height: int = 1, coinbase: bool = False) -> Coin:
    """Output ``index`` of ``tx`` as the coin that it is once archived at ``height``."""
    made = tx.outputs[index]
    return outpoint(tx.txid, index), Utxo(made.value, made.lock_script, height, coinbase)


class Coins:
    """A UTXO set in memory: implements ``UtxoView``."""

    def __init__(self, coins: Iterable[Coin] = ()) -> None:
        self.by_point: dict[Outpoint, Utxo] = dict(coins)

    def utxo(self, point: Outpoint) -> Utxo | None:
        """The unspent output ``point``."""
        return self.by_point.get(point)

    def apply(self, diff: UtxoDiff) -> None:
        """Take out what ``diff`` spends (it must be there), put in what it creates."""
        for point, utxo in diff.spent:
            if self.by_point.pop(point) != utxo:
                raise ValueError(f"{point.hex()} is another output than the diff says")
        for point, utxo in diff.created:
            if self.by_point.setdefault(point, utxo) is not utxo:
                raise ValueError(f"{point.hex()} exists already")
