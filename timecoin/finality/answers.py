"""The responder: what this member says when it is asked, and transactions handed over to it."""

from __future__ import annotations

from collections.abc import Sequence

from timecoin.crypto.keys import SigningKey
from timecoin.finality.context import Context
from timecoin.finality.intake import Intake
from timecoin.finality.messages import Answer, Code, Query, TxAnswer, VoteReply
from timecoin.finality.parameters import MALFORMED_POINTS, UNSOLICITED_POINTS
from timecoin.finality.votes import Voter
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Blame, Effect, Send
from timecoin.mempool.entry import Admission, Verdict

_UNKNOWN = TxAnswer(Code.UNKNOWN, b"")


class Responder:
    """Answers queries of members."""

    def __init__(self, context: Context, intake: Intake, voter: Voter) -> None:
        self._context = context
        self._intake = intake
        self._voter = voter

    def on_query(self, peer: bytes, query: Query, now_ms: int) -> list[Effect]:
        """Answer ``query``; a vote is given only to members, and only at a current anchor."""
        context = self._context
        poller = context.committee.voter(peer, context.committee.current())
        if poller is None:
            asker = context.committee.key_of(peer)
            if asker is not None and context.committee.may_be_staked(asker, query.anchor):
                return [_silence(peer, query)]
            return [Blame(peer, UNSOLICITED_POINTS, "query of no member")]
        bodies = {tx.wtxid: tx for tx in query.bodies}
        if len(set(query.wtxids)) != len(query.wtxids) or any(
            wtxid not in query.wtxids for wtxid in bodies
        ):
            return [Blame(peer, MALFORMED_POINTS, "query names a transaction twice or not at all")]
        batch = [bodies.get(wtxid) or context.pool.by_wtxid(wtxid) for wtxid in query.wtxids]
        txids = [tx.txid for tx in batch if tx is not None]
        if len(set(txids)) != len(txids):
            return [Blame(peer, MALFORMED_POINTS, "duplicate leaf")]
        if context.catching_up:
            return [_silence(peer, query)]
        effects: list[Effect] = []
        refused: dict[bytes, Verdict] = {}
        for tx in query.bodies:
            verdict, found = self._intake.take(peer, tx, now_ms)
            effects += found
            if verdict.admission is Admission.REFUSED:
                refused[tx.wtxid] = verdict
        if not context.is_current(query.anchor):
            return [*effects, _silence(peer, query)]
        answers = tuple(self._answer(tx, refused) for tx in batch)
        vote: VoteReply | None = None
        snapshots = context.committee.vote_snapshots(query.anchor)
        key = context.committee.signer(snapshots)
        if query.want_vote and key is not None:
            vote, found = self._vote(key, poller, query.anchor, batch, now_ms)
            effects += found
        return [*effects, Send(peer, Answer(query.request, answers, vote))]

    def _answer(self, tx: Transaction | None, refused: dict[bytes, Verdict]) -> TxAnswer:
        if tx is None:
            return _UNKNOWN
        pooled = self._context.pool.get(tx.txid)
        if pooled is not None:
            return self._voter.opinion(pooled)
        verdict = refused.get(tx.wtxid)
        if verdict is None:
            return _UNKNOWN
        return TxAnswer(Code.INVALID, verdict.rule.encode("ascii"))

    def _vote(
        self,
        key: SigningKey,
        poller: bytes,
        anchor: int,
        batch: Sequence[Transaction | None],
        now_ms: int,
    ) -> tuple[VoteReply | None, list[Effect]]:
        """A vote signs the root over all txids, so each must be known at least by name."""
        known = [tx for tx in batch if tx is not None]
        if len(known) != len(batch):
            return None, []
        return self._voter.vote(key, poller, anchor, known, now_ms)


def _silence(peer: bytes, query: Query) -> Send:
    """An answer that says nothing."""
    return Send(peer, Answer(query.request, (_UNKNOWN,) * len(query.wtxids), None))
