"""One key, one process: the lock on shared storage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.node.test_preflight import PreflightCase
from timecoin.node.config import ConfigError
from timecoin.node.keyfiles import new_validator_keys, validator_key_path, write_validator_keys
from timecoin.node.preflight import prepare
from timecoin.node.validatorlock import ValidatorLock, ValidatorLockError

KEY, OTHER_KEY = b"\x0a" * 32, b"\x0b" * 32
HOLD_AND_DIE = """
import sys
from pathlib import Path
from timecoin.node.validatorlock import ValidatorLock
lock = ValidatorLock(Path(sys.argv[1]), b"\\x0a" * 32)
lock.write_holder("process 1 on alpha")
print("held", flush=True)
sys.stdin.read()
"""


class ValidatorLockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def refused(self, key: bytes = KEY) -> str:
        error = self.assertRaises(ValidatorLockError, ValidatorLock, self.path, key)
        self.assertEqual(len(str(error).splitlines()), 1)
        return str(error)

    def test_the_second_is_told_who_holds_it(self) -> None:
        lock = ValidatorLock(self.path, KEY)
        self.assertIn("a process that is starting", self.refused())
        lock.write_holder("process 7 on alpha")
        self.assertIn(f"{self.path} is held by process 7 on alpha", self.refused())

    def test_free_once_it_is_released(self) -> None:
        ValidatorLock(self.path, KEY).release()
        ValidatorLock(self.path, KEY).release()

    def test_a_dead_process_holds_nothing(self) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", HOLD_AND_DIE, str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder:
            assert holder.stdout is not None
            self.assertEqual(holder.stdout.readline(), b"held\n")
            self.assertIn("held by process 1 on alpha", self.refused())
            holder.kill()
            holder.wait()
        ValidatorLock(self.path, KEY).release()

    def test_a_refused_start_leaves_no_descriptor(self) -> None:
        lock = ValidatorLock(self.path, KEY)
        before = len(os.listdir("/proc/self/fd"))
        self.refused()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        lock.release()

    def test_the_lock_of_another_key(self) -> None:
        lock = ValidatorLock(self.path, KEY)
        lock.write_holder("process 7 on alpha")
        lock.release()
        self.assertIn("is the lock of another key, 0a0a0a0a0a0a0a0a", self.refused(OTHER_KEY))
        ValidatorLock(self.path, KEY).release()

    def test_no_such_folder(self) -> None:
        self.path = self.path / "missing" / "lock"
        self.assertIn("No such file or directory", self.refused())


class SettingTests(PreflightCase):
    def setUp(self) -> None:
        super().setUp()
        write_validator_keys(validator_key_path(self.datadir, "v1"), new_validator_keys(os.urandom))
        self.lock = self.directory / "shared.lock"

    def test_a_second_node_does_not_start(self) -> None:
        first = prepare(self.config(validator_id="v1", validator_lock=str(self.lock)))
        assert first.lock is not None
        first.lock.write_holder("process 7 on alpha")
        said = self.refused(validator_id="v1", validator_lock=str(self.lock))
        self.assertIn("held by process 7 on alpha", said)
        first.lock.release()

    def test_a_start_refused_for_another_reason_makes_no_file(self) -> None:
        self.genesis.write_text("nonsense")
        self.refused(validator_id="v1", validator_lock=str(self.lock))
        self.assertFalse(self.lock.exists())

    def test_without_a_key_it_means_nothing(self) -> None:
        error = self.assertRaises(ConfigError, self.config, validator_lock=str(self.lock))
        self.assertEqual(str(error), "validator-lock needs validator-id")
