"""The wallet as several groups of methods use it: payments sent, addresses read, errors told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from timecoin.crypto.address import AddressError, decode_address
from timecoin.crypto.secretbox import WrongPassphrase
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.transaction import Transaction
from timecoin.mempool.entry import Admission, Verdict
from timecoin.params import Network
from timecoin.rpc.condition import Condition
from timecoin.rpc.errors import (
    INSUFFICIENT_FUNDS,
    INVALID_PARAMETER,
    NOT_FOUND,
    PASSPHRASE_NEEDED,
    WALLET_ERROR,
    WRONG_ENCRYPTION_STATE,
    WRONG_PASSPHRASE,
    RpcError,
)
from timecoin.rpc.ports import Submit
from timecoin.rpc.refusal import refusal
from timecoin.wallet.errors import (
    InsufficientFunds,
    LabelRefused,
    LockRefused,
    WalletError,
    WalletLocked,
    WrongState,
)
from timecoin.wallet.service import WalletService
from timecoin.wallet.wallet import Wallet

T = TypeVar("T")
Paid = TypeVar("Paid")


class Purse:
    """One wallet, the network that it is for, and the way in for its payments."""

    def __init__(
        self, service: WalletService, network: Network, submit: Submit, condition: Condition
    ) -> None:
        self.service = service
        self.network = network
        self._submit = submit
        self._condition = condition

    @property
    def wallet(self) -> Wallet:
        """Keys and coins."""
        return self.service.wallet

    def script(self, address: str) -> bytes:
        """The script that pays to ``address``; RPC error -5."""
        try:
            return pay_to_pubkey_hash(decode_address(self.network, address))
        except AddressError as error:
            raise RpcError(NOT_FOUND, f"Invalid address: {error}") from error

    def own_script(self, address: str) -> bytes:
        """The same of an address of this wallet; RPC error -5 also for another."""
        script = self.script(address)
        if not self.wallet.is_mine(script):
            raise RpcError(NOT_FOUND, "address is not the wallet's own")
        return script

    def pay(self, make: Callable[[], Paid], tx_of: Callable[[Paid], Transaction]) -> Paid:
        """Send the transaction that ``make`` has the wallet sign.

        RPC errors of the wallet, or -25 and -26 when the pool refuses: the coins are free then.
        """
        self._condition.require_current()
        with wallet_errors():
            paid = make()
        tx = tx_of(paid)
        verdict = self._submit(tx)
        if verdict.admission not in (Admission.ACCEPTED, Admission.KNOWN):
            self.wallet.abandon(tx.txid)
            raise refusal(verdict)
        return paid

    def offer(self, tx: Transaction) -> Verdict:
        """What the pool says to ``tx``, which it has taken if it likes it."""
        return self._submit(tx)


@contextmanager
def wallet_errors() -> Iterator[None]:
    """What the wallet refuses inside, as RPC errors."""
    try:
        yield
    except WrongPassphrase as error:
        message = "Error: The wallet passphrase entered was incorrect."
        raise RpcError(WRONG_PASSPHRASE, message) from error
    except WalletError as error:
        raise RpcError(_code(error), str(error)) from error


async def translated(work: Awaitable[T]) -> T:
    """The result of ``work``, with the wallet's refusals as RPC errors."""
    with wallet_errors():
        return await work


def refuse_set(**options: bool) -> None:
    """RPC error -8 for an option of Bitcoin's that is set and means nothing here."""
    for name, is_set in options.items():
        if is_set:
            raise RpcError(INVALID_PARAMETER, f"{name}: not supported")


def _code(error: WalletError) -> int:
    match error:
        case WalletLocked():
            return PASSPHRASE_NEEDED
        case InsufficientFunds():
            return INSUFFICIENT_FUNDS
        case WrongState():
            return WRONG_ENCRYPTION_STATE
        case LockRefused() | LabelRefused():
            return INVALID_PARAMETER
        case _:
            return WALLET_ERROR
