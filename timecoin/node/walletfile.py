"""The wallet's file at the start of a node.

A passphrase comes from the environment, never from a setting: files and command lines are read by
others. A sealed wallet without one is opened locked.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from timecoin.crypto.secretbox import WrongPassphrase
from timecoin.node.config import WALLET_NAME
from timecoin.params import Network
from timecoin.wallet.errors import WalletError, WalletMissing
from timecoin.wallet.keystore import NEW_ENTROPY_BYTES, Keystore
from timecoin.wallet.sealing import Sealing

PASSPHRASE_VARIABLE = "TIMECOIN_WALLET_PASSPHRASE"


class WalletStartError(Exception):
    """A wallet that a node cannot start with; one line for the operator."""


def open_wallet(datadir: Path, network: Network, environment: Mapping[str, str]) -> Keystore | None:
    """The wallet in ``datadir``, unlocked if a passphrase is given; None if there is none yet.

    :class:`WalletStartError` for a wrong passphrase or a file that cannot be used. Nothing is
    written.
    """
    passphrase = environment.get(PASSPHRASE_VARIABLE)
    try:
        keystore = Keystore.open(datadir / WALLET_NAME, network)
        if passphrase:
            keystore.unlock(passphrase)
    except WalletMissing:
        return None
    except WrongPassphrase as error:
        raise WalletStartError(f"wallet: wrong passphrase in {PASSPHRASE_VARIABLE}") from error
    except WalletError as error:
        raise WalletStartError(f"wallet: {error}") from error
    return keystore


def create_wallet(datadir: Path, network: Network, environment: Mapping[str, str]) -> Keystore:
    """A new wallet in ``datadir``, sealed if a passphrase is given; :class:`WalletStartError`."""
    passphrase = environment.get(PASSPHRASE_VARIABLE) or None
    try:
        return Keystore.create(
            datadir / WALLET_NAME,
            network,
            os.urandom(NEW_ENTROPY_BYTES),
            int(time.time() * 1000),
            passphrase,
            None if passphrase is None else Sealing(os.urandom),
        )
    except WalletError as error:
        raise WalletStartError(f"wallet: {error}") from error
