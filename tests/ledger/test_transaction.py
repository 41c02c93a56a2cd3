"""Transactions: bytes, identity, hostile input."""

from __future__ import annotations

import msgspec
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import coin, genesis, pay, user
from timecoin.codec import CodecError, encode
from timecoin.ledger.sighash import SIGHASH_ALL, sighash
from timecoin.ledger.transaction import (
    Transaction,
    TxInput,
    TxOutput,
    decode_transaction,
    outpoint,
    split_outpoint,
)

replace = msgspec.structs.replace

SAMPLE = Transaction(
    1,
    (TxInput(b"\xaa" * 32, 3, 2**32 - 1),),
    (TxOutput(1_000, b"\x03x"), TxOutput(2**63, b"")),
    500,
    ((b"key", b""),),
)
CORE_HEX = (
    "01"
    "91" "93" "c420" + "aa" * 32 + "03" "ceffffffff"
    "92" "92" "cd03e8" "c402" "0378" "92" "cf8000000000000000" "c400"
    "cd01f4"
)  # fmt: skip
WITNESS_HEX = "91" "92" "c403" "6b6579" "c400"  # fmt: skip

inputs = st.builds(
    TxInput,
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
outputs = st.builds(TxOutput, st.integers(0, 2**64 - 1), st.binary(max_size=60))
transactions = st.builds(
    Transaction,
    st.integers(0, 255),
    st.lists(inputs, max_size=4).map(tuple),
    st.lists(outputs, max_size=4).map(tuple),
    st.integers(0, 2**64 - 1),
    st.lists(st.lists(st.binary(max_size=70), max_size=3).map(tuple), max_size=4).map(tuple),
)


class BytesTests(SynchronousTestCase):
    def test_encoding(self) -> None:
        self.assertEqual(SAMPLE.encoded.hex(), "95" + CORE_HEX + WITNESS_HEX)

    def test_txid_leaves_out_the_witnesses(self) -> None:
        expected = blake3(b"timecoin/txid\x00" + bytes.fromhex("94" + CORE_HEX)).digest()
        self.assertEqual(SAMPLE.txid, expected)
        self.assertEqual(replace(SAMPLE, witnesses=()).txid, expected)

    def test_wtxid_covers_everything(self) -> None:
        expected = blake3(b"timecoin/wtxid\x00" + SAMPLE.encoded).digest()
        self.assertEqual(SAMPLE.wtxid, expected)
        self.assertNotEqual(replace(SAMPLE, witnesses=((b"key", b"x"),)).wtxid, expected)

    def test_every_field_but_the_witness_is_in_the_txid(self) -> None:
        item, output = SAMPLE.inputs[0], SAMPLE.outputs[0]
        variants = [
            SAMPLE,
            replace(SAMPLE, version=2),
            replace(SAMPLE, inputs=(replace(item, prev_txid=b"\xab" * 32),)),
            replace(SAMPLE, inputs=(replace(item, prev_index=4),)),
            replace(SAMPLE, inputs=(replace(item, sequence=0),)),
            replace(SAMPLE, inputs=()),
            replace(SAMPLE, outputs=(replace(output, value=999), SAMPLE.outputs[1])),
            replace(SAMPLE, outputs=(replace(output, lock_script=b""), SAMPLE.outputs[1])),
            replace(SAMPLE, outputs=SAMPLE.outputs[::-1]),
            replace(SAMPLE, lock_time=501),
        ]
        self.assertEqual(len({variant.txid for variant in variants}), len(variants))

    def test_outpoints(self) -> None:
        point = outpoint(b"\xaa" * 32, 258)
        self.assertEqual(point, b"\xaa" * 32 + b"\x02\x01\x00\x00")
        self.assertEqual(split_outpoint(point), (b"\xaa" * 32, 258))
        self.assertEqual(SAMPLE.outpoints, (outpoint(b"\xaa" * 32, 3),))

    def test_sighash(self) -> None:
        chain_id = b"\x03\x00\x00\x00genesis!"
        expected = blake3(
            b"timecoin/tx\x00"
            + chain_id
            + b"\x01"
            + SAMPLE.txid
            + b"\x02\x00\x00\x00"
            + b"\xe8\x03"
            + bytes(6)
            + b"script"
        ).digest()
        self.assertEqual(sighash(chain_id, SIGHASH_ALL, SAMPLE.txid, 2, 1_000, b"script"), expected)


class DecodingTests(SynchronousTestCase):
    @given(transactions)
    def test_round_trip(self, tx: Transaction) -> None:
        self.assertEqual(decode_transaction(tx.encoded), tx)

    @given(st.binary(max_size=300))
    def test_random_bytes(self, data: bytes) -> None:
        try:
            tx = decode_transaction(data)
        except CodecError:
            return
        self.assertEqual(encode(tx), data)

    @given(transactions, st.data())
    def test_mutated_bytes_never_decode_to_something_not_canonical(
        self, tx: Transaction, data: st.DataObject
    ) -> None:
        mutated = bytearray(tx.encoded)
        cut = data.draw(st.sampled_from(("change", "insert", "delete")))
        place = data.draw(st.integers(0, len(mutated) - 1))
        if cut == "change":
            mutated[place] ^= data.draw(st.integers(1, 255))
        elif cut == "insert":
            mutated.insert(place, data.draw(st.integers(0, 255)))
        else:
            del mutated[place]
        try:
            other = decode_transaction(bytes(mutated))
        except CodecError:
            return
        self.assertEqual(encode(other), mutated)
        self.assertEqual(other == tx, bytes(mutated) == tx.encoded)

    def test_size(self) -> None:
        big = replace(SAMPLE, witnesses=((bytes(100_000),),))
        self.assertRaises(CodecError, decode_transaction, big.encoded)
        self.assertEqual(decode_transaction(big.encoded, len(big.encoded)), big)

    def test_a_signed_payment_is_about_two_hundred_bytes(self) -> None:
        """What fees and block sizes are reckoned by."""
        start = genesis()
        tx = pay(start.chain_id, user(0), coin(start, 0), user(1), 12_345)
        self.assertEqual(decode_transaction(tx.encoded), tx)
        self.assertTrue(200 <= len(tx.encoded) <= 220)
