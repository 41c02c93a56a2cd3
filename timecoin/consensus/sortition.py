"""The VRF lottery for the right to propose (PROTOCOL 6, RFC 9381).

A member's output for a slot is unique and unpredictable; its priority is exponentially
distributed with its weight as rate, so the lowest one falls to each member with a chance
proportional to weight.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

from timecoin import params
from timecoin.crypto import vrf
from timecoin.crypto.hashing import tagged
from timecoin.masternodes.active_set import ActiveSet, Member

JOIN_DELAY_BLOCKS = 2
"""Who joined in block j may propose from block j + JOIN_DELAY_BLOCKS on."""
SMALL_SET = 20
"""Up to this many staked members, all announce their candidates."""
ANNOUNCED_MEAN = 20
"""Beyond, so many announce on average: the first ten are among them in 199 slots of 200."""

_CONTEXT = Context(prec=50, rounding=ROUND_HALF_EVEN)
_OUTPUTS = Decimal(2**512)
_SCALE = Decimal(2**64)


class SortitionError(ValueError):
    """A claim to propose that does not hold; the text says why."""


def alpha(chain_id: bytes, parent_seed: bytes, slot: int) -> bytes:
    """The VRF input of ``slot`` after the block with seed ``parent_seed``."""
    return tagged(params.TAG_VRF, parent_seed, slot.to_bytes(8, "little"), chain_id)


def next_seed(parent_seed: bytes, beta: bytes) -> bytes:
    """The seed of a block whose producer's VRF output is ``beta``."""
    return tagged(params.TAG_SEED, parent_seed, beta)


def priority(beta: bytes, weight: int) -> int:
    """``floor(-ln((beta + 1) / 2^512) / weight * 2^64)``; the lowest goes first.

    ``beta`` is read as a big-endian integer; 50 digits, half-even, one floor at the end.
    """
    share = _CONTEXT.divide(Decimal(int.from_bytes(beta, "big") + 1), _OUTPUTS)
    rate = _CONTEXT.divide(_CONTEXT.minus(_CONTEXT.ln(share)), Decimal(weight))
    return int(_CONTEXT.multiply(rate, _SCALE).to_integral_value(ROUND_FLOOR))


def eligible(active_set: ActiveSet, height: int) -> tuple[Member, ...]:
    """Who may propose block ``height``, by pubkey; ``active_set`` is avs(height - 1).

    Members that joined at least two blocks before, genesis members from block 1 on; if nobody
    qualifies, all staked members.
    """
    settled = tuple(
        member
        for member in active_set.staked
        if member.joined_height == 0 or member.joined_height + JOIN_DELAY_BLOCKS <= height
    )
    return settled or active_set.staked


def eligible_member(active_set: ActiveSet, height: int, pubkey: bytes) -> Member:
    """The member ``pubkey`` of :func:`eligible`; ``SortitionError`` if it is not among them."""
    for member in eligible(active_set, height):
        if member.pubkey == pubkey:
            return member
    raise SortitionError("not eligible to propose")


def check_candidate(
    chain_id: bytes,
    active_set: ActiveSet,
    height: int,
    parent_seed: bytes,
    slot: int,
    pubkey: bytes,
    vrf_proof: bytes,
) -> bytes:
    """The VRF output with which ``pubkey`` may propose block ``height`` in ``slot``.

    ``active_set`` is avs(height - 1), ``parent_seed`` the seed of block height - 1.
    ``SortitionError`` when the member is not eligible or the proof does not hold.
    """
    member = eligible_member(active_set, height, pubkey)
    beta = vrf.verify(member.vrf_pubkey, alpha(chain_id, parent_seed, slot), vrf_proof)
    if beta is None:
        raise SortitionError("invalid VRF proof")
    return beta


def announces(own_priority: int, active_set: ActiveSet, height: int) -> bool:
    """Whether a member of this priority announces its candidate.

    The number of priorities below p is about Poisson distributed with mean p / 2^64 * W.
    """
    if len(active_set.staked) <= SMALL_SET:
        return True
    weight = sum(member.weight for member in eligible(active_set, height))
    return own_priority * weight <= ANNOUNCED_MEAN << 64
