"""Votes of members that the poller is not linked with (PROTOCOL 5, Batch and query).

A call is a poll that the poller signs and gossip carries to everybody, transactions included. Votes
prove themselves; they go back to the poller the way the call has come, node by node, each checked
before it is passed on.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from timecoin.crypto.merkle import merkle_root
from timecoin.finality.batch import Batches
from timecoin.finality.context import Context
from timecoin.finality.intake import CONTEXTUAL, Intake
from timecoin.finality.messages import CallVotes, ReturnVote, call_id, call_statement
from timecoin.finality.parameters import (
    BAD_SIGNATURE_POINTS,
    CALL_MS,
    MALFORMED_POINTS,
    MAX_CALL_AGE_BLOCKS,
    MAX_CALLS,
    MAX_CALLS_PER_POLLER,
    UNSOLICITED_POINTS,
)
from timecoin.finality.poll import vote_fault
from timecoin.finality.votes import Voter
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Blame, Effect, Send, Spread
from timecoin.mempool.entry import Admission
from timecoin.quorum.snapshots import voter_index


@dataclass(slots=True)
class _Path:
    """The way back of a call's votes, and whose have gone it."""

    back: bytes
    poller: bytes
    ends_ms: int
    anchor: int
    root: bytes
    leaf_count: int
    returned: int = 0
    """One bit for each voter, by its index."""


class Calls:
    """Calls of others: passed on, answered, their votes carried back; bounded for each poller."""

    def __init__(self, context: Context, intake: Intake, voter: Voter, batches: Batches) -> None:
        self._context = context
        self._intake = intake
        self._voter = voter
        self._batches = batches
        self._paths: OrderedDict[bytes, _Path] = OrderedDict()
        self._live: dict[bytes, int] = {}
        """Poller -> number of its calls among the paths."""
        self._indices: dict[int, dict[bytes, int]] = {}
        """Anchor -> voter -> index, for the anchors asked about lately."""

    def __len__(self) -> int:
        return len(self._paths)

    # calls

    def on_call(self, peer: bytes, call: CallVotes, now_ms: int) -> list[Effect]:
        """A call that ``peer`` has made or passed on: judge it, pass it on, vote."""
        context = self._context
        self._expire(now_ms)
        name = call_id(context.chain_id, call)
        own = context.committee.key
        if name in self._paths or (own is not None and call.poller == own.public):
            return []
        if not any(call.poller in snapshot.weights for snapshot in context.committee.current()):
            if context.committee.may_be_staked(call.poller, call.anchor):
                return []
            return [Blame(peer, UNSOLICITED_POINTS, "call of no member")]
        is_recent = abs(call.time_ms - now_ms) < CALL_MS
        behind = context.chain.tip_height - call.anchor
        if not is_recent or not 0 <= behind <= MAX_CALL_AGE_BLOCKS or context.catching_up:
            return []
        if len({tx.txid for tx in call.bodies}) != len(call.bodies):
            return [Blame(peer, MALFORMED_POINTS, "duplicate leaf")]
        full = self._live.get(call.poller, 0) >= MAX_CALLS_PER_POLLER
        if full or len(self._paths) >= MAX_CALLS:
            if context.committee.key_of(peer) == call.poller:
                return [Blame(peer, UNSOLICITED_POINTS, "too many calls at a time")]
            return []
        statement = call_statement(context.chain_id, call)
        if not context.verify(call.poller, statement, call.signature):
            return [Blame(peer, BAD_SIGNATURE_POINTS, "bad signature of a call")]
        effects, sound = self._admit(peer, call.bodies, now_ms)
        if not sound:
            return effects
        self._remember(name, peer, call)
        effects.append(Spread(call, author=call.poller))
        return effects + self._vote(name, peer, call, now_ms)

    def _admit(
        self, peer: bytes, bodies: tuple[Transaction, ...], now_ms: int
    ) -> tuple[list[Effect], bool]:
        """Take the transactions in; whether an honest node may pass them on."""
        effects: list[Effect] = []
        sound = True
        for tx in bodies:
            verdict, found = self._intake.take(peer, tx, now_ms)
            effects += found
            if verdict.admission is Admission.REFUSED and verdict.rule not in CONTEXTUAL:
                sound = False
        return effects, sound

    def _remember(self, name: bytes, peer: bytes, call: CallVotes) -> None:
        root = merkle_root([tx.txid for tx in call.bodies])
        ends_ms = call.time_ms + CALL_MS  # replayed later it is too old
        self._paths[name] = _Path(peer, call.poller, ends_ms, call.anchor, root, len(call.bodies))
        self._live[call.poller] = self._live.get(call.poller, 0) + 1

    def _vote(self, name: bytes, peer: bytes, call: CallVotes, now_ms: int) -> list[Effect]:
        context = self._context
        key = context.committee.signer(context.committee.vote_snapshots(call.anchor))
        if key is None or not context.is_current(call.anchor):
            return []
        vote, effects = self._voter.vote(key, call.poller, call.anchor, call.bodies, now_ms)
        if vote is None:
            return effects
        return [*effects, Send(peer, ReturnVote(name, key.public, vote))]

    # votes on their way back

    def on_return(self, peer: bytes, message: ReturnVote, now_ms: int) -> list[Effect]:
        """A vote for a call: this node's own, or one that it has passed on."""
        poll = self._batches.called(message.call)
        path = self._paths.get(message.call)
        if poll is not None:
            anchor, root, leaf_count = poll.anchor, poll.root, len(poll.batch)
            known = message.voter in poll.votes
        elif path is not None:
            anchor, root, leaf_count = path.anchor, path.root, path.leaf_count
            known = False
        else:
            return []  # over; the way back may be longer than the poller's patience
        index = self._index(anchor).get(message.voter)
        if index is None:
            return [Blame(peer, UNSOLICITED_POINTS, "vote of no member")]
        if known or (path is not None and path.returned >> index & 1):
            return []
        fault = vote_fault(self._context, anchor, root, leaf_count, message.voter, message.vote)
        if fault is not None:
            return [Blame(peer, BAD_SIGNATURE_POINTS, fault)]
        if path is None:
            return self._batches.take_return(message.call, message.voter, message.vote, now_ms)
        path.returned |= 1 << index
        return [Send(path.back, message)]

    def _index(self, anchor: int) -> dict[bytes, int]:
        found = self._indices.get(anchor)
        if found is None:
            snapshots = self._context.committee.vote_snapshots(anchor) or ()
            found = {voter: index for index, voter in enumerate(voter_index(snapshots))}
            if snapshots:
                self._indices[anchor] = found
        return found

    # ends

    def connected(self) -> None:
        """The tip is new: nobody asks about much older anchors any more."""
        oldest = self._context.chain.tip_height - MAX_CALL_AGE_BLOCKS
        self._indices = {a: found for a, found in self._indices.items() if a >= oldest}

    def _expire(self, now_ms: int) -> None:
        while self._paths:
            name, oldest = next(iter(self._paths.items()))
            if oldest.ends_ms > now_ms:
                return
            del self._paths[name]
            self._live[oldest.poller] -= 1
            if not self._live[oldest.poller]:
                del self._live[oldest.poller]
