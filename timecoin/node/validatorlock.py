"""One key, one machine: a lock file on storage that the machines share.

While a node validates it holds the lock (``flock``); the file's text says who holds it. The lock
goes with the process, however it ends. It guards against starting a second machine by accident; it
proves nothing to the network, and storage without locks or with two views guards nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

MAX_LOCK_FILE_BYTES = 4_096
HOLDER_MODE = 0o644


class ValidatorLockError(Exception):
    """The lock cannot be had; one line for the operator."""


class ValidatorLock:
    """A lock that this process holds until it ends, or until :meth:`release`."""

    def __init__(self, path: Path, pubkey: bytes) -> None:
        """Take the lock of the voting key ``pubkey``; :class:`ValidatorLockError`."""
        self._path = path
        self._pubkey = pubkey.hex()
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, HOLDER_MODE)
        except OSError as error:
            raise ValidatorLockError(f"cannot open the lock {path}: {error.strerror}") from error
        try:
            self._take()
        except BaseException:
            os.close(self._descriptor)
            raise

    def write_holder(self, holder: str) -> None:
        """Write into the file who holds the lock, for whoever is refused."""
        text = f"{self._pubkey}\n{holder}\n".encode()
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text, 0)
            os.fsync(self._descriptor)
        except OSError as error:
            raise ValidatorLockError(
                f"cannot write the lock {self._path}: {error.strerror}"
            ) from error

    def release(self) -> None:
        """Let another process have it."""
        os.close(self._descriptor)

    def _take(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                _, holder = self._read()
                raise ValidatorLockError(
                    f"another process validates with this key: {self._path} is held by "
                    f"{holder or 'a process that is starting'}"
                ) from error
            raise ValidatorLockError(f"cannot lock {self._path}: {error.strerror}") from error
        named, _ = self._read()
        if named and named != self._pubkey:
            raise ValidatorLockError(
                f"{self._path} is the lock of another key, {named[:16]}; each key needs its own"
            )

    def _read(self) -> tuple[str, str]:
        """The key and the holder that the file names, empty in a new file."""
        raw = os.pread(self._descriptor, MAX_LOCK_FILE_BYTES, 0)
        lines = raw.decode("utf-8", errors="replace").splitlines()
        return (lines[0] if lines else "", lines[1] if len(lines) > 1 else "")
