"""The objective rules of a block: the same for production, proposals, sync and replay (PROTOCOL 6).

What a block says is compared with its parent's state alone: no clock, no pool, no opinion. Cheap
checks come first, signatures of certificates and transactions last. Subjective rules belong to
consensus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from timecoin import params
from timecoin.chain.active import next_active_set
from timecoin.chain.ports import ParentState, parent_set
from timecoin.codec import CodecError, decode, encode
from timecoin.consensus.ports import FindBody, MissingBodies
from timecoin.consensus.sortition import (
    SortitionError,
    check_candidate,
    eligible_member,
    next_seed,
)
from timecoin.crypto.keys import Verify
from timecoin.crypto.lthash import LtHash
from timecoin.ledger.block import Block, Body, Header
from timecoin.ledger.check import StakeFree
from timecoin.ledger.check_block import check_block
from timecoin.ledger.connect import UtxoDiff
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.memo import SpendMemo
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import Stake
from timecoin.ledger.transaction import Outpoint, Transaction
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.certificate import (
    BatchCertificate,
    CertificateError,
    check_batch_certificate,
)
from timecoin.quorum.snapshots import certificate_snapshots


@dataclass(frozen=True, slots=True)
class CheckedBlock:
    """A block that keeps the objective rules, and the state that it leads to."""

    block: Block
    transactions: tuple[Transaction, ...]
    """Bodies of the entries, in entry order."""
    diff: UtxoDiff
    fees: int
    active_set: ActiveSet
    lthash: bytes
    supply: int

    @property
    def utxo_root(self) -> bytes:
        """The hash of the UTXO set after the block."""
        return LtHash.from_bytes(self.lthash).digest()


def check_successor(
    block: Block,
    find: FindBody,
    parent: ParentState,
    genesis: Genesis,
    verify: Verify,
    memo: SpendMemo | None = None,
) -> CheckedBlock:
    """``block`` judged as the successor of ``parent``; ``memo``: see :func:`check_block`.

    :class:`RuleBroken` names the first rule that it breaks; :class:`MissingBodies` the
    transactions without which it cannot be judged.
    """
    checked = check_changes(block, find, parent, genesis, verify, memo)
    if block.header.utxo_root != checked.utxo_root:
        raise RuleBroken("bad-utxo-root", "utxo_root is not that of the set after this block")
    return checked


def check_changes(
    block: Block,
    find: FindBody,
    parent: ParentState,
    genesis: Genesis,
    verify: Verify,
    memo: SpendMemo | None = None,
) -> CheckedBlock:
    """:func:`check_successor` without a look at ``utxo_root``, which a producer learns here."""
    check_shape(block)
    check_header(block.header, parent, genesis)
    transactions = find_bodies(block.body, find)
    spent = {point for tx in transactions for point in tx.outpoints}
    active_set = next_active_set(block.header, block.body, spent, parent, genesis, verify)
    if block.header.avs_root != active_set.root:
        raise RuleBroken("bad-avs-root", "avs_root is not that of the next active set")
    certified = check_certificates(block.body, parent, genesis, verify)
    diff, fees = check_block(
        block,
        transactions,
        view=parent,
        members=parent_set(parent).members,
        certified=certified,
        stake_free=stake_rule(parent, certified),
        genesis=genesis,
        parent_time_ms=parent.tip.slot_time,
        verify=verify,
        memo=memo,
    )
    lthash = diff.apply_to(LtHash.from_bytes(parent.lthash))
    # Fees change hands, they do not come into being.
    issued = sum(output.value for output in block.body.reward.outputs) - fees
    return CheckedBlock(
        block=block,
        transactions=transactions,
        diff=diff,
        fees=fees,
        active_set=active_set,
        lthash=lthash.to_bytes(),
        supply=parent.supply + issued,
    )


def check_shape(block: Block) -> None:
    """Size, and that the header commits to this very body. Blames whoever sent it, not the hash."""
    size = len(encode(block))
    if size > params.MAX_BLOCK_BYTES:
        raise RuleBroken("bad-blk-length", f"{size} bytes exceed {params.MAX_BLOCK_BYTES}")
    if block.header.body_root != block.body.root:
        raise RuleBroken("bad-body-root", "the body is not the one that the header commits to")


def check_header(header: Header, parent: ParentState, genesis: Genesis) -> None:
    """Everything that the header says by itself: place, time, producer, lottery."""
    tip = parent.tip
    if header.version != params.BLOCK_VERSION:
        raise RuleBroken("bad-version", f"version {header.version}")
    if header.chain_id != genesis.chain_id:
        raise RuleBroken("bad-chain-id", "a block of another network")
    if header.height != tip.height + 1:
        raise RuleBroken("bad-height", f"height {header.height} after {tip.height}")
    if header.prev_hash != tip.hash:
        raise RuleBroken("bad-prevblk", "prev_hash is not the final tip")
    if header.slot <= tip.slot:
        raise RuleBroken("bad-slot", f"slot {header.slot} is not after {tip.slot}")
    if header.slot_time != header.slot * genesis.slot_ms:
        raise RuleBroken("bad-slot-time", "slot_time is not the beginning of the slot")
    members = parent_set(parent)
    try:
        eligible_member(members, header.height, header.producer)
    except SortitionError as error:
        raise RuleBroken("bad-producer", str(error)) from error
    try:
        beta = check_candidate(
            genesis.chain_id,
            members,
            header.height,
            tip.seed,
            header.slot,
            header.producer,
            header.vrf_proof,
        )
    except SortitionError as error:
        raise RuleBroken("bad-vrf", str(error)) from error
    if header.seed != next_seed(tip.seed, beta):
        raise RuleBroken("bad-seed", "seed does not follow from the VRF output")


def find_bodies(body: Body, find: FindBody) -> tuple[Transaction, ...]:
    """The bodies of all entries, in entry order; :class:`MissingBodies` names those not held."""
    found = [(entry.wtxid, find(entry.wtxid)) for entry in body.entries]
    missing = tuple(wtxid for wtxid, tx in found if tx is None)
    if missing:
        raise MissingBodies(missing)
    return tuple(tx for _, tx in found if tx is not None)


def check_certificates(
    body: Body, parent: ParentState, genesis: Genesis, verify: Verify
) -> dict[bytes, int]:
    """The txids that the block's certificates certify, each with its oldest anchor.

    Each certificate is valid in the snapshots of its anchor, stands once, and is needed: it
    certifies an entry of the block.
    """
    entries = {entry.txid for entry in body.entries}
    certified: dict[bytes, int] = {}
    seen: set[tuple[int, bytes]] = set()
    for data in body.certificates:
        try:
            certificate = decode(data, BatchCertificate, params.MAX_BLOCK_BYTES)
        except CodecError as error:
            raise RuleBroken("bad-certificate", str(error)) from error
        if (certificate.anchor, certificate.root) in seen:
            raise RuleBroken("bad-certificate", "the same batch twice")
        seen.add((certificate.anchor, certificate.root))
        covered = certified_leaves(certificate, parent, genesis, verify)
        if entries.isdisjoint(covered):
            raise RuleBroken("unneeded-certificate", "a certificate of no entry")
        for txid in covered:
            certified[txid] = min(certificate.anchor, certified.get(txid, certificate.anchor))
    return certified


def stake_rule(parent: ParentState, anchors: Mapping[bytes, int]) -> StakeFree:
    """Whether the block after ``parent`` may spend a stake (PROTOCOL 4).

    The masternode has let it go after the parent; or it had when its spend was certified, at one
    of the two tips at which members vote for the anchor in ``anchors`` (by txid): what has been
    certified must remain archivable, whatever blocks do to the masternode then.
    """
    tip = parent.tip.height

    def is_free(txid: bytes, point: Outpoint, stake: Stake) -> bool:
        anchor = anchors.get(txid, tip)
        snapshots = ((height, parent.active_set(height)) for height in (anchor, anchor + 1, tip))
        return any(
            snapshot is not None and snapshot.releases(point, stake.pubkey, height + 1)
            for height, snapshot in snapshots
        )

    return is_free


def certified_leaves(
    certificate: BatchCertificate, parent: ParentState, genesis: Genesis, verify: Verify
) -> tuple[bytes, ...]:
    """The txids that one certificate certifies; :class:`RuleBroken` when it is not valid here."""
    snapshots = certificate_snapshots(parent, certificate.anchor)
    if snapshots is None:
        raise RuleBroken(
            "bad-certificate-anchor", f"snapshots of anchor {certificate.anchor} are not kept"
        )
    try:
        leaves = check_batch_certificate(certificate, snapshots, genesis.chain_id, verify)
    except CertificateError as error:
        raise RuleBroken("bad-certificate", str(error)) from error
    return tuple(certificate.leaves[leaf] for leaf in leaves)
