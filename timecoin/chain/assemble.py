"""A producer's block: what is worth archiving, less what is void or does not fit (PROTOCOL 6).

Nothing here is trusted: the result goes through the check that every other node applies, which also
gives the one field that a producer cannot know before, ``utxo_root``.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import msgspec

from timecoin import params
from timecoin.chain.accept import CheckedBlock, certified_leaves, check_changes, stake_rule
from timecoin.chain.active import NextSet
from timecoin.chain.ports import ParentState, parent_set
from timecoin.codec import CodecError, encode
from timecoin.consensus.ports import Contents
from timecoin.consensus.sortition import next_seed
from timecoin.crypto import vrf
from timecoin.crypto.hashing import HASH_BYTES
from timecoin.crypto.keys import Verify
from timecoin.ledger.block import Block, Body, Entry, Header, Resolution
from timecoin.ledger.check import check_spend, check_structure, check_witness
from timecoin.ledger.check_block import max_entries
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.memo import SpendMemo
from timecoin.ledger.rewards import expected_reward
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.transaction import Outpoint, Transaction, outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.masternodes.active_set import ActiveSet
from timecoin.masternodes.admission import Carrier
from timecoin.masternodes.changes import Change, decode_change

MAX_CHANGES_BYTES = 1_000_000
"""Room that changes of the active set and evidence may take from transactions."""

# Encoded sizes, each with its array and length prefixes; the frame is header and array heads.
_FRAME_BYTES = 1_000
_ENTRY_BYTES = 69
_REWARD_OUTPUT_BYTES = 40
_BIN_HEAD_BYTES = 5


@dataclass(frozen=True, slots=True)
class Draft:
    """The part of a header that the producer brings."""

    slot: int
    round: int
    producer: bytes
    vrf_proof: bytes
    timestamp_ms: int


def assemble(
    contents: Contents,
    draft: Draft,
    parent: ParentState,
    genesis: Genesis,
    verify: Verify,
    memo: SpendMemo | None = None,
) -> CheckedBlock:
    """The block of ``draft`` with all of ``contents`` that is valid after ``parent`` and fits.

    ``contents`` come most urgent first and are taken in that order, parents before children.
    ``RuleBroken`` when the draft itself does not hold: slot, producer, VRF proof.
    """
    try:
        # What a pool brings has been judged before: the check of the whole block is enough.
        return _assemble(Selection(contents, parent, genesis, verify, False), draft, memo)
    except RuleBroken:
        return _assemble(Selection(contents, parent, genesis, verify, True), draft, memo)


def _assemble(selection: Selection, draft: Draft, memo: SpendMemo | None) -> CheckedBlock:
    """The checked block of ``draft`` with what ``selection`` takes."""
    parent, genesis = selection.parent, selection.genesis
    height = parent.tip.height + 1
    transactions = selection.take_all()
    reward = expected_reward(
        genesis.base_reward, parent_set(parent).members, draft.producer, selection.fees, height
    )
    slot_time = draft.slot * genesis.slot_ms
    carrier = Carrier(height, slot_time, draft.timestamp_ms, selection.spent)
    changes = take_changes(selection.contents, carrier, parent, genesis, selection.verify)
    body = Body(
        reward=reward,
        entries=tuple(Entry(tx.txid, tx.wtxid) for tx in transactions),
        certificates=selection.certificates,
        resolutions=selection.resolutions,
        avs_changes=changes.avs_changes,
        evidence=changes.evidence,
    )
    header = Header(
        version=params.BLOCK_VERSION,
        chain_id=genesis.chain_id,
        height=height,
        slot=draft.slot,
        slot_time=slot_time,
        prev_hash=parent.tip.hash,
        producer=draft.producer,
        round=draft.round,
        vrf_proof=draft.vrf_proof,
        seed=next_seed(parent.tip.seed, _vrf_output(draft.vrf_proof)),
        timestamp_ms=draft.timestamp_ms,
        entries_root=body.entries_root,
        avs_root=changes.active_set.root,
        utxo_root=bytes(HASH_BYTES),  # known when the changes are
        body_root=body.root,
    )
    bodies = {tx.wtxid: tx for tx in transactions}
    checked = check_changes(
        Block(header, body), bodies.get, parent, genesis, selection.verify, memo
    )
    header = msgspec.structs.replace(header, utxo_root=checked.utxo_root)
    return dataclasses.replace(checked, block=Block(header, body))


@dataclass(frozen=True, slots=True)
class TakenChanges:
    """What a block carries for the active set, and the set that it leads to."""

    avs_changes: tuple[bytes, ...]
    evidence: tuple[bytes, ...]
    active_set: ActiveSet


def take_changes(
    contents: Contents, carrier: Carrier, parent: ParentState, genesis: Genesis, verify: Verify
) -> TakenChanges:
    """Evidence and changes of ``contents`` that hold after ``parent`` and fit.

    They are chosen most urgent first, and of those stay what also holds in the order of a block.
    """
    chosen = NextSet(carrier, parent, genesis, verify)
    room = MAX_CHANGES_BYTES
    evidence: list[bytes] = []
    for data in contents.evidence:
        if len(data) + _BIN_HEAD_BYTES <= room and _happens(partial(chosen.punish, data)):
            evidence.append(data)
            room -= len(data) + _BIN_HEAD_BYTES
    chosen.expire()
    found: dict[bytes, tuple[Change, bytes]] = {}
    for data in contents.avs_changes:
        change = _decoded(data)
        if change is None or change.pubkey in found or len(data) + _BIN_HEAD_BYTES > room:
            continue
        if _happens(partial(chosen.change, change)):
            found[change.pubkey] = change, data
            room -= len(data) + _BIN_HEAD_BYTES
    ordered = NextSet(carrier, parent, genesis, verify)
    for data in evidence:
        ordered.punish(data)
    ordered.expire()
    taken = tuple(
        data
        for change, data in (found[pubkey] for pubkey in sorted(found))
        if _happens(partial(ordered.change, change))
    )
    return TakenChanges(taken, tuple(evidence), ordered.finish())


def _happens(step: Callable[[], None]) -> bool:
    """Whether ``step`` keeps the rules; one that does not has changed nothing."""
    try:
        step()
    except RuleBroken:
        return False
    return True


def _decoded(data: bytes) -> Change | None:
    try:
        return decode_change(data)
    except CodecError:
        return None


def _vrf_output(proof: bytes) -> bytes:
    try:
        return vrf.proof_to_hash(proof)
    except ValueError as error:
        raise RuleBroken("bad-vrf", str(error)) from error


class Selection:
    """Chooses from ``contents`` what one block can hold.

    ``careful`` judges each transaction and resolution by itself; otherwise they are taken to be
    valid, and only certificates, conflicts and limits count.
    """

    def __init__(
        self,
        contents: Contents,
        parent: ParentState,
        genesis: Genesis,
        verify: Verify,
        careful: bool,
    ) -> None:
        self.contents = contents
        self.parent = parent
        self.genesis = genesis
        self.verify = verify
        self._careful = careful
        self._height = parent.tip.height + 1
        self._candidates = {tx.txid: tx for tx in contents.transactions}
        self._certificates: list[bytes] = []
        self._certificate_of: dict[bytes, int] = {}
        anchors: dict[bytes, int] = {}
        for certificate in contents.certificates:
            try:
                leaves = certified_leaves(certificate, parent, genesis, verify)
            except RuleBroken:
                continue
            for txid in leaves:
                self._certificate_of.setdefault(txid, len(self._certificates))
                anchors.setdefault(txid, certificate.anchor)
            self._certificates.append(encode(certificate))
        self._stake_free = stake_rule(parent, anchors)
        self._resolutions_of: dict[bytes, list[Resolution]] = {}
        for resolution in contents.resolutions:
            self._resolutions_of.setdefault(resolution.winner, []).append(resolution)
        self._used_certificates: set[int] = set()
        self._used_resolutions: list[Resolution] = []
        self._taken: list[Transaction] = []
        self._created: dict[Outpoint, Utxo] = {}
        self.spent: set[Outpoint] = set()
        """What was taken spends."""
        reward_bytes = _REWARD_OUTPUT_BYTES * (len(parent_set(parent).members) + 1)
        offered = (*contents.avs_changes, *contents.evidence)
        change_bytes = sum(len(data) + _BIN_HEAD_BYTES for data in offered)
        self._room_bytes = params.MAX_BLOCK_BYTES - _FRAME_BYTES - reward_bytes
        self._room_bytes -= min(change_bytes, MAX_CHANGES_BYTES)
        self._bodies_bytes = 0
        self._max_entries = max_entries(genesis)
        self.fees = 0
        """Fees of what was taken, in units."""

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The encoded certificates that cover what was taken, in the order given."""
        return tuple(self._certificates[index] for index in sorted(self._used_certificates))

    @property
    def resolutions(self) -> tuple[Resolution, ...]:
        """The resolutions that cover what was taken, by winner and outpoint."""
        return tuple(sorted(self._used_resolutions, key=lambda item: (item.winner, item.outpoint)))

    def take_all(self) -> tuple[Transaction, ...]:
        """Take what is valid and fits; the result is in entry order."""
        queue = deque(self._candidates.values())
        waiting: dict[bytes, list[Transaction]] = {}
        while queue:
            tx = queue.popleft()
            parent_txid = self._awaited(tx)
            if parent_txid is not None:
                waiting.setdefault(parent_txid, []).append(tx)
                continue
            del self._candidates[tx.txid]
            self._take(tx)
            queue.extendleft(reversed(waiting.pop(tx.txid, [])))
        return tuple(sorted(self._taken, key=lambda item: item.txid))

    def _awaited(self, tx: Transaction) -> bytes | None:
        """A candidate, not yet decided, that ``tx`` spends from."""
        return next(
            (item.prev_txid for item in tx.inputs if item.prev_txid in self._candidates), None
        )

    def _take(self, tx: Transaction) -> None:
        """Add ``tx`` if the rules and the limits let it in."""
        if any(point in self.spent for point in tx.outpoints):
            return
        coins = [
            coin
            for point in tx.outpoints
            if (coin := self._created.get(point) or self.parent.utxo(point)) is not None
        ]
        if len(coins) != len(tx.inputs):
            return
        certificate = self._certificate_of.get(tx.txid)
        fee_units = sum(coin.value for coin in coins) - sum(item.value for item in tx.outputs)
        resolutions = [] if certificate is not None else self._resolving(tx)
        if fee_units < 0 or (self._careful and not self._is_valid(tx, coins, resolutions)):
            return
        cost = _ENTRY_BYTES + sum(len(encode(item)) for item in resolutions)
        if certificate is None:
            if not resolutions:
                return
        elif certificate not in self._used_certificates:
            cost += len(self._certificates[certificate]) + _BIN_HEAD_BYTES
        if not self._has_room(tx, cost):
            return
        self._room_bytes -= cost
        self._bodies_bytes += len(tx.encoded)
        if certificate is not None:
            self._used_certificates.add(certificate)
        self._used_resolutions.extend(resolutions)
        self._taken.append(tx)
        self.fees += fee_units
        self.spent.update(tx.outpoints)
        for index, output in enumerate(tx.outputs):
            self._created[outpoint(tx.txid, index)] = Utxo(
                value=output.value, script=output.lock_script, height=self._height, coinbase=False
            )

    def _has_room(self, tx: Transaction, cost: int) -> bool:
        return (
            len(self._taken) < self._max_entries
            and cost <= self._room_bytes
            and self._bodies_bytes + len(tx.encoded) <= params.MAX_BLOCK_BODIES_BYTES
        )

    def _resolving(self, tx: Transaction) -> list[Resolution]:
        """The resolutions that ``tx`` wins, one an outpoint."""
        found: dict[Outpoint, Resolution] = {}
        for resolution in self._resolutions_of.get(tx.txid, ()):
            found.setdefault(resolution.outpoint, resolution)
        return list(found.values())

    def _is_valid(self, tx: Transaction, coins: list[Utxo], resolutions: list[Resolution]) -> bool:
        """Whether ``tx``, which spends ``coins``, and its resolutions keep the rules."""
        try:
            check_structure(tx)
            check_spend(
                tx,
                coins,
                self.genesis.chain_id,
                self._height,
                self.parent.tip.slot_time,
                self.verify,
                self._stake_free,
            )
            for resolution in resolutions:
                self._check_resolution(resolution, tx, coins)
        except RuleBroken:
            return False
        return True

    def _check_resolution(self, resolution: Resolution, tx: Transaction, coins: list[Utxo]) -> None:
        loser, point = resolution.loser, resolution.outpoint
        if loser.txid == tx.txid or point not in tx.outpoints or point not in loser.outpoints:
            raise RuleBroken("bad-resolution", "the two do not conflict in the outpoint")
        check_structure(loser)
        coin = coins[tx.outpoints.index(point)]
        index = loser.outpoints.index(point)
        check_witness(loser, index, coin, self.genesis.chain_id, self.verify)
