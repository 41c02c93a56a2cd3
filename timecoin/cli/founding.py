"""Making a genesis: what ``genesis create`` and a local devnet have in common."""

from __future__ import annotations

from collections.abc import Sequence

from timecoin.crypto.vrf import vrf_public
from timecoin.ledger.genesis import GENESIS_VERSION, Allocation, Genesis, GenesisValidator
from timecoin.node.keyfiles import ValidatorKeys
from timecoin.params import UNITS_PER_TIME, Network

NEVER_EXPIRES = 2**63 - 1
DEFAULT_WEIGHT = 100
DEFAULT_SLOT_MS = {Network.MAINNET: 600_000, Network.TESTNET: 600_000, Network.DEVNET: 10_000}
DEFAULT_BASE_REWARD_UNITS = {
    Network.MAINNET: 100 * UNITS_PER_TIME,
    Network.TESTNET: 100 * UNITS_PER_TIME,
    Network.DEVNET: UNITS_PER_TIME,
}


def founding_validator(
    keys: ValidatorKeys, weight: int, payout_hash: bytes, expiry_height: int = NEVER_EXPIRES
) -> GenesisValidator:
    """The public side of ``keys`` as a founding member."""
    return GenesisValidator(
        pubkey=keys.voting_key.public,
        vrf_pubkey=vrf_public(keys.vrf_seed),
        weight=weight,
        payout_hash=payout_hash,
        expiry_height=expiry_height,
    )


def new_genesis(
    network: Network,
    time_ms: int,
    slot_ms: int,
    base_reward_units: int,
    validators: Sequence[GenesisValidator],
    allocations: Sequence[Allocation],
) -> Genesis:
    """A genesis of the current version; whether it is sound ``check_genesis`` says."""
    return Genesis(
        version=GENESIS_VERSION,
        network=network,
        time_ms=time_ms,
        slot_ms=slot_ms,
        base_reward=base_reward_units,
        validators=tuple(validators),
        allocations=tuple(allocations),
    )
