"""The things that touch the world, handed to ``build_node`` by ``tap`` or by the simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from timecoin.codec import Decode, decode
from timecoin.crypto.keys import VerifiedCache
from timecoin.driver import Clock
from timecoin.masternodes.book import Draw
from timecoin.masternodes.heartbeat import witnesses
from timecoin.p2p.ports import Network
from timecoin.store.engine import Engine
from timecoin.store.journalstore import Offload


@dataclass(frozen=True, slots=True)
class Runtime:
    """Time, chance, links, bytes at rest and threads of one node."""

    clock: Clock
    rng: Callable[[str], Random]
    """A generator of its own for each purpose."""
    network: Network
    engine: Engine
    offload: Offload
    """Runs a blocking function aside and then calls back."""
    verified: VerifiedCache
    """Signatures found good. The nodes of a simulator share one: verifying is a pure function."""
    on_crash: Callable[[Exception], None]
    """Hears of an exception in a machine: our own bug; the node has stopped by then."""
    decode: Decode = decode
    draw: Draw = witnesses
    """What messages say, and who witnesses a heartbeat: pure too, and shared in the simulator."""
