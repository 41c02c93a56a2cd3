"""``timecoin-cli wallet``: the wallet file of a node that is not running, or not yet."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from timecoin.cli.rpc.command import apply_output, output_options
from timecoin.cli.rpc.session import Session, pass_session
from timecoin.crypto.address import encode_address
from timecoin.node.config import WALLET_NAME
from timecoin.node.walletfile import PASSPHRASE_VARIABLE
from timecoin.wallet.derive import Branch
from timecoin.wallet.errors import WalletError
from timecoin.wallet.keystore import Keystore
from timecoin.wallet.sealing import Sealing
from timecoin.wallet.walletfile import read_wallet
from timecoin.wallet.words import WordsError, entropy_of, words_of

ENTROPY_BYTES = {"12": 16, "24": 32}
"""By the number of words."""
WORDS_A_LINE = 4
FILE = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The wallet [DATADIR/wallet.dat].",
)
ACCOUNT = click.option(
    "--account",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    show_default=True,
    help="Number of the account of the words.",
)
UNSEALED = click.option(
    "--no-passphrase", is_flag=True, help="Whoever has the file has the coins, then."
)


@click.group()
def wallet() -> None:
    """Make, restore and look at a wallet file, without a node."""


@wallet.command()
@FILE
@click.option("--words", "count", type=click.Choice(list(ENTROPY_BYTES)), default="24")
@ACCOUNT
@UNSEALED
@pass_session
def new(
    session: Session,
    /,
    path: Path | None,
    count: str,
    account: int,
    no_passphrase: bool,
    **output: bool | None,
) -> None:
    """Make a new wallet and show its words, once.

    The passphrase is that of TIMECOIN_WALLET_PASSPHRASE, or asked for. No file is replaced.
    """
    apply_output(session, output)
    entropy = os.urandom(ENTROPY_BYTES[count])
    made = _create(session, path, entropy, _now_ms(), account, no_passphrase)
    words = words_of(entropy)
    screen = session.screen
    if screen.tables:
        screen.note("These words are the wallet. Write them down; they are shown only now.")
        for line in numbered(words):
            click.echo(line)
        screen.show(made)
    else:
        screen.show({**made, "words": words})


@wallet.command()
@FILE
@ACCOUNT
@UNSEALED
@pass_session
def restore(
    session: Session,
    /,
    path: Path | None,
    account: int,
    no_passphrase: bool,
    **output: bool | None,
) -> None:
    """Make the wallet of words that you have, asked for or read from standard input.

    The node searches the whole chain for its coins at its next start.
    """
    apply_output(session, output)
    if sys.stdin.isatty():
        words = click.prompt("The words, in order", err=True)
    else:
        words = sys.stdin.readline()
    try:
        entropy = entropy_of(words)
    except WordsError as error:
        raise click.ClickException(str(error)) from error
    session.screen.show(_create(session, path, entropy, 0, account, no_passphrase))


@wallet.command()
@FILE
@pass_session
def info(session: Session, /, path: Path | None, **output: bool | None) -> None:
    """Check a wallet file and tell what is in it, no secrets."""
    apply_output(session, output)
    network = session.connection.config.network
    path = path or session.connection.config.datadir / WALLET_NAME
    try:
        content = read_wallet(path, network)
        keystore = Keystore.open(path, network)
    except WalletError as error:
        raise click.ClickException(str(error)) from error
    session.screen.show(
        {
            "file": str(path),
            "network": network.label,
            "sealed": keystore.sealed,
            "account": content.account,
            "created": _date(keystore.created_ms),
            "addresses": keystore.count(Branch.RECEIVE),
            "change_addresses": keystore.count(Branch.CHANGE),
            "labels": len(keystore.labels),
            "locked_coins": len(keystore.kept_locks),
            "behind": content.behind,
        }
    )


for command in (new, restore, info):
    command.params += output_options()


def numbered(words: str) -> list[str]:
    """The words with their numbers, a few on a line."""
    cells = [f"{number:2}. {word:<8}" for number, word in enumerate(words.split(), start=1)]
    return [
        "  ".join(cells[first : first + WORDS_A_LINE]).rstrip()
        for first in range(0, len(cells), WORDS_A_LINE)
    ]


def _create(
    session: Session,
    path: Path | None,
    entropy: bytes,
    created_ms: int,
    account: int,
    no_passphrase: bool,
) -> dict[str, object]:
    """Write the file and hand out its first address; what the user is told of it."""
    config = session.connection.config
    path = path or config.datadir / WALLET_NAME
    if path.exists():
        raise click.ClickException(f"{path} exists; a wallet is never overwritten")
    passphrase = None if no_passphrase else _passphrase()
    sealing = None if passphrase is None else Sealing(os.urandom)
    try:
        keystore = Keystore.create(
            path, config.network, entropy, created_ms, passphrase, sealing, account
        )
        first = keystore.take(Branch.RECEIVE)
    except WalletError as error:
        raise click.ClickException(str(error)) from error
    return {
        "file": str(path),
        "network": config.network.label,
        "sealed": keystore.sealed,
        "address": encode_address(config.network, first),
    }


def _passphrase() -> str:
    """From the environment, else asked for twice."""
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given:
        return given
    if not sys.stdin.isatty():
        raise click.UsageError(f"no passphrase: set {PASSPHRASE_VARIABLE}, or say --no-passphrase")
    asked: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    return asked


def _date(time_ms: int) -> str | None:
    if not time_ms:
        return None  # old words: nobody knows
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds")


def _now_ms() -> int:
    return int(time.time() * 1000)
