"""Networks of real processes for tests: free ports, and nothing left running."""

from __future__ import annotations

import random
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from timecoin.cli.devnet import founding
from timecoin.cli.devnet.network import Devnet
from timecoin.cli.devnet.record import DevnetError

PORTS_OF_A_NETWORK = founding.RPC_PORT_OFFSET + founding.MAX_NODES + 1


def free_base_port(count: int) -> int:
    """A base port whose ports for ``count`` nodes are free (below those that systems hand out)."""
    for _ in range(100):
        port = random.SystemRandom().randrange(10_000, 32_000 - PORTS_OF_A_NETWORK)
        try:
            founding.check_free(Path("/nonexistent"), port, count)
        except DevnetError:
            continue
        return port
    raise AssertionError("no free ports on this machine")


def start_network(test: SynchronousTestCase, count: int, slot_ms: int, tls: bool = False) -> Devnet:
    """A network in a directory of ``test`` that is stopped when the test ends, however it does."""
    directory = Path(test.mktemp()).absolute()
    network = Devnet.start(directory, count, free_base_port(count), slot_ms, lambda said: None, tls)
    test.addCleanup(network.stop)
    return network
