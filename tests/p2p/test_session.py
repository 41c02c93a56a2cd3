"""The link's state machine: two sessions joined without I/O, and a hostile other end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.codec import CodecError, decode, encode
from timecoin.crypto.keys import SigningKey
from timecoin.p2p.messages import (
    GOODBYE,
    HELLO,
    MAX_SESSION_PAYLOAD_BYTES,
    PING,
    PONG,
    SERVICE_VALIDATOR,
    STAKE_PROOF,
    Goodbye,
    Hello,
    Ping,
    Pong,
    StakeProof,
    printable,
    stake_statement,
)
from timecoin.p2p.session import (
    HELLO_TIMEOUT_MS,
    MAX_OPEN_PINGS,
    PING_INTERVAL_MS,
    SILENCE_LIMIT_MS,
    VALIDATOR_PING_INTERVAL_MS,
    VALIDATOR_SILENCE_LIMIT_MS,
    VIOLATION_POINTS,
    Close,
    Deliver,
    Established,
    LocalEnd,
    SendFrame,
    Session,
    SessionEffect,
    State,
)
from timecoin.params import PROTOCOL_VERSION

CHAIN = b"\x03\x00\x00\x00genesis!"
EXPORTER = b"\xee" * 32
ALICE, BOB = b"\xa1" * 32, b"\xb0" * 32
ALICE_VOTES, BOB_VOTES = SigningKey(b"\x01" * 32), SigningKey(b"\x02" * 32)


def midnight() -> int:
    """What the time of day is where it does not matter."""
    return 0


def local_end(
    node_id: bytes, voting_key: SigningKey | None = None, unix_ms: Callable[[], int] = midnight
) -> LocalEnd:
    """A node of the test chain."""
    return LocalEnd(node_id, CHAIN, "timecoin/test", node_id[0], voting_key, unix_ms)


def hello(**changes: object) -> Hello:
    """Bob's hello to Alice."""
    good = Hello(CHAIN, PROTOCOL_VERSION, "bob/1", 24200, 7, 0, BOB[0])
    return msgspec.structs.replace(good, **changes)


def alice(voting_key: SigningKey | None = None, unix_ms: Callable[[], int] = midnight) -> Session:
    """Alice's end of a link with Bob that was opened at 0."""
    return Session(local_end(ALICE, voting_key, unix_ms), BOB, EXPORTER, 0)


def closes(effects: list[SessionEffect]) -> Close:
    """The one effect, which must be the end of the link."""
    (effect,) = effects
    assert isinstance(effect, Close), effect
    return effect


def exchange(first: Session, second: Session, now_ms: int = 0) -> list[SessionEffect]:
    """Open both and carry frames until nobody has more to say; the other effects, in order."""
    wire = [(second, effect) for effect in first.open(1, 0)]
    wire += [(first, effect) for effect in second.open(2, 0)]
    seen: list[SessionEffect] = []
    while wire:
        receiver, effect = wire.pop(0)
        if isinstance(effect, SendFrame):
            answer = receiver.frame_arrived(effect.kind, effect.payload, now_ms)
            other = first if receiver is second else second
            wire += [(other, reply) for reply in answer]
        else:
            seen.append(effect)
    return seen


def joined(
    alice_votes: bool = True, bob_votes: bool = True, unix_ms: Callable[[], int] = midnight
) -> tuple[Session, Session]:
    """Two ends of a link that came up at time 0; ``unix_ms``: Alice's time of day."""
    one = alice(ALICE_VOTES if alice_votes else None, unix_ms)
    other = Session(local_end(BOB, BOB_VOTES if bob_votes else None), ALICE, EXPORTER, 0)
    assert exchange(one, other) == [Established(), Established()]
    return one, other


class HandshakeTests(SynchronousTestCase):
    """From nothing to a link that is up."""

    def test_two_validators(self) -> None:
        """Both know the other's voting key, proved."""
        one, other = joined()
        self.assertEqual((one.state, other.state), (State.UP, State.UP))
        self.assertEqual(one.masternode, BOB_VOTES.public)
        self.assertEqual(other.masternode, ALICE_VOTES.public)

    def test_validator_and_observer(self) -> None:
        """Who has no voting key sends no proof, and none is waited for."""
        one, other = joined(bob_votes=False)
        self.assertIsNone(one.masternode)
        self.assertEqual(other.masternode, ALICE_VOTES.public)

    def test_hello_says_what_this_node_is(self) -> None:
        """Every field of the hello."""
        (sent,) = alice().open(24201, 99)
        assert isinstance(sent, SendFrame)
        self.assertEqual(
            (sent.kind, decode(sent.payload, Hello, MAX_SESSION_PAYLOAD_BYTES)),
            (HELLO, Hello(CHAIN, PROTOCOL_VERSION, "timecoin/test", 24201, 99, 0, ALICE[0])),
        )

    def test_link_is_not_up_before_the_stake_proof(self) -> None:
        """A validator's hello alone is not enough."""
        session = alice()
        payload = encode(hello(services=SERVICE_VALIDATOR))
        self.assertEqual(session.frame_arrived(HELLO, payload, 0), [])
        self.assertIs(session.state, State.AWAIT_STAKE_PROOF)
        self.assertEqual(closes(session.frame_arrived(20, b"", 0)).points, VIOLATION_POINTS)

    def test_wrong_chain(self) -> None:
        """Another genesis or network: one clear reason, no reputation lost."""
        for chain_id in (CHAIN[:4] + b"othergen", b"\x01\x00\x00\x00" + CHAIN[4:]):
            end = closes(alice().frame_arrived(HELLO, encode(hello(chain_id=chain_id)), 0))
            self.assertIn("wrong chain", end.reason)
            self.assertIn(chain_id[4:].hex(), end.reason)
            self.assertEqual((end.points, end.say, end.own_address), (0, True, False))

    def test_wrong_version(self) -> None:
        """A protocol that this node does not speak."""
        payload = encode(hello(protocol=PROTOCOL_VERSION + 1))
        self.assertIn("protocol version", closes(alice().frame_arrived(HELLO, payload, 0)).reason)

    def test_own_nonce_is_a_self_connection(self) -> None:
        """The address is known to be useless from now on."""
        end = closes(alice().frame_arrived(HELLO, encode(hello(nonce=ALICE[0])), 0))
        self.assertTrue(end.own_address)

    def test_copied_node_key(self) -> None:
        """Another process with the same node key is no self-connection, but no peer either."""
        session = Session(local_end(ALICE), ALICE, EXPORTER, 0)
        end = closes(session.frame_arrived(HELLO, encode(hello()), 0))
        self.assertIn("key", end.reason)
        self.assertFalse(end.own_address)

    def test_copied_voting_key(self) -> None:
        """Two nodes that vote with one key would sign twice: refused."""
        one = alice(ALICE_VOTES)
        other = Session(local_end(BOB, ALICE_VOTES), ALICE, EXPORTER, 0)
        ends = exchange(one, other)
        self.assertTrue(ends)
        for end in ends:
            self.assertIn("voting key", closes([end]).reason)

    def test_only_a_hello_first(self) -> None:
        """Anything else before the hello breaks the protocol."""
        for kind in (STAKE_PROOF, PING, PONG, 9, 16, 255):
            end = closes(alice().frame_arrived(kind, b"", 0))
            self.assertEqual(end.points, VIOLATION_POINTS)

    def test_second_hello(self) -> None:
        """A hello comes once."""
        session, _ = joined(bob_votes=False)
        self.assertIn("unexpected", closes(session.frame_arrived(HELLO, encode(hello()), 0)).reason)

    def test_hello_must_come_in_time(self) -> None:
        """A stranger that says nothing is let go."""
        session = alice()
        self.assertEqual(session.due_ms(), HELLO_TIMEOUT_MS)
        self.assertEqual(session.tick(HELLO_TIMEOUT_MS - 1), [])
        end = closes(session.tick(HELLO_TIMEOUT_MS))
        self.assertEqual((end.points, session.state), (0, State.CLOSED))

    def test_stake_proof_must_come_in_time(self) -> None:
        """The time runs from the opening, not from the hello."""
        session = alice()
        session.frame_arrived(HELLO, encode(hello(services=SERVICE_VALIDATOR)), 9_000)
        closes(session.tick(HELLO_TIMEOUT_MS))


class StakeProofTests(SynchronousTestCase):
    """A proof is good on one connection, in one direction, for one key."""

    def judge(self, proof: StakeProof) -> list[SessionEffect]:
        """What Alice makes of Bob's proof."""
        session = alice()
        session.frame_arrived(HELLO, encode(hello(services=SERVICE_VALIDATOR)), 0)
        return session.frame_arrived(STAKE_PROOF, encode(proof), 0)

    def signed(
        self,
        chain_id: bytes = CHAIN,
        prover: bytes = BOB,
        verifier: bytes = ALICE,
        exporter: bytes = EXPORTER,
    ) -> StakeProof:
        """A proof by Bob's voting key of the given statement."""
        statement = stake_statement(chain_id, prover, verifier, exporter)
        return StakeProof(BOB_VOTES.public, BOB_VOTES.sign(statement))

    def test_good(self) -> None:
        """The statement as it must be."""
        self.assertEqual(self.judge(self.signed())[0], Established())

    def test_every_part_is_bound(self) -> None:
        """Replayed from another chain, node, link, or reflected: refused and charged."""
        carol = b"\xca" * 32
        for proof in (
            self.signed(chain_id=CHAIN[:4] + b"othergen"),
            self.signed(prover=carol),
            self.signed(verifier=carol),
            self.signed(exporter=b"\xef" * 32),
            self.signed(prover=ALICE, verifier=BOB),
            StakeProof(ALICE_VOTES.public, self.signed().signature),
        ):
            end = closes(self.judge(proof))
            self.assertEqual(
                (end.reason, end.points), ("the stake proof does not verify", VIOLATION_POINTS)
            )


class LivenessTests(SynchronousTestCase):
    """Pings, latency and silence."""

    def test_validators_ping_often(self) -> None:
        """Every two seconds between validators, every fifteen otherwise."""
        for votes, interval_ms in ((True, VALIDATOR_PING_INTERVAL_MS), (False, PING_INTERVAL_MS)):
            session, _ = joined(bob_votes=votes)
            self.assertEqual(session.due_ms(), interval_ms)
            self.assertEqual(session.tick(interval_ms - 1), [])
            (sent,) = session.tick(interval_ms)
            assert isinstance(sent, SendFrame)
            self.assertEqual(sent.kind, PING)
            session.bytes_arrived(interval_ms)
            self.assertEqual(session.due_ms(), 2 * interval_ms)

    def test_pong_repeats_the_number(self) -> None:
        """And tells the time of day; it costs one frame."""
        session, _ = joined(unix_ms=lambda: 86_400_000)
        effects = session.frame_arrived(PING, encode(Ping(2**64 - 1)), 5)
        self.assertEqual(effects, [SendFrame(PONG, encode(Pong(2**64 - 1, 86_400_000)))])

    def test_latency_is_measured(self) -> None:
        """From ping to its own pong; a pong that nobody asked for changes nothing."""
        session, _ = joined()
        self.assertEqual(session.latency_ms, 0)
        session.tick(2_000)
        self.assertEqual(session.frame_arrived(PONG, encode(Pong(77, 0)), 2_010), [])
        self.assertEqual(session.latency_ms, 0)
        session.frame_arrived(PONG, encode(Pong(2, 0)), 2_030)
        self.assertEqual(session.latency_ms, 30)
        session.frame_arrived(PONG, encode(Pong(2, 0)), 2_090)
        self.assertEqual(session.latency_ms, 30)

    def test_the_peers_clock_is_compared_in_the_middle_of_the_round_trip(self) -> None:
        now_ms = [0]
        session, _ = joined(unix_ms=lambda: now_ms[0])
        session.tick(2_000)
        now_ms[0] = 2_030
        session.frame_arrived(PONG, encode(Pong(2, 12_515)), 2_030)
        self.assertEqual(session.clock_offset_ms, 10_500)
        session.tick(4_030)
        now_ms[0] = 4_050
        session.frame_arrived(PONG, encode(Pong(3, 1_040)), 4_050)
        self.assertEqual(session.clock_offset_ms, -3_000)

    def test_a_clock_that_is_set_in_between_moves_only_the_offset(self) -> None:
        now_ms = [0]
        session, _ = joined(unix_ms=lambda: now_ms[0])
        session.tick(2_000)
        now_ms[0] = 2_030 - 86_400_000
        session.frame_arrived(PONG, encode(Pong(2, 2_015)), 2_030)
        self.assertEqual((session.latency_ms, session.clock_offset_ms), (30, 86_400_000))
        self.assertEqual(session.due_ms(), 4_000)

    def test_a_slow_answer_says_nothing_about_the_clock(self) -> None:
        session, _ = joined()
        before = session.clock_offset_ms
        session.tick(2_000)
        session.frame_arrived(PONG, encode(Pong(2, 99_000)), 4_001)
        self.assertEqual(session.latency_ms, 2_001)
        self.assertEqual(session.clock_offset_ms, before)

    def test_late_pong_counts(self) -> None:
        """A round trip longer than the interval is measured as well."""
        session, _ = joined()
        session.tick(2_000)
        session.bytes_arrived(3_000)
        session.tick(4_000)
        session.frame_arrived(PONG, encode(Pong(2, 0)), 5_000)
        self.assertEqual(session.latency_ms, 3_000)

    def test_open_pings_are_bounded(self) -> None:
        """A peer that never answers a ping makes nothing grow."""
        session, _ = joined()
        for at in range(2_000, 60_000, 2_000):
            session.bytes_arrived(at)
            session.tick(at)
        self.assertEqual(len(session._open_pings), MAX_OPEN_PINGS)

    def test_silence_ends_the_link(self) -> None:
        """After six seconds between validators, sixty otherwise; reputation is not touched."""
        for votes, limit_ms in ((True, VALIDATOR_SILENCE_LIMIT_MS), (False, SILENCE_LIMIT_MS)):
            session, _ = joined(bob_votes=votes)
            session.bytes_arrived(0)
            while session.due_ms() < limit_ms:
                (sent,) = session.tick(session.due_ms())
                self.assertIsInstance(sent, SendFrame)
            end = closes(session.tick(limit_ms))
            self.assertIn("silent", end.reason)
            self.assertEqual(end.points, 0)

    def test_part_of_a_frame_is_a_sign_of_life(self) -> None:
        """A large frame on a slow line does not look like death."""
        session, _ = joined()
        for at in range(2_000, 20_000, 2_000):
            session.bytes_arrived(at - 1)
            (sent,) = session.tick(at)
            self.assertIsInstance(sent, SendFrame)

    def test_own_pause_is_not_the_peers_silence(self) -> None:
        """After ten seconds in which this process stood still, the peer is asked first."""
        session, _ = joined()
        session.bytes_arrived(0)
        (sent,) = session.tick(10_000)
        self.assertIsInstance(sent, SendFrame)
        self.assertEqual(session.due_ms(), 10_000 + VALIDATOR_PING_INTERVAL_MS)


class MessageTests(SynchronousTestCase):
    """What reaches a session from outside."""

    def test_frames_of_the_layers_above_pass(self) -> None:
        """Kinds from 16 are handed up as they are."""
        session, _ = joined()
        self.assertEqual(session.frame_arrived(16, b"x", 0), [Deliver(16, b"x")])
        self.assertEqual(session.frame_arrived(255, b"", 0), [Deliver(255, b"")])

    def test_unknown_session_kinds_are_refused(self) -> None:
        """Kinds 5 to 15 have no meaning."""
        for kind in range(5, 16):
            session, _ = joined()
            self.assertEqual(closes(session.frame_arrived(kind, b"", 0)).points, VIOLATION_POINTS)

    def test_goodbye(self) -> None:
        """The peer's reason is kept, and nothing is answered; then the session is deaf."""
        session, _ = joined()
        end = closes(session.frame_arrived(GOODBYE, encode(Goodbye("tired")), 0))
        self.assertEqual(end, Close("the peer said: tired", say=False))
        self.assertEqual(session.frame_arrived(16, b"x", 0), [])
        self.assertEqual(session.tick(10**9), [])

    def test_text_is_printable(self) -> None:
        """What a peer says cannot forge a line of the log."""
        for text in ("a\nb", "\x1b[31m", "\x7f", "é", "a\n", "x" * 65):
            self.assertRaises(
                CodecError, decode, encode(hello(agent=text)), Hello, MAX_SESSION_PAYLOAD_BYTES
            )
        self.assertEqual(printable("a\nb\x7fé"), "a?b??")
        for bad in (b"\x91\xa1\xff", b"\x91\xa3\xed\xa0\x80"):
            session, _ = joined()
            self.assertIn("malformed", closes(session.frame_arrived(GOODBYE, bad, 0)).reason)

    def test_every_message_fits_its_frame(self) -> None:
        """The largest hello and goodbye stay below the bound for session frames."""
        largest = hello(agent="x" * 64, listen_port=65535, height=2**64 - 1, nonce=2**64 - 1)
        self.assertLess(len(encode(largest)), MAX_SESSION_PAYLOAD_BYTES)
        self.assertLess(len(encode(Goodbye("x" * 200))), MAX_SESSION_PAYLOAD_BYTES)

    @settings(max_examples=300, deadline=None)
    @given(
        st.sampled_from(["hello", "proof", "up"]),
        st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=120)), max_size=5),
    )
    def test_random_frames_raise_nothing(self, stage: str, frames: list[tuple[int, bytes]]) -> None:
        """In every state, random frames give effects and no exception."""
        session = self.at(stage)
        for kind, payload in frames:
            self.settle(session, session.frame_arrived(kind, payload, 1))

    @settings(max_examples=300, deadline=None)
    @given(
        st.sampled_from(["hello", "proof", "up"]),
        st.integers(0, 4),
        st.integers(0, 200),
        st.integers(1, 255),
        st.integers(0, 60),
    )
    def test_mutated_messages_raise_nothing(
        self, stage: str, which: int, at: int, flip: int, cut: int
    ) -> None:
        """A genuine message with a byte changed and its end cut off."""
        statement = stake_statement(CHAIN, BOB, ALICE, EXPORTER)
        genuine = [
            hello(services=SERVICE_VALIDATOR),
            StakeProof(BOB_VOTES.public, BOB_VOTES.sign(statement)),
            Ping(3),
            Pong(1, 1),
            Goodbye("later"),
        ][which]
        payload = bytearray(encode(genuine))
        payload[at % len(payload)] ^= flip
        session = self.at(stage)
        effects = session.frame_arrived(which, bytes(payload[: len(payload) - cut]), 1)
        self.settle(session, effects)
        if stage == "proof" and which == STAKE_PROOF:
            self.assertIsNone(session.masternode)

    def at(self, stage: str) -> Session:
        """A session in one of its three states."""
        if stage == "up":
            return joined()[0]
        session = alice(ALICE_VOTES)
        if stage == "proof":
            session.frame_arrived(HELLO, encode(hello(services=SERVICE_VALIDATOR)), 0)
        return session

    def settle(self, session: Session, effects: list[SessionEffect]) -> None:
        """A close is the last effect and leaves the session closed."""
        for effect in effects:
            if isinstance(effect, Close):
                self.assertIs(effect, effects[-1])
                self.assertIs(session.state, State.CLOSED)
                self.assertLessEqual(len(effect.reason), 200)


class LocalEndTests(SynchronousTestCase):
    """What a node says of itself."""

    def test_services_follow_the_key(self) -> None:
        """Validator is who holds a voting key."""
        self.assertEqual(local_end(ALICE).services, 0)
        self.assertEqual(
            replace(local_end(ALICE), voting_key=ALICE_VOTES).services, SERVICE_VALIDATOR
        )
