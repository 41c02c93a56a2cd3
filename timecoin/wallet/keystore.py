"""The words' entropy at rest, and which of its keys are in use.

A sealed keystore knows the hashes of its keys while it is locked, some ahead of those handed
out: it sees payments and gives out addresses, but signs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from timecoin.crypto.hashing import PUBKEY_HASH_BYTES
from timecoin.crypto.keys import SigningKey
from timecoin.crypto.secretbox import SealedError, open_sealed
from timecoin.ledger.script import (
    PAY_TO_PUBKEY_HASH_BYTES,
    STAKE_BYTES,
    TAG_PAY_TO_PUBKEY_HASH,
    TAG_STAKE,
    Stake,
    parse_script,
)
from timecoin.ledger.transaction import Outpoint
from timecoin.params import Network
from timecoin.wallet.derive import Account, Branch, KeyPath
from timecoin.wallet.errors import LabelRefused, WalletFileError, WalletLocked, WrongState
from timecoin.wallet.sealing import Sealing
from timecoin.wallet.walletfile import (
    FORMAT,
    WalletFile,
    create_wallet,
    exchange_wallet,
    read_wallet,
    replace_wallet,
)
from timecoin.wallet.words import ENTROPY_BYTES, seed_of, words_of

NEW_ENTROPY_BYTES = 32
"""What a fresh wallet is made of: 24 words."""
MAX_LABEL_CHARS = 256
LOOKAHEAD = 20
"""Keys known beyond the last one in use, in each branch (the gap limit of BIP 44)."""


class Keystore:
    """One wallet file and the keys of its words.

    What takes Argon2id's time (:meth:`unsealed`, :meth:`Sealing.seal`) changes nothing and may run
    in a thread; everything else belongs to the loop.
    """

    def __init__(self, path: Path, network: Network, content: WalletFile) -> None:
        """Use :meth:`create` or :meth:`open`."""
        self._path = path
        self.network = network
        self._saved = content
        self._next = list(content.next)
        self._hashes = [_split(joined) for joined in content.hashes]
        self._paths = {
            pubkey_hash: KeyPath(branch, index)
            for branch in Branch
            for index, pubkey_hash in enumerate(self._hashes[branch])
        }
        self._account: Account | None = None
        self._behind = content.behind
        self._labels: Mapping[bytes, str] = dict(content.labels)

    @classmethod
    def create(
        cls,
        path: Path,
        network: Network,
        entropy: bytes,
        created_ms: int,
        passphrase: str | None = None,
        sealing: Sealing | None = None,
        account: int = 0,
    ) -> Keystore:
        """A new wallet file at ``path`` around the words of ``entropy``, unlocked.

        For a fresh wallet ``entropy`` are :data:`NEW_ENTROPY_BYTES` random bytes and ``created_ms``
        is the time now; for one that comes back from its words they are ``entropy_of(words)`` and
        0, so that the whole chain is searched for its keys. A ``passphrase`` needs a ``sealing``,
        and its time. ``ValueError`` for entropy that no words stand for;
        :class:`WalletFileError` when the file exists or cannot be written.
        """
        keys = Account(seed_of(words_of(entropy)), account)
        if (passphrase is None) != (sealing is None):
            raise ValueError("a passphrase and a way of sealing go together")
        secret = entropy
        if passphrase is not None and sealing is not None:
            secret = sealing.seal(entropy, passphrase)
        content = WalletFile(
            format=FORMAT,
            network=network,
            created_ms=created_ms,
            account=account,
            sealed=passphrase is not None,
            secret=secret,
            next=(0, 0),
            hashes=(b"", b""),
            behind=False,
            labels=(),
            locked=(),
        )
        keystore = cls(path, network, content)
        keystore._account = keys
        keystore._look_ahead()
        content = keystore._content()
        create_wallet(path, content)
        keystore._saved = content
        return keystore

    @classmethod
    def open(cls, path: Path, network: Network) -> Keystore:
        """The wallet in ``path``: locked if it is sealed.

        :class:`WalletFileError` when it is missing, unreadable, open to others, damaged, or of
        another network.
        """
        return cls._read(path, path, network)

    @classmethod
    def _read(cls, source: Path, path: Path, network: Network) -> Keystore:
        keystore = cls(path, network, read_wallet(source, network))
        if not keystore.sealed:
            keystore._admit(keystore._saved.secret)
        return keystore

    # reading

    @property
    def sealed(self) -> bool:
        """Whether the words rest under a passphrase."""
        return self._saved.sealed

    @property
    def locked(self) -> bool:
        """Whether the private keys are out of reach."""
        return self._account is None

    @property
    def created_ms(self) -> int:
        """Unix time before which no key of it was ever used; 0 if that is unknown."""
        return self._saved.created_ms

    @property
    def fingerprint(self) -> bytes:
        """Which wallet this is: the hash of its first receiving key."""
        return self._hashes[Branch.RECEIVE][0]

    @property
    def account(self) -> int:
        """The account of the words whose keys these are (BIP 44)."""
        return self._saved.account

    @property
    def known(self) -> int:
        """The number of keys that are recognized: those in use and some ahead."""
        return len(self._paths)

    def owner(self, script: bytes) -> KeyPath | None:
        """The own key that spends ``script``: pay-to-pubkey-hash or stake; None if none does."""
        if len(script) == PAY_TO_PUBKEY_HASH_BYTES and script[0] == TAG_PAY_TO_PUBKEY_HASH:
            return self._paths.get(script[1:])
        if len(script) == STAKE_BYTES and script[0] == TAG_STAKE:
            stake = parse_script(script)
            return self._paths.get(stake.owner_hash) if isinstance(stake, Stake) else None
        return None

    def key(self, path: KeyPath) -> SigningKey:
        """The private key at ``path``; :class:`WalletLocked`."""
        if self._account is None:
            raise WalletLocked
        return self._account.key(path)

    def count(self, branch: Branch) -> int:
        """The number of keys of ``branch`` handed out or seen in use."""
        return self._next[branch]

    def used_hashes(self, branch: Branch) -> tuple[bytes, ...]:
        """The key hashes of ``branch`` handed out or seen in use, oldest first."""
        return tuple(self._hashes[branch][: self._next[branch]])

    def peek(self, branch: Branch) -> bytes:
        """The key hash that :meth:`take` would hand out; :class:`WalletLocked` at their end."""
        index = self._next[branch]
        if index == len(self._hashes[branch]):
            raise WalletLocked
        return self._hashes[branch][index]

    # what its user notes

    @property
    def labels(self) -> Mapping[bytes, str]:
        """Key hash -> what the user calls it, of own and foreign addresses."""
        return self._labels

    def set_label(self, pubkey_hash: bytes, label: str) -> None:
        """Call the address of ``pubkey_hash`` ``label``; an empty one takes the name away.

        :class:`LabelRefused`, :class:`WalletFileError`: then nothing has changed.
        """
        before = self._labels
        self._labels = _relabelled(before, pubkey_hash, label)
        try:
            self.save()
        except WalletFileError:
            self._labels = before
            raise

    @property
    def kept_locks(self) -> tuple[Outpoint, ...]:
        """The locked coins that the file knows."""
        return self._saved.locked

    def keep_locks(self, points: tuple[Outpoint, ...]) -> None:
        """Have the file know exactly ``points`` as locked; :class:`WalletFileError`."""
        self._write(msgspec.structs.replace(self._content(), locked=points))

    # handing out keys

    def take(self, branch: Branch, label: str = "") -> bytes:
        """A fresh key hash, called ``label``; an address is on disk before anyone learns it.

        :class:`WalletLocked` when a locked wallet knows no further one, :class:`LabelRefused`,
        :class:`WalletFileError` when it cannot be written: then nothing has changed.
        """
        pubkey_hash = self.peek(branch)
        before = self._labels
        self._labels = _relabelled(before, pubkey_hash, label)
        self._next[branch] += 1
        self._look_ahead()
        try:
            if self._must_save(branch):
                self.save()
        except WalletFileError:
            self._next[branch] -= 1
            self._labels = before
            raise
        return pubkey_hash

    def mark_used(self, path: KeyPath) -> None:
        """Never hand out the key at ``path`` or one before it: it was seen in use.

        Not written at once; the chain tells it again after a crash.
        """
        if path.index >= self._next[path.branch]:
            self._next[path.branch] = path.index + 1
            self._behind = self._behind or self.locked
            self._look_ahead()

    def save(self) -> None:
        """Write what has changed since the last time; :class:`WalletFileError`."""
        content = self._content()
        if content != self._saved:
            self._write(content)

    def backup(self, destination: Path) -> Path:
        """Copy the wallet, sealed as it is, to ``destination`` or into that directory.

        Returns the path of the copy, which is whole or not there. :class:`WalletFileError` when the
        name is taken or it cannot be written.
        """
        path = destination / self._path.name if destination.is_dir() else destination
        create_wallet(path, self._content())
        return path

    def exchanged(self, backup: Path) -> tuple[Keystore, Path]:
        """The wallet of the copy ``backup`` in the place of this one, and where this one is kept.

        This keystore must not be used any more. :class:`WalletFileError`: nothing has changed.
        """
        self.save()
        restored = self._read(backup, self._path, self.network)
        return restored, exchange_wallet(self._path, restored._content())

    def _must_save(self, branch: Branch) -> bool:
        # A change key is nothing that others rely on, and the keys on disk reach beyond it: the
        # chain brings it back after a crash. So payments do not each wait for the disk.
        unsaved = self._next[branch] - self._saved.next[branch]
        return branch is Branch.RECEIVE or unsaved > LOOKAHEAD // 2

    # the passphrase

    def unsealed(self, passphrase: str | None) -> bytes:
        """The entropy, opened with ``passphrase`` (None for a wallet without one): a second's work.

        :func:`~timecoin.wallet.words.words_of` makes words of it.

        ``WrongPassphrase``; :class:`WrongState`; :class:`WalletFileError` for a box that is none.
        """
        content = self._saved
        if not content.sealed:
            if passphrase is not None:
                raise WrongState("the wallet has no passphrase")
            return content.secret
        if passphrase is None:
            raise WrongState("the wallet has a passphrase already")
        try:
            return open_sealed(content.secret, passphrase)
        except SealedError as error:
            raise WalletFileError(f"{self._path}: {error}") from error

    def unlock_with(self, entropy: bytes) -> bool:
        """Have the private keys at hand; ``entropy`` comes from :meth:`unsealed`.

        True when keys in use may have become known just now (those of an old backup): then the
        chain has to be searched for them.
        """
        self._admit(entropy)
        behind, self._behind = self._behind, False
        return behind

    def unlock(self, passphrase: str) -> bool:
        """:meth:`unsealed` and :meth:`unlock_with` in one."""
        return self.unlock_with(self.unsealed(passphrase))

    def lock(self) -> None:
        """Forget the private keys; :class:`WrongState` for a wallet without passphrase."""
        if not self.sealed:
            raise WrongState("the wallet has no passphrase")
        self._account = None

    def reseal(self, box: bytes) -> None:
        """Keep the words as ``box`` (of :meth:`Sealing.seal`) from now on.

        A wallet that had no passphrase is locked then. :class:`WalletFileError` when it cannot be
        written: then nothing has changed.
        """
        was_sealed = self.sealed
        self._write(msgspec.structs.replace(self._content(), sealed=True, secret=box))
        if not was_sealed:
            self._account = None

    def change_passphrase(self, old: str | None, new: str, sealing: Sealing) -> None:
        """Seal the words under ``new``, opened with ``old`` (None for a wallet without one).

        Takes two seconds; the errors are those of :meth:`unsealed` and :meth:`reseal`, and a
        ``ValueError`` for an empty passphrase.
        """
        self.reseal(sealing.seal(self.unsealed(old), new))

    # inside

    def _admit(self, entropy: bytes) -> None:
        account = None
        if len(entropy) in ENTROPY_BYTES:
            account = Account(seed_of(words_of(entropy)), self._saved.account)
        first = self._hashes[Branch.RECEIVE][:1]
        if account is None or first != [account.pubkey_hash(KeyPath(Branch.RECEIVE, 0))]:
            raise WalletFileError(f"{self._path}: the words are not those of its addresses")
        self._account = account
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Know the hashes of the next keys, if the words are at hand."""
        if self._account is None:
            return
        for branch in Branch:
            known = self._hashes[branch]
            while len(known) < self._next[branch] + LOOKAHEAD:
                path = KeyPath(branch, len(known))
                known.append(self._account.pubkey_hash(path))
                self._paths[known[-1]] = path

    def _content(self) -> WalletFile:
        receive, change = (b"".join(hashes) for hashes in self._hashes)
        return msgspec.structs.replace(
            self._saved,
            next=(self._next[0], self._next[1]),
            hashes=(receive, change),
            behind=self._behind,
            labels=tuple(sorted(self._labels.items())),
        )

    def _write(self, content: WalletFile) -> None:
        replace_wallet(self._path, content)
        self._saved = content


def _relabelled(labels: Mapping[bytes, str], pubkey_hash: bytes, label: str) -> Mapping[bytes, str]:
    if len(label) > MAX_LABEL_CHARS or not label.isprintable():
        raise LabelRefused(f"a label is one line of at most {MAX_LABEL_CHARS} characters")
    if not label and pubkey_hash not in labels:
        return labels
    others = {known: name for known, name in labels.items() if known != pubkey_hash}
    return {**others, pubkey_hash: label} if label else others


def _split(joined: bytes) -> list[bytes]:
    return [
        joined[start : start + PUBKEY_HASH_BYTES]
        for start in range(0, len(joined), PUBKEY_HASH_BYTES)
    ]
