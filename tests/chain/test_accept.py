"""Each objective rule of a block, by a block that breaks this rule alone."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.chain.net import FEE, SLOT_MS, TIME, Contents, Net, rebody, reseal
from timecoin import params
from timecoin.chain.accept import CheckedBlock
from timecoin.chain.active import retained_blocks
from timecoin.codec import encode
from timecoin.consensus.ports import FindBody, MissingBodies
from timecoin.consensus.sortition import next_seed
from timecoin.crypto import vrf
from timecoin.crypto.keys import SigningKey
from timecoin.crypto.lthash import LtHash
from timecoin.ledger.block import Block, Entry, Resolution
from timecoin.ledger.connect import connect
from timecoin.ledger.rewards import expected_reward
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.transaction import Transaction, outpoint
from timecoin.quorum.certificate import BatchCertificate


class BlockRuleTests(SynchronousTestCase):
    """A chain of two blocks, and a third one that is bent rule by rule."""

    def setUp(self) -> None:
        self.net = Net()
        self.chain = self.net.chain()
        self.net.grow(self.chain, Contents(), Contents())
        coins = [self.net.coins(self.chain, owner)[0] for owner in range(4)]
        self.txs = [self.net.pay([coin], 0) for coin in coins[:3]]
        self.spare_coin = coins[3]
        self.bodies = {tx.wtxid: tx for tx in self.txs}
        self.contents = self.net.archive(*self.txs, anchor=2)
        self.good = self.net.make(self.chain, self.contents)
        self.fresh = self.net.chain(self.chain._store._engine)  # type: ignore[attr-defined]

    def find(self, wtxid: bytes) -> Transaction | None:
        return self.bodies.get(wtxid)

    def check(self, block: Block, find: FindBody | None = None) -> CheckedBlock:
        return self.fresh.check(block, find or self.find)

    def refused(self, block: Block, rule: str) -> None:
        """Refused for just this rule, and nothing has changed."""
        before = (self.fresh.tip, self.fresh.lthash, self.fresh.supply)
        error = self.assertRaises(RuleBroken, self.check, block)
        self.assertEqual(error.rule, rule, str(error))
        self.assertEqual((self.fresh.tip, self.fresh.lthash, self.fresh.supply), before)

    def resealed(self, rule: str, **changes: object) -> None:
        self.refused(reseal(self.good.block, **changes), rule)

    def settled(self, transactions: list[Transaction], **changes: object) -> Block:
        """The good block with other transactions, its reward and roots computed for them.

        What a producer would sign who leaves out the checks that the test is about.
        """
        chain, genesis = self.fresh, self.net.genesis
        block = self.good.block
        transactions = sorted(transactions, key=lambda tx: tx.txid)
        self.bodies.update((tx.wtxid, tx) for tx in transactions)
        fees = 0
        created = {
            outpoint(tx.txid, index): output.value
            for tx in transactions
            for index, output in enumerate(tx.outputs)
        }
        for tx in transactions:
            for point in tx.outpoints:
                coin = chain.utxo(point)
                fees += created[point] if coin is None else coin.value
            fees -= sum(output.value for output in tx.outputs)
        members = chain.active_set(2)
        assert members is not None
        reward = expected_reward(
            genesis.base_reward, members.members, block.header.producer, fees, 3
        )
        diff = connect(transactions, reward, chain, 3)
        root = diff.apply_to(LtHash.from_bytes(chain.lthash)).digest()
        entries = tuple(Entry(tx.txid, tx.wtxid) for tx in transactions)
        block = rebody(block, reward=reward, entries=entries, **changes)
        return reseal(block, utxo_root=root)

    # the good one

    def test_good(self) -> None:
        checked = self.check(self.good.block)
        self.assertEqual(checked, self.good)
        self.assertEqual(checked.fees, 3 * FEE)
        self.assertEqual(len(checked.transactions), 3)
        self.assertEqual(
            [tx.txid for tx in checked.transactions], sorted(tx.txid for tx in self.txs)
        )

    def test_settled_without_changes_is_the_good_one(self) -> None:
        self.assertEqual(self.settled(self.txs), self.good.block)

    # header

    def test_version(self) -> None:
        self.resealed("bad-version", version=2)

    def test_chain_id(self) -> None:
        self.resealed("bad-chain-id", chain_id=bytes(12))

    def test_height(self) -> None:
        self.resealed("bad-height", height=4)
        self.resealed("bad-height", height=2)

    def test_prev_hash(self) -> None:
        self.resealed("bad-prevblk", prev_hash=bytes(32))

    def test_slot_after_the_parents(self) -> None:
        slot = self.fresh.tip.slot
        for wrong in (slot, slot - 1):
            proof = self.net.proof(self.fresh, wrong, 0)
            beta = vrf.proof_to_hash(proof)
            self.resealed(
                "bad-slot",
                slot=wrong,
                slot_time=wrong * SLOT_MS,
                vrf_proof=proof,
                seed=next_seed(self.fresh.tip.seed, beta),
            )

    def test_slot_time(self) -> None:
        self.resealed("bad-slot-time", slot_time=self.good.block.header.slot_time + 1)

    def test_producer_is_a_member(self) -> None:
        stranger = SigningKey(bytes(32))
        self.resealed("bad-producer", producer=stranger.public)

    def test_vrf_proof_is_the_producers(self) -> None:
        slot = self.good.block.header.slot
        other = self.net.proof(self.fresh, slot, 1)
        seed = next_seed(self.fresh.tip.seed, vrf.proof_to_hash(other))
        self.resealed("bad-vrf", vrf_proof=other, seed=seed)

    def test_vrf_proof_is_for_this_slot(self) -> None:
        header = self.good.block.header
        self.resealed("bad-vrf", slot=header.slot + 1, slot_time=header.slot_time + SLOT_MS)

    def test_vrf_proof_is_not_empty(self) -> None:
        self.resealed("bad-vrf", vrf_proof=bytes(80))

    def test_seed(self) -> None:
        self.resealed("bad-seed", seed=bytes(32))

    def test_timestamp_is_not_judged_here(self) -> None:
        """A subjective rule: a block that had a prepare quorum is not held to it."""
        self.check(reseal(self.good.block, timestamp_ms=0))

    # roots

    def test_body_root(self) -> None:
        self.resealed("bad-body-root", body_root=bytes(32))

    def test_body_of_a_checked_block_swapped(self) -> None:
        """A result that was kept never stands for another body under the same header."""
        self.check(self.good.block)
        body = msgspec.structs.replace(self.good.block.body, entries=())
        self.refused(Block(self.good.block.header, body), "bad-body-root")

    def test_entries_root(self) -> None:
        self.resealed("bad-entries-root", entries_root=bytes(32))

    def test_avs_root(self) -> None:
        self.resealed("bad-avs-root", avs_root=bytes(32))

    def test_utxo_root(self) -> None:
        self.resealed("bad-utxo-root", utxo_root=bytes(32))

    # body

    def test_length(self) -> None:
        votes = self.contents.certificates[0].votes
        ballast = votes * (params.MAX_BLOCK_BYTES // len(encode(votes)) * 2)
        huge = BatchCertificate(2, self.contents.certificates[0].leaves, ballast)
        self.refused(rebody(self.good.block, certificates=(encode(huge),)), "bad-blk-length")

    def test_entries_order(self) -> None:
        entries = self.good.block.body.entries[::-1]
        block = rebody(self.good.block, entries=entries)
        self.refused(block, "bad-entries-order")

    def test_entry_twice(self) -> None:
        entries = self.good.block.body.entries
        block = rebody(self.good.block, entries=(entries[0], *entries))
        self.refused(block, "bad-entries-order")

    def test_missing_bodies_are_named_in_entry_order(self) -> None:
        held = self.good.block.body.entries[1].wtxid
        error = self.assertRaises(
            MissingBodies,
            self.check,
            self.good.block,
            lambda wtxid: self.bodies[wtxid] if wtxid == held else None,
        )
        wtxids = tuple(entry.wtxid for entry in self.good.block.body.entries)
        self.assertEqual(error.wtxids, (wtxids[0], wtxids[2]))

    def test_reward(self) -> None:
        reward = self.good.block.body.reward
        first, *rest = reward.outputs
        more = msgspec.structs.replace(first, value=first.value + 1)
        greedy = msgspec.structs.replace(reward, outputs=(more, *rest))
        self.refused(rebody(self.good.block, reward=greedy), "bad-cb-amount")

    def test_supply_grows_by_the_reward_alone(self) -> None:
        fees, reward = self.good.fees, self.good.block.body.reward
        paid = sum(output.value for output in reward.outputs)
        self.assertEqual(self.good.supply, self.fresh.supply + paid - fees)
        self.assertEqual(paid - fees, int(TIME * 2.0986122886681098))

    # certificates

    def test_entry_without_certificate(self) -> None:
        certificate = encode(self.net.certify(self.txs[:2], anchor=2))
        self.refused(rebody(self.good.block, certificates=(certificate,)), "not-certified")

    def test_leaf_rejected(self) -> None:
        certificate = encode(self.net.certify(self.txs, anchor=2, reject=[1]))
        self.refused(rebody(self.good.block, certificates=(certificate,)), "not-certified")

    def test_certificate_without_quorum(self) -> None:
        for voters, rule in ((1, "bad-certificate"), (2, "")):
            certificate = encode(self.net.certify(self.txs, anchor=2, voters=voters))
            block = rebody(self.good.block, certificates=(certificate,))
            if rule:
                self.refused(block, rule)
            else:
                self.check(block)

    def test_certificate_signature(self) -> None:
        certificate = self.contents.certificates[0]
        votes = list(certificate.votes)
        votes[0] = msgspec.structs.replace(votes[0], signature=bytes(64))
        forged = msgspec.structs.replace(certificate, votes=tuple(votes))
        self.refused(rebody(self.good.block, certificates=(encode(forged),)), "bad-certificate")

    def test_certificate_of_another_network(self) -> None:
        other = Net(salt="x")
        certificate = encode(other.certify(self.txs, anchor=2))
        self.refused(rebody(self.good.block, certificates=(certificate,)), "bad-certificate")

    def test_certificate_not_canonical(self) -> None:
        data = encode(self.contents.certificates[0])
        for bad in (b"", data + b"\x00", data[:-1], b"\xdc\x00\x03" + data[1:]):
            self.refused(rebody(self.good.block, certificates=(bad,)), "bad-certificate")

    def test_certificate_twice(self) -> None:
        certificates = self.good.block.body.certificates
        self.refused(rebody(self.good.block, certificates=certificates * 2), "bad-certificate")

    def test_certificate_of_no_entry(self) -> None:
        certificates = self.good.block.body.certificates
        spare = encode(self.net.certify([self.net.pay([self.spare_coin], 1)], anchor=2))
        block = rebody(self.good.block, certificates=(*certificates, spare))
        self.refused(block, "unneeded-certificate")

    def test_anchor_ahead_of_the_parent(self) -> None:
        certificate = encode(self.net.certify(self.txs, anchor=3))
        block = rebody(self.good.block, certificates=(certificate,))
        self.refused(block, "bad-certificate-anchor")

    def test_anchor_below_what_is_kept(self) -> None:
        self.assertEqual(retained_blocks(600_000), 1_008)
        self.fresh._retained = 1
        certificate = encode(self.net.certify(self.txs, anchor=1))
        block = rebody(self.good.block, certificates=(certificate,))
        self.refused(block, "bad-certificate-anchor")
        self.fresh._retained = 2
        self.check(block)

    # spends

    def covered(self, transactions: list[Transaction]) -> Block:
        certificate = encode(self.net.certify(transactions, anchor=2))
        return self.settled(transactions, certificates=(certificate,))

    def test_outpoint_twice(self) -> None:
        coin = self.spare_coin
        pair = [self.net.pay([coin], 1), self.net.pay([coin], 2)]
        certificate = encode(self.net.certify(pair, anchor=2))
        one = self.settled(pair[:1], certificates=(certificate,))
        entries = tuple(Entry(tx.txid, tx.wtxid) for tx in sorted(pair, key=lambda tx: tx.txid))
        self.bodies.update((tx.wtxid, tx) for tx in pair)
        self.refused(rebody(one, entries=entries), "bad-txns-inputs-missingorspent")

    def test_spent_in_the_chain(self) -> None:
        self.net.grow(self.fresh, self.contents)
        again = self.net.make(self.fresh)
        self.bodies.update((tx.wtxid, tx) for tx in self.txs)
        entries = self.good.block.body.entries
        block = rebody(again.block, entries=entries, certificates=self.good.block.body.certificates)
        self.refused(block, "bad-txns-inputs-missingorspent")

    def test_parent_in_the_same_block(self) -> None:
        parent = self.net.pay([self.spare_coin], 1)
        checked = self.net.make(self.fresh, self.net.archive(parent, anchor=2))
        coin = next(c for c in checked.diff.created if c[0] == outpoint(parent.txid, 0))
        child = self.net.pay([coin], 2)
        block = self.covered([child, parent])
        diff = self.check(block).diff
        self.assertNotIn(outpoint(parent.txid, 0), dict((*diff.created, *diff.spent)))
        self.assertIn(outpoint(child.txid, 0), dict(diff.created))

    def test_lock_time_by_height(self) -> None:
        early = self.net.pay([self.spare_coin], 1, lock_time=3, sequence=0)
        self.refused(self.covered([early]), "non-final")
        self.check(self.covered([self.net.pay([self.spare_coin], 1, lock_time=2, sequence=0)]))

    def test_lock_time_by_the_parents_slot_time(self) -> None:
        seconds = self.fresh.tip.slot_time // 1000
        early = self.net.pay([self.spare_coin], 1, lock_time=seconds, sequence=0)
        self.refused(self.covered([early]), "non-final")
        due = self.net.pay([self.spare_coin], 1, lock_time=seconds - 1, sequence=0)
        self.check(self.covered([due]))

    def test_fee(self) -> None:
        cheap = self.net.pay([self.spare_coin], 1, fee=FEE - 1)
        self.refused(self.covered([cheap]), "min-fee-not-met")

    def test_immature_reward(self) -> None:
        script = self.fresh._store.block(1).body.reward  # type: ignore[union-attr]
        coin_point = outpoint(script.txid, 0)
        coin = self.fresh.utxo(coin_point)
        assert coin is not None
        young = self.net.pay([(coin_point, coin)], 1)
        self.refused(self.covered([young]), "bad-txns-premature-spend-of-coinbase")

    def test_witness(self) -> None:
        tx = self.net.pay([self.spare_coin], 1)
        key, signature = tx.witnesses[0]
        forged = msgspec.structs.replace(tx, witnesses=((key, bytes(64)),))
        self.assertEqual(forged.txid, tx.txid)
        self.refused(self.covered([forged]), "bad-witness")
        self.assertEqual(len(signature), 64)

    def test_body_under_a_wrong_txid(self) -> None:
        entries = list(self.good.block.body.entries)
        entries[0] = Entry(entries[0].txid, entries[1].wtxid)
        self.refused(rebody(self.good.block, entries=tuple(entries)), "bad-entries")

    # resolutions

    def resolved(self, winner: Transaction, loser: Transaction, point: bytes) -> Block:
        resolution = Resolution(winner.txid, point, loser)
        return self.settled([winner], certificates=(), resolutions=(resolution,))

    def test_resolution(self) -> None:
        winner = self.net.pay([self.spare_coin], 1)
        loser = self.net.pay([self.spare_coin], 2)
        point = self.spare_coin[0]
        checked = self.check(self.resolved(winner, loser, point))
        self.assertEqual(checked.transactions, (winner,))

    def test_resolution_without_conflict(self) -> None:
        winner = self.net.pay([self.spare_coin], 1)
        point = self.spare_coin[0]
        self.refused(self.resolved(winner, winner, point), "bad-resolution")
        self.refused(self.resolved(winner, self.txs[0], point), "bad-resolution")
        loser = self.net.pay([self.spare_coin], 2)
        self.refused(self.resolved(winner, loser, self.txs[0].outpoints[0]), "bad-resolution")

    def test_resolution_of_no_entry(self) -> None:
        winner = self.net.pay([self.spare_coin], 1)
        loser = self.net.pay([self.spare_coin], 2)
        resolution = Resolution(winner.txid, self.spare_coin[0], loser)
        self.refused(rebody(self.good.block, resolutions=(resolution,)), "bad-resolution")

    def test_resolution_with_a_forged_loser(self) -> None:
        winner = self.net.pay([self.spare_coin], 1)
        loser = self.net.pay([self.spare_coin], 2)
        forged = msgspec.structs.replace(loser, witnesses=((loser.witnesses[0][0], bytes(64)),))
        self.refused(self.resolved(winner, forged, self.spare_coin[0]), "bad-witness")
