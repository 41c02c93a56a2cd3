"""The wallet's file: strict reading, and a replacement that a crash cannot halve."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.codec import CodecError, encode
from timecoin.crypto.hashing import blake3_256
from timecoin.params import Network
from timecoin.wallet import walletfile
from timecoin.wallet.errors import WalletFileError, WalletMissing
from timecoin.wallet.walletfile import (
    FORMAT,
    MAX_FILE_BYTES,
    WalletFile,
    create_wallet,
    decode_wallet,
    encode_wallet,
    read_wallet,
    replace_wallet,
)

NETWORK = Network.DEVNET
OLD = WalletFile(
    format=FORMAT,
    network=NETWORK,
    created_ms=1_700_000_000_000,
    account=0,
    sealed=False,
    secret=bytes(range(32)),
    next=(1, 0),
    hashes=(bytes(range(40)), bytes(20)),
    behind=False,
    labels=((bytes(20), "rent"), (bytes([7]) * 20, "Zoë's")),
    locked=(bytes(36), bytes(range(36))),
)
NEW = msgspec.structs.replace(OLD, next=(2, 1), labels=OLD.labels[:1], locked=OLD.locked[1:])
HASHES = st.binary(min_size=20, max_size=20)
RAW = encode_wallet(OLD)
ROOT = Path(__file__).resolve().parent.parent.parent


class BytesTests(SynchronousTestCase):
    @given(
        st.builds(
            lambda created, account, sealed, secret, used, receive, change, *rest: WalletFile(
                FORMAT, NETWORK, created, account, sealed, secret, used, (receive, change), *rest
            ),
            st.integers(0, 2**64 - 1),
            st.integers(0, 2**31 - 1),
            st.booleans(),
            st.binary(max_size=80),
            st.tuples(st.integers(0, 2), st.integers(0, 1)),
            st.binary(min_size=40, max_size=40),
            HASHES,
            st.booleans(),
            st.dictionaries(HASHES, st.text(max_size=9)).map(
                lambda made: tuple(sorted(made.items()))
            ),
            st.lists(st.binary(min_size=36, max_size=36)).map(tuple),
        )
    )
    def test_round_trip(self, content: WalletFile) -> None:
        self.assertEqual(decode_wallet(encode_wallet(content)), content)

    @given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
    def test_any_changed_byte_is_noticed(self, position: int, change: int) -> None:
        mutated = bytearray(RAW)
        mutated[position] ^= change
        self.assertRaises(CodecError, decode_wallet, bytes(mutated))

    @given(st.integers(0, len(RAW) - 1))
    def test_any_truncation_is_noticed(self, length: int) -> None:
        self.assertRaises(CodecError, decode_wallet, RAW[:length])

    @given(st.binary(max_size=200))
    def test_any_other_content_behind_a_right_checksum(self, body: bytes) -> None:
        raw = RAW[:16] + blake3_256(body) + body
        try:
            content = decode_wallet(raw)
        except CodecError as error:
            self.assertIsNone(error.__cause__)  # which could quote a secret
        else:
            self.assertEqual(encode_wallet(content), raw)

    def test_later_format_and_keys_that_do_not_add_up(self) -> None:
        for change, reason in (
            ({"format": FORMAT + 1}, f"format {FORMAT + 1}"),
            ({"next": (3, 0)}, "do not match"),
            ({"next": (1, 2)}, "do not match"),
            ({"hashes": (bytes(39), b"")}, "do not match"),
            ({"labels": ((bytes(19), "x"),)}, "known format"),
            ({"labels": OLD.labels[::-1]}, "do not ascend"),
            ({"labels": OLD.labels[:1] * 2}, "do not ascend"),
            ({"account": 2**31}, "known format"),
            ({"locked": (bytes(35),)}, "known format"),
        ):
            raw = encode_wallet(msgspec.structs.replace(OLD, **change))
            error = self.assertRaises(CodecError, decode_wallet, raw)
            self.assertIn(reason, str(error))

    def test_the_secret_shows_nowhere(self) -> None:
        self.assertNotIn(repr(OLD.secret)[2:-1], repr(OLD))
        damaged = encode((OLD.format, OLD.secret))
        error = self.assertRaises(
            CodecError, decode_wallet, RAW[:16] + blake3_256(damaged) + damaged
        )
        self.assertNotIn(OLD.secret.hex(), str(error))


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "wallet"

    def write(self, raw: bytes, mode: int = 0o600) -> None:
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_bytes(raw)
        self.path.chmod(mode)

    def refused(self) -> str:
        return str(self.assertRaises(WalletFileError, read_wallet, self.path, NETWORK))

    def test_create_read_replace(self) -> None:
        create_wallet(self.path, OLD)
        self.assertEqual(read_wallet(self.path, NETWORK), OLD)
        replace_wallet(self.path, NEW)
        self.assertEqual(read_wallet(self.path, NETWORK), NEW)
        self.assertEqual(os.listdir(self.path.parent), ["wallet"])

    def test_nobody_else_can_read_it(self) -> None:
        previous = os.umask(0)
        self.addCleanup(os.umask, previous)
        create_wallet(self.path, OLD)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.path.parent.stat().st_mode & 0o777, 0o700)
        replace_wallet(self.path, NEW)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_a_wallet_is_never_overwritten_by_a_new_one(self) -> None:
        create_wallet(self.path, OLD)
        error = self.assertRaises(WalletFileError, create_wallet, self.path, NEW)
        self.assertIn("never overwritten", str(error))
        self.assertEqual(read_wallet(self.path, NETWORK), OLD)
        self.assertEqual(os.listdir(self.path.parent), ["wallet"])

    def test_missing(self) -> None:
        self.assertRaises(WalletMissing, read_wallet, self.path, NETWORK)

    def test_unreadable(self) -> None:
        self.path.mkdir(parents=True)
        self.assertIn("cannot read", self.refused())

    def test_unwritable(self) -> None:
        self.path.parent.write_bytes(b"a file where a directory should be")
        for write in (create_wallet, replace_wallet):
            error = self.assertRaises(WalletFileError, write, self.path, OLD)
            self.assertIn("cannot write", str(error))

    def test_open_to_others(self) -> None:
        for mode in (0o604, 0o640, 0o620, 0o601):
            self.write(RAW, mode)
            self.assertIn(f"mode {mode:04o}", self.refused())
        self.path.chmod(0o400)
        self.assertEqual(read_wallet(self.path, NETWORK), OLD)

    def test_damaged(self) -> None:
        self.write(RAW[:-1])
        self.assertIn("damaged", self.refused())
        self.write(b"")
        self.assertIn("not a wallet", self.refused())
        self.write(b'{"voting_seed": 1}')
        self.assertIn("not a wallet", self.refused())

    def test_too_large(self) -> None:
        self.write(RAW)
        os.truncate(self.path, MAX_FILE_BYTES + 1)
        self.assertIn(f"larger than {MAX_FILE_BYTES}", self.refused())

    def test_of_another_network(self) -> None:
        create_wallet(self.path, msgspec.structs.replace(OLD, network=Network.TESTNET))
        self.assertIn("wallet of testnet, this is devnet", self.refused())
        create_wallet(self.path.with_name("other"), msgspec.structs.replace(OLD, network=9))
        self.path = self.path.with_name("other")
        self.assertIn("wallet of no network", self.refused())


class _PowerCut(BaseException):
    """The machine stops here."""


class CrashTests(SynchronousTestCase):
    """A crash during a replacement leaves the old file or the new one."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "wallet"
        create_wallet(self.path, OLD)

    def test_the_new_file_is_whole_before_it_gets_the_name(self) -> None:
        synced: list[bytes] = []
        replace = Path.replace

        def fsync(descriptor: int) -> None:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
            synced.append(b"" if os.path.isdir(target) else Path(target).read_bytes())

        def renamed(source: Path, target: Path) -> Path:
            self.assertEqual(synced, [encode_wallet(NEW)])
            return replace(source, target)

        with mock.patch.object(os, "fsync", fsync), mock.patch.object(Path, "replace", renamed):
            replace_wallet(self.path, NEW)
        self.assertEqual(synced, [encode_wallet(NEW), b""])  # and then the directory

    def test_a_stop_at_any_step(self) -> None:
        for module, name, is_old in (
            (os, "open", True),
            (os, "fsync", True),
            (Path, "replace", True),
            (walletfile, "_sync_directory", False),
        ):
            replace_wallet(self.path, OLD)
            with mock.patch.object(module, name, side_effect=_PowerCut):
                self.assertRaises(_PowerCut, replace_wallet, self.path, NEW)
            self.assertEqual(read_wallet(self.path, NETWORK), OLD if is_old else NEW, name)
            replace_wallet(self.path, NEW)  # what the crash left behind is in nobody's way
            self.assertEqual(read_wallet(self.path, NETWORK), NEW)

    def test_a_full_disk_keeps_the_old_one(self) -> None:
        with mock.patch.object(os, "fsync", side_effect=OSError(28, "No space left on device")):
            error = self.assertRaises(WalletFileError, replace_wallet, self.path, NEW)
        self.assertIn("No space left", str(error))
        self.assertEqual(read_wallet(self.path, NETWORK), OLD)

    def test_kill(self) -> None:
        """SIGKILL at moments of the system's choosing while a 2 MB file is being replaced."""
        for acknowledged in (1, 2, 5, 9):
            child = subprocess.Popen(
                [sys.executable, "-m", "tests.wallet.replacing", str(self.path.absolute())],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert child.stdout is not None
            seen = _read_until(child.stdout.readline, acknowledged)
            child.kill()
            rest = child.stdout.read().split()
            child.stdout.close()
            child.wait()
            last = int(rest[-1]) if rest else seen
            content = read_wallet(self.path, NETWORK)
            found = content.next[0]
            self.assertIn(found, (last, last + 1))
            self.assertEqual(content.labels, ((bytes(20), str(found)),))
            self.assertEqual(content.locked, (found.to_bytes(36, "big"),))


def _read_until(readline: Callable[[], str], number: int) -> int:
    seen = 0
    while seen < number:
        line = readline()
        if not line:
            raise AssertionError("the program ended by itself")
        seen = int(line)
    return seen
