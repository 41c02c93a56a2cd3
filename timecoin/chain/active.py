"""The active set from block to block (PROTOCOL 4, 6): what a block carries, judged and applied.

The same steps serve the check of a block and its making: each change either happens or raises
``RuleBroken`` and leaves no trace.
"""

from __future__ import annotations

from collections.abc import Container
from itertools import pairwise

from timecoin import params
from timecoin.chain.ports import ParentState, parent_set
from timecoin.codec import CodecError
from timecoin.crypto.keys import Verify
from timecoin.ledger.block import Body, Header
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.transaction import Outpoint
from timecoin.masternodes.active_set import ActiveSet
from timecoin.masternodes.admission import Admission, Carrier
from timecoin.masternodes.changes import Change, Join, Leave, Removal, decode_change
from timecoin.masternodes.transition import Terms, Transition
from timecoin.quorum.evidence import EvidenceError, read_evidence

SNAPSHOT_RETENTION_MS = 7 * 24 * 3600 * 1000
"""Snapshots count for certificates so long, in slot time (PROTOCOL 4)."""


def retained_blocks(slot_ms: int) -> int:
    """How many blocks below the tip a snapshot still counts: seven days of slots."""
    return max(1, SNAPSHOT_RETENTION_MS // slot_ms)


class NextSet:
    """avs(h) in the making: spent stakes, then evidence, then expiry, then changes."""

    def __init__(
        self, carrier: Carrier, parent: ParentState, genesis: Genesis, verify: Verify
    ) -> None:
        self._parent = parent
        self._chain_id = genesis.chain_id
        self._verify = verify
        self._admission = Admission(carrier, parent, genesis, verify)
        terms = Terms(
            jail_blocks=params.JAIL_BLOCKS[params.Network(genesis.network)],
            evidence_blocks=retained_blocks(genesis.slot_ms),
        )
        self._transition = Transition(parent_set(parent), carrier.height, terms)
        self._transition.spend(carrier.spent)

    def punish(self, evidence: bytes) -> None:
        """Jail whom ``evidence`` convicts."""
        try:
            offence = read_evidence(evidence, self._parent, self._chain_id, self._verify)
        except EvidenceError as error:
            raise RuleBroken("bad-evidence", str(error)) from error
        self._transition.jail(offence.signer, offence.height)

    def expire(self) -> None:
        """Genesis members whose time is over leave, as far as the churn bound allows."""
        self._transition.expire()

    def change(self, change: Change) -> None:
        """Carry out one join, leave or removal."""
        match change:
            case Join():
                tip_height = change.attested.heartbeat.tip_height
                self._transition.join(self._admission.joining(change), tip_height)
            case Leave(pubkey):
                member = self._transition.member(pubkey)
                if member is not None:
                    self._admission.check_leave(change, member)
                self._transition.exit(pubkey)
            case Removal(pubkey):
                self._transition.exit(pubkey)

    def check_candidate(self, join: Join) -> None:
        """``RuleBroken`` unless ``join`` has a place here, heartbeat and signatures aside."""
        member = self._admission.candidate(join)
        self._transition.join(member, join.attested.heartbeat.tip_height)

    def finish(self) -> ActiveSet:
        """The set itself; the parent's own object when nothing has changed."""
        return self._transition.finish()


def carrier_of(header: Header, spent: Container[Outpoint]) -> Carrier:
    """What the rules of changes need to know of a block."""
    return Carrier(header.height, header.slot_time, header.timestamp_ms, spent)


def next_active_set(
    header: Header,
    body: Body,
    spent: Container[Outpoint],
    parent: ParentState,
    genesis: Genesis,
    verify: Verify,
) -> ActiveSet:
    """avs(h) of the block with ``header`` and ``body``, whose entries spend ``spent``.

    ``RuleBroken`` when a change or evidence in it does not hold. Changes stand in strictly
    ascending order of their masternodes: one for each at most.
    """
    next_set = NextSet(carrier_of(header, spent), parent, genesis, verify)
    for evidence in body.evidence:
        next_set.punish(evidence)
    next_set.expire()
    changes = [_decoded(data) for data in body.avs_changes]
    if any(later.pubkey <= earlier.pubkey for earlier, later in pairwise(changes)):
        raise RuleBroken("bad-avs-changes-order", "changes do not ascend by masternode")
    for change in changes:
        next_set.change(change)
    return next_set.finish()


def _decoded(data: bytes) -> Change:
    try:
        return decode_change(data)
    except CodecError as error:
        raise RuleBroken("bad-avs-change", str(error)) from error
