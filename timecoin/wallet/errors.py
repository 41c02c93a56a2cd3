"""Why the wallet refuses; every text is one line for its user."""

from __future__ import annotations

from timecoin.ledger.amount import format_time


class WalletError(Exception):
    """Base of what a user of the wallet may be told."""


class WalletFileError(WalletError):
    """A wallet file that cannot be read, written or trusted."""


class WalletMissing(WalletFileError):
    """There is no wallet file under that name."""


class WalletLocked(WalletError):
    """The private keys are needed, and sealed: the passphrase has to be given first."""

    def __init__(self) -> None:
        super().__init__("the wallet is locked: unlock it with its passphrase first")


class ScanRunning(WalletError):
    """A walk over the chain is not over yet."""

    def __init__(self) -> None:
        super().__init__("the wallet is reading the chain already: wait for its end")


class WrongState(WalletError):
    """Sealing what is sealed, or unlocking what has no passphrase."""


class KeyMissing(WalletError):
    """An address whose key is not this wallet's."""


class PaymentRefused(WalletError):
    """A payment that no transaction can make: no output, dust, too large."""


class StakeRefused(WalletError):
    """A stake that cannot be given back: none of ours, or spent already."""


class LockRefused(WalletError):
    """A coin that cannot be locked or unlocked: none of ours, spent, or so already."""


class LabelRefused(WalletError):
    """A label that is too long or not one line."""


class InsufficientFunds(WalletError):
    """The coins that may be spent now do not reach."""

    def __init__(self, needed_units: int, available_units: int) -> None:
        """``needed_units`` include the fee."""
        super().__init__(
            f"{format_time(needed_units)} TIME are needed with the fee, "
            f"{format_time(available_units)} can be spent now"
        )
        self.needed_units = needed_units
        self.available_units = available_units
