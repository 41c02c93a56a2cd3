"""Changes of the active set that a block carries in ``avs_changes`` (PROTOCOL 4).

Here is what they say and what is signed; whether a change holds in its block is decided by
``transition``.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias, cast

from msgspec import Meta

from timecoin import params
from timecoin.codec import U64, Bytes32, Bytes64, Wire, decode
from timecoin.crypto import vrf
from timecoin.crypto.hashing import PUBKEY_HASH_BYTES, tagged
from timecoin.crypto.keys import SigningKey
from timecoin.ledger.transaction import OUTPOINT_BYTES
from timecoin.masternodes.heartbeat import Attested, Heartbeat, heartbeat_hash

MAX_CHANGE_BYTES = 2_048
"""Bound of one encoded change: a join with six attestations has less than 1,200 bytes."""


class Join(Wire, frozen=True, tag=1):
    """A masternode enters the set, or changes to another stake.

    Exactly one of three: ``stake``, the outpoint of its registration; ``payout_hash``, which makes
    a Free member; neither, which brings back a genesis validator. ``vrf_proof`` is there with a
    stake and shows that the VRF key of the registration belongs to the masternode.
    """

    attested: Attested
    """A heartbeat of the masternode; ``heartbeat.pubkey`` is its voting key."""
    stake: Annotated[bytes, Meta(max_length=OUTPOINT_BYTES)]
    payout_hash: Annotated[bytes, Meta(max_length=PUBKEY_HASH_BYTES)]
    vrf_proof: Annotated[bytes, Meta(max_length=vrf.PROOF_BYTES)]
    signature: Bytes64

    @property
    def pubkey(self) -> bytes:
        """Voting key of the masternode that joins."""
        return self.attested.heartbeat.pubkey


class Leave(Wire, frozen=True, tag=2):
    """A masternode leaves at its own wish; ``signer`` is its voting key or its owner's key.

    ``joined_height`` is that of the membership which it ends, so none can be replayed.
    """

    pubkey: Bytes32
    joined_height: U64
    signer: Bytes32
    signature: Bytes64


class Removal(Wire, frozen=True, tag=3):
    """A masternode is taken out because no verified heartbeat of it was heard: not signed."""

    pubkey: Bytes32


Change: TypeAlias = Join | Leave | Removal


def decode_change(data: bytes) -> Change:
    """The change that ``data`` encodes; ``CodecError`` when it is none."""
    return decode(data, _CHANGE, MAX_CHANGE_BYTES)


_CHANGE = cast("type[Change]", Change)


def join_statement(
    chain_id: bytes, heartbeat: Heartbeat, stake: bytes = b"", payout_hash: bytes = b""
) -> bytes:
    """What the voting key signs in a join: the heartbeat, and with what it joins.

    Attestations are not covered: they can be added by anybody, later.
    """
    return params.TAG_JOIN + chain_id + heartbeat_hash(chain_id, heartbeat) + (stake or payout_hash)


def vrf_possession(chain_id: bytes, pubkey: bytes) -> bytes:
    """The VRF input whose proof shows that a VRF key belongs to the voting key ``pubkey``."""
    return tagged(params.TAG_VRF_POSSESSION, chain_id, pubkey)


def sign_join(
    key: SigningKey,
    chain_id: bytes,
    attested: Attested,
    stake: bytes = b"",
    payout_hash: bytes = b"",
    vrf_seed: bytes = b"",
) -> Join:
    """The join of the masternode ``key`` by its heartbeat; ``vrf_seed`` is needed with a stake."""
    statement = join_statement(chain_id, attested.heartbeat, stake, payout_hash)
    proof = vrf.prove(vrf_seed, vrf_possession(chain_id, key.public)) if stake else b""
    return Join(attested, stake, payout_hash, proof, key.sign(statement))


def leave_statement(chain_id: bytes, pubkey: bytes, joined_height: int) -> bytes:
    """What a leave signs: the membership that it ends."""
    return params.TAG_LEAVE + chain_id + pubkey + joined_height.to_bytes(8, "little")


def sign_leave(key: SigningKey, chain_id: bytes, pubkey: bytes, joined_height: int) -> Leave:
    """The leave of ``pubkey``, signed by ``key``: its voting key or its owner's."""
    statement = leave_statement(chain_id, pubkey, joined_height)
    return Leave(pubkey, joined_height, key.public, key.sign(statement))
