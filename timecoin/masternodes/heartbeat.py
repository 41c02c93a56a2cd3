"""Heartbeats and attestations: how masternodes show that they are there (PROTOCOL 4).

A heartbeat is signed by a voting key and names the tip that its sender is at. Its witnesses are
drawn by its own hash from the staked members of avs(tip_height); with enough of their
attestations it is *verified*. Everything here is pure: who has heard what and when is the
masternode machine's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

from msgspec import Meta

from timecoin import params
from timecoin.codec import U64, Bytes32, Bytes64, Wire
from timecoin.crypto.hashing import blake3_256, tagged
from timecoin.crypto.keys import SIGNATURE_BYTES, SigningKey, Verify
from timecoin.masternodes.active_set import ActiveSet


class HeartbeatError(ValueError):
    """A heartbeat that proves nothing; the text says which rule it breaks."""


class Heartbeat(Wire, frozen=True):
    """A masternode's sign of life. ``timestamp`` is Unix time in milliseconds.

    ``sequence`` grows with every heartbeat of a key, also over restarts.
    """

    pubkey: Bytes32
    sequence: U64
    tip_height: U64
    tip_hash: Bytes32
    timestamp: U64
    signature: Bytes64


class Attestation(Wire, frozen=True):
    """A witness's word that it received a heartbeat in time and knows its tip."""

    witness: Bytes32
    signature: Bytes64


class Attested(Wire, frozen=True):
    """A heartbeat with attestations to it, strictly ascending by witness."""

    heartbeat: Heartbeat
    attestations: Annotated[tuple[Attestation, ...], Meta(max_length=params.WITNESSES)]


BEAT_ID_BYTES = 8
MAX_ATTESTED_BYTES = 1_024
"""Bound of an encoded :class:`Attested`: one heartbeat, six attestations of 100 bytes."""


def heartbeat_statement(chain_id: bytes, heartbeat: Heartbeat) -> bytes:
    """What the signature of a heartbeat covers."""
    return (
        params.TAG_HEARTBEAT
        + chain_id
        + heartbeat.pubkey
        + heartbeat.sequence.to_bytes(8, "little")
        + heartbeat.tip_height.to_bytes(8, "little")
        + heartbeat.tip_hash
        + heartbeat.timestamp.to_bytes(8, "little")
    )


def heartbeat_hash(chain_id: bytes, heartbeat: Heartbeat) -> bytes:
    """The identity of a heartbeat: what it says, without the signature."""
    statement = heartbeat_statement(chain_id, heartbeat)
    return tagged(params.TAG_HEARTBEAT, statement[len(params.TAG_HEARTBEAT) :])


def beat_id(hash_: bytes) -> bytes:
    """A short name of the heartbeat ``hash_``, for announcements only: its sender can make two."""
    return hash_[:BEAT_ID_BYTES]


def attestation_statement(chain_id: bytes, hash_: bytes) -> bytes:
    """What an attestation to the heartbeat with the identity ``hash_`` signs."""
    return params.TAG_ATTESTATION + chain_id + hash_


def sign_heartbeat(
    key: SigningKey,
    chain_id: bytes,
    sequence: int,
    tip_height: int,
    tip_hash: bytes,
    timestamp_ms: int,
) -> Heartbeat:
    """The heartbeat of ``key`` at that tip and time."""
    unsigned = Heartbeat(
        key.public, sequence, tip_height, tip_hash, timestamp_ms, bytes(SIGNATURE_BYTES)
    )
    signature = key.sign(heartbeat_statement(chain_id, unsigned))
    return Heartbeat(key.public, sequence, tip_height, tip_hash, timestamp_ms, signature)


def sign_attestation(key: SigningKey, chain_id: bytes, hash_: bytes) -> Attestation:
    """The attestation of ``key`` to the heartbeat with the identity ``hash_``."""
    return Attestation(key.public, key.sign(attestation_statement(chain_id, hash_)))


def witnesses(hash_: bytes, pubkey: bytes, snapshot: ActiveSet) -> tuple[bytes, ...]:
    """Who may attest to the heartbeat ``hash_`` of ``pubkey``: at most 6 other staked members.

    ``snapshot`` is avs(tip_height) of the heartbeat; those with the lowest
    H(witness tag | heartbeat hash | member) are drawn, lowest first.
    """
    drawn = params.TAG_WITNESS + hash_
    ranked = sorted(
        (blake3_256(drawn + member), member) for member in snapshot.weights if member != pubkey
    )
    return tuple(member for _, member in ranked[: params.WITNESSES])


def needed_attestations(count: int) -> int:
    """Attestations that verify a heartbeat among ``count`` masternodes, its sender included."""
    return max(0, min(params.MAX_NEEDED_ATTESTATIONS, count - 1 - count // 3))


def needed_for(pubkey: bytes, snapshot: ActiveSet) -> int:
    """Attestations that a heartbeat of ``pubkey`` needs: staked members of ``snapshot`` count.

    A sender that is not staked in it, a joiner or a Free member, is counted in.
    """
    members = len(snapshot.weights)
    return needed_attestations(members if pubkey in snapshot.weights else members + 1)


def check_heartbeat(heartbeat: Heartbeat, chain_id: bytes, verify: Verify) -> None:
    """Raise ``HeartbeatError`` unless the voting key that it names has signed it."""
    if not verify(heartbeat.pubkey, heartbeat_statement(chain_id, heartbeat), heartbeat.signature):
        raise HeartbeatError("bad signature of a heartbeat")


def check_attestation(
    attestation: Attestation, hash_: bytes, drawn: Sequence[bytes], chain_id: bytes, verify: Verify
) -> None:
    """Raise unless one of the witnesses ``drawn`` has signed ``attestation`` to ``hash_``."""
    if attestation.witness not in drawn:
        raise HeartbeatError("an attestation by one who is no witness")
    statement = attestation_statement(chain_id, hash_)
    if not verify(attestation.witness, statement, attestation.signature):
        raise HeartbeatError("bad signature of an attestation")


def check_attested(
    attested: Attested, snapshot: ActiveSet, chain_id: bytes, verify: Verify
) -> None:
    """Raise ``HeartbeatError`` unless the heartbeat is verified (PROTOCOL 4).

    ``snapshot`` is avs(tip_height) of the heartbeat. Whether its tip_hash is the block of that
    height, and whether it is fresh, is the caller's question. Cheap checks come first.
    """
    heartbeat, attestations = attested.heartbeat, attested.attestations
    if any(later.witness <= earlier.witness for earlier, later in pairwise(attestations)):
        raise HeartbeatError("witnesses not strictly ascending")
    if len(attestations) < needed_for(heartbeat.pubkey, snapshot):
        raise HeartbeatError("too few attestations")
    hash_ = heartbeat_hash(chain_id, heartbeat)
    drawn = witnesses(hash_, heartbeat.pubkey, snapshot)
    if any(attestation.witness not in drawn for attestation in attestations):
        raise HeartbeatError("an attestation by one who is no witness")
    check_heartbeat(heartbeat, chain_id, verify)
    for attestation in attestations:
        check_attestation(attestation, hash_, drawn, chain_id, verify)
