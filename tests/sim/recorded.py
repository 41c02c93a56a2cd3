"""Simulated nodes that are recorded."""

from __future__ import annotations

from pathlib import Path

from timecoin.consensus.seat import Identity
from timecoin.node.node import Node, NodeSettings
from timecoin.node.recording.file import RecordingReader
from timecoin.node.recording.recorder import build_recorded, open_recording
from timecoin.node.runtime import Runtime
from timecoin.sim.world import SimNode, World

MAX_BYTES = 100_000_000


def record(node: SimNode, path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Record ``node`` from its next start on."""

    def build(settings: NodeSettings, runtime: Runtime) -> Node:
        return build_recorded(settings, runtime, open_recording(path), max_bytes)

    node.build = build


def identity(node: SimNode) -> Identity | None:
    """The keys of ``node``, if it has any."""
    return Identity(node.voting_key, node.vrf_seed) if node.has_voting_key else None


def read(path: Path, test: object) -> RecordingReader:
    """The recording in ``path``; closed when ``test`` ends."""
    file = path.open("rb")
    test.addCleanup(file.close)  # type: ignore[attr-defined]
    return RecordingReader(file)


def pay(world: World, count: int, every_s: float = 0.5) -> None:
    """Payments at nodes by turns."""
    for number in range(count):
        tx = world.users.payment()
        assert tx is not None
        world.submit(number % len(world.nodes), tx)
        world.run(every_s)
