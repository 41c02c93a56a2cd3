"""Network namespaces for tests: nameless ones, which go with the last process that uses them."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator

from twisted.trial.unittest import SkipTest

from tests.support.tools import needs_tool

CLONE_NEWNET = 0x4000_0000
TUNSETIFF = 0x4004_54CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
TUN_PATH = "/dev/net/tun"
LINK = "link"
_OWN = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network of its own with one interface, whose packets this process carries."""

    def __init__(self, address: str) -> None:
        """``address``: IPv4 and the length of its prefix.

        ``SkipTest`` where the system does not let this user make one.
        """
        ip = needs_tool("ip")
        home = os.open(_OWN, os.O_RDONLY)
        try:
            _check(_libc.unshare(CLONE_NEWNET))
            try:
                self._entry = os.open(_OWN, os.O_RDONLY)
            finally:
                _check(_libc.setns(home, CLONE_NEWNET))
        except OSError as error:
            raise SkipTest(f"no network namespaces here (root makes them): {error}") from error
        finally:
            os.close(home)
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, self._entry)
            with self.inside():
                self.link = _open_tun()
                undo.callback(os.close, self.link)
                for command in (
                    ("address", "add", address, "dev", LINK),
                    ("link", "set", "dev", LINK, "up"),
                    ("link", "set", "dev", "lo", "up"),
                ):
                    subprocess.run([ip, *command], check=True)
            undo.pop_all()

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """This thread, and every process and thread that it starts, has this network."""
        home = os.open(_OWN, os.O_RDONLY)
        try:
            _check(_libc.setns(self._entry, CLONE_NEWNET))
            try:
                yield
            finally:
                _check(_libc.setns(home, CLONE_NEWNET))
        finally:
            os.close(home)

    def close(self) -> None:
        """Let it go: the interface now, the rest with the last process inside."""
        os.close(self.link)
        os.close(self._entry)


def _open_tun() -> int:
    """A file whose reads and writes are the IP packets of a new interface."""
    try:
        link = os.open(TUN_PATH, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        raise SkipTest(f"no virtual interfaces here: {error}") from error
    try:
        fcntl.ioctl(link, TUNSETIFF, struct.pack("16sH22x", LINK.encode(), IFF_TUN | IFF_NO_PI))
    except OSError as error:
        os.close(link)
        raise SkipTest(f"no virtual interfaces here: {error}") from error
    return link


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
