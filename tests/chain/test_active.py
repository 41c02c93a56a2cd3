"""The active set in blocks: each rule by a block, or a change, that breaks this rule alone."""

from __future__ import annotations

from itertools import pairwise

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.chain.masternodes import StakedNet, changes, payout_hash
from tests.chain.net import SLOT_MS, TIME, Contents, rebody, reseal
from timecoin import params
from timecoin.chain.accept import CheckedBlock
from timecoin.chain.active import retained_blocks
from timecoin.chain.commit import Chain
from timecoin.codec import encode
from timecoin.consensus.sortition import eligible
from timecoin.crypto import vrf
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import SigningKey
from timecoin.ledger.block import Block
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import Stake, parse_script, pay_to_pubkey_hash
from timecoin.ledger.transaction import Outpoint, outpoint
from timecoin.masternodes.active_set import Tier
from timecoin.masternodes.changes import Join, Removal, sign_join, sign_leave
from timecoin.masternodes.heartbeat import Attested, sign_attestation
from timecoin.quorum.certificate import BlockCertificate, CertificateError
from timecoin.quorum.evidence import SignedBlock, double_signature
from timecoin.quorum.snapshots import block_snapshots, certificate_snapshots, voter_index
from timecoin.quorum.statement import VoteKind, prepare_statement

replace = msgspec.structs.replace

WAIT = params.STAKE_WAIT_BLOCKS
STRANGER = SigningKey(b"stranger".ljust(32, b"."))


class Base(SynchronousTestCase):
    def setUp(self) -> None:
        self.net = StakedNet(allocation=250_000 * TIME)
        self.chain = self.net.chain()
        self.net.wait(self.chain, 1)

    def pubkey(self, number: int) -> bytes:
        return self.net.masternodes[number].public

    def members(self) -> list[bytes]:
        return list(self.net.active(self.chain).by_pubkey)

    def free(self, number: int) -> Join:
        """A join without a stake."""
        key = self.net.masternodes[number]
        attested = self.net.attest(self.chain, self.net.heartbeat(self.chain, key))
        return sign_join(key, self.net.genesis.chain_id, attested, payout_hash=hash160(b"free"))

    def take(self, *found: object, evidence: tuple[bytes, ...] = ()) -> CheckedBlock:
        """One block with these changes, all of which must get in; checked by a second chain."""
        contents = changes(*found, evidence=evidence)
        checked = self.net.make(self.chain, contents)
        self.assertCountEqual(checked.block.body.avs_changes, contents.avs_changes)
        self.assertEqual(checked.block.body.evidence, contents.evidence)
        self.assertEqual(self.other().check(checked.block, lambda wtxid: None), checked)
        self.chain.commit(checked, self.net.votes_for(self.chain, checked.block))
        return checked

    def other(self) -> Chain:
        """Another chain on the same store, with no checks kept."""
        return self.net.chain(self.chain._store._engine)  # type: ignore[attr-defined]

    def forced(self, *found: object, evidence: tuple[bytes, ...] = ()) -> Block:
        """A block that carries the changes, whether they hold or not."""
        good = self.net.make(self.chain).block
        data = tuple(item if isinstance(item, bytes) else encode(item) for item in found)
        return rebody(good, avs_changes=data, evidence=evidence)

    def refused(
        self, *found: object, rule: str, detail: str = "", evidence: tuple[bytes, ...] = ()
    ) -> None:
        """A block with these changes is refused for just this rule, and a producer skips them."""
        block = self.forced(*found, evidence=evidence)
        error = self.assertRaises(RuleBroken, self.other().check, block, lambda wtxid: None)
        self.assertEqual(error.rule, rule, str(error))
        self.assertIn(detail, error.detail)
        if len(found) + len(evidence) == 1 and not any(isinstance(x, bytes) for x in found):
            made = self.net.make(self.chain, changes(*found, evidence=evidence)).block
            self.assertEqual((made.body.avs_changes, made.body.evidence), ((), ()))


class StakeTests(Base):
    def test_who_stakes_is_in_the_set_one_block_later(self) -> None:
        tx = self.net.stake_tx(self.chain, 0)
        self.net.extend(self.chain, self.net.certified(self.chain, tx))
        point = outpoint(tx.txid, 0)
        self.take(self.net.join(self.chain, 0, point))
        found = self.net.active(self.chain).by_pubkey[self.pubkey(0)]
        self.assertEqual(
            (found.weight, found.tier, found.joined_height, found.expiry_height, found.stake),
            (10, Tier.BRONZE, 3, 0, point),
        )
        self.assertEqual(found.vrf_pubkey, vrf.vrf_public(self.net.masternodes[0].seed))
        self.assertEqual(found.payout_hash, payout_hash(0))
        self.assertEqual(self.net.active(self.chain).total_weight, 310)

    def test_tiers(self) -> None:
        for number, thousands in enumerate((1, 10, 100)):
            self.net.enter(self.chain, number, thousands * 1_000 * TIME)
        weights = self.net.active(self.chain).weights
        self.assertEqual([weights[self.pubkey(n)] for n in range(3)], [10, 100, 1_000])

    def test_a_stake_matures_with_its_block(self) -> None:
        tx = self.net.stake_tx(self.chain, 0)
        contents = self.net.certified(self.chain, tx)
        join = self.net.join(self.chain, 0, outpoint(tx.txid, 0))
        both = Contents(contents.transactions, contents.certificates, (), (encode(join),))
        made = self.net.make(self.chain, both).block
        self.assertEqual((len(made.body.entries), made.body.avs_changes), (1, ()))
        block = rebody(made, avs_changes=(encode(join),))
        error = self.assertRaises(RuleBroken, self.other().check, block, {tx.wtxid: tx}.get)
        self.assertEqual(str(error), "bad-join: there is no such stake")

    def test_it_proposes_from_the_block_after_the_next(self) -> None:
        self.net.enter(self.chain, 0)
        joined = self.chain.tip_height
        for height, expected in ((joined + 1, False), (joined + 2, True)):
            members = eligible(self.net.active(self.chain), height)
            self.assertEqual(self.pubkey(0) in [m.pubkey for m in members], expected)
            self.net.wait(self.chain, 1)

    def test_it_earns_from_the_next_block_on(self) -> None:
        script = pay_to_pubkey_hash(payout_hash(0))
        self.net.enter(self.chain, 0)
        paid = []
        for _ in range(2):
            reward = self.net.extend(self.chain).block.body.reward
            paid.append(sum(o.value for o in reward.outputs if o.lock_script == script))
        self.assertEqual(paid[0], paid[1])
        self.assertGreater(paid[0], 0)

    def test_tier_change_by_a_new_stake(self) -> None:
        first = self.net.enter(self.chain, 0)
        second = self.net.register(self.chain, 0, 10_000 * TIME)
        self.take(self.net.join(self.chain, 0, second))
        active = self.net.active(self.chain)
        self.assertEqual(active.weights[self.pubkey(0)], 100)
        self.assertEqual([row.stake for row in active.departed], [first])

    def test_the_supply_is_the_sum_of_all_outputs(self) -> None:
        point = self.net.enter(self.chain, 0)
        self.take(self.net.leave(self.chain, 0))
        self.net.wait(self.chain, WAIT)
        tx = self.net.unstake_tx(self.chain, 0, point)
        self.net.extend(self.chain, self.net.certified(self.chain, tx))
        total = sum(utxo.value for _, utxo in self.chain.utxos())
        self.assertEqual(total, self.chain.supply)


class JoinTests(Base):
    def setUp(self) -> None:
        super().setUp()
        self.point = self.net.register(self.chain, 0)

    def joining(
        self,
        attested: Attested | None = None,
        key: SigningKey | None = None,
        stake: bytes | None = None,
        vrf_seed: bytes | None = None,
    ) -> Join:
        key = key or self.net.masternodes[0]
        attested = attested or self.net.attest(self.chain, self.net.heartbeat(self.chain, key))
        return sign_join(
            key,
            self.net.genesis.chain_id,
            attested,
            stake=self.point if stake is None else stake,
            vrf_seed=vrf_seed or key.seed,
        )

    def heartbeat(self, **how: int) -> Attested:
        key = self.net.masternodes[0]
        return self.net.attest(self.chain, self.net.heartbeat(self.chain, key, **how))

    def bad(self, join: Join, detail: str) -> None:
        self.refused(join, rule="bad-join", detail=detail)

    def test_good(self) -> None:
        self.take(self.joining())

    def test_heartbeat_as_old_as_the_time_to_live(self) -> None:
        ttl_ms = params.HEARTBEAT_TIMING[params.Network.DEVNET].ttl_ms
        self.bad(self.joining(self.heartbeat(age_ms=ttl_ms)), "too old")
        self.take(self.joining(self.heartbeat(age_ms=ttl_ms - 1)))

    def test_heartbeat_from_the_future(self) -> None:
        # Net signs blocks half a second into their slot.
        latest_ms = -500 - params.TIMESTAMP_DRIFT_MS
        self.bad(self.joining(self.heartbeat(age_ms=latest_ms - 1)), "future")
        self.take(self.joining(self.heartbeat(age_ms=latest_ms)))

    def test_a_join_is_not_good_for_long(self) -> None:
        join = self.joining()
        self.net.wait(self.chain, 2)
        self.bad(join, "too old")

    def test_replayed_after_a_leave(self) -> None:
        join = self.joining(self.heartbeat(age_ms=-10_000))
        self.take(join)
        self.take(self.net.leave(self.chain, 0))
        self.bad(join, "older than the last leaving")

    def test_at_the_tip(self) -> None:
        self.net.wait(self.chain, params.SNAPSHOT_DEPTH)
        self.take(self.joining(self.heartbeat(height=self.chain.tip_height - 4)))
        self.net.wait(self.chain, 1)
        second = self.net.register(self.chain, 1)
        key = self.net.masternodes[1]
        for height in (self.chain.tip_height - 5, self.chain.tip_height - 4):
            attested = self.net.attest(
                self.chain, self.net.heartbeat(self.chain, key, height=height)
            )
            join = self.joining(attested, key, second)
            if height == self.chain.tip_height - 5:
                self.bad(join, "at height")
            else:
                self.take(join)

    def test_ahead_of_the_parent(self) -> None:
        ahead = self.net.chain()
        self.net.wait(ahead, self.chain.tip_height + 1)
        key = self.net.masternodes[0]
        attested = self.net.attest(ahead, self.net.heartbeat(ahead, key, age_ms=SLOT_MS))
        self.bad(self.joining(attested), "at height")

    def test_of_another_history(self) -> None:
        other = self.net.chain()
        self.net.wait(other, self.chain.tip_height)
        key = self.net.masternodes[0]
        self.bad(self.joining(self.net.attest(other, self.net.heartbeat(other, key))), "another")

    def test_of_another_network(self) -> None:
        other = StakedNet(allocation=1, salt="x")
        heartbeat = self.net.heartbeat(self.chain, self.net.masternodes[0])
        attested = self.net.attest(self.chain, heartbeat)
        join = sign_join(
            self.net.masternodes[0],
            other.genesis.chain_id,
            attested,
            stake=self.point,
            vrf_seed=self.net.masternodes[0].seed,
        )
        self.bad(join, "voting key")

    def test_too_few_attestations(self) -> None:
        heartbeat = self.net.heartbeat(self.chain, self.net.masternodes[0])
        self.bad(self.joining(self.net.attest(self.chain, heartbeat, 1)), "too few")
        self.take(self.joining(self.net.attest(self.chain, heartbeat, 2)))

    def test_witnesses_of_its_own_making(self) -> None:
        heartbeat = self.net.heartbeat(self.chain, self.net.masternodes[0])
        good = self.net.attest(self.chain, heartbeat)
        own = sign_attestation(STRANGER, self.net.genesis.chain_id, bytes(32))
        forged = Attested(
            heartbeat,
            tuple(sorted((good.attestations[0], own), key=lambda item: item.witness)),
        )
        self.bad(self.joining(forged), "no member")

    def test_forged_attestation(self) -> None:
        good = self.heartbeat()
        forged = tuple(replace(item, signature=bytes(64)) for item in good.attestations)
        self.bad(self.joining(Attested(good.heartbeat, forged)), "bad signature")

    def test_forged_heartbeat(self) -> None:
        good = self.heartbeat()
        forged = replace(good.heartbeat, signature=bytes(64))
        self.bad(self.joining(Attested(forged, good.attestations)), "bad signature")

    def test_witness_that_has_left_since(self) -> None:
        self.net.wait(self.chain, 1)
        heartbeat = self.net.heartbeat(self.chain, self.net.masternodes[0], age_ms=-SLOT_MS)
        attested = self.net.attest(self.chain, heartbeat)
        witness = attested.attestations[0].witness
        self.take(Removal(witness))
        self.bad(self.joining(attested), "a witness is no member")

    def test_stake_that_is_spent_in_the_block(self) -> None:
        tx = self.net.unstake_tx(self.chain, 0, self.point)
        certified = self.net.certified(self.chain, tx)
        join = encode(self.joining())
        both = Contents((tx,), certified.certificates, (), (join,))
        made = self.net.make(self.chain, both).block
        self.assertEqual((len(made.body.entries), made.body.avs_changes), (1, ()))
        block = rebody(made, avs_changes=(join,))
        error = self.assertRaises(RuleBroken, self.other().check, block, {tx.wtxid: tx}.get)
        self.assertEqual(str(error), "bad-join: there is no such stake")

    def test_stake_that_does_not_exist(self) -> None:
        self.bad(self.joining(stake=bytes(36)), "no such stake")

    def test_output_that_is_no_stake(self) -> None:
        coin, _ = self.net.coins(self.chain, 1)[0]
        self.bad(self.joining(stake=coin), "no stake")

    def test_collateral_too_small(self) -> None:
        small = self.net.register(self.chain, 1, 1_000 * TIME - 1)
        key = self.net.masternodes[1]
        self.bad(self.joining(key=key, stake=small), "no collateral")

    def test_proof_of_the_vrf_key(self) -> None:
        self.bad(self.joining(vrf_seed=STRANGER.seed), "VRF key")
        good = self.joining()
        self.bad(replace(good, vrf_proof=bytes(80)), "VRF key")
        self.bad(replace(good, vrf_proof=b""), "neither")

    def test_a_vrf_key_of_somebody_else_cannot_be_used(self) -> None:
        """Its holder's proofs are public: whoever could register its key could replay them."""
        victim = self.net.keys[0]
        script_vrf = self.net.stake_tx(self.chain, 1, vrf_seed=victim.seed)
        self.net.extend(self.chain, self.net.certified(self.chain, script_vrf))
        key = self.net.masternodes[1]
        self.bad(self.joining(key=key, stake=outpoint(script_vrf.txid, 0)), "VRF key")

    def test_claims_of_two_kinds(self) -> None:
        self.bad(replace(self.joining(), payout_hash=bytes(20)), "neither")
        self.bad(replace(self.joining(), stake=self.point[1:]), "neither")


class SquattingTests(Base):
    """A stake that names somebody else's voting key neither takes over nor blocks (PROTOCOL 4)."""

    def setUp(self) -> None:
        super().setUp()
        victim = self.net.masternodes[0]
        squat = self.net.stake_tx(self.chain, 1, 100_000 * TIME, voting=victim)
        self.net.extend(self.chain, self.net.certified(self.chain, squat))
        self.squat = outpoint(squat.txid, 0)

    def test_without_the_voting_key_nobody_joins_by_it(self) -> None:
        squatter = self.net.masternodes[1]
        attested = self.net.attest(self.chain, self.net.heartbeat(self.chain, squatter))
        own = sign_join(
            squatter,
            self.net.genesis.chain_id,
            attested,
            stake=self.squat,
            vrf_seed=squatter.seed,
        )
        self.refused(own, rule="bad-join", detail="another masternode's")
        heard = self.net.attest(self.chain, self.net.heartbeat(self.chain, self.net.masternodes[0]))
        forged = sign_join(
            squatter, self.net.genesis.chain_id, heard, stake=self.squat, vrf_seed=squatter.seed
        )
        self.refused(forged, rule="bad-join", detail="voting key has not signed")

    def test_the_victim_joins_by_its_own_stake(self) -> None:
        point = self.net.enter(self.chain, 0)
        found = self.net.active(self.chain).by_pubkey[self.pubkey(0)]
        self.assertEqual((found.stake, found.weight), (point, 10))

    def test_a_join_is_bound_to_the_stake_that_it_names(self) -> None:
        point = self.net.register(self.chain, 0)
        swapped = replace(self.net.join(self.chain, 0, point), stake=self.squat)
        self.refused(swapped, rule="bad-join", detail="voting key has not signed")


class GenesisJoinTests(Base):
    def setUp(self) -> None:
        super().setUp()
        self.key = self.net.keys[2]
        self.take(Removal(self.key.public))

    def joining(self) -> Join:
        attested = self.net.attest(self.chain, self.net.heartbeat(self.chain, self.key))
        return sign_join(self.key, self.net.genesis.chain_id, attested)

    def test_comes_back_with_its_weight(self) -> None:
        self.take(self.joining())
        found = self.net.active(self.chain).by_pubkey[self.key.public]
        self.assertEqual((found.weight, found.tier, found.joined_height), (100, Tier.GENESIS, 3))

    def test_needs_its_own_signature(self) -> None:
        forged = replace(self.joining(), signature=bytes(64))
        self.refused(forged, rule="bad-join", detail="voting key")

    def test_a_stranger_is_none(self) -> None:
        attested = self.net.attest(self.chain, self.net.heartbeat(self.chain, STRANGER))
        join = sign_join(STRANGER, self.net.genesis.chain_id, attested)
        self.refused(join, rule="bad-join", detail="no genesis validator")


class ExpiryTests(Base):
    """Genesis members expire at height 5, one a block."""

    def setUp(self) -> None:
        self.net = StakedNet(allocation=250_000 * TIME, expiry_height=5)
        self.chain = self.net.chain()

    def test_no_stop_when_stakes_take_over(self) -> None:
        self.net.enter(self.chain, 0)
        self.net.wait(self.chain, 2)
        self.net.keys.append(self.net.masternodes[0])
        signers = [key.public for key in self.net.keys]
        sizes = []
        for _ in range(4):
            producer = eligible(self.net.active(self.chain), self.chain.tip_height + 1)[0].pubkey
            checked = self.net.make(self.chain, member=signers.index(producer))
            self.chain.commit(checked, self.net.votes_for(self.chain, checked.block))
            sizes.append(len(self.net.active(self.chain).members))
        self.assertEqual(sizes, [3, 2, 1, 1])
        self.assertEqual(self.members(), [self.pubkey(0)])

    def test_a_block_that_skips_it_is_refused(self) -> None:
        self.net.wait(self.chain, 4)
        before = self.net.active(self.chain)
        good = self.net.make(self.chain, member=0).block
        self.assertNotEqual(good.header.avs_root, before.root)
        lax = reseal(good, avs_root=before.root)
        error = self.assertRaises(RuleBroken, self.other().check, lax, lambda wtxid: None)
        self.assertEqual(error.rule, "bad-avs-root")

    def test_no_join_from_its_expiry_on(self) -> None:
        self.take(Removal(self.net.keys[2].public))
        key = self.net.keys[2]
        for height in (4, 5):
            self.net.wait(self.chain, height - 1 - self.chain.tip_height)
            attested = self.net.attest(self.chain, self.net.heartbeat(self.chain, key))
            join = sign_join(key, self.net.genesis.chain_id, attested)
            if height == 4:
                self.net.make(self.chain, changes(join))
                self.assertEqual(
                    len(self.net.make(self.chain, changes(join)).active_set.members), 3
                )
            else:
                self.refused(join, rule="bad-join", detail="time is over")


class FreeTests(Base):
    def test_joins_without_a_stake_and_has_no_quorum_weight(self) -> None:
        self.take(self.free(0))
        active = self.net.active(self.chain)
        found = active.by_pubkey[self.pubkey(0)]
        self.assertEqual((found.weight, found.tier, found.staked), (1, Tier.FREE, False))
        self.assertEqual((active.total_weight, len(active.weights)), (300, 3))
        self.assertEqual(len(eligible(active, self.chain.tip_height + 5)), 3)

    def test_its_payout_address_is_signed(self) -> None:
        forged = replace(self.free(0), payout_hash=hash160(b"thief"))
        self.refused(forged, rule="bad-join", detail="voting key")

    def test_it_earns_at_most_a_twentieth_of_a_reward(self) -> None:
        for number in range(3):
            self.take(self.free(number))
        reward = self.net.extend(self.chain).block.body.reward
        script = pay_to_pubkey_hash(hash160(b"free"))
        total = sum(output.value for output in reward.outputs)
        free = sum(o.value for o in reward.outputs if o.lock_script == script)
        self.assertEqual(free, 3 * (9 * total // 10 * 3 // 303 // 3))
        self.assertLessEqual(free, total // 20)

    def test_a_producer_takes_what_holds_in_the_order_of_the_block(self) -> None:
        """One joins while a staked member goes: which comes first is up to their keys."""
        for number in range(2):
            self.take(self.free(number))
        join = self.free(2)
        founders = self.net.active(self.chain).staked
        self.assertLess(founders[0].pubkey, join.pubkey, "else the order does not matter")
        for founder in founders:
            made = self.net.make(self.chain, changes(join, Removal(founder.pubkey))).block
            expected = {encode(Removal(founder.pubkey))}
            if join.pubkey < founder.pubkey:
                expected.add(encode(join))
            self.assertEqual(set(made.body.avs_changes), expected)


class LeaveTests(Base):
    def setUp(self) -> None:
        super().setUp()
        self.point = self.net.enter(self.chain, 0)

    def test_by_the_voting_key_or_the_owner(self) -> None:
        for signer in (None, self.net.purses[0]):
            leave = self.net.leave(self.chain, 0, signer)
            made = self.net.make(self.chain, changes(leave))
            self.assertNotIn(self.pubkey(0), made.active_set.weights)
            self.assertEqual(self.other().check(made.block, lambda wtxid: None), made)

    def test_by_nobody_else(self) -> None:
        for signer in (STRANGER, self.net.purses[1], self.net.keys[0]):
            leave = self.net.leave(self.chain, 0, signer)
            self.refused(leave, rule="bad-leave", detail="neither")
        founder = sign_leave(
            self.net.purses[0], self.net.genesis.chain_id, self.net.keys[0].public, 0
        )
        self.refused(founder, rule="bad-leave", detail="neither")

    def test_signature(self) -> None:
        leave = replace(self.net.leave(self.chain, 0), signature=bytes(64))
        self.refused(leave, rule="bad-leave", detail="signature")

    def test_one_membership_only(self) -> None:
        leave = self.net.leave(self.chain, 0)
        self.take(leave)
        self.refused(leave, rule="bad-avs-change", detail="no member")
        self.take(self.net.join(self.chain, 0, self.point))
        self.refused(leave, rule="bad-leave", detail="another membership")

    def test_a_founder_leaves_by_its_voting_key(self) -> None:
        key = self.net.keys[2]
        self.take(sign_leave(key, self.net.genesis.chain_id, key.public, 0))
        self.assertNotIn(key.public, self.members())


class BodyTests(Base):
    def setUp(self) -> None:
        super().setUp()
        for number in range(2):
            self.net.enter(self.chain, number)

    def test_changes_ascend_by_masternode(self) -> None:
        one, two = sorted((Removal(self.pubkey(n)) for n in range(2)), key=lambda r: r.pubkey)
        self.refused(two, one, rule="bad-avs-changes-order")
        self.refused(one, one, rule="bad-avs-changes-order")
        self.refused(one, two, rule="avs-churn")

    def test_only_changes(self) -> None:
        removal = encode(Removal(self.pubkey(0)))
        for data in (b"", b"join", removal + b"\0", removal[:-1]):
            self.refused(data, rule="bad-avs-change")

    def test_removal_of_a_stranger(self) -> None:
        self.refused(Removal(STRANGER.public), rule="bad-avs-change", detail="no member")

    def test_avs_root_is_that_of_the_changes(self) -> None:
        good = self.net.make(self.chain, changes(Removal(self.pubkey(0)))).block
        without = rebody(good, avs_changes=())
        error = self.assertRaises(RuleBroken, self.other().check, without, lambda wtxid: None)
        self.assertEqual(error.rule, "bad-avs-root")

    def test_a_producer_takes_what_fits_most_urgent_first(self) -> None:
        removals = [Removal(self.pubkey(n)) for n in (1, 0)]
        made = self.net.make(self.chain, changes(*removals)).block
        self.assertEqual(made.body.avs_changes, (encode(removals[0]),))

    def test_a_producer_leaves_out_what_is_none(self) -> None:
        contents = Contents(
            avs_changes=(b"junk", bytes(3_000), encode(Removal(self.pubkey(0)))),
            evidence=(b"junk",),
        )
        made = self.net.make(self.chain, contents).block
        self.assertEqual(made.body.avs_changes, (encode(Removal(self.pubkey(0))),))
        self.assertEqual(made.body.evidence, ())


class SpendingTests(Base):
    """When a stake may be spent (PROTOCOL 4)."""

    def setUp(self) -> None:
        super().setUp()
        self.point = self.net.enter(self.chain, 0)

    def spend(self, point: Outpoint | None = None, anchor: int | None = None) -> Contents:
        tx = self.net.unstake_tx(self.chain, 0, point or self.point)
        return self.net.certified(self.chain, tx, anchor=anchor)

    def frozen(self, contents: Contents) -> None:
        """Neither a producer nor a checker lets it in."""
        made = self.net.make(self.chain, contents).block
        self.assertEqual(made.body.entries, ())
        tx = contents.transactions[0]
        coin = self.chain.utxo(tx.outpoints[0])
        assert coin is not None
        script = parse_script(coin.script)
        assert isinstance(script, Stake)
        self.assertFalse(self.chain.stake_free(tx.txid, tx.outpoints[0], script))

    def test_not_while_its_masternode_is_a_member(self) -> None:
        self.frozen(self.spend())

    def test_when_it_has_been_outside_for_eight_blocks(self) -> None:
        self.take(self.net.leave(self.chain, 0))
        left = self.chain.tip_height
        while self.chain.tip_height < left + WAIT - 1:
            self.frozen(self.spend())
            self.net.wait(self.chain, 1)
        checked = self.net.extend(self.chain, self.spend())
        self.assertEqual(len(checked.block.body.entries), 1)
        self.assertIsNone(self.chain.utxo(self.point))

    def test_a_forced_spend_is_refused(self) -> None:
        self.take(self.net.leave(self.chain, 0))
        contents = self.spend()
        self.net.wait(self.chain, WAIT - 1)
        good = self.net.make(self.chain, contents)
        self.assertEqual(len(good.block.body.entries), 1)
        tx = contents.transactions[0]
        early = self.net.chain()
        for height in range(1, self.chain.tip_height):
            block, certificate = self.chain.block(height), self.chain.certificate(height)
            assert block is not None and certificate is not None
            find = self.chain.transaction
            early.commit(early.check(block, find), certificate)
        forced = rebody(
            self.net.make(early).block,
            entries=good.block.body.entries,
            certificates=good.block.body.certificates,
        )
        error = self.assertRaises(RuleBroken, early.check, forced, {tx.wtxid: tx}.get)
        self.assertEqual(error.rule, "stake-frozen")

    def test_not_before_its_unlock_height(self) -> None:
        tx = self.net.stake_tx(self.chain, 1, unlock_height=8)
        self.net.extend(self.chain, self.net.certified(self.chain, tx))
        unstake = self.net.unstake_tx(self.chain, 1, outpoint(tx.txid, 0))
        while self.chain.tip_height < 8:
            contents = self.net.certified(self.chain, unstake)
            self.assertEqual(self.net.make(self.chain, contents).block.body.entries, ())
            self.net.wait(self.chain, 1)
        contents = self.net.certified(self.chain, unstake)
        self.assertEqual(len(self.net.make(self.chain, contents).block.body.entries), 1)

    def test_a_stake_that_never_joined_is_free(self) -> None:
        spare = self.net.register(self.chain, 1)
        tx = self.net.unstake_tx(self.chain, 1, spare)
        self.net.extend(self.chain, self.net.certified(self.chain, tx))
        self.assertIsNone(self.chain.utxo(spare))

    def test_certified_before_it_joined_again(self) -> None:
        """What is certified is archived: then the membership ends in that block."""
        self.take(self.net.leave(self.chain, 0))
        self.net.wait(self.chain, WAIT - 1)
        anchor = self.chain.tip_height
        contents = self.spend(anchor=anchor)
        self.take(self.net.join(self.chain, 0, self.point))
        self.net.wait(self.chain, 2)
        self.assertIn(self.pubkey(0), self.members())
        self.frozen(self.spend())
        checked = self.net.extend(self.chain, contents)
        self.assertEqual(len(checked.block.body.entries), 1)
        self.assertNotIn(self.pubkey(0), self.members())
        self.assertEqual(sum(utxo.value for _, utxo in self.chain.utxos()), self.chain.supply)


class EvidenceTests(Base):
    """Two prepares of one member for a height and round (PROTOCOL 6)."""

    def setUp(self) -> None:
        super().setUp()
        self.point = self.net.enter(self.chain, 0)

    def proof(self, height: int, number: int = 0, key: SigningKey | None = None) -> bytes:
        key = key or self.net.masternodes[number]
        chain_id = self.net.genesis.chain_id
        first, second = (
            SignedBlock(
                0,
                0,
                bytes([n]) * 32,
                key.sign(prepare_statement(chain_id, height, 0, bytes([n]) * 32)),
            )
            for n in (1, 2)
        )
        found = double_signature(VoteKind.PREPARE, height, 0, key.public, first, second)
        return encode(found)

    def test_jails(self) -> None:
        height = self.chain.tip_height + 1
        self.take(evidence=(self.proof(height),))
        active = self.net.active(self.chain)
        self.assertNotIn(self.pubkey(0), active.weights)
        (row,) = active.departed
        term = params.JAIL_BLOCKS[params.Network.DEVNET]
        self.assertEqual(
            (row.stake, row.jailed_height, row.jailed_until), (self.point, height, height + term)
        )

    def test_valid_once(self) -> None:
        proof = self.proof(self.chain.tip_height + 1)
        self.refused(rule="bad-evidence", detail="(again)", evidence=(proof, proof))
        self.take(evidence=(proof,))
        self.refused(rule="bad-evidence", detail="(again)", evidence=(proof,))

    def test_frozen_and_out_for_the_term(self) -> None:
        self.take(evidence=(self.proof(self.chain.tip_height + 1),))
        jailed = self.chain.tip_height
        term = params.JAIL_BLOCKS[params.Network.DEVNET]
        self.net.wait(self.chain, term - 2)
        tx = self.net.unstake_tx(self.chain, 0, self.point)
        self.assertEqual(
            self.net.make(self.chain, self.net.certified(self.chain, tx)).block.body.entries, ()
        )
        self.refused(self.net.join(self.chain, 0, self.point), rule="bad-join", detail="jailed")
        self.net.wait(self.chain, 1)
        self.assertEqual(self.chain.tip_height + 1, jailed + term)
        spend = self.net.make(self.chain, self.net.certified(self.chain, tx)).block
        self.assertEqual(len(spend.body.entries), 1)
        self.take(self.net.join(self.chain, 0, self.point))

    def test_a_freeze_does_not_touch_a_spend_certified_before(self) -> None:
        self.take(self.net.leave(self.chain, 0))
        proof = self.proof(self.chain.tip_height)
        self.net.wait(self.chain, WAIT - 2)
        tx = self.net.unstake_tx(self.chain, 0, self.point)
        for anchor, allowed in ((self.chain.tip_height, False), (self.chain.tip_height + 1, True)):
            if allowed:
                self.net.wait(self.chain, 1)
            contents = self.net.certified(self.chain, tx, anchor=anchor)
            engine_chain = self.net.chain()
            for height in range(1, self.chain.tip_height + 1):
                block, certificate = self.chain.block(height), self.chain.certificate(height)
                assert block is not None and certificate is not None
                checked = engine_chain.check(block, self.chain.transaction)
                engine_chain.commit(checked, certificate)
            self.net.extend(engine_chain, changes(evidence=(proof,)))
            self.net.wait(engine_chain, 2)
            made = self.net.make(engine_chain, contents).block
            self.assertEqual(len(made.body.entries), int(allowed))
            late = self.net.certified(engine_chain, tx)
            self.assertEqual(self.net.make(engine_chain, late).block.body.entries, ())

    def test_against_one_that_was_no_voter(self) -> None:
        self.refused(
            rule="bad-evidence",
            detail="no voter",
            evidence=(self.proof(self.chain.tip_height + 1, number=1),),
        )

    def test_forged(self) -> None:
        proof = self.proof(self.chain.tip_height + 1)
        self.refused(rule="bad-evidence", evidence=(proof[:-1] + b"\0",))
        self.refused(rule="bad-evidence", evidence=(b"proof",))

    def test_of_blocks_that_are_not_there_yet(self) -> None:
        self.refused(
            rule="bad-evidence",
            detail="snapshots",
            evidence=(self.proof(self.chain.tip_height + 3),),
        )


class SnapshotTests(Base):
    def test_every_block_commits_to_its_own(self) -> None:
        self.net.enter(self.chain, 0)
        self.take(Removal(self.pubkey(0)))
        roots = []
        for height in range(self.chain.tip_height + 1):
            active = self.chain.active_set(height)
            assert active is not None
            roots.append(active.root)
            block = self.chain.block(height)
            if block is not None:
                self.assertEqual(block.header.avs_root, active.root)
        self.assertEqual([a == b for a, b in pairwise(roots)], [True, True, False, False])

    def test_a_node_that_starts_again_reads_them(self) -> None:
        self.net.enter(self.chain, 0)
        again = self.other()
        for height in range(self.chain.tip_height + 1):
            self.assertEqual(again.active_set(height), self.chain.active_set(height))
        self.assertEqual(retained_blocks(SLOT_MS), 60_480)


class QuorumTests(SynchronousTestCase):
    """Blocks after a change need quorums of both sets; who has left still signs (PROTOCOL 4, 6)."""

    def setUp(self) -> None:
        self.net = StakedNet(members=4, allocation=1)
        self.chain = self.net.chain()
        self.net.wait(self.chain, 2)
        self.leaver = self.net.keys[3]
        leave = sign_leave(
            self.leaver, self.net.genesis.chain_id, self.leaver.public, joined_height=0
        )
        self.net.extend(self.chain, changes(leave))

    def certified_by(self, block: Block, *members: int) -> BlockCertificate:
        whole = self.net.votes_for(self.chain, block)
        snapshots = block_snapshots(self.chain, block.height)
        index = voter_index(snapshots or ())
        wanted = {self.net.keys[number].public for number in members}
        signatures = tuple(item for item in whole.signatures if index[item.voter] in wanted)
        return replace(whole, signatures=signatures)

    def test_a_quorum_of_the_new_set_alone_does_not_make_the_next_block(self) -> None:
        checked = self.net.make(self.chain)
        for members in ((0, 1), (0, 3)):
            with self.assertRaises(CertificateError):
                self.chain.commit(checked, self.certified_by(checked.block, *members))
        self.chain.commit(checked, self.certified_by(checked.block, 0, 1, 3))
        self.assertEqual(self.chain.tip_height, 4)

    def test_two_blocks_later_the_leaver_is_not_asked_any_more(self) -> None:
        self.net.wait(self.chain, 1)
        checked = self.net.make(self.chain)
        self.chain.commit(checked, self.certified_by(checked.block, 0, 1))
        self.assertEqual(self.chain.tip_height, 5)

    def test_certificates_of_transactions_ask_five_snapshots(self) -> None:
        for height in range(3, 9):
            snapshots = certificate_snapshots(self.chain, height)
            assert snapshots is not None
            demanded = self.leaver.public in voter_index(snapshots)
            self.assertEqual(demanded, height < 7)
            self.net.wait(self.chain, 1)
