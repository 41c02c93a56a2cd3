"""What signatures cost one core: making and checking them, draws, certificates of 4 to 256 members.

Processor time of this process, the best of several rounds, and how many checks of one signature
that is. Prints figures; asserts nothing.

    .venv/bin/python benchmarks/signatures.py [--members 4 16 64 256]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

from timecoin.crypto.hashing import blake3_256
from timecoin.crypto.keys import SALT_BYTES, SigningKey, VerifiedCache, verify
from timecoin.crypto.vrf import prove, vrf_public
from timecoin.crypto.vrf import verify as verify_draw
from timecoin.masternodes.active_set import ActiveSet, Member, Tier
from timecoin.quorum.certificate import (
    BlockCertificate,
    BlockSignature,
    check_precommit_certificate,
)
from timecoin.quorum.statement import precommit_statement
from timecoin.quorum.tally import quorum_weight

ROUNDS = 5
ROUND_S = 0.1
CHAIN_ID = b"\x03\0\0\0" + bytes(8)
MESSAGE = bytes(100)
"""About what a vote covers."""
BLOCK_HASH = blake3_256(b"a block")


def cost_us(call: Callable[[], object]) -> float:
    """Microseconds of processor time that ``call`` takes."""
    best = float("inf")
    for _ in range(ROUNDS):
        calls, began = 0, time.process_time()
        while (took := time.process_time() - began) < ROUND_S:
            call()
            calls += 1
        best = min(best, took / calls)
    return 1e6 * best


def certificate(members: int) -> tuple[BlockCertificate, ActiveSet]:
    """A precommit certificate by a quorum of ``members`` of equal weight, and their set."""
    keys = sorted(
        (SigningKey(number.to_bytes(32, "big")) for number in range(1, members + 1)),
        key=lambda key: key.public,
    )
    active = ActiveSet(
        tuple(Member(key.public, bytes(32), 1, Tier.GENESIS, bytes(20), 0, 2**32) for key in keys)
    )
    statement = precommit_statement(CHAIN_ID, 1, 0, BLOCK_HASH)
    signatures = tuple(
        BlockSignature(number, key.sign(statement))
        for number, key in enumerate(keys[: quorum_weight(members)])
    )
    return BlockCertificate(1, 0, BLOCK_HASH, signatures), active


def main() -> None:
    """Print a line for each operation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--members", type=int, nargs="+", default=[4, 16, 64, 256])
    options = parser.parse_args()
    key, seed = SigningKey(bytes(range(32))), bytes(range(32))
    signature, drawn = key.sign(MESSAGE), prove(seed, MESSAGE)
    cache = VerifiedCache(bytes(SALT_BYTES), 1_000)
    unit_us = cost_us(lambda: verify(key.public, MESSAGE, signature))

    def tell(what: str, took_us: float) -> None:
        print(f"{what:46} {took_us:10.1f} us {took_us / unit_us:9.2f} checks", flush=True)

    tell("check a signature", unit_us)
    tell("sign", cost_us(lambda: key.sign(MESSAGE)))
    tell("check one seen before", cost_us(lambda: cache.check(key.public, MESSAGE, signature)))
    tell("draw by lot (VRF proof)", cost_us(lambda: prove(seed, MESSAGE)))
    public = vrf_public(seed)
    anew = verify_draw.__wrapped__
    tell("check a draw", cost_us(lambda: anew(public, MESSAGE, drawn)))
    tell("check one seen before", cost_us(lambda: verify_draw(public, MESSAGE, drawn)))
    for members in options.members:
        made, active = certificate(members)
        name = f"check a certificate, {len(made.signatures)} of {members} members"
        tell(name, cost_us(partial(check_precommit_certificate, made, (active,), CHAIN_ID, verify)))


if __name__ == "__main__":
    main()
