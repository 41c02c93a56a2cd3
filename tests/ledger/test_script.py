"""Lock scripts: the bytes of PROTOCOL 3, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import key
from timecoin.ledger import script
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import Data, Multisig, PayToPubkeyHash, Stake, parse_script

HASH = bytes(range(20))
KEYS = tuple(sorted(key(number).public for number in range(16)))


def refused(test: SynchronousTestCase, encoded: bytes) -> None:
    broken = test.assertRaises(RuleBroken, parse_script, encoded)
    test.assertEqual(broken.rule, "bad-txns-script")


class BytesTests(SynchronousTestCase):
    def check(self, encoded: bytes, expected: bytes, parsed: script.Script) -> None:
        self.assertEqual(encoded, expected)
        self.assertEqual(parse_script(encoded), parsed)
        self.assertEqual(parsed.encode(), encoded)

    def test_pay_to_pubkey_hash(self) -> None:
        self.check(script.pay_to_pubkey_hash(HASH), b"\x01" + HASH, PayToPubkeyHash(HASH))

    def test_multisig(self) -> None:
        expected = b"\x02\x02\x03" + KEYS[0] + KEYS[1] + KEYS[2]
        parsed = Multisig(2, KEYS[:3])
        self.check(script.multisig(2, (KEYS[2], KEYS[0], KEYS[1])), expected, parsed)

    def test_multisig_of_one(self) -> None:
        for count in (1, 15):
            expected = bytes((2, 1, count)) + b"".join(KEYS[:count])
            self.check(script.multisig(1, KEYS[:count]), expected, Multisig(1, KEYS[:count]))

    def test_data(self) -> None:
        self.check(script.data(b"hello"), b"\x03hello", Data(b"hello"))
        self.check(script.data(b""), b"\x03", Data(b""))

    def test_stake(self) -> None:
        self.check(
            script.stake(KEYS[0], KEYS[1], HASH, HASH[::-1], 258),
            b"\x04" + KEYS[0] + KEYS[1] + HASH + HASH[::-1] + b"\x02\x01" + bytes(6),
            Stake(KEYS[0], KEYS[1], HASH, HASH[::-1], 258),
        )


class BuilderTests(SynchronousTestCase):
    def test_wrong_lengths(self) -> None:
        for build in (
            lambda: script.pay_to_pubkey_hash(HASH[:19]),
            lambda: script.pay_to_pubkey_hash(HASH + b"x"),
            lambda: script.multisig(1, (KEYS[0], KEYS[1][:31])),
            lambda: script.multisig(1, (KEYS[0][:31], KEYS[1] + b"x")),
            lambda: script.data(bytes(257)),
            lambda: script.stake(KEYS[0] + b"x", KEYS[1][:31], HASH, HASH, 0),
            lambda: script.stake(KEYS[0], KEYS[1], HASH + b"x", HASH[:19], 0),
            lambda: script.stake(KEYS[0], KEYS[1], HASH, HASH[:19], 0),
            lambda: script.stake(KEYS[0], KEYS[1], HASH, HASH, -1),
            lambda: script.stake(KEYS[0], KEYS[1], HASH, HASH, 2**64),
        ):
            self.assertRaises(RuleBroken, build)

    def test_multisig_bounds(self) -> None:
        self.assertEqual(len(script.multisig(15, KEYS[:15])), 3 + 15 * 32)
        for required, count in ((0, 1), (2, 1), (0, 0), (1, 16), (16, 16), (-1, 1), (256, 1)):
            self.assertRaises(RuleBroken, script.multisig, required, KEYS[:count])

    def test_a_key_twice(self) -> None:
        self.assertRaises(RuleBroken, script.multisig, 1, (KEYS[0], KEYS[0]))


class RefusalTests(SynchronousTestCase):
    def test_empty_and_unknown(self) -> None:
        refused(self, b"")
        for tag in (0, 5, 255):
            refused(self, bytes((tag,)) + HASH)

    def test_every_other_length(self) -> None:
        for good in (
            script.pay_to_pubkey_hash(HASH),
            script.multisig(2, KEYS[:3]),
            script.stake(KEYS[0], KEYS[1], HASH, HASH, 7),
        ):
            for end in range(1, len(good)):
                refused(self, good[:end])
            refused(self, good + b"\x00")

    def test_data_of_more_than_256_bytes(self) -> None:
        self.assertEqual(parse_script(b"\x03" + bytes(256)), Data(bytes(256)))
        refused(self, b"\x03" + bytes(257))

    def test_multisig_counts(self) -> None:
        body = KEYS[0] + KEYS[1]
        for required, count in ((0, 2), (3, 2), (1, 1), (1, 3), (0, 0)):
            refused(self, bytes((2, required, count)) + body)
        refused(self, bytes((2, 1, 16)) + b"".join(KEYS))

    def test_multisig_keys_must_ascend(self) -> None:
        refused(self, b"\x02\x01\x02" + KEYS[1] + KEYS[0])
        refused(self, b"\x02\x01\x02" + KEYS[0] + KEYS[0])

    @given(st.integers(0, 5), st.binary(max_size=200))
    def test_one_encoding_for_each_script(self, tag: int, rest: bytes) -> None:
        encoded = bytes((tag,)) + rest
        try:
            parsed = parse_script(encoded)
        except RuleBroken:
            return
        self.assertEqual(parsed.encode(), encoded)

    @given(st.data())
    def test_mutated_scripts(self, data: st.DataObject) -> None:
        good = data.draw(
            st.sampled_from(
                (
                    script.multisig(2, KEYS[:3]),
                    script.stake(KEYS[0], KEYS[1], HASH, HASH, 7),
                    script.pay_to_pubkey_hash(HASH),
                )
            )
        )
        mutated = bytearray(good)
        mutated[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
        try:
            parsed = parse_script(bytes(mutated))
        except RuleBroken:
            return
        self.assertEqual(parsed.encode(), mutated)
