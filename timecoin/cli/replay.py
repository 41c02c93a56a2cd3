"""``timecoin-cli replay``: a recorded node runs again, and every effect must be the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from timecoin.cli.rpc.command import apply_output, output_options
from timecoin.cli.rpc.session import Session, pass_session
from timecoin.consensus.seat import Identity
from timecoin.node.keyfiles import (
    KEYS_DIRECTORY,
    NODE_KEY_NAME,
    KeyFileError,
    load_validator_keys,
)
from timecoin.node.recording.file import RecordingError, RecordingReader
from timecoin.sim.replay import Difference, Replayed
from timecoin.sim.replay import replay as replay_recording
from timecoin.store.engine import StoreError

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--keys",
    "keys_path",
    type=FILE,
    help="Key file of the recorded validator [the one in DATADIR/keys that fits].",
)
@click.option(
    "--trace",
    "trace_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a line for every input, answer and effect to this file.",
)
@pass_session
def replay(
    session: Session,
    /,
    file: Path,
    keys_path: Path | None,
    trace_path: Path | None,
    **output: bool | None,
) -> None:
    """Run again what a node with --record has written to FILE.

    The node is given the recorded inputs; all that it sends, writes and asks for must come byte for
    byte as it was recorded. Exit status 1 at the first difference, which is shown. To sign, a
    validator's keys are needed: they are not in the recording.
    """
    apply_output(session, output)
    try:
        with file.open("rb") as opened:
            recording = RecordingReader(opened)
            pubkey = recording.header.voting_pubkey
            identity = None if pubkey is None else _identity(session, pubkey, keys_path)
            if trace_path is None:
                done = replay_recording(recording, identity)
            else:
                done = _traced(recording, identity, trace_path)
    except (RecordingError, KeyFileError, Difference, StoreError, OSError) as error:
        raise click.ClickException(str(error)) from error
    session.screen.show(
        {
            "software": recording.header.software,
            "turns": done.turns,
            "effects": done.effects,
            "height": done.height,
            "digest": done.digest,
            "cut_off": done.cut_off,
        }
    )


replay.params += output_options()


def _traced(recording: RecordingReader, identity: Identity | None, path: Path) -> Replayed:
    with path.open("w", encoding="utf-8") as trace:

        def write(line: str) -> None:
            trace.write(line + "\n")

        return replay_recording(recording, identity, write)


def _identity(session: Session, pubkey: bytes, given: Path | None) -> Identity:
    """The keys of the validator ``pubkey``; ``KeyFileError`` when they are not found."""
    directory = session.connection.config.datadir / KEYS_DIRECTORY
    paths: Iterable[Path] = [given] if given is not None else sorted(directory.glob("*.key"))
    for path in paths:
        if path.name != NODE_KEY_NAME:
            keys = load_validator_keys(path)
            if keys.voting_key.public == pubkey:
                return Identity(keys.voting_key, keys.vrf_seed)
    where = directory if given is None else given
    raise KeyFileError(f"{where} does not hold the key of {pubkey.hex()}: name it by --keys")
