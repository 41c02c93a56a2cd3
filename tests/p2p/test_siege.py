"""The attack table on a whole node (FAULTS F20 to F27): each attacker gets what it deserves.

A validator with three others, payments and blocks going on; the attacker comes in over the real
link layer. After each attack a payment through the victim is final everywhere, the next block
comes, and the honest follower beside the attacker is answered (:meth:`SiegeCase.assert_unharmed`).
"""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable, Sequence

from tests.p2p.records import record
from tests.p2p.siege import Caller, SiegeCase
from tests.p2p.wire import CHAIN
from timecoin.chain.headers import CertifiedHeader
from timecoin.codec import Wire, encode
from timecoin.consensus.messages import BlockVote, ProposedCertificates
from timecoin.finality.messages import Answer, Certified, Code, TxAnswer
from timecoin.gossip.messages import Fetch
from timecoin.ledger.transaction import Transaction, TxInput, TxOutput
from timecoin.mempool.messages import Transactions
from timecoin.node.catalog import KIND_OF
from timecoin.p2p.addressbook import BUCKET_SLOTS, NEW_BUCKETS_OF_SOURCE
from timecoin.p2p.compression import compress
from timecoin.p2p.framing import FLAG_ZSTD, MAX_PAYLOAD_BYTES, encode_frame
from timecoin.p2p.links import YOUNG_LINK_MS
from timecoin.p2p.messages import ADDRESSES, HELLO, MAX_ADDRESSES, Addresses, Hello
from timecoin.p2p.peer import FRAME_TIMEOUT_MS
from timecoin.p2p.reputation import BAN_SCORE
from timecoin.p2p.session import HELLO_TIMEOUT_MS
from timecoin.params import PROTOCOL_VERSION
from timecoin.quorum.certificate import BatchCertificate, BatchVote
from timecoin.quorum.statement import VoteKind
from timecoin.sync.messages import Bodies, Coins, GetHeaders, Headers, TipAnnounce

ATTACKER = 66


def nonsense(number: int) -> Transaction:
    """A transaction that spends what there is not."""
    source = TxInput(number.to_bytes(32, "big"), 0, 0xFFFFFFFF)
    return Transaction(1, (source,), (TxOutput(1_000, bytes(25)),), 0, ((bytes(64), bytes(32)),))


class Slow(SiegeCase):
    """F24: let go, not banned."""

    def test_slowloris(self) -> None:
        """A byte every ten seconds, within one frame, pongs aside."""
        slow = [self.siege.link(100 + n, f"6.6.{n}.1") for n in range(20)]
        for caller in slow:
            caller.answers_pings = False
            caller.peer.dataReceived(struct.pack("<IBB", 1_000_000, 50, 0))
        for _ in range(FRAME_TIMEOUT_MS // 10_000 + 3):
            self.world.run(10)
            for caller in slow:
                if not caller.closed:
                    caller.peer.dataReceived(b"x")
        for caller in slow:
            self.assertTrue(caller.closed)
            self.assertIn("one message took", caller.last_words)
            self.assertEqual(self.siege.score(caller), 0)
        self.assert_unharmed()

    def test_slow_hello(self) -> None:
        caller = self.siege.call(ATTACKER)
        caller.secure()
        hello = encode_frame(HELLO, encode(Hello(CHAIN, PROTOCOL_VERSION, "s", 1, 0, 0, 3)))
        for at in range(HELLO_TIMEOUT_MS // 1_000 - 1):
            caller.peer.dataReceived(hello[at : at + 1])
            self.world.run(1)
            self.assertFalse(caller.closed)
        self.world.run(2)
        self.assertTrue(caller.closed)
        self.assertFalse(self.siege.is_banned(caller))
        self.assert_unharmed()

    def test_half_open_tls(self) -> None:
        """Handshakes that nobody finishes."""
        mute = [self.siege.call(200 + n, f"6.{n}.1.1") for n in range(60)]
        self.assert_unharmed()
        self.assertTrue(all(caller.closed for caller in mute))
        self.assertEqual(len(self.siege.links._connections), 1)

    def test_stalled_sync_peer(self) -> None:
        """It announces blocks and sends none: five points, and nobody waits for it."""
        running = self.siege.victim.running
        stalled = self.siege.link(ATTACKER)
        stalled.tell(TipAnnounce(running.chain.tip_height + 50, bytes(32), 1))
        self.world.run(30)
        self.assertGreater(len(stalled.got(GetHeaders)), 0)
        self.assertLess(self.siege.score(stalled), 0)
        self.assertFalse(self.siege.is_banned(stalled))
        self.assert_unharmed()


class Sizes(SiegeCase):
    """F21, F22: judged before memory is taken."""

    def strike(self, data: bytes) -> Caller:
        """What an attacker with these bytes costs in memory is less than 5 MB."""
        caller = self.siege.link(ATTACKER)
        tracemalloc.start()
        caller.peer.dataReceived(data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        self.assertLess(peak, 5_000_000)
        self.world.run(1)
        self.assertTrue(caller.closed)
        self.assertTrue(self.siege.score(caller) < 0 or self.siege.is_banned(caller))
        return caller

    def test_lengths(self) -> None:
        for number, length in enumerate((2**32 - 1, MAX_PAYLOAD_BYTES + 3)):
            caller = self.strike(struct.pack("<I", length))
            self.assertEqual(self.siege.is_banned(caller), number == 1)
        self.assert_unharmed()

    def test_no_length(self) -> None:
        self.strike(struct.pack("<I", 0))
        self.assert_unharmed()

    def test_decompression_bomb(self) -> None:
        packed = compress(bytes(200_000_000))
        assert packed is not None
        head = struct.pack("<IBB", len(packed) + 2, KIND_OF[Headers], FLAG_ZSTD)
        self.strike(head + packed)
        self.assert_unharmed()


class Strangers(SiegeCase):
    """Who is in the wrong place, or there too often."""

    def test_wrong_chain(self) -> None:
        caller = self.siege.call(ATTACKER)
        caller.secure()
        hello = Hello(CHAIN[:4] + b"othergen", PROTOCOL_VERSION, "other", 1, 0, 0, 3)
        caller.say(HELLO, encode(hello))
        self.world.run(1)
        self.assertIn("wrong chain", caller.last_words)
        self.assertTrue(caller.closed)
        self.assertEqual(self.siege.score(caller), 0)
        self.assert_unharmed()

    def test_duplicate_identities(self) -> None:
        """One key from thirty networks is one link."""
        callers = [self.siege.link(ATTACKER, f"6.{n}.1.1") for n in range(30)]
        self.world.run(1)
        self.assertEqual([c.closed for c in callers], [True] * 29 + [False])
        self.assertEqual(len(self.siege.links.infos()), 2)
        self.assert_unharmed()

    def test_address_flood(self) -> None:
        """Of one source a thousand records are looked at, of one group a bucket is filled."""
        book = self.siege.links.memory.book
        now_s = self.world.now_ms() // 1000
        one_group = [
            record(2_000 + n, f"66.66.{n // 250}.{n % 250 + 1}", at_s=now_s) for n in range(500)
        ]
        caller = self.siege.link(ATTACKER)
        self.send_records(caller, one_group)
        self.assertLessEqual(len(book), BUCKET_SLOTS)
        spread = [
            record(3_000 + n, f"{n % 100 + 100}.{n % 200}.1.1", at_s=now_s) for n in range(1_000)
        ]
        self.send_records(caller, spread)
        self.assertLessEqual(len(book), NEW_BUCKETS_OF_SOURCE * BUCKET_SLOTS)
        self.assertLess(len(book), 1_000 - len(one_group) + BUCKET_SLOTS)
        self.assertEqual(self.siege.score(caller), 0)
        self.assert_unharmed()

    def send_records(self, caller: Caller, records: Sequence[object]) -> None:
        for start in range(0, len(records), MAX_ADDRESSES):
            page = Addresses(tuple(records[start : start + MAX_ADDRESSES]))  # type: ignore[arg-type]
            caller.say(ADDRESSES, encode(page))

    def test_forged_addresses(self) -> None:
        caller = self.siege.link(ATTACKER)
        now_s = self.world.now_ms() // 1000
        forged = Addresses((record(1, "9.9.9.9", at_s=now_s, chain_id=bytes(12)),))
        for _ in range(2):
            caller.say(ADDRESSES, encode(forged))
        self.assertTrue(self.siege.is_banned(caller))
        self.assert_unharmed()


class Floods(SiegeCase):
    """F25, F27: too much is delayed; lies and forgeries end in a ban."""

    def flood(self, message: Callable[[int], Wire], points: int) -> None:
        """Each message costs ``points``; at -50 the attacker is cut off, and its key refused."""
        caller = self.siege.link(ATTACKER)
        self.world.run(YOUNG_LINK_MS / 1000)
        enough = -(BAN_SCORE // points)
        for number in range(enough):
            self.assertFalse(self.siege.is_banned(caller), f"message {number}")
            self.assertEqual(self.siege.score(caller), -points * number)
            caller.tell(message(number))
            self.world.run(0.1)
        self.assertTrue(self.siege.is_banned(caller))
        self.assertTrue(caller.closed)
        self.assertIn("banned", caller.last_words)
        again = self.siege.call(ATTACKER)
        again.secure()
        self.world.run(1)
        self.assertEqual(again.last_words, "banned")
        self.assert_unharmed()

    @property
    def next_height(self) -> int:
        return self.siege.victim.running.chain.tip_height + 1

    def test_unrequested_bodies(self) -> None:
        self.flood(lambda n: Transactions((nonsense(n),)), 5)

    def test_unrequested_headers(self) -> None:
        self.flood(lambda n: Headers(n, ()), 5)

    def test_unrequested_blocks(self) -> None:
        self.flood(lambda n: Bodies(n, ()), 5)

    def test_unrequested_coins(self) -> None:
        self.flood(lambda n: Coins(n, (), True), 5)

    def test_unrequested_answers(self) -> None:
        answers = (TxAnswer(Code.VALID, b""),)
        self.flood(lambda n: Answer(n, answers, None), 5)

    def test_unrequested_certificates(self) -> None:
        self.flood(lambda n: ProposedCertificates(self.next_height, (bytes([n]),)), 5)

    def test_invalid_signatures(self) -> None:
        """Votes in the name of a member."""
        member = self.world.nodes[1].voting_key.public

        def vote(number: int) -> BlockVote:
            block_hash = bytes([number + 1]) * 32
            kind = int(VoteKind.PREPARE)
            return BlockVote(kind, self.next_height, 0, block_hash, member, bytes(64))

        self.flood(vote, 20)

    def test_unknown_voters(self) -> None:
        """Refused before any signature is looked at."""
        checked: list[bytes] = []
        running = self.siege.victim.running
        intake = running.consensus._seat.ports.verify
        assert intake is not None

        def vote(number: int) -> BlockVote:
            voter = bytes([number + 1]) * 32
            checked.append(voter)
            return BlockVote(
                int(VoteKind.PREPARE), self.next_height, 0, bytes(32), voter, bytes(64)
            )

        self.flood(vote, 20)

    def test_certificates_of_unknown_voters(self) -> None:
        def certified(number: int) -> Certified:
            votes = (BatchVote(99, b"\x00", bytes(64)),)
            return Certified(BatchCertificate(0, (bytes([number + 1]) * 32,), votes), ())

        self.flood(certified, 20)

    def test_certificates_with_forged_votes(self) -> None:
        def certified(number: int) -> Certified:
            votes = tuple(BatchVote(voter, b"\x00", bytes(64)) for voter in range(4))
            return Certified(BatchCertificate(0, (bytes([number + 1]) * 32,), votes), ())

        self.flood(certified, 20)

    def test_lying_heights(self) -> None:
        """It invents a chain, and headers for it: one lie is enough, and votes go on meanwhile."""
        running = self.siege.victim.running
        self.world.run(12)
        liar = self.siege.link(ATTACKER)
        liar.tell(TipAnnounce(10**6, bytes(32), 1))
        self.world.run(0.5)
        (asked,) = (m for m in liar.got(GetHeaders) if isinstance(m, GetHeaders))
        block = running.chain.block(running.chain.tip_height)
        certificate = running.chain.certificate(running.chain.tip_height)
        assert block is not None and certificate is not None
        liar.tell(Headers(asked.request, (CertifiedHeader(block.header, certificate, None),)))
        self.world.run(0.5)
        self.assertTrue(self.siege.is_banned(liar))
        self.assert_unharmed()

    def test_request_flood(self) -> None:
        """A hundred at once, then one each 0.6 seconds; nothing is lost, nobody is blamed."""
        greedy = self.siege.link(ATTACKER)
        for number in range(150):
            greedy.tell(GetHeaders(number, 1, 10))
        self.world.run(1)
        self.assertLessEqual(len(greedy.got(Headers)), 103)
        self.assert_unharmed()
        self.world.run(30)
        self.assertEqual(len(greedy.got(Headers)), 150)
        self.assertEqual(self.siege.score(greedy), 0)

    def test_repeated_fetches(self) -> None:
        """An item is given once."""
        greedy = self.siege.link(ATTACKER)
        self.siege.pay()
        self.world.run(YOUNG_LINK_MS / 1000)
        items = self.siege.victim.running.gossip._items
        name = next(name for author in items.authors() for name in items.held(author))
        for _ in range(10):
            self.assertFalse(self.siege.is_banned(greedy))
            greedy.tell(Fetch((name,)))
            self.world.run(0.1)
        if not self.siege.is_banned(greedy):  # the first one was its right
            greedy.tell(Fetch((name,)))
            self.world.run(0.1)
        self.assertTrue(self.siege.is_banned(greedy))
        self.assert_unharmed()

    def test_message_flood(self) -> None:
        """Well-formed noise is read at its share; the others' messages come through meanwhile."""
        noisy = self.siege.link(ATTACKER)
        for _ in range(20):
            noisy.tell(Fetch(tuple(n.to_bytes(32, "big") for n in range(1_000))))
        self.assert_unharmed()
        self.assertTrue(self.siege.is_linked(noisy))
        self.assertEqual(self.siege.score(noisy), 0)
