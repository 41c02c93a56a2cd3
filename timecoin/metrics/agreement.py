"""Block consensus, the active set and finality."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from timecoin.consensus.round import Step
from timecoin.metrics.families import counter, counters, gauge, gauges, histogram
from timecoin.metrics.meters import Meters
from timecoin.metrics.ports import Sources
from timecoin.quorum.tally import quorum_weight

STEPS = tuple(step.name.lower() for step in Step)
NO_ROUND = -1


def collect_chain(sources: Sources, meters: Meters) -> Iterator[Metric]:
    """History: its tip and what was missed on the way."""
    tip, genesis = sources.views.tip, sources.genesis
    now_ms = int(sources.clock.seconds() * 1000)
    missed = max(0, tip.slot - genesis.slot_at(genesis.time_ms) - tip.height)
    yield gauge("height", "Height of the newest final block", tip.height)
    yield gauge("slot_seconds", "Length of a slot", genesis.slot_ms / 1000)
    yield gauge(
        "tip_age_seconds",
        "Time since the slot of the newest block began",
        max(0, now_ms - tip.slot_time) / 1000,
    )
    yield counter("missed_slots", "Slots from genesis to the newest block without a block", missed)
    yield histogram(
        "block_delay_seconds",
        "From the beginning of a slot to its block at this node, while not catching up",
        meters.block_delay,
    )
    yield gauge("supply_units", "Coins in existence", sources.views.supply_units)
    yield gauge(
        "forked",
        "1 if two blocks of one height are certified: the chain has halted",
        sources.views.fork_height is not None,
    )


def collect_consensus(sources: Sources, meters: Meters) -> Iterator[Metric]:
    """Where the vote on the next block stands; nothing of it before consensus has started."""
    yield counter(
        "view_changes", "Rounds after the first of a height begun here", meters.view_changes
    )
    yield counter("proposals_refused", "Proposals not prepared here", meters.proposals_refused)
    yield counter("equivocations", "Double signatures of members seen here", meters.equivocations)
    view = sources.consensus.view()
    if view is None:
        return
    yield gauge("consensus_height", "Height that is voted on", view.height)
    yield gauge("consensus_round", f"Round at that height, {NO_ROUND} before the first", view.round)
    yield gauges(
        "consensus_step",
        "1 for the step that the round is in",
        ("step",),
        [((step,), step == view.step) for step in STEPS],
    )
    yield gauge("consensus_candidates", "Candidates of the newest slot", view.candidates)
    yield gauge(
        "consensus_prepare_weight",
        "Most weight that prepared one block in the round",
        view.prepare_weight,
    )
    yield gauge(
        "consensus_precommit_weight",
        "Most weight that precommitted one block in the round",
        view.precommit_weight,
    )
    yield gauge("consensus_quorum_weight", "Weight that decides", view.quorum)
    yield gauge("consensus_total_weight", "Weight of all staked members", view.total_weight)
    yield gauge("consensus_voting", "1 if this node votes on blocks now", view.voting)
    yield gauge("consensus_locked", "1 if this node is locked on a block", view.locked is not None)


def collect_membership(sources: Sources) -> Iterator[Metric]:
    """The active set after the tip, and this node in it."""
    members = sources.views.active_set(sources.views.tip.height)
    assert members is not None  # the chain always has the tip's
    own = None
    if sources.voting_pubkey is not None:
        own = members.by_pubkey.get(sources.voting_pubkey)
    yield gauge("validator", "1 if this node has a voting key", sources.voting_pubkey is not None)
    yield gauge("avs_member", "1 if this node's key is in the active set", own is not None)
    yield gauge("avs_own_weight", "This node's weight in it", 0 if own is None else own.weight)
    yield gauge("avs_members", "Members of the active set", len(members.members))
    yield gauge("avs_staked_members", "Those whose weight counts", len(members.staked))
    yield gauge("avs_total_weight", "Their weight", members.total_weight)
    yield gauge("avs_quorum_weight", "Weight of a quorum", quorum_weight(members.total_weight))


def collect_finality(sources: Sources, meters: Meters) -> Iterator[Metric]:
    """Agreement on transactions."""
    figures = sources.finality.statistics()
    yield histogram(
        "finality_seconds",
        "From a transaction's first sight here to final",
        meters.finality,
    )
    yield gauge("finality_polls_running", "Polls of this node under way", figures.running_polls)
    yield gauge("finality_queued", "Transactions that wait for a poll", figures.queued)
    yield counter("finality_polls", "Polls that this node began", figures.polls_begun)
    yield counter(
        "finality_transactions_polled", "Transactions in these polls", figures.transactions_polled
    )
    yield counters(
        "finality_votes",
        "Votes of this node, and those that its polls got",
        ("direction",),
        [(("cast",), figures.votes_cast), (("received",), figures.votes_received)],
    )
    yield counter("transactions_final", "Transactions that became final", figures.finalized)
    yield counter("transactions_rejected", "Transactions that ended rejected", figures.rejected)
    yield gauge("finality_contests", "Conflict sets that are being decided", figures.contests)
    yield gauge("finality_locks", "Outputs that this node's votes have locked", figures.locks)
    yield gauge("finality_certificates", "Certificates held", figures.certificates)
    yield gauge("finality_scheduled", "Tasks that wait for their time", figures.scheduled)
    yield gauge(
        "emergency",
        "1 if this node has seen two certified transactions that conflict",
        figures.emergencies > 0,
    )
    checks = sources.verified
    yield counters(
        "signature_checks",
        "Signatures asked about: found good, found bad, known to be good",
        ("result",),
        [
            (("good",), checks.accepted),
            (("bad",), checks.refused),
            (("known",), checks.remembered),
        ],
    )
