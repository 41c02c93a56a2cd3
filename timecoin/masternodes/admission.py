"""Whether a join or a leave holds by itself: signatures, stake, heartbeat, freshness (PROTOCOL 4).

All of it is objective: every node finds the same from the block and its parent's state.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Protocol

from timecoin import params
from timecoin.crypto import vrf
from timecoin.crypto.hashing import HASH_BYTES, PUBKEY_HASH_BYTES, hash160
from timecoin.crypto.keys import Verify
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import TAG_STAKE, Stake, parse_script
from timecoin.ledger.transaction import OUTPOINT_BYTES, Outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.masternodes.active_set import TIER_WEIGHT, ActiveSet, Member, Tier, tier_of
from timecoin.masternodes.changes import (
    Join,
    Leave,
    join_statement,
    leave_statement,
    vrf_possession,
)
from timecoin.masternodes.heartbeat import HeartbeatError, check_attested

NO_VRF_KEY = bytes(HASH_BYTES)
"""What stands for the VRF key of a Free member, which never proposes."""


class History(Protocol):
    """Port: the chain up to the parent of the block that is judged."""

    def active_set(self, height: int) -> ActiveSet | None:
        """avs(height) while it counts, None otherwise."""

    def block_hash(self, height: int) -> bytes | None:
        """The hash of the block at ``height``."""

    def utxo(self, point: Outpoint) -> Utxo | None:
        """The output ``point``, unspent after the parent."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """The block that carries a change, as far as it matters; times are Unix milliseconds."""

    height: int
    slot_time: int
    timestamp_ms: int
    spent: Container[Outpoint]
    """What its entries spend."""


class Admission:
    """Judges the joins and leaves of one block."""

    def __init__(
        self, carrier: Carrier, history: History, genesis: Genesis, verify: Verify
    ) -> None:
        self._carrier = carrier
        self._history = history
        self._genesis = genesis
        self._verify = verify
        parent = history.active_set(carrier.height - 1)
        if parent is None:
            raise LookupError(f"no active set at height {carrier.height - 1}")
        self._parent = parent

    def joining(self, join: Join) -> Member:
        """The member that ``join`` makes; ``RuleBroken`` ("bad-join") says what it lacks.

        Signatures come last. Whether there is room for it is the transition's question.
        """
        sizes = (len(join.stake), len(join.payout_hash), len(join.vrf_proof))
        if sizes not in _KINDS:
            raise _bad_join("neither a stake nor a payout address nor a genesis validator")
        snapshot = self._snapshot_of(join)
        member = self.candidate(join)
        chain_id = self._genesis.chain_id
        try:
            check_attested(join.attested, snapshot, chain_id, self._verify)
        except HeartbeatError as error:
            raise _bad_join(str(error)) from error
        statement = join_statement(chain_id, join.attested.heartbeat, join.stake, join.payout_hash)
        if not self._verify(join.pubkey, statement, join.signature):
            raise _bad_join("the voting key has not signed it")
        if join.stake:
            possession = vrf_possession(chain_id, join.pubkey)
            if vrf.verify(member.vrf_pubkey, possession, join.vrf_proof) is None:
                raise _bad_join("no proof that the VRF key is its own")
        return member

    def check_leave(self, leave: Leave, member: Member) -> None:
        """``RuleBroken`` ("bad-leave") unless ``leave`` ends the membership ``member``."""
        if leave.joined_height != member.joined_height:
            raise _bad_leave("it is for another membership")
        if leave.signer != member.pubkey and hash160(leave.signer) != self._owner_of(member):
            raise _bad_leave("signed by neither the voting key nor the owner's")
        statement = leave_statement(self._genesis.chain_id, leave.pubkey, leave.joined_height)
        if not self._verify(leave.signer, statement, leave.signature):
            raise _bad_leave("bad signature")

    def _snapshot_of(self, join: Join) -> ActiveSet:
        """avs(tip_height) of a heartbeat that is fresh, at the tip, and attested by members."""
        heartbeat, carrier = join.attested.heartbeat, self._carrier
        timing = params.HEARTBEAT_TIMING[params.Network(self._genesis.network)]
        if carrier.slot_time - heartbeat.timestamp >= timing.ttl_ms:
            raise _bad_join("the heartbeat is too old")
        if heartbeat.timestamp > carrier.timestamp_ms + params.TIMESTAMP_DRIFT_MS:
            raise _bad_join("the heartbeat is from the future")
        behind = carrier.height - 1 - heartbeat.tip_height
        if not 0 <= behind <= params.SNAPSHOT_DEPTH:
            raise _bad_join(f"a heartbeat at height {heartbeat.tip_height}")
        if self._history.block_hash(heartbeat.tip_height) != heartbeat.tip_hash:
            raise _bad_join("the heartbeat names another chain")
        if any(item.witness not in self._parent.weights for item in join.attested.attestations):
            raise _bad_join("a witness is no member any more")
        snapshot = self._history.active_set(heartbeat.tip_height)
        if snapshot is None:
            raise _bad_join(f"no snapshot of height {heartbeat.tip_height}")
        return snapshot

    def candidate(self, join: Join) -> Member:
        """The member that ``join`` would make, if heartbeat and signatures hold.

        Cheap: ``RuleBroken`` ("bad-join") after one look-up when it rests on nothing.
        """
        if join.stake:
            return self._staked_member(join)
        if join.payout_hash:
            return Member(
                pubkey=join.pubkey,
                vrf_pubkey=NO_VRF_KEY,
                weight=TIER_WEIGHT[Tier.FREE],
                tier=Tier.FREE,
                payout_hash=join.payout_hash,
                joined_height=self._carrier.height,
                expiry_height=0,
            )
        return self._genesis_member(join)

    def _staked_member(self, join: Join) -> Member:
        utxo = self._history.utxo(join.stake)
        if utxo is None or join.stake in self._carrier.spent:
            raise _bad_join("there is no such stake")
        if not utxo.script.startswith(_STAKE):
            raise _bad_join("the output is no stake")
        script = parse_script(utxo.script)
        assert isinstance(script, Stake)
        if script.pubkey != join.pubkey:
            raise _bad_join("the stake is another masternode's")
        tier = tier_of(utxo.value)
        if tier is None:
            raise _bad_join(f"{utxo.value} units are no collateral")
        return Member(
            pubkey=join.pubkey,
            vrf_pubkey=script.vrf_pubkey,
            weight=TIER_WEIGHT[tier],
            tier=tier,
            payout_hash=script.payout_hash,
            joined_height=self._carrier.height,
            expiry_height=0,
            stake=join.stake,
        )

    def _genesis_member(self, join: Join) -> Member:
        found = next(
            (item for item in self._genesis.validators if item.pubkey == join.pubkey), None
        )
        if found is None or found.expiry_height <= self._carrier.height:
            raise _bad_join("no genesis validator, or its time is over")
        return Member(
            pubkey=found.pubkey,
            vrf_pubkey=found.vrf_pubkey,
            weight=found.weight,
            tier=Tier.GENESIS,
            payout_hash=found.payout_hash,
            joined_height=self._carrier.height,
            expiry_height=found.expiry_height,
        )

    def _owner_of(self, member: Member) -> bytes | None:
        """Hash of the key that owns the stake of ``member``; None for who has none."""
        utxo = self._history.utxo(member.stake) if member.stake else None
        if utxo is None:
            return None
        script = parse_script(utxo.script)
        assert isinstance(script, Stake)
        return script.owner_hash


_STAKE = bytes((TAG_STAKE,))
_KINDS = (
    (OUTPOINT_BYTES, 0, vrf.PROOF_BYTES),
    (0, PUBKEY_HASH_BYTES, 0),
    (0, 0, 0),
)
"""Lengths of stake, payout hash and VRF proof in the three kinds of join."""


def _bad_join(detail: str) -> RuleBroken:
    return RuleBroken("bad-join", detail)


def _bad_leave(detail: str) -> RuleBroken:
    return RuleBroken("bad-leave", detail)
