"""Pauses between calls."""

from __future__ import annotations

import random

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.wire import local_end, make_links
from timecoin.p2p.calling import Caller
from timecoin.p2p.connector import FIRST_PAUSE_MS, MAX_PAUSE_MS, Connector
from timecoin.p2p.tls import NodeTls


def connector(seed: int) -> Connector:
    """One with the given randomness."""
    links = make_links(Clock(), local_end(bytes(32)))
    caller = Caller(reactor, NodeTls(b"\x01" * 32), links)
    return Connector(caller, random.Random(seed))


class PauseTests(SynchronousTestCase):
    """Backoff with jitter."""

    def test_grows_to_three_seconds(self) -> None:
        """Never below one second; up to two after a link, up to three after failures."""
        one = connector(1)
        for failures, longest_ms in ((0, 2_000), (1, 3_000), (2, 3_000), (10**6, 3_000)):
            drawn = [one._pause_ms(failures) for _ in range(300)]
            self.assertGreaterEqual(min(drawn), FIRST_PAUSE_MS)
            self.assertLessEqual(max(drawn), longest_ms)
            self.assertGreater(max(drawn), longest_ms * 9 // 10)
        self.assertEqual(MAX_PAUSE_MS, 3_000)

    def test_nodes_do_not_call_in_step(self) -> None:
        """The jitter comes from the generator that was given."""
        pauses = [[connector(seed)._pause_ms(3) for _ in range(1)] for seed in (1, 2, 1)]
        self.assertNotEqual(pauses[0], pauses[1])
        self.assertEqual(pauses[0], pauses[2])
