"""The genesis file: one hash, and clear words for what is wrong with one."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import genesis, user
from timecoin import params
from timecoin.codec import encode
from timecoin.crypto.address import encode_address
from timecoin.crypto.hashing import hash160, tagged
from timecoin.ledger.genesis import (
    MAX_GENESIS_CHARS,
    Genesis,
    GenesisError,
    genesis_from_json,
    genesis_to_json,
    genesis_utxos,
)
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.utxo import Utxo

replace = msgspec.structs.replace
START = genesis(3, users=2)


class IdentityTests(SynchronousTestCase):
    def test_hash_and_chain_id(self) -> None:
        self.assertEqual(START.hash, tagged(params.TAG_GENESIS, encode(START)))
        self.assertEqual(START.chain_id, b"\x03\x00\x00\x00" + START.hash[:8])

    def test_every_field_is_in_the_hash(self) -> None:
        first, allocation = START.validators[0], START.allocations[0]
        variants = [
            START,
            replace(START, version=2),
            replace(START, network=2),
            replace(START, time_ms=START.time_ms + 1),
            replace(START, slot_ms=START.slot_ms + 1),
            replace(START, base_reward=START.base_reward + 1),
            replace(START, validators=START.validators[::-1]),
            replace(START, validators=(first,)),
            replace(START, allocations=(allocation,)),
            replace(START, allocations=(replace(allocation, value=1), START.allocations[1])),
        ]
        for change in (
            {"pubkey": bytes(32)},
            {"vrf_pubkey": bytes(32)},
            {"weight": 1},
            {"payout_hash": bytes(20)},
            {"expiry_height": 1},
        ):
            changed = replace(first, **change)
            variants.append(replace(START, validators=(changed, *START.validators[1:])))
        self.assertEqual(len({variant.hash for variant in variants}), len(variants))

    def test_slots_count_from_1970(self) -> None:
        start = replace(START, slot_ms=10_000)
        self.assertEqual([start.slot_at(t) for t in (0, 9_999, 10_000, 25_000)], [0, 0, 1, 2])

    def test_allocations_can_be_spent_at_once(self) -> None:
        coins = genesis_utxos(START)
        self.assertEqual(
            coins[1],
            (
                START.hash + b"\x01\x00\x00\x00",
                Utxo(
                    START.allocations[1].value,
                    pay_to_pubkey_hash(hash160(user(1).public)),
                    0,
                    False,
                ),
            ),
        )
        self.assertEqual(len(coins), 2)


class FileTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        for network in params.Network:
            start = genesis(4, users=3, network=network)
            again = genesis_from_json(genesis_to_json(start))
            self.assertEqual(again, start)
            self.assertEqual(again.hash, start.hash)

    def test_form(self) -> None:
        document = json.loads(genesis_to_json(START))
        self.assertEqual(document["network"], "devnet")
        self.assertEqual(document["base_reward"], "1.00000000")
        self.assertEqual(
            document["allocations"][0],
            {
                "address": encode_address(params.Network.DEVNET, hash160(user(0).public)),
                "amount": "1000.00000000",
            },
        )
        self.assertEqual(document["validators"][2]["pubkey"], START.validators[2].pubkey.hex())

    def test_neither_spaces_nor_the_order_of_keys_matter(self) -> None:
        document = json.loads(genesis_to_json(START))
        turned = json.dumps(dict(reversed(document.items())))
        self.assertEqual(genesis_from_json(turned).hash, START.hash)

    def test_without_allocations(self) -> None:
        bare = replace(START, allocations=())
        self.assertEqual(genesis_from_json(genesis_to_json(bare)), bare)

    @given(st.text(max_size=60))
    def test_any_text_is_refused(self, text: str) -> None:
        self.assertRaises(GenesisError, genesis_from_json, text)


class RefusalTests(SynchronousTestCase):
    def refuse(self, words: str, *path: str | int, to: object) -> None:
        """Refused with ``words`` when the value at ``path`` becomes ``to``."""
        document: Any = json.loads(genesis_to_json(START))
        place = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to
        error = self.assertRaises(GenesisError, genesis_from_json, json.dumps(document))
        self.assertIn(words, str(error))

    def test_not_json(self) -> None:
        for text in ("", "[", "null", "[]", "3", "{}", "[" * 100_000, "{" * 100_000, "\x00"):
            self.assertRaises(GenesisError, genesis_from_json, text)

    def test_size(self) -> None:
        text = genesis_to_json(START)
        self.assertEqual(genesis_from_json(text.ljust(MAX_GENESIS_CHARS)), START)
        error = self.assertRaises(
            GenesisError, genesis_from_json, text.ljust(MAX_GENESIS_CHARS + 1)
        )
        self.assertIn("at most", str(error))

    def test_keys(self) -> None:
        self.refuse("unknown field `extra`", "extra", to=1)
        self.refuse("unknown field `extra`", "validators", 1, "extra", to=1)
        document = json.loads(genesis_to_json(START))
        for key in document:
            left = {name: value for name, value in document.items() if name != key}
            error = self.assertRaises(GenesisError, genesis_from_json, json.dumps(left))
            self.assertIn(f"`{key}`", str(error))

    def test_types(self) -> None:
        for value in ("10000", 10_000.5, None, True, -1):
            self.refuse("$.slot_ms", "slot_ms", to=value)
        self.refuse("$.base_reward", "base_reward", to=1)
        self.refuse("$.validators[0].weight", "validators", 0, "weight", to="100")

    def test_version(self) -> None:
        self.refuse("version 2", "version", to=2)

    def test_network(self) -> None:
        self.refuse("unknown network 'regtest'", "network", to="regtest")

    def test_numbers(self) -> None:
        self.refuse("slot_ms", "slot_ms", to=0)
        self.refuse("above", "slot_ms", to=2**64)
        self.refuse("above", "time_ms", to=2**63)
        self.refuse("above", "validators", 2, "expiry_height", to=2**63)
        self.refuse("base_reward", "base_reward", to="0")
        self.refuse("amount", "base_reward", to="0.000000001")

    def test_largest_numbers(self) -> None:
        largest = 2**63 - 1
        validator = replace(START.validators[0], weight=2**32 - 1, expiry_height=largest)
        start = replace(START, time_ms=largest, slot_ms=largest, validators=(validator,))
        self.assertEqual(genesis_from_json(genesis_to_json(start)), start)
        rich = replace(START.allocations[0], value=params.MAX_AMOUNT_UNITS)
        start = replace(START, allocations=(rich,))
        self.assertEqual(genesis_from_json(genesis_to_json(start)), start)

    def test_least_numbers(self) -> None:
        validator = replace(START.validators[0], weight=1, expiry_height=0)
        coin = replace(START.allocations[0], value=1)
        start = Genesis(1, 3, 0, 1, 1, (validator,), (coin,))
        self.assertEqual(genesis_from_json(genesis_to_json(start)), start)

    def test_validators(self) -> None:
        self.refuse("at least one validator", "validators", to=[])
        self.refuse("weight", "validators", 0, "weight", to=0)
        self.refuse("weight", "validators", 0, "weight", to=2**32)
        self.refuse("same pubkey", "validators", 0, "pubkey", to=START.validators[1].pubkey.hex())
        vrf = START.validators[2].vrf_pubkey.hex()
        self.refuse("same vrf_pubkey", "validators", 0, "vrf_pubkey", to=vrf)

    def test_public_keys(self) -> None:
        for text in ("", "00" * 31, "00" * 33, "G0" * 32, "AB" * 32, "00" * 31 + "0 "):
            self.refuse("pubkey must be", "validators", 0, "pubkey", to=text)

    def test_addresses(self) -> None:
        other = encode_address(params.Network.MAINNET, bytes(20))
        self.refuse("mainnet", "allocations", 0, "address", to=other)
        self.refuse("address", "validators", 0, "payout_address", to="nowhere")

    def test_amounts(self) -> None:
        self.refuse("amount must be positive", "allocations", 0, "amount", to="0")
        self.refuse("amount", "allocations", 0, "amount", to="-1")
        self.refuse("sum is out of range", "allocations", 0, "amount", to="92233720368")

    def test_a_genesis_made_in_code(self) -> None:
        """What would be refused when it is read is not written."""
        for broken in (
            replace(START, network=4),
            replace(START, validators=()),
            replace(START, time_ms=2**63),
            replace(START, allocations=(replace(START.allocations[0], value=2**63),)),
        ):
            self.assertRaises(GenesisError, genesis_to_json, broken)


class ExampleTests(SynchronousTestCase):
    def test_known_hash(self) -> None:
        """The bytes under the hash may not change unnoticed: a network lives by them."""
        minimal = Genesis(1, 3, 1_800_000_000_000, 10_000, 100_000_000, (), ())
        self.assertEqual(encode(minimal).hex(), "970103cf000001a3185c5000cd2710ce05f5e1009090")
