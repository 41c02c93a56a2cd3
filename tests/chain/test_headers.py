"""Headers ahead of the tip at a start, against checkpoints, and what proves a fork."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from tests.chain.net import Contents, Net
from timecoin.chain import headers as chain_headers
from timecoin.chain.commit import Chain
from timecoin.chain.headers import (
    CertifiedHeader,
    CheckpointError,
    ForkedHeader,
    HeaderChain,
    HeaderError,
)
from timecoin.store.memory import MemoryEngine
from timecoin.sync.messages import GetHeaders
from timecoin.sync.serve import headers_page

NET = Net()
BLOCKS = 8


def grown(blocks: int, member: int = 0, engine: MemoryEngine | None = None) -> Chain:
    chain = NET.chain(engine)
    for _ in range(blocks):
        checked = NET.make(chain, Contents(), member)
        chain.commit(checked, NET.finalize(checked.block))
    return chain


CHAIN, OTHER = grown(BLOCKS), grown(BLOCKS, member=1)
HASHES = [CHAIN.block_hash(height) or b"" for height in range(BLOCKS + 1)]


def item(chain: Chain, height: int) -> CertifiedHeader:
    return headers_page(chain, GetHeaders(1, height, 1)).items[0]


class HeaderCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.engine = MemoryEngine()

    def headers(self, checkpoints: Mapping[int, bytes], chain: Chain | None = None) -> HeaderChain:
        """As a node makes it at its start, over what is in the engine."""
        chain = chain or NET.chain(self.engine)
        return HeaderChain(NET.genesis, chain._store, NET.verify, chain.tip, checkpoints)


class StartTests(HeaderCase):
    def fill(self) -> None:
        """All headers are stored, no block is."""
        headers = self.headers({})
        page = headers_page(CHAIN, GetHeaders(1, 1, BLOCKS))
        headers.append(headers.check(page.items))

    def test_it_goes_on_from_stored_headers(self) -> None:
        self.fill()
        self.assertEqual(self.headers({}).top.height, BLOCKS)
        headers = self.headers({5: HASHES[5]})
        self.assertEqual((headers.top.height, headers.trusted), (BLOCKS, True))

    def test_stored_headers_of_another_history_than_the_checkpoints(self) -> None:
        self.fill()
        for height in (1, 5, BLOCKS):
            headers = self.headers({height: bytes(32)})
            self.assertEqual((headers.top.height, headers.trusted), (0, False))

    def test_not_trusted_before_the_last_checkpoint(self) -> None:
        self.fill()
        headers = self.headers({5: HASHES[5], BLOCKS + 1: bytes(32)})
        self.assertEqual((headers.top.height, headers.trusted), (BLOCKS, False))

    def test_blocks_that_a_checkpoint_contradicts_refuse_the_start(self) -> None:
        chain = grown(3, engine=self.engine)
        with self.assertRaises(CheckpointError) as caught:
            self.headers({2: bytes(32)}, chain)
        self.assertIn("checkpoint 2", str(caught.exception))
        self.headers({2: HASHES[2], 9: bytes(32)}, chain)


class CompareTests(HeaderCase):
    """A second certified header at a height that is history."""

    def test_both_are_certified(self) -> None:
        headers = self.headers({}, CHAIN)
        for height in (1, BLOCKS):
            with self.assertRaises(ForkedHeader) as caught:
                headers.compare(item(OTHER, height))
            self.assertEqual(caught.exception.first, CHAIN.certificate(height))
            self.assertEqual(caught.exception.second, OTHER.certificate(height))

    def not_a_fork(self, headers: HeaderChain, height: int, reason: str) -> None:
        with self.assertRaises(HeaderError) as caught:
            headers.compare(item(OTHER, height))
        self.assertNotIsInstance(caught.exception, ForkedHeader)
        self.assertIn(reason, str(caught.exception))

    def test_nothing_below_a_checkpoint(self) -> None:
        headers = self.headers({5: HASHES[5]}, CHAIN)
        self.not_a_fork(headers, 5, "checkpoint")
        with self.assertRaises(ForkedHeader):
            headers.compare(item(OTHER, 6))

    def test_nothing_by_keys_that_count_no_more(self) -> None:
        self.patch(chain_headers, "retained_blocks", lambda slot_ms: 3)
        headers = self.headers({}, CHAIN)
        self.not_a_fork(headers, BLOCKS - 3, "count no more")
        with self.assertRaises(ForkedHeader):
            headers.compare(item(OTHER, BLOCKS - 2))
