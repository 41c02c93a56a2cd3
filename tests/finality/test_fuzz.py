"""Random and mutated messages: refused or answered, never an exception, never a broken promise."""

from __future__ import annotations

from functools import partial
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.finality import forge
from tests.finality.world import World, genesis_coin, output_of, pay
from timecoin.codec import CodecError, Wire, decode, encode
from timecoin.finality.messages import (
    Answer,
    Certified,
    Code,
    Finalized,
    GetCertificate,
    Query,
    Receipts,
    Relay,
    TxAnswer,
    VoteReply,
)
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Blame, Record, Send

KINDS: tuple[type[Wire], ...] = (
    Query,
    Answer,
    Certified,
    Receipts,
    Finalized,
    GetCertificate,
    Relay,
)


def samples() -> list[Wire]:
    """One honest message of each kind."""
    world = World(4)
    txs = [pay([genesis_coin(index)]) for index in range(3)]
    certificate = forge.certificate(world, txs, world.nodes[:3])
    quorum = forge.receipt_set(world, certificate, world.nodes[:3])
    wtxids = tuple(tx.wtxid for tx in txs)
    return [
        Query(1, 0, wtxids, tuple(txs), True),
        Answer(1, (TxAnswer(Code.VALID, b""),) * 3, VoteReply(b"\x00", bytes(64))),
        Certified(certificate, tuple(txs)),
        Receipts((forge.receipt(world.nodes[0], certificate),)),
        Finalized(quorum),
        GetCertificate(certificate.root),
        Relay(tuple(txs)),
    ]


SAMPLES = samples()


class DecoderTests(SynchronousTestCase):
    @given(st.sampled_from(KINDS), st.binary(max_size=300))
    def test_random_bytes(self, kind: type[Wire], data: bytes) -> None:
        try:
            message = decode(data, kind, 10_000)
        except CodecError:
            return
        self.assertEqual(encode(message), data)

    @given(st.sampled_from(SAMPLES), st.data())
    def test_mutated_bytes(self, message: Wire, data: st.DataObject) -> None:
        raw = bytearray(encode(message))
        cut = data.draw(st.integers(0, len(raw)))
        for _ in range(data.draw(st.integers(0, 4))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        mutated = bytes(raw if data.draw(st.booleans()) else raw[:cut])
        try:
            found = decode(mutated, type(message), 100_000)
        except CodecError:
            return
        self.assertEqual(encode(found), mutated)

    def test_bounds(self) -> None:
        tx = pay([genesis_coin(0)])
        names = tuple(bytes([i]) * 32 for i in range(65))
        receipts = SAMPLES[3]
        assert isinstance(receipts, Receipts)
        for message in (
            Query(1, 0, names, (), True),
            Query(1, 0, (), (), True),
            Query(1, 0, names[:1], (tx,) * 65, True),
            Answer(1, (), None),
            Answer(1, (TxAnswer(0, b""),) * 65, None),
            Answer(1, (TxAnswer(0, bytes(65)),), None),
            Answer(1, (TxAnswer(0, b""),), VoteReply(bytes(9), bytes(64))),
            Answer(1, (TxAnswer(0, b""),), VoteReply(b"", bytes(64))),
            Receipts(()),
            Receipts(receipts.items * 513),
            Relay(()),
            Relay((tx,) * 65),
            GetCertificate(bytes(31)),
        ):
            self.assertRaises(CodecError, decode, encode(message), type(message), 10**7)


class Stage:
    """A member that has seen something of everything, and pieces to make messages from."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.world = world = World(4, followers=1, seed=seed)
        coins = [genesis_coin(index) for index in range(4)]
        parent = pay([coins[0]])
        self.txs: list[Transaction] = [
            parent,
            pay([coins[0]], nonce=1),
            pay([output_of(parent)]),
            pay([coins[1], coins[2]]),
            pay([coins[2], coins[3]], nonce=2),
            pay([coins[3]]),
        ]
        spoilt = self.txs[3]
        witnesses = ((bytes(32), bytes(64)),) * 2
        self.txs.append(Transaction(1, spoilt.inputs, spoilt.outputs, 0, witnesses))
        self.node = world.nodes[0]
        # Effects of other nodes do not matter here: only what the node itself does.
        world.cut = lambda source, target, message: True
        batches = [self.some(self.txs[:6], 3) for _ in range(3)]
        self.certificates = [
            forge.certificate(world, batch, self.some(world.nodes[:4], 4)) for batch in batches
        ]

    def some(self, items: list, most: int) -> list:  # type: ignore[type-arg]
        """A random choice of up to ``most`` of ``items``, at least one."""
        return self.rng.sample(items, self.rng.randint(1, min(most, len(items))))

    def message(self) -> Wire:
        """A message whose parts fit together often enough to get far."""
        rng, world = self.rng, self.world
        batch = self.some(self.txs, 4)
        certificate = rng.choice(self.certificates)
        member = rng.choice(world.nodes[:4])
        tip = rng.randrange(3)
        kind = rng.randrange(8)
        if kind == 0:
            wtxids = tuple(tx.wtxid for tx in batch)
            bodies = tuple(self.some(batch, 4))
            return Query(rng.randrange(9), rng.randrange(3), wtxids, bodies, rng.random() < 0.8)
        if kind == 1:
            polls = list(self.node.finality._parts.batches._polls)
            request = rng.choice([*polls, rng.randrange(9)])
            vote = VoteReply(bytes([rng.randrange(4)]), bytes(64)) if rng.random() < 0.5 else None
            code = TxAnswer(rng.randrange(5), rng.choice([b"", batch[0].txid]))
            return Answer(request, (code,) * rng.randint(1, 4), vote)
        if kind == 2:
            bodies = tuple(tx for tx in self.txs[:6] if rng.random() < 0.5)
            return Certified(certificate, bodies)
        if kind == 3:
            fitting = tuple(tx for tx in self.txs[:6] if tx.txid in certificate.leaves)
            return Certified(certificate, fitting)
        if kind == 4:
            return Receipts((forge.receipt(member, certificate, tip),))
        if kind == 5:
            signers = self.some(world.nodes[:4], 4)
            return Finalized(forge.receipt_set(world, certificate, signers))
        if kind == 6:
            return GetCertificate(rng.choice([certificate.root, batch[0].txid, bytes(32)]))
        return Relay(tuple(batch))


class MachineTests(SynchronousTestCase):
    @settings(max_examples=60)
    @given(st.integers(0, 2**32))
    def test_promises_hold_whatever_comes(self, seed: int) -> None:
        stage = Stage(seed)
        world, node, rng = stage.world, stage.node, stage.rng
        promised: dict[bytes, bytes] = {}
        archived: list[Transaction] = []
        for step in range(60):
            peer = rng.choice(world.nodes[1:])
            chance = rng.randrange(20)
            if chance == 0 and step > 20:
                block = [tx for tx in stage.txs[:1] if tx not in archived and rng.random() < 0.3]
                world.connect(block)
                archived += block
            elif chance == 1:
                world.run(rng.randrange(3_000))
            elif chance == 2:
                world.crash(node)
                world.restart(node)
            elif chance == 3:
                world.submit(node, rng.choice(stage.txs[:6]))
            else:
                world.receive(node, peer, stage.message())
            self.check_receipts(node.records, promised)
        self.check_votes(node.records)

    def check_receipts(self, records: list[Record], promised: dict[bytes, bytes]) -> None:
        """An outpoint is receipted for one transaction, until a block ends that."""
        for record in records:
            if record.table != "receipts":
                continue
            if record.value is None:
                promised.pop(record.key, None)
                continue
            txid = record.value[3:35]
            self.assertEqual(promised.setdefault(record.key, txid), txid)
        records[:] = [record for record in records if record.table in ("locks", "votes")]

    def check_votes(self, records: list[Record]) -> None:
        """An outpoint is locked for one transaction, a vote is given once."""
        held: dict[tuple[str, bytes], bytes] = {}
        for record in records:
            if record.value is None:
                held.pop((record.table, record.key), None)
            else:
                self.assertNotIn((record.table, record.key), held)
                held[record.table, record.key] = record.value

    @settings(max_examples=30)
    @given(st.integers(0, 2**32))
    def test_messages_of_strangers_change_no_promise(self, seed: int) -> None:
        """Whoever has proved no stake gets no vote, and makes nothing durable but certificates."""
        stage = Stage(seed)
        stranger = stage.world.nodes[4]
        for _ in range(40):
            message = stage.message()
            effects = stage.world.receive(stage.node, stranger, message)
            if isinstance(message, Query | Answer):
                self.assertFalse([e for e in effects if isinstance(e, Record | Send)])
                self.assertTrue([e for e in effects if isinstance(e, Blame)])

    def test_same_seed_same_effects(self) -> None:
        """Nothing but the arguments decides: two machines agree byte by byte."""
        run = partial(self._trace, 7)
        self.assertEqual(run(), run())

    def _trace(self, seed: int) -> list[str]:
        stage = Stage(seed)
        lines: list[str] = []
        for _ in range(120):
            peer = stage.rng.choice(stage.world.nodes[1:4])
            lines += [repr(e) for e in stage.world.receive(stage.node, peer, stage.message())]
            stage.world.run(97)
        return lines
