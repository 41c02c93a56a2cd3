"""The wallet's passphrase and its file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from timecoin.rpc.condition import Condition
from timecoin.rpc.errors import INVALID_PARAMETER, WALLET_ERROR, RpcError
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.method import rpc_method
from timecoin.rpc.purse import Purse, translated, wallet_errors
from timecoin.rpc.rendering import Json
from timecoin.rpc.valuetypes import Integer, Text
from timecoin.wallet.derive import Branch
from timecoin.wallet.service import MAX_UNLOCK_S, Waiting

Seconds = Annotated[int, Integer(0, 2**63 - 1, label="seconds")]
Passphrase = Annotated[str, Text(max_chars=1_024, label="passphrase")]
PathText = Annotated[str, Text(max_chars=4_096, label="path")]


class PassphraseMethods:
    """Who may pay, and copies of the file."""

    def __init__(self, purse: Purse, condition: Condition, waiting: Waiting) -> None:
        """``waiting``: the pool's transactions and their status now."""
        self._purse = purse
        self._waiting = waiting
        self._condition = condition
        self._service = purse.service

    @rpc_method()
    async def walletpassphrase(self, passphrase: Passphrase, timeout: Seconds) -> None:
        """Allow payments for timeout seconds (at most three years).

        Errors: -14 wrong passphrase, -15 the wallet has none.
        """
        _refuse_empty(passphrase)
        await translated(self._service.unlock(passphrase, min(timeout, MAX_UNLOCK_S)))

    @rpc_method()
    def walletlock(self) -> None:
        """Forget the private keys until the next walletpassphrase; -15 without a passphrase."""
        with wallet_errors():
            self._service.lock()

    @rpc_method()
    async def encryptwallet(self, passphrase: Passphrase) -> str:
        """Seal the wallet under a passphrase for the first time; it is locked then.

        Error -15 when it has one already.
        """
        _refuse_empty(passphrase)
        await translated(self._service.change_passphrase(None, passphrase))
        return "wallet encrypted and locked: walletpassphrase unlocks it; keep the passphrase safe"

    @rpc_method()
    async def walletpassphrasechange(
        self, oldpassphrase: Passphrase, newpassphrase: Passphrase
    ) -> None:
        """Seal the wallet under another passphrase; locked or not, it stays so.

        Errors: -14 wrong passphrase, -15 the wallet has none.
        """
        _refuse_empty(oldpassphrase)
        _refuse_empty(newpassphrase)
        await translated(self._service.change_passphrase(oldpassphrase, newpassphrase))

    @rpc_method()
    async def restorewallet(self, wallet_name: PathText, backup_file: PathText) -> Json:
        """Go on with the wallet of a copy that backupwallet made, in the place of this one.

        This one is kept beside it, under the name in kept. wallet_name must be "": a node has one
        wallet. It is locked if the copy has a passphrase; the chain is read for its history. Error
        -4 when the copy is no sound wallet of this network.
        """
        if wallet_name:
            raise RpcError(INVALID_PARAMETER, 'wallet_name: must be ""')
        path = _path(backup_file, "backup_file")
        with _path_errors("read"):
            kept = await translated(self._service.exchange(path, self._waiting))
        return {"name": "", "kept": kept.name}

    @rpc_method()
    def backupwallet(self, destination: PathText) -> None:
        """Copy the wallet, sealed as it is, to a file or into a directory of the node's machine.

        Nothing is ever overwritten: error -4 when the name is taken or cannot be written.
        """
        path = _path(destination, "destination")
        with wallet_errors(), _path_errors("write"):
            self._purse.wallet.keystore.backup(path)

    @rpc_method()
    def getwalletinfo(self) -> Json:
        """The wallet in short: sums, keys, passphrase, and how far a walk over the chain is.

        unlocked_until is Unix time, 0 while it is locked; absent without a passphrase.
        """
        wallet, service = self._purse.wallet, self._service
        keystore, balance, scan = wallet.keystore, wallet.balance(), service.scanning
        shown: Json = {
            "walletname": "",
            "format": "timecoin",
            "balance": amount_json(balance.spendable),
            "unconfirmed_balance": amount_json(balance.pending),
            "immature_balance": amount_json(balance.immature),
            "staked_balance": amount_json(balance.staked),
            "addresses": keystore.count(Branch.RECEIVE),
            "keypoolsize": keystore.known - sum(keystore.count(branch) for branch in Branch),
            "birthtime": keystore.created_ms // 1000,
            "private_keys_enabled": True,
            "encrypted": keystore.sealed,
            "locked": wallet.locked,
            "scanning": False
            if scan is None
            else {
                "height": scan.height,
                "progress": (Decimal(scan.read) / scan.total).quantize(Decimal("0.0001")),
            },
        }
        if keystore.sealed:
            left_s = service.locks_in_s
            now_s = self._condition.now_ms // 1000
            shown["unlocked_until"] = 0 if wallet.locked or left_s is None else now_s + left_s
        return shown


def _refuse_empty(passphrase: str) -> None:
    if not passphrase:
        raise RpcError(INVALID_PARAMETER, "passphrase cannot be empty")


def _path(text: str, name: str) -> Path:
    if not text or "\0" in text:
        raise RpcError(INVALID_PARAMETER, f"{name}: not a path")
    return Path(text)


@contextmanager
def _path_errors(what: str) -> Iterator[None]:
    """A path that is none, whatever stands at its end, as RPC error -4."""
    try:
        yield
    except OSError as error:
        raise RpcError(WALLET_ERROR, f"cannot {what}: {error.strerror}") from error
