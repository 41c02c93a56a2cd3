"""``timecoin-cli keys``: the voting keys of a masternode, in a file of its node."""

from __future__ import annotations

import os
from pathlib import Path

import click

from timecoin.cli.parameters import KeyName
from timecoin.cli.rpc.command import apply_output, output_options
from timecoin.cli.rpc.session import Session, pass_session
from timecoin.crypto.vrf import vrf_public
from timecoin.node.keyfiles import (
    KeyFileError,
    ValidatorKeys,
    load_validator_keys,
    new_validator_keys,
    validator_key_path,
    write_validator_keys,
)


@click.group()
def keys() -> None:
    """Make and look at voting keys, without a node."""


@keys.command()
@click.argument("name", type=KeyName())
@pass_session
def new(session: Session, /, name: str, **output: bool | None) -> None:
    """Make DATADIR/keys/NAME.key, with which a node votes as --validator-id NAME.

    It shows the two public keys, which masternoderegister needs on another node. No file is
    replaced.
    """
    apply_output(session, output)
    path = validator_key_path(session.connection.config.datadir, name)
    made = new_validator_keys(os.urandom)
    try:
        write_validator_keys(path, made)
    except KeyFileError as error:
        raise click.ClickException(str(error)) from error
    session.screen.show(_shown(path, made))


@keys.command()
@click.argument("name", type=KeyName())
@pass_session
def show(session: Session, /, name: str, **output: bool | None) -> None:
    """Show the public keys of DATADIR/keys/NAME.key."""
    apply_output(session, output)
    path = validator_key_path(session.connection.config.datadir, name)
    try:
        session.screen.show(_shown(path, load_validator_keys(path)))
    except KeyFileError as error:
        raise click.ClickException(str(error)) from error


new.params += output_options()
show.params += output_options()


def _shown(path: Path, found: ValidatorKeys) -> dict[str, str]:
    return {
        "file": str(path),
        "pubkey": found.voting_key.public.hex(),
        "vrf_pubkey": vrf_public(found.vrf_seed).hex(),
    }
