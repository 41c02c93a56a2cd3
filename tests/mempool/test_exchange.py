"""Fetching and serving bodies: pages, retries, and what nobody asked for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import TIME, coin, genesis, pay, user
from timecoin import params
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Blame, Emit, LinkDown, Praise, Received, Send, StartTimer, TimerFired
from timecoin.mempool import exchange
from timecoin.mempool.exchange import (
    RETRY_MS,
    USEFUL_POINTS,
    BodiesFetched,
    BodiesWanted,
    Exchange,
)
from timecoin.mempool.messages import GetTransactions, Transactions

START = genesis(users=4)
TXS = [pay(START.chain_id, user(number), coin(START, number), user(9), TIME) for number in range(4)]
A, B = b"a" * 32, b"b" * 32


class ExchangeTests(SynchronousTestCase):
    """One exchange, its peers played by the test."""

    def setUp(self) -> None:
        self.held: dict[bytes, Transaction] = {}
        self.exchange = Exchange(self.held.get)

    def sends(self, event: object) -> list[Send]:
        return [e for e in self.exchange.handle(event, 0) if isinstance(e, Send)]

    def test_asks_only_for_what_is_missing(self) -> None:
        self.held[TXS[0].wtxid] = TXS[0]
        sends = self.sends(BodiesWanted((A,), (TXS[0].wtxid, TXS[1].wtxid)))
        self.assertEqual(sends, [Send(A, GetTransactions((TXS[1].wtxid,)))])

    def test_takes_what_it_asked_for(self) -> None:
        self.sends(BodiesWanted((A,), (TXS[0].wtxid,)))
        effects = self.exchange.handle(Received(A, Transactions((TXS[0],))), 0)
        self.assertIn(Emit(BodiesFetched((TXS[0].wtxid,))), effects)
        self.assertIn(Praise(A, USEFUL_POINTS), effects)
        self.assertEqual(self.exchange.find(TXS[0].wtxid), TXS[0])

    def test_blames_what_nobody_asked_for_and_does_not_keep_it(self) -> None:
        effects = self.exchange.handle(Received(A, Transactions((TXS[0],))), 0)
        self.assertEqual([type(e) for e in effects], [Blame])
        self.assertIsNone(self.exchange.find(TXS[0].wtxid))

    def test_body_from_a_peer_that_was_not_asked_is_not_taken(self) -> None:
        self.sends(BodiesWanted((A,), (TXS[0].wtxid,)))
        effects = self.exchange.handle(Received(B, Transactions((TXS[0],))), 0)
        self.assertEqual([type(e) for e in effects], [Blame])

    def test_a_body_named_many_times_is_wanted_once(self) -> None:
        # The entries of a proposal are not judged before their bodies are at hand.
        wtxid = TXS[0].wtxid
        sends = self.sends(BodiesWanted((A, B), (wtxid,) * 4))
        self.assertEqual(sends, [Send(A, GetTransactions((wtxid,)))])
        sends = self.sends(BodiesWanted((A,), (wtxid,) * 4))
        self.assertEqual(sends, [])

    def test_next_peer_after_a_silence_or_a_lost_link(self) -> None:
        for event in (TimerFired(("exchange", A)), LinkDown(A)):
            self.exchange = Exchange(self.held.get)
            self.sends(BodiesWanted((A, B), (TXS[0].wtxid,)))
            self.assertEqual(self.sends(event), [Send(B, GetTransactions((TXS[0].wtxid,)))])

    def test_forgets_what_nobody_has_and_asks_again_when_told_to(self) -> None:
        self.sends(BodiesWanted((A,), (TXS[0].wtxid,)))
        self.assertEqual(self.sends(TimerFired(("exchange", A))), [])
        self.assertEqual(len(self.sends(BodiesWanted((A,), (TXS[0].wtxid,)))), 1)

    def test_serves_in_order_and_in_pages(self) -> None:
        self.held.update((tx.wtxid, tx) for tx in TXS)
        asked = GetTransactions(tuple(tx.wtxid for tx in TXS))
        self.assertEqual(self.sends(Received(A, asked)), [Send(A, Transactions(tuple(TXS)))])
        self.patch(params, "QUERY_MAX_BYTES", 2 * len(TXS[0].encoded))
        self.assertEqual(
            self.sends(Received(A, asked)),
            [Send(A, Transactions(tuple(TXS[:2]))), Send(A, Transactions(tuple(TXS[2:])))],
        )

    def test_says_nothing_of_what_it_lacks(self) -> None:
        self.assertEqual(self.sends(Received(A, GetTransactions((bytes(32),)))), [])

    def test_a_trickle_of_bodies_does_not_hold_up_the_rest(self) -> None:
        """The peer asked first may send a body now and then: others are asked all the same."""
        self.sends(BodiesWanted((A, B), tuple(tx.wtxid for tx in TXS)))
        effects = self.exchange.handle(Received(A, Transactions((TXS[0],))), 0)
        self.assertEqual([e for e in effects if isinstance(e, StartTimer)], [])
        sends = self.sends(TimerFired(("exchange", A)))
        self.assertEqual(sends, [Send(B, GetTransactions(tuple(tx.wtxid for tx in TXS[1:])))])

    def test_a_full_page_says_that_more_is_under_way(self) -> None:
        self.patch(params, "QUERY_MAX_BYTES", 2 * len(TXS[0].encoded))
        self.patch(params, "MAX_TX_BYTES", len(TXS[0].encoded))
        self.sends(BodiesWanted((A, B), tuple(tx.wtxid for tx in TXS)))
        effects = self.exchange.handle(Received(A, Transactions(tuple(TXS[:2]))), 0)
        self.assertIn(StartTimer(("exchange", A), RETRY_MS), effects)

    def test_what_is_wanted_is_bounded(self) -> None:
        self.patch(exchange, "MAX_WANTED", 2)
        sends = self.sends(BodiesWanted((A,), tuple(tx.wtxid for tx in TXS)))
        self.assertEqual(sends, [Send(A, GetTransactions(tuple(tx.wtxid for tx in TXS[:2])))])

    def test_what_was_fetched_is_kept_within_bounds_oldest_first_out(self) -> None:
        self.patch(exchange, "MAX_CACHED_BYTES", 2 * max(len(tx.encoded) for tx in TXS))
        self.sends(BodiesWanted((A,), tuple(tx.wtxid for tx in TXS[:3])))
        self.exchange.handle(Received(A, Transactions(tuple(TXS[:3]))), 0)
        kept = [self.exchange.find(tx.wtxid) is not None for tx in TXS[:3]]
        self.assertEqual(kept, [False, True, True])
