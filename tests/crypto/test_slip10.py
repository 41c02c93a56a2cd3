"""SLIP-0010: published vectors and the refused inputs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.vectors.loader import load_vectors
from timecoin.crypto.slip10 import derive, master_key

SEED = bytes(range(16))


class Slip10Tests(SynchronousTestCase):
    def test_vectors(self) -> None:
        vectors = load_vectors("slip0010_ed25519")["vectors"]
        self.assertEqual(len(vectors), 12)
        for vector in vectors:
            seed = bytes.fromhex(vector["seed"])
            steps = vector["path"].split("/")[1:]
            self.assertTrue(all(step.endswith("'") for step in steps))
            path = [int(step[:-1]) for step in steps]
            self.assertEqual(derive(seed, path).hex(), vector["private"])
            node = master_key(seed)
            for index in path:
                node = node.child(index)
            self.assertEqual(node.private.hex(), vector["private"])
            self.assertEqual(node.chain_code.hex(), vector["chain"])

    def test_indices_come_without_the_hardening_bit(self) -> None:
        for index in (-1, 2**31, 2**31 + 44, 2**32):
            self.assertRaises(ValueError, derive, SEED, [44, index])
        self.assertNotEqual(derive(SEED, [2**31 - 1]), derive(SEED, [0]))

    def test_seed_length(self) -> None:
        for length in (0, 15, 65):
            self.assertRaises(ValueError, derive, bytes(length), [0])

    def test_the_private_key_is_not_shown(self) -> None:
        node = master_key(SEED)
        self.assertNotIn(repr(node.private), repr(node))
