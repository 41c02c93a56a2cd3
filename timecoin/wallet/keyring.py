"""What the keys of a wallet can do by themselves: addresses, their names, signatures."""

from __future__ import annotations

from timecoin.crypto.address import decode_address, encode_address
from timecoin.crypto.keys import SigningKey
from timecoin.ledger.script import TAG_PAY_TO_PUBKEY_HASH, pay_to_pubkey_hash
from timecoin.wallet.derive import Branch, path_text
from timecoin.wallet.errors import KeyMissing
from timecoin.wallet.keystore import Keystore
from timecoin.wallet.message import sign_message

_PAY_TO_PUBKEY_HASH = bytes((TAG_PAY_TO_PUBKEY_HASH,))


class KeyRing:
    """The keys of one keystore, as their owner uses them."""

    def __init__(self, keystore: Keystore) -> None:
        self.keystore = keystore

    @property
    def locked(self) -> bool:
        """Whether payments need the passphrase first."""
        return self.keystore.locked

    def new_address(self, label: str = "") -> str:
        """A fresh address to be paid at, called ``label``.

        :class:`WalletLocked` when a locked wallet has none left, :class:`LabelRefused`,
        :class:`WalletFileError`.
        """
        return encode_address(self.keystore.network, self.keystore.take(Branch.RECEIVE, label))

    def next_address(self) -> str:
        """What :meth:`new_address` would return; :class:`WalletLocked` as there."""
        return encode_address(self.keystore.network, self.keystore.peek(Branch.RECEIVE))

    def is_mine(self, script: bytes) -> bool:
        """Whether a key of ours spends ``script``."""
        return self.keystore.owner(script) is not None

    def set_label(self, address: str, label: str) -> None:
        """Call ``address``, own or foreign, ``label``; an empty one takes the name away.

        ``AddressError``, :class:`LabelRefused`, :class:`WalletFileError`: nothing has changed.
        """
        self.keystore.set_label(decode_address(self.keystore.network, address), label)

    def label_of(self, script: bytes) -> str | None:
        """What the user calls the address that ``script`` pays to; None if it has no name."""
        if script[:1] != _PAY_TO_PUBKEY_HASH:
            return None
        return self.keystore.labels.get(script[1:])

    def labelled(self, label: str | None = None) -> dict[str, str]:
        """Address -> label of all that are called something, or called ``label``."""
        return {
            encode_address(self.keystore.network, pubkey_hash): name
            for pubkey_hash, name in self.keystore.labels.items()
            if label in (None, name)
        }

    def hd_path(self, script: bytes) -> str | None:
        """Where the own key that spends ``script`` stands: ``m/44'/2024'/0'/0'/7'``."""
        path = self.keystore.owner(script)
        return None if path is None else path_text(self.keystore.account, path)

    def sign_message(self, address: str, text: str) -> str:
        """``text`` signed with the key of ``address``; see :mod:`timecoin.wallet.message`.

        ``AddressError``, :class:`KeyMissing` for an address that is not ours,
        :class:`WalletLocked`, ``ValueError`` for text that is no Unicode.
        """
        return sign_message(self._key(address), text)

    def pubkey(self, address: str) -> bytes:
        """The public key of an own ``address``, such as a multisig needs.

        ``AddressError``, :class:`KeyMissing`, :class:`WalletLocked`: only key hashes are at hand
        while the wallet is locked.
        """
        return self._key(address).public

    def is_change(self, script: bytes) -> bool:
        """Whether ``script`` pays to a key that no one else was told."""
        path = self.keystore.owner(script)
        return path is not None and path.branch is Branch.CHANGE

    def lock(self) -> None:
        """Forget the private keys; :class:`WrongState` for a wallet without passphrase."""
        self.keystore.lock()

    def find_key(self, pubkey_hash: bytes) -> SigningKey | None:
        """The own private key whose public key has this hash; :class:`WalletLocked`."""
        path = self.keystore.owner(pay_to_pubkey_hash(pubkey_hash))
        return None if path is None else self.keystore.key(path)

    def _key(self, address: str) -> SigningKey:
        key = self.find_key(decode_address(self.keystore.network, address))
        if key is None:
            raise KeyMissing(f"the key of {address} is not in this wallet")
        return key
