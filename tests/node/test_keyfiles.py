"""Key files: secret, whole, never overwritten; a bad one is refused without showing it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.node.keyfiles import (
    KeyFileError,
    ValidatorKeys,
    load_or_create_node_seed,
    load_validator_keys,
    new_validator_keys,
    validator_key_path,
    write_validator_keys,
)

KEYS = ValidatorKeys(b"\x01" * 32, b"\x02" * 32)


class ValidatorKeyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.datadir = Path(self.mktemp())
        self.path = validator_key_path(self.datadir, "validator1")

    def put(self, content: bytes, mode: int = 0o600) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(content)
        self.path.chmod(mode)

    def refused(self) -> str:
        error = self.assertRaises(KeyFileError, load_validator_keys, self.path)
        self.assertEqual(len(str(error).splitlines()), 1)
        return str(error)

    def test_round_trip(self) -> None:
        write_validator_keys(self.path, KEYS)
        self.assertEqual(load_validator_keys(self.path), KEYS)
        self.assertEqual(self.path, self.datadir / "keys" / "validator1.key")

    def test_only_the_owner_reads_it(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        write_validator_keys(self.path, KEYS)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.path.parent.stat().st_mode), 0o700)

    def test_never_overwritten(self) -> None:
        write_validator_keys(self.path, KEYS)
        other = ValidatorKeys(b"\x03" * 32, b"\x04" * 32)
        self.assertRaises(KeyFileError, write_validator_keys, self.path, other)
        self.assertEqual(load_validator_keys(self.path), KEYS)

    def test_two_secrets_from_entropy(self) -> None:
        counter = iter(range(256))
        keys = new_validator_keys(lambda size: bytes([next(counter)]) * size)
        self.assertNotEqual(keys.voting_seed, keys.vrf_seed)

    def test_readable_by_others(self) -> None:
        write_validator_keys(self.path, KEYS)
        for mode in (0o640, 0o604, 0o620, 0o644):
            self.path.chmod(mode)
            self.assertIn("chmod 600", self.refused())

    def test_absent(self) -> None:
        self.assertIn("cannot read", self.refused())

    def test_content(self) -> None:
        good = json.dumps({"voting_seed": "01" * 32, "vrf_seed": "02" * 32})
        for content in (
            b"",
            b"[]",
            b"{}",
            b"[" * 100_000,
            good.replace("vrf_seed", "vrf").encode(),
            good.replace("01", "0g").encode(),
            good.replace("0102", "01").encode()[:-4] + b'"}',
            good.replace('"' + "02" * 32 + '"', "2").encode(),
            good.replace("}", ', "more": 1}').encode(),
            good.encode() + b" " * 5000,
        ):
            self.put(content)
            self.assertIn("is no key file", self.refused())

    def test_secrets_stay_out_of_messages(self) -> None:
        self.put(json.dumps({"voting_seed": "deadbeef", "vrf_seed": "02" * 32}).encode())
        self.assertNotIn("deadbeef", self.refused())
        self.assertNotIn("1, 1", repr(KEYS))
        self.assertNotIn("x01", repr(KEYS))

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=300))
    def test_any_bytes_are_refused(self, content: bytes) -> None:
        self.put(content)
        self.refused()


class NodeKeyTests(SynchronousTestCase):
    def test_made_once(self) -> None:
        datadir = Path(self.mktemp())
        seed = load_or_create_node_seed(datadir, lambda size: b"\x07" * size)
        self.assertEqual(seed, b"\x07" * 32)
        again = load_or_create_node_seed(datadir, lambda size: b"\x08" * size)
        self.assertEqual(again, seed)
        path = datadir / "keys" / "node.key"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_broken(self) -> None:
        datadir = Path(self.mktemp())
        load_or_create_node_seed(datadir, os.urandom)
        (datadir / "keys" / "node.key").write_text("{}")
        self.assertRaises(KeyFileError, load_or_create_node_seed, datadir, os.urandom)
