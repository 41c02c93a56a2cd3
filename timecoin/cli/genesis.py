"""``timecoin-cli genesis``: make a genesis file and the keys of its validators, or check one."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click

from timecoin.cli import founding
from timecoin.cli.parameters import AllocationText, Amount, KeyName, Seconds
from timecoin.crypto.address import AddressError, decode_address, encode_address
from timecoin.ledger.amount import format_time
from timecoin.ledger.genesis import Allocation, Genesis, GenesisError, genesis_to_json
from timecoin.node.atomicfile import write_atomically
from timecoin.node.genesisfile import GenesisFileError, read_genesis
from timecoin.node.keyfiles import (
    KeyFileError,
    ValidatorKeys,
    load_validator_keys,
    new_validator_keys,
    write_validator_keys,
)
from timecoin.params import Network, network_of

NETWORKS = click.Choice([network.label for network in Network])
LAST_DATE_MS = 253_402_300_799_000
"""The end of the year 9999: a calendar shows no later moment."""
FILE = click.Path(path_type=Path)

T = TypeVar("T")


@click.group()
def genesis() -> None:
    """Make and check genesis files."""


@genesis.command()
@click.option("--network", "label", type=NETWORKS, required=True)
@click.option("--slot", "slot_ms", type=Seconds(), help="Slot length [600; devnet 10].")
@click.option("--base-reward", type=Amount(), help="Base of block rewards [100; devnet 1].")
@click.option(
    "--validator",
    "names",
    type=KeyName(),
    multiple=True,
    required=True,
    help="A founding validator; its key is KEYS_DIR/NAME.key, made if missing. Repeatable.",
)
@click.option(
    "--keys-dir", type=FILE, default=Path("keys"), show_default=True, help="Where keys are."
)
@click.option(
    "--weight",
    "weights",
    type=click.IntRange(1, 2**32 - 1),
    multiple=True,
    help="Weight of every validator, or one for each in the same order [100].",
)
@click.option(
    "--payout",
    "payouts",
    multiple=True,
    required=True,
    metavar="ADDRESS",
    help="Where rewards go: one address for all, or one for each validator.",
)
@click.option(
    "--expiry-height",
    type=click.IntRange(1, founding.NEVER_EXPIRES),
    default=founding.NEVER_EXPIRES,
    help="Height at which founding validators must leave [never].",
)
@click.option(
    "--allocation",
    "allocations",
    type=AllocationText(),
    multiple=True,
    help="Coins that exist from the start. Repeatable.",
)
@click.option("--out", type=FILE, required=True, help="The genesis file to write.")
def create(
    label: str,
    slot_ms: int | None,
    base_reward: int | None,
    names: tuple[str, ...],
    keys_dir: Path,
    weights: tuple[int, ...],
    payouts: tuple[str, ...],
    expiry_height: int,
    allocations: tuple[tuple[str, int], ...],
    out: Path,
) -> None:
    """Write a genesis file, and the keys of its validators where there are none.

    Nothing is written unless everything is sound; no existing file is replaced.
    """
    network = network_of(label)
    if len(set(names)) != len(names):
        raise click.UsageError("two validators have the same name")
    if out.exists():
        raise click.ClickException(f"{out} exists; a genesis is never overwritten")
    payout_hashes = [_pubkey_hash(network, text) for text in _for_each("payout", payouts, names)]
    try:
        keys = {name: _existing_keys(keys_dir, name) for name in names}
        new = {name: new_validator_keys(os.urandom) for name in names if keys[name] is None}
        made = founding.new_genesis(
            network,
            time_ms=int(time.time() * 1000),
            slot_ms=slot_ms or founding.DEFAULT_SLOT_MS[network],
            base_reward_units=(
                founding.DEFAULT_BASE_REWARD_UNITS[network] if base_reward is None else base_reward
            ),
            validators=[
                founding.founding_validator(
                    keys[name] or new[name], weight, payout_hash, expiry_height
                )
                for name, weight, payout_hash in zip(
                    names,
                    _for_each("weight", weights or (founding.DEFAULT_WEIGHT,), names),
                    payout_hashes,
                    strict=True,
                )
            ],
            allocations=[
                Allocation(_pubkey_hash(network, address), units) for address, units in allocations
            ],
        )
        text = genesis_to_json(made)
        for name, fresh in new.items():
            write_validator_keys(keys_dir / f"{name}.key", fresh)
        write_atomically(out, text.encode())
    except (GenesisError, KeyFileError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from error
    for name in new:
        click.echo(f"key {keys_dir / f'{name}.key'}")
    click.echo(f"genesis {out}")
    click.echo(f"hash {made.hash.hex()}")


@genesis.command()
@click.argument("file", type=FILE)
def show(file: Path) -> None:
    """Check a genesis file and print what it says."""
    try:
        found = read_genesis(file)
    except GenesisFileError as error:
        raise click.ClickException(str(error)) from error
    for line in describe(found.genesis):
        click.echo(line)


def describe(found: Genesis) -> list[str]:
    """The lines of ``genesis show``."""
    network = Network(found.network)
    total_weight = sum(validator.weight for validator in found.validators)
    supply = sum(item.value for item in found.allocations)
    lines = [
        f"hash         {found.hash.hex()}",
        f"chain id     {found.chain_id.hex()}",
        f"network      {network.label}",
        f"time         {_moment(found.time_ms)}",
        f"slot         {found.slot_ms / 1000:g} s",
        f"base reward  {format_time(found.base_reward)} TIME",
        f"validators   {len(found.validators)}, weight {total_weight}",
    ]
    for validator in found.validators:
        until = (
            ""
            if validator.expiry_height == founding.NEVER_EXPIRES
            else (f", until height {validator.expiry_height}")
        )
        payout = encode_address(network, validator.payout_hash)
        lines.append(f"  {validator.pubkey.hex()} weight {validator.weight}, pays {payout}{until}")
    lines.append(f"allocations  {len(found.allocations)}, {format_time(supply)} TIME")
    for item in found.allocations:
        address = encode_address(network, item.pubkey_hash)
        lines.append(f"  {address} {format_time(item.value)} TIME")
    return lines


def _moment(time_ms: int) -> str:
    if time_ms > LAST_DATE_MS:
        return f"{time_ms} ms"
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _for_each(option: str, values: Sequence[T], names: Sequence[str]) -> Sequence[T]:
    if len(values) == 1:
        return list(values) * len(names)
    if len(values) != len(names):
        raise click.UsageError(
            f"--{option} is given {len(values)} times for {len(names)} validators: "
            "once for all, or once for each"
        )
    return values


def _pubkey_hash(network: Network, address: str) -> bytes:
    try:
        return decode_address(network, address)
    except AddressError as error:
        raise click.UsageError(f"{address}: {error}") from error


def _existing_keys(keys_dir: Path, name: str) -> ValidatorKeys | None:
    path = keys_dir / f"{name}.key"
    return load_validator_keys(path) if path.exists() else None
