"""How the members agree: block consensus and polls on transactions."""

from __future__ import annotations

from timecoin.chain.views import ChainViews
from timecoin.ledger.genesis import Genesis
from timecoin.params import FinalityParams
from timecoin.quorum.tally import quorum_weight
from timecoin.rpc.blocks import seconds_json
from timecoin.rpc.condition import Condition
from timecoin.rpc.errors import WARMING_UP, RpcError
from timecoin.rpc.method import rpc_method
from timecoin.rpc.ports import ConsensusReader, EvidenceReader, FinalityReader, PoolReader
from timecoin.rpc.rendering import Json


class AgreementMethods:
    """What consensus and finality do now."""

    def __init__(
        self,
        genesis: Genesis,
        views: ChainViews,
        pool: PoolReader,
        finality: FinalityReader,
        finality_params: FinalityParams,
        consensus: ConsensusReader,
        evidence: EvidenceReader,
        condition: Condition,
    ) -> None:
        self._genesis = genesis
        self._views = views
        self._pool = pool
        self._finality = finality
        self._params = finality_params
        self._consensus = consensus
        self._evidence = evidence
        self._condition = condition

    @rpc_method()
    def getconsensusinfo(self) -> Json:
        """Where the vote on the next block stands, by the weights of the tip's active set.

        round is -1 before the first; slot is the newest that has begun, next_slot_in the seconds
        to the next. evidence holds proofs of double signing: those that no block carries yet, with
        their canonical bytes as hex, and all pairs of conflicting certificates seen by this node.
        """
        view = self._consensus.view()
        if view is None:
            raise RpcError(WARMING_UP, "consensus has not started")
        tip = self._views.tip
        members = self._views.active_set(tip.height)
        assert members is not None  # the chain always has the tip's
        slot_ms, now_ms = self._genesis.slot_ms, self._condition.now_ms
        return {
            "height": view.height,
            "round": view.round,
            "step": view.step,
            "proposer": None if view.proposer is None else view.proposer.hex(),
            "candidates": view.candidates,
            "prepare_weight": view.prepare_weight,
            "precommit_weight": view.precommit_weight,
            "quorum": view.quorum,
            "total_weight": view.total_weight,
            "voting": view.voting,
            "locked": None if view.locked is None else view.locked.hex(),
            "halted": view.halted,
            "slot": self._genesis.slot_at(now_ms),
            "next_slot_in": seconds_json(slot_ms - now_ms % slot_ms),
            "snowball": {
                "k": self._params.sample_size,
                "alpha": self._params.alpha,
                "beta": self._params.confidence,
                "answer_timeout_ms": self._params.answer_timeout_ms,
            },
            "avs": {
                "height": tip.height,
                "members": len(members.members),
                "staked": len(members.staked),
                "total_weight": members.total_weight,
                "quorum_weight": quorum_weight(members.total_weight),
                "root": members.root.hex(),
            },
            "evidence": [
                {
                    "type": proof.offence,
                    "signers": [proof.signer.hex()],
                    "height": proof.height,
                    "hash": proof.hash.hex(),
                    "hex": proof.encoded.hex(),
                }
                for proof in self._evidence.held
            ]
            + [
                {
                    "type": "conflicting-certificates",
                    "transactions": [pair.row.first.hex(), pair.row.second.hex()],
                    "signers": [signer.hex() for signer in pair.signers],
                }
                for pair in self._finality.emergencies
            ],
        }

    @rpc_method()
    def getavalanchestatus(self) -> Json:
        """Polls on transactions: running and since this node started.

        p50_ms and p95_ms are measured here, from first sight to final, over the last 1,000;
        average_batch_size is over the polls that this node has begun; both null before the first.
        """
        figures = self._finality.statistics()
        average = None
        if figures.polls_begun:
            average = round(figures.transactions_polled / figures.polls_begun, 2)
        return {
            "running_polls": figures.running_polls,
            "queued": figures.queued,
            "finalized": figures.finalized,
            "rejected": figures.rejected,
            "conflicts": self._pool.stats().conflicts,
            "contests": figures.contests,
            "locks": figures.locks,
            "certificates": figures.certificates,
            "emergencies": figures.emergencies,
            "p50_ms": figures.p50_ms,
            "p95_ms": figures.p95_ms,
            "measured": len(self._finality.latencies_ms),
            "polls_begun": figures.polls_begun,
            "transactions_polled": figures.transactions_polled,
            "average_batch_size": average,
            "votes_sent": figures.votes_cast,
            "votes_received": figures.votes_received,
        }
