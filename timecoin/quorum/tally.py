"""The quorum rule, written once (PROTOCOL 4): ``Q = ceil(2W/3)`` in each snapshot given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from timecoin.masternodes.active_set import ActiveSet


def quorum_weight(total: int) -> int:
    """Q: the least weight that is a quorum of ``total``; of 0 it is 1, which nobody can reach."""
    return max(1, -(-2 * total // 3))


def weight_of(signers: Iterable[bytes], snapshot: ActiveSet) -> int:
    """Staked weight of the distinct ``signers`` in ``snapshot``."""
    weights = snapshot.weights
    return sum(weights.get(signer, 0) for signer in dict.fromkeys(signers))


def is_quorum(weights: Sequence[int], snapshots: Sequence[ActiveSet]) -> bool:
    """Whether ``weights``, one for each snapshot, are a quorum in *each*; False for none."""
    return bool(snapshots) and all(
        weight >= quorum_weight(snapshot.total_weight)
        for weight, snapshot in zip(weights, snapshots, strict=True)
    )


def has_quorum(signers: Iterable[bytes], snapshots: Sequence[ActiveSet]) -> bool:
    """Whether ``signers`` hold a quorum in *each* of ``snapshots``; False when there is none."""
    distinct = tuple(dict.fromkeys(signers))
    return is_quorum([weight_of(distinct, snapshot) for snapshot in snapshots], snapshots)


def exceeds_third(signers: Iterable[bytes], snapshot: ActiveSet) -> bool:
    """Whether ``signers`` hold more than W/3: at least one of them is honest."""
    return 3 * weight_of(signers, snapshot) > snapshot.total_weight
