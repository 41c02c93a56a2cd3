"""Bounds and intervals of one node's finality; none of them is a rule of the protocol.

What the protocol fixes stands in ``params.FinalityParams``.
"""

from __future__ import annotations

from timecoin import params

FRESH_TIP_MS = 1_000
"""While the tip is younger, polls are anchored at the block before it, which everybody has."""

MAX_PATIENCE = 8
"""Most multiples of the answer time-out that a poll waits for members behind slow links."""

RETRY_MAX_MS = 16_000
"""Longest pause between two polls of one transaction, or two repetitions of one receipt."""

SCHEDULE_GRAIN_MS = 50
"""Due times are rounded up to this, so that one timer serves many."""

SWEEP_MS = 60_000
"""How often transactions that waited too long are dropped."""

RELAY_PEERS = 3
"""Staked peers that a node outside the active set hands its transactions to."""

ENTRY_NODES = 3
"""Members that become entry nodes of a transaction carried by gossip."""

CALL_MS = 15_000
"""A call older or newer than this by the own clock is not passed on."""
MAX_CALL_AGE_BLOCKS = 2
"""Calls at an anchor further behind the tip are not passed on."""
MAX_CALLS = 8_192
MAX_CALLS_PER_POLLER = 1_024
"""Calls of one member whose votes are carried back at a time."""

BATCH_BYTES = params.QUERY_MAX_BYTES - 64 * params.BATCH_MAX_TRANSACTIONS
"""Transaction bodies in one query: what its other fields leave of a query's limit."""

MAX_RUNNING_POLLS = 128
MAX_LOCKS = 2_000_000
MAX_VOTES_PER_ANCHOR = 200_000
MAX_LEAVES_PER_ANCHOR = 2_000_000
MAX_CONTESTS = 1_000
MAX_CANDIDATES = 128
"""Conflicting transactions in one contest."""
MAX_KNOWN_BODIES = 65_536
"""Which peers have which bodies of contested transactions."""
MAX_CERTIFICATES_PER_TRANSACTION = 16
MAX_EARLY_PER_PEER = 128
MAX_EARLY_BYTES = 32_000_000
MAX_EARLY_BYTES_OF_OTHERS = 8_000_000
"""Messages about blocks that this node has not connected yet: nobody can check them before."""
MAX_EARLY_BLOCKS = 2
"""How far ahead of the tip such a message may be."""
MAX_TALLIED_TIPS = 3
"""Tips per certificate for which receipts are collected: the newest ones."""
MAX_RETRIES = 1_024
MAX_FAILED_POLLS = 64
"""Polls without certificate whose votes are remembered: 1 MB of bodies each at most."""
MAX_LINK_UP_CERTIFICATES = 1_000
MAX_ANSWERED = 4
"""Certificates sent in answer to one question, and bodies asked for at a time."""
MAX_HISTORY = 10_000
"""Transactions no longer waiting whose last status is remembered."""
MAX_QUESTIONS = 10_000
"""Questions to peers that are remembered, so as not to be repeated at once."""
LATENCY_WINDOW = 1_000

MALFORMED_POINTS = 10
BAD_SIGNATURE_POINTS = 20
UNSOLICITED_POINTS = 5
