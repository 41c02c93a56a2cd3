"""What a change of the active set costs a node for each block: the next set, its root, its row.

A Bronze member leaves and another joins in every block of a chain of sets; prints processor time,
and the bytes of the snapshot that such a block adds to the store. Asserts nothing.

    .venv/bin/python benchmarks/activeset.py [--members 100,500,1000,5000] [--blocks 50]
"""

from __future__ import annotations

import argparse
import time

from timecoin import params
from timecoin.codec import encode
from timecoin.crypto.hashing import blake3_256
from timecoin.masternodes.active_set import TIER_WEIGHT, ActiveSet, Member, Tier
from timecoin.masternodes.transition import Terms, Transition

TERMS = Terms(params.JAIL_BLOCKS[params.Network.MAINNET], evidence_blocks=1_008)


def member(number: int) -> Member:
    """The Bronze member ``number``."""
    key = blake3_256(number.to_bytes(8, "big"))
    return Member(
        pubkey=key,
        vrf_pubkey=key,
        weight=TIER_WEIGHT[Tier.BRONZE],
        tier=Tier.BRONZE,
        payout_hash=key[:20],
        joined_height=1,
        expiry_height=0,
        stake=key + bytes(4),
    )


def advance(active: ActiveSet, height: int, leaving: bytes | None, joining: int) -> ActiveSet:
    """The set of the next block; without ``leaving`` nothing changes."""
    change = Transition(active, height, TERMS)
    change.spend(())
    change.expire()
    if leaving is not None:
        change.exit(leaving)
        change.join(member(joining), height - 1)
    return change.finish()


def measure(members: int, blocks: int) -> str:
    """One line of figures."""
    found = sorted((member(number) for number in range(members)), key=lambda item: item.pubkey)
    active = ActiveSet(tuple(found))
    start = time.process_time()
    active.root  # noqa: B018
    cold_ms = (time.process_time() - start) * 1_000
    start = time.process_time()
    for block in range(blocks):
        active = advance(active, block + 2, found[block].pubkey, members + block)
        active.root  # noqa: B018
    changed_ms = (time.process_time() - start) / blocks * 1_000
    quiet = advance(active, blocks + 100, None, 0)
    start = time.process_time()
    for block in range(blocks):
        advance(quiet, blocks + 101 + block, None, 0)
    quiet_ms = (time.process_time() - start) / blocks * 1_000
    return (
        f"{members:6} members: first root {cold_ms:.1f} ms, a block with two changes "
        f"{changed_ms:.2f} ms, without {quiet_ms:.2f} ms, {len(encode(active))} bytes"
    )


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", default="100,500,1000,5000")
    parser.add_argument("--blocks", type=int, default=50)
    options = parser.parse_args()
    for size in options.members.split(","):
        print(measure(int(size), options.blocks))


if __name__ == "__main__":
    main()
