"""Assembled blocks always pass the check, whatever they are made from."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.chain.net import FEE, Contents, Net
from timecoin import params
from timecoin.chain import assemble as assembling
from timecoin.ledger.block import Resolution
from timecoin.ledger.check import check_structure
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.transaction import Transaction, outpoint
from timecoin.ledger.utxo import Utxo

NET = Net(owners=6)


def output_of(tx: Transaction, index: int, height: int) -> tuple[bytes, Utxo]:
    output = tx.outputs[index]
    return outpoint(tx.txid, index), Utxo(output.value, output.lock_script, height, False)


class AssembleTests(SynchronousTestCase):
    """What is taken, what is left out."""

    def setUp(self) -> None:
        self.chain = NET.chain()
        self.coins = [NET.coins(self.chain, owner)[0] for owner in range(6)]

    def entries(self, contents: Contents) -> set[bytes]:
        checked = NET.make(self.chain, contents)
        bodies = {tx.wtxid: tx for tx in contents.transactions}
        again = NET.chain().check(checked.block, bodies.get)
        self.assertEqual(again, checked)
        return {entry.txid for entry in checked.block.body.entries}

    def test_empty(self) -> None:
        self.assertEqual(self.entries(Contents()), set())

    def test_children_before_their_parents(self) -> None:
        a = NET.pay([self.coins[0]], 1)
        b = NET.pay([output_of(a, 0, 1)], 2)
        c = NET.pay([output_of(b, 0, 1), self.coins[3]], 3)
        self.assertEqual(self.entries(NET.archive(c, b, a)), {a.txid, b.txid, c.txid})

    def test_child_of_what_is_left_out(self) -> None:
        a = NET.pay([self.coins[0]], 1, fee=FEE - 1)
        b = NET.pay([output_of(a, 0, 1)], 2)
        good = NET.pay([self.coins[1]], 2)
        self.assertEqual(self.entries(NET.archive(b, a, good)), {good.txid})

    def test_child_of_what_is_archived_already(self) -> None:
        a = NET.pay([self.coins[0]], 1)
        NET.grow(self.chain, NET.archive(a))
        b = NET.pay([output_of(a, 0, 1)], 2)
        checked = NET.make(self.chain, NET.archive(b, a, anchor=1))
        self.assertEqual([entry.txid for entry in checked.block.body.entries], [b.txid])

    def test_one_input_of_two_is_missing(self) -> None:
        stranger = NET.pay([self.coins[1]], 1)
        both = NET.pay([self.coins[0], output_of(stranger, 0, 1)], 2, fee=stranger.outputs[0].value)
        good = NET.pay([self.coins[2]], 2)
        self.assertEqual(self.entries(NET.archive(both, good)), {good.txid})

    def test_conflict_first_come_first(self) -> None:
        a = NET.pay([self.coins[0]], 1)
        b = NET.pay([self.coins[0]], 2)
        self.assertEqual(self.entries(NET.archive(a, b)), {a.txid})
        self.assertEqual(self.entries(NET.archive(b, a)), {b.txid})

    def test_certificates_only_of_what_is_taken(self) -> None:
        a, b = NET.pay([self.coins[0]], 1), NET.pay([self.coins[1]], 1, fee=1)
        contents = Contents((a, b), (NET.certify([b]), NET.certify([a])))
        checked = NET.make(self.chain, contents)
        self.assertEqual(len(checked.block.body.certificates), 1)
        self.assertEqual([entry.txid for entry in checked.block.body.entries], [a.txid])

    def test_invalid_certificate(self) -> None:
        a, b = NET.pay([self.coins[0]], 1), NET.pay([self.coins[1]], 1)
        contents = Contents((a, b), (NET.certify([a], voters=1), NET.certify([b])))
        self.assertEqual(self.entries(contents), {b.txid})
        contents = Contents((a, b), (NET.certify([a], anchor=1), NET.certify([b])))
        self.assertEqual(self.entries(contents), {b.txid})

    def test_uncertified(self) -> None:
        a = NET.pay([self.coins[0]], 1)
        self.assertEqual(self.entries(Contents((a,))), set())

    def test_resolution(self) -> None:
        winner, loser = NET.pay([self.coins[0]], 1), NET.pay([self.coins[0]], 2)
        good = Resolution(winner.txid, self.coins[0][0], loser)
        self.assertEqual(self.entries(Contents((winner,), (), (good, good))), {winner.txid})
        for bad in (
            Resolution(winner.txid, self.coins[0][0], winner),
            Resolution(winner.txid, self.coins[1][0], loser),
            Resolution(winner.txid, self.coins[0][0], NET.pay([self.coins[1]], 2)),
            msgspec.structs.replace(
                good, loser=msgspec.structs.replace(loser, witnesses=((b"", b""),))
            ),
        ):
            self.assertEqual(self.entries(Contents((winner,), (), (bad,))), set())
        self.assertEqual(self.entries(Contents((), (), (good,))), set())

    def test_two_resolutions_of_one_winner(self) -> None:
        winner = NET.pay(self.coins[:2], 1)
        losers = [NET.pay([coin], 2) for coin in self.coins[:2]]
        resolutions = tuple(
            Resolution(winner.txid, coin[0], loser)
            for coin, loser in zip(self.coins[1::-1], losers[::-1], strict=True)
        )
        self.assertEqual(self.entries(Contents((winner,), (), resolutions)), {winner.txid})

    def test_limits(self) -> None:
        txs = [NET.pay([coin], 1) for coin in self.coins]
        contents = Contents(tuple(txs), tuple(NET.certify([tx]) for tx in txs))
        self.patch(assembling, "max_entries", lambda genesis: 4)
        self.assertEqual(self.entries(contents), {tx.txid for tx in txs[:4]})
        size = len(txs[0].encoded)
        self.patch(params, "MAX_BLOCK_BODIES_BYTES", 3 * size)
        self.assertEqual(self.entries(contents), {tx.txid for tx in txs[:3]})

    def test_full_block_fits_its_bound(self) -> None:
        """The size is counted from above: a block made under a small bound keeps it."""
        txs = [NET.pay([coin], 1) for coin in self.coins]
        contents = Contents(tuple(txs), tuple(NET.certify([tx]) for tx in txs))
        taken = set()
        for bound in range(1_200, 4_000, 100):
            self.patch(params, "MAX_BLOCK_BYTES", bound)
            taken.add(len(self.entries(contents)))
        self.assertEqual(taken, set(range(7)))

    def test_valid_contents_are_judged_once(self) -> None:
        """By the check of the whole block; one by one only when that fails."""
        calls: list[Transaction] = []

        def count(tx: Transaction) -> None:
            calls.append(tx)
            check_structure(tx)

        self.patch(assembling, "check_structure", count)
        good, bad = NET.pay([self.coins[0]], 1), NET.pay([self.coins[1]], 1, fee=FEE - 1)
        NET.make(self.chain, NET.archive(good))
        self.assertEqual(calls, [])
        self.assertEqual(self.entries(NET.archive(good, bad)), {good.txid})
        self.assertEqual(calls, [good, bad])

    def test_claim_that_does_not_hold(self) -> None:
        slot = self.chain.tip.slot + 1
        make = self.chain.assemble
        key = NET.keys[0].public
        for proof in (bytes(80), NET.proof(self.chain, slot, 1)):
            with self.assertRaises(RuleBroken):
                make(Contents(), slot, 0, key, proof, 0)
        with self.assertRaises(RuleBroken):
            make(Contents(), slot, 0, bytes(32), NET.proof(self.chain, slot, 0), 0)
        with self.assertRaises(RuleBroken):
            make(Contents(), slot - 1, 0, key, NET.proof(self.chain, slot - 1, 0), 0)

    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def test_whatever_comes_passes_the_check(self, data: st.DataObject) -> None:
        """Random webs of payments, some invalid, in any order, under random certificates."""
        coins = list(self.coins)
        txs: list[Transaction] = []
        for _ in range(data.draw(st.integers(0, 7))):
            chosen = data.draw(
                st.lists(st.sampled_from(coins), min_size=1, max_size=2, unique=True)
            )
            fee = data.draw(st.sampled_from([FEE, FEE, FEE, FEE + 7, FEE - 1]))
            lock_time = data.draw(st.sampled_from([0, 0, 0, 5]))
            tx = NET.pay(chosen, data.draw(st.integers(0, 5)), fee, lock_time, 0, change=5_000)
            txs.append(tx)
            coins.append(output_of(tx, 0, 1))
        order = data.draw(st.permutations(txs))
        certificates = []
        resolutions = []
        for tx in order:
            kind = data.draw(st.sampled_from(["one", "one", "weak", "pair", "resolved", "none"]))
            if kind in ("one", "weak"):
                certificates.append(NET.certify([tx], voters=1 if kind == "weak" else 2))
            elif kind == "pair" and txs[0] is not tx:
                reject = data.draw(st.sampled_from([[], [0], [1]]))
                certificates.append(NET.certify([tx, txs[0]], reject=reject))
            elif kind == "resolved":
                loser = data.draw(st.sampled_from(txs))
                resolutions.append(Resolution(tx.txid, tx.outpoints[0], loser))
        contents = Contents(tuple(order), tuple(certificates), tuple(resolutions))
        member = data.draw(st.integers(0, 2))
        checked = NET.make(self.chain, contents, member)
        again = NET.chain().check(checked.block, {tx.wtxid: tx for tx in order}.get)
        self.assertEqual(again, checked)
