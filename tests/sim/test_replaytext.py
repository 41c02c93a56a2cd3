"""Items of a recording as text: short in a trace, exact where two differ."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from timecoin.codec import Wire, encode
from timecoin.finality.messages import Answer, Code, TxAnswer, VoteReply
from timecoin.node.catalog import KIND_OF
from timecoin.node.recording import items
from timecoin.sim.replaytext import MAX_CHARS, describe, describe_two

PEER = b"\x01" * 32


def answer(signature: bytes, *codes: Code) -> Answer:
    opinions = tuple(TxAnswer(code, b"") for code in codes)
    return Answer(7, opinions, VoteReply(b"\x00", signature))


def sent(message: Wire, peer: bytes = PEER) -> items.Sent:
    return items.Sent(peer, KIND_OF[type(message)], encode(message))


class TextTests(SynchronousTestCase):
    def test_a_message(self) -> None:
        self.assertEqual(
            describe(sent(answer(b"\x02" * 64, Code.VALID))),
            "Sent to 0101010101010101... (32 bytes): Answer(request=7, "
            "answers=[TxAnswer(code=0, detail=)], "
            "vote=VoteReply(reject_bitmap=00, signature=0202020202020202... (64 bytes)))",
        )

    def test_what_is_no_message(self) -> None:
        kind = KIND_OF[Answer]
        text = describe(items.Frame(PEER, kind, b"ab"))
        self.assertEqual(text, f"Frame from 0101010101010101... (32 bytes): kind {kind}, 2 bytes")
        self.assertIn("kind 255", describe(items.Frame(PEER, 255, b"")))
        self.assertIn("the same", describe(items.Sent(PEER, kind, None)))

    def test_other_items(self) -> None:
        self.assertEqual(describe(items.CallLater(3, 0.25)), "CallLater number=3 delay_s=0.25")
        self.assertEqual(describe(items.Stored((("a", b"", b""),))), "Stored: 1 rows")
        self.assertEqual(describe(items.End()), "End")

    def test_the_field_that_differs_is_shown_whole(self) -> None:
        one, other = b"\x02" * 64, b"\x02" * 63 + b"\x03"
        texts = describe_two(sent(answer(one, Code.VALID)), sent(answer(other, Code.VALID)))
        self.assertEqual(
            texts, tuple(f"Sent Answer.vote.signature {each.hex()}" for each in (one, other))
        )
        texts = describe_two(
            sent(answer(one, Code.VALID, Code.VALID)), sent(answer(one, Code.VALID, Code.UNKNOWN))
        )
        self.assertEqual(texts, ("Sent Answer.answers[1].code 0", "Sent Answer.answers[1].code 3"))
        longer = describe_two(
            sent(answer(one, Code.VALID)), sent(answer(one, Code.VALID, Code.VALID))
        )
        self.assertTrue(longer[0].startswith("Sent Answer.answers [TxAnswer"))

    def test_to_another_peer(self) -> None:
        message = answer(b"\x02" * 64, Code.VALID)
        expected, came = describe_two(sent(message), sent(message, b"\x09" * 32))
        self.assertIn("to 0101", expected)
        self.assertIn("to 0909", came)

    def test_a_batch(self) -> None:
        row = ("locks", b"k", b"v")
        one = items.Written((row, ("votes", b"a", None)), sync=False)
        other = items.Written((row,), sync=False)
        self.assertEqual(describe_two(one, other), ("Written: votes 61 None", "Written: "))
        synced = items.Written((row,), sync=True)
        self.assertEqual(
            describe_two(other, synced),
            ("Written: locks 6b 76", "Written and synced: locks 6b 76"),
        )

    def test_long_lines_are_cut(self) -> None:
        rows = tuple(("locks", bytes([n]), b"v") for n in range(200))
        self.assertLess(len(describe(items.Written(rows, sync=False))), MAX_CHARS + 40)
