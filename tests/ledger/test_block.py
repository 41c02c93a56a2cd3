"""Identity of blocks: every byte is under a hash that votes sign."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.ledger.blocks import COINS, START, block_of
from tests.support.ledger_kit import TIME, coin, pay, user
from timecoin import params
from timecoin.codec import CodecError, decode, encode
from timecoin.crypto.hashing import tagged
from timecoin.crypto.merkle import merkle_path, merkle_root, verify_path
from timecoin.ledger.block import Block, Body, Entry, Header, Resolution

replace = msgspec.structs.replace

PAYMENTS = sorted(
    (pay(START.chain_id, user(n), coin(START, n), user(5), TIME) for n in range(5)),
    key=lambda tx: tx.txid,
)
LOSER = pay(START.chain_id, user(0), coin(START, 0), user(4), TIME)
RESOLUTION = Resolution(PAYMENTS[0].txid, next(iter(COINS.by_point)), LOSER)
BLOCK = block_of(PAYMENTS, 0, [RESOLUTION])


class HashTests(SynchronousTestCase):
    def test_block_hash_is_the_hash_of_the_header(self) -> None:
        expected = tagged(params.TAG_BLOCK, encode(BLOCK.header))
        self.assertEqual((BLOCK.hash, BLOCK.header.hash), (expected, expected))
        self.assertEqual(BLOCK.height, BLOCK.header.height)

    def test_every_field_of_the_header(self) -> None:
        hashes = {BLOCK.hash}
        for name in Header.__struct_fields__:
            value: Any = getattr(BLOCK.header, name)
            other = bytes((value[0] ^ 1,)) + value[1:] if isinstance(value, bytes) else value + 1
            hashes.add(replace(BLOCK.header, **{name: other}).hash)
        self.assertEqual(len(hashes), 1 + len(Header.__struct_fields__))

    def test_every_field_of_the_body(self) -> None:
        body = BLOCK.body
        changes: tuple[dict[str, Any], ...] = (
            {"reward": replace(body.reward, lock_time=1)},
            {"entries": body.entries[1:]},
            {"certificates": (b"c",)},
            {"resolutions": ()},
            {"avs_changes": (b"c",)},
            {"evidence": (b"c",)},
        )
        self.assertEqual(
            [name for change in changes for name in change], list(Body.__struct_fields__)
        )
        roots = {replace(body, **change).root for change in changes}
        self.assertEqual(len(roots | {body.root}), 1 + len(changes))

    def test_witnesses_of_the_reward_are_covered(self) -> None:
        padded = replace(BLOCK.body.reward, witnesses=((b"x",),))
        self.assertNotEqual(replace(BLOCK.body, reward=padded).root, BLOCK.body.root)


class EntriesRootTests(SynchronousTestCase):
    def test_number_and_merkle_root(self) -> None:
        leaves = [encode(entry) for entry in BLOCK.body.entries]
        root = merkle_root(leaves)
        expected = tagged(b"timecoin/entries\x00", b"\x05\x00\x00\x00", root)
        self.assertEqual(BLOCK.body.entries_root, expected)
        self.assertTrue(verify_path(root, leaves[2], 2, 5, merkle_path(leaves, 2)))

    def test_no_entries(self) -> None:
        body = block_of([], 0).body
        self.assertEqual(body.entries_root, tagged(params.TAG_ENTRIES, bytes(4), bytes(32)))

    def test_both_identities_count(self) -> None:
        body = BLOCK.body
        first = body.entries[0]
        for other in (Entry(bytes(32), first.wtxid), Entry(first.txid, bytes(32))):
            changed = replace(body, entries=(other, *body.entries[1:]))
            self.assertNotEqual(changed.entries_root, body.entries_root)


class DecodingTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        self.assertEqual(decode(encode(BLOCK), Block, params.MAX_BLOCK_BYTES), BLOCK)

    @given(st.binary(max_size=400))
    def test_random_bytes(self, data: bytes) -> None:
        try:
            value = decode(data, Block, params.MAX_BLOCK_BYTES)
        except CodecError:
            return
        self.assertEqual(encode(value), data)

    @given(st.data())
    def test_mutated_bytes_have_another_hash(self, data: st.DataObject) -> None:
        """No byte of a block stands outside of header hash and body root."""
        mutated = bytearray(encode(BLOCK))
        mutated[data.draw(st.integers(0, len(mutated) - 1))] ^= data.draw(st.integers(1, 255))
        try:
            other = decode(bytes(mutated), Block, params.MAX_BLOCK_BYTES)
        except CodecError:
            return
        self.assertEqual(encode(other), mutated)
        self.assertNotEqual((other.hash, other.body.root), (BLOCK.hash, BLOCK.body.root))
