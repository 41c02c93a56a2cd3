"""Merkle trees against an independent recursive definition."""

from __future__ import annotations

from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.crypto.merkle import merkle_path, merkle_root, verify_path

LEAF_TAG = b"timecoin/merkle-leaf\x00"
NODE_TAG = b"timecoin/merkle-node\x00"

leaf_lists = st.lists(st.binary(max_size=40), min_size=1, max_size=40)


def recursive_root(leaves: list[bytes]) -> bytes:
    """The same tree from the top: the left half is the largest full tree (RFC 6962, 2.1)."""
    if len(leaves) == 1:
        return blake3(LEAF_TAG + leaves[0]).digest()
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    left, right = recursive_root(leaves[:split]), recursive_root(leaves[split:])
    return blake3(NODE_TAG + left + right).digest()


class RootTests(SynchronousTestCase):
    def test_no_leaves(self) -> None:
        self.assertEqual(merkle_root([]), bytes(32))

    def test_every_size_to_seventy(self) -> None:
        leaves = [bytes([number]) for number in range(70)]
        for count in range(1, 71):
            self.assertEqual(merkle_root(leaves[:count]), recursive_root(leaves[:count]))

    def test_an_odd_leaf_is_not_duplicated(self) -> None:
        """CVE-2012-2459: with duplication these two would share a root."""
        self.assertNotEqual(merkle_root([b"a", b"b", b"c"]), merkle_root([b"a", b"b", b"c", b"c"]))
        self.assertNotEqual(merkle_root([b"a"]), merkle_root([b"a", b"a"]))

    def test_a_node_cannot_pass_for_a_leaf(self) -> None:
        pair = blake3(LEAF_TAG + b"a").digest() + blake3(LEAF_TAG + b"b").digest()
        self.assertNotEqual(merkle_root([pair]), merkle_root([b"a", b"b"]))

    @settings(deadline=None, max_examples=50)
    @given(leaves=leaf_lists, others=leaf_lists)
    def test_different_lists_have_different_roots(
        self, leaves: list[bytes], others: list[bytes]
    ) -> None:
        self.assertEqual(merkle_root(leaves) == merkle_root(others), leaves == others)


class PathTests(SynchronousTestCase):
    def test_every_leaf_of_every_size(self) -> None:
        leaves = [bytes([number]) for number in range(33)]
        for count in range(1, 34):
            root = merkle_root(leaves[:count])
            for index in range(count):
                path = merkle_path(leaves[:count], index)
                for claimed in range(-1, count + 1):
                    self.assertEqual(
                        verify_path(root, leaves[index], claimed, count, path), claimed == index
                    )

    @settings(deadline=None, max_examples=50)
    @given(leaves=leaf_lists, data=st.data())
    def test_changed_paths_are_refused(self, leaves: list[bytes], data: st.DataObject) -> None:
        count = len(leaves)
        index = data.draw(st.integers(0, count - 1))
        root, leaf, path = merkle_root(leaves), leaves[index], merkle_path(leaves, index)
        self.assertTrue(verify_path(root, leaf, index, count, path))
        self.assertFalse(verify_path(root, leaf + b"\x00", index, count, path))
        self.assertFalse(verify_path(bytes(32), leaf, index, count, path))
        self.assertFalse(verify_path(root, leaf, index, count, (*path, bytes(32))))
        for position in range(len(path)):
            shorter = path[:position] + path[position + 1 :]
            self.assertFalse(verify_path(root, leaf, index, count, shorter))
            bit = data.draw(st.integers(0, 255))
            changed = bytearray(path[position])
            changed[bit // 8] ^= 1 << bit % 8
            mutated = (*path[:position], bytes(changed), *path[position + 1 :])
            self.assertFalse(verify_path(root, leaf, index, count, mutated))

    def test_siblings_have_32_bytes(self) -> None:
        """The boundary between two siblings' bytes cannot be moved."""
        leaves = [b"a", b"b", b"c", b"d"]
        first, second = merkle_path(leaves, 0)
        root = merkle_root(leaves)
        self.assertFalse(verify_path(root, b"a", 0, 4, (first + second[:1], second[1:])))
        self.assertFalse(verify_path(root, b"a", 0, 4, (first[:31], second)))

    @settings(deadline=None, max_examples=100)
    @given(
        root=st.binary(max_size=33),
        leaf=st.binary(max_size=9),
        index=st.integers(-(2**70), 2**70),
        count=st.integers(-(2**70), 2**70),
        path=st.lists(st.binary(max_size=33), max_size=70),
    )
    def test_verify_never_raises(
        self, root: bytes, leaf: bytes, index: int, count: int, path: list[bytes]
    ) -> None:
        self.assertFalse(verify_path(root, leaf, index, count, path))

    def test_no_such_leaf(self) -> None:
        for index in (-1, 2):
            self.assertRaises(IndexError, merkle_path, [b"a", b"b"], index)
        self.assertRaises(IndexError, merkle_path, [], 0)
