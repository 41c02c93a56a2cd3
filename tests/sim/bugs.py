"""Bugs to be planted: each takes one rule of ``docs/protocol.rst`` out of the real node code.

It is out for as long as the context is open that a function here gives.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest import mock

from timecoin.consensus import journal
from timecoin.consensus.journal import Journal
from timecoin.consensus.round import Instance, Precommit
from timecoin.finality.archive import BlockArchive
from timecoin.finality.certificates import Certificates
from timecoin.finality.poll import Poll
from timecoin.finality.receipts import ReceiptBook
from timecoin.finality.restore import Rows
from timecoin.finality.votes import Voter
from timecoin.ledger import rewards
from timecoin.ledger.connect import UtxoDiff, utxo_diff
from timecoin.machine import Record
from timecoin.mempool.pool import Pool
from timecoin.quorum import snapshots, tally


@contextlib.contextmanager
def _all(*patches: AbstractContextManager[Any]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield


def half_is_a_quorum() -> AbstractContextManager[Any]:
    def half(total: int) -> int:
        return max(1, -(-total // 2))

    return _all(
        mock.patch.object(tally, "quorum_weight", half),
        mock.patch("timecoin.finality.poll.quorum_weight", half),
    )


def newest_snapshot_alone() -> AbstractContextManager[Any]:
    distinct = snapshots._distinct

    def newest(source: snapshots.Snapshots, heights: range) -> Any:
        return distinct(source, list(heights)[-1:])

    return mock.patch.object(snapshots, "_distinct", newest)


def a_vote_counts_twice() -> AbstractContextManager[Any]:
    add = Poll.add

    def twice(self: Poll, voter: bytes, vote: Any) -> None:
        add(self, voter, vote)
        self.tally.add(voter, vote.reject_bitmap)

    return mock.patch.object(Poll, "add", twice)


def votes_despite_locks() -> AbstractContextManager[Any]:
    return mock.patch.object(Voter, "is_votable", lambda self, tx: True)


def _not_durable(records: Any) -> Any:
    return [replace(item, durable=False) if isinstance(item, Record) else item for item in records]


def locks_not_durable() -> AbstractContextManager[Any]:
    vote = Voter.vote

    def hasty(self: Voter, *asked: Any) -> Any:
        reply, effects = vote(self, *asked)
        return reply, _not_durable(effects)

    return mock.patch.object(Voter, "vote", hasty)


def locks_forgotten_at_restart() -> AbstractContextManager[Any]:
    read = Rows.read

    def forgetful(rows: Any) -> Rows:
        found = read(rows)
        for rows_of_votes in (found.locks, found.votes, found.bodies):
            rows_of_votes.clear()
        return found

    return mock.patch.object(Rows, "read", forgetful)


def locks_die_with_a_block() -> AbstractContextManager[Any]:
    connected = Voter.connected

    def drop_all(self: Voter, tip: int, gone: Any) -> Any:
        return connected(self, tip, [point for point, _ in self.locks()])

    return mock.patch.object(Voter, "connected", drop_all)


def final_without_receipts() -> AbstractContextManager[Any]:
    return mock.patch.object(Certificates, "is_final", Certificates.covers)


def two_receipts() -> AbstractContextManager[Any]:
    return mock.patch.object(ReceiptBook, "receipted_conflict", lambda self, tx: None)


def receipts_after_a_resolution() -> AbstractContextManager[Any]:
    return mock.patch.object(ReceiptBook, "is_banned", lambda self, tx: False)


def resolves_against_certificates() -> AbstractContextManager[Any]:
    return _all(
        mock.patch.object(BlockArchive, "_certified_rival", lambda *asked: None),
        mock.patch.object(ReceiptBook, "receipted_conflict", lambda self, tx: None),
        mock.patch("timecoin.finality.resolve.StuckPairs._may_win", lambda self, tx: True),
    )


def certified_left_out() -> AbstractContextManager[Any]:
    return mock.patch.object(BlockArchive, "_inclusion", lambda *asked: None)


def signer_forgets() -> AbstractContextManager[Any]:
    read = journal.read_rows

    def forgetful(rows: Any) -> journal.Journaled:
        found = read(rows)
        found.votes.clear()
        return found

    return mock.patch("timecoin.consensus.machine.read_rows", forgetful)


def block_votes_not_durable() -> AbstractContextManager[Any]:
    vote = Journal.vote

    def hasty(self: Journal, ballot: Any) -> Record:
        return replace(vote(self, ballot), durable=False)

    return mock.patch.object(Journal, "vote", hasty)


def precommits_at_once() -> AbstractContextManager[Any]:
    patient = Instance._precommitting

    def hasty(self: Instance) -> Any:
        for offer in self.offers.of(self.round):
            if self._checked(offer.block.hash) is not None:
                return Precommit(offer.block.hash)
        return patient(self)

    return mock.patch.object(Instance, "_precommitting", hasty)


def locks_of_rounds_ignored() -> AbstractContextManager[Any]:
    choice = Instance._choice

    def unlocked(self: Instance, offer: Any, now_ms: int) -> Any:
        held, self.lock = self.lock, None
        try:
            return choice(self, offer, now_ms)
        finally:
            self.lock = held

    return mock.patch.object(Instance, "_choice", unlocked)


def headers_without_certificate() -> AbstractContextManager[Any]:
    return _all(
        mock.patch("timecoin.chain.headers.check_precommit_certificate"),
        mock.patch("timecoin.chain.commit.check_precommit_certificate"),
    )


def seed_does_not_follow() -> AbstractContextManager[Any]:
    def same(parent_seed: bytes, beta: bytes) -> bytes:
        return parent_seed

    return _all(
        mock.patch("timecoin.chain.accept.next_seed", same),
        mock.patch("timecoin.chain.assemble.next_seed", same),
    )


def reward_off_by_one() -> AbstractContextManager[Any]:
    due = rewards.block_reward
    return mock.patch.object(rewards, "block_reward", lambda base, n: due(base, n) + 1)


def fees_paid_twice() -> AbstractContextManager[Any]:
    split = rewards.split_reward

    def generous(reward: int, fees: int, *rest: Any) -> Any:
        return split(reward, 2 * fees, *rest)

    return mock.patch.object(rewards, "split_reward", generous)


def spent_outputs_stay() -> AbstractContextManager[Any]:
    def keeping(*asked: Any) -> UtxoDiff:
        return UtxoDiff(spent=(), created=utxo_diff(*asked).created)

    return mock.patch("timecoin.ledger.check_block.utxo_diff", keeping)


def pool_without_bound() -> AbstractContextManager[Any]:
    return mock.patch.object(Pool, "_victims", lambda self, fee_units, size: [])
