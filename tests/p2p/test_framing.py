"""Frames: cut right however they arrive, refused early when they are none."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.p2p.framing import (
    MAX_PAYLOAD_BYTES,
    Frame,
    FrameBuffer,
    FrameError,
    encode_frame,
)
from timecoin.p2p.messages import (
    ADDRESSES,
    MAX_ADDRESSES_BYTES,
    MAX_SESSION_PAYLOAD_BYTES,
)

FRAMES = st.lists(
    st.one_of(
        st.builds(Frame, st.integers(0, 15), st.binary(max_size=MAX_SESSION_PAYLOAD_BYTES)),
        st.builds(Frame, st.integers(16, 255), st.binary(max_size=2_000)),
    ),
    max_size=8,
)


def drain(buffer: FrameBuffer) -> list[Frame]:
    """All frames that are complete."""
    frames = []
    while (frame := buffer.next()) is not None:
        frames.append(frame)
    return frames


class EncodeTests(SynchronousTestCase):
    """The bytes of a frame."""

    def test_layout(self) -> None:
        """Little-endian length of kind, flags and payload; kind; flags 0; payload."""
        self.assertEqual(encode_frame(0x21, b"abc"), b"\x05\x00\x00\x00\x21\x00abc")

    def test_refuses_what_no_peer_would_take(self) -> None:
        """Kinds beyond a byte and payloads beyond the limit are errors of the caller."""
        self.assertRaises(ValueError, encode_frame, 256, b"")
        self.assertRaises(ValueError, encode_frame, -1, b"")
        self.assertRaises(ValueError, encode_frame, 16, bytes(MAX_PAYLOAD_BYTES + 1))


class BufferTests(SynchronousTestCase):
    """The parser."""

    @settings(max_examples=60, deadline=None)
    @given(FRAMES, st.lists(st.integers(1, 900), min_size=1, max_size=20))
    def test_any_cut_gives_the_same_frames(self, frames: list[Frame], cuts: list[int]) -> None:
        """However the stream is cut, the frames come out whole and in order."""
        stream = b"".join(encode_frame(frame.kind, frame.payload) for frame in frames)
        buffer = FrameBuffer({})
        buffer.allow_large()
        received, at, turn = [], 0, 0
        while at < len(stream):
            size = cuts[turn % len(cuts)]
            buffer.append(stream[at : at + size])
            received += drain(buffer)
            at += size
            turn += 1
        self.assertEqual(received, frames)

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.binary(max_size=300), max_size=6), st.booleans())
    def test_garbage_raises_nothing_but_frame_error(self, pieces: list[bytes], up: bool) -> None:
        """Random bytes are frames, wait for more, or are refused."""
        buffer = FrameBuffer({})
        if up:
            buffer.allow_large()
        try:
            for piece in pieces:
                buffer.append(piece)
                drain(buffer)
        except FrameError:
            pass

    def test_length_is_judged_by_its_four_bytes_alone(self) -> None:
        """4 GiB, one above the limit, and too short: no byte of the frame is waited for."""
        for length in (2**32 - 1, MAX_PAYLOAD_BYTES + 3, 0, 1):
            buffer = FrameBuffer({})
            buffer.allow_large()
            buffer.append(struct.pack("<I", length))
            self.assertRaises(FrameError, buffer.next)

    def test_largest_frame_is_accepted(self) -> None:
        """The limit itself is allowed."""
        buffer = FrameBuffer({})
        buffer.allow_large()
        buffer.append(encode_frame(16, bytes(MAX_PAYLOAD_BYTES)))
        self.assertEqual(drain(buffer), [Frame(16, bytes(MAX_PAYLOAD_BYTES))])

    def test_only_small_frames_before_the_link_is_up(self) -> None:
        """A stranger cannot make this node keep more than a session message."""
        buffer = FrameBuffer({})
        buffer.append(encode_frame(0, bytes(MAX_SESSION_PAYLOAD_BYTES)))
        self.assertEqual(len(drain(buffer)), 1)
        buffer.append(encode_frame(16, bytes(MAX_SESSION_PAYLOAD_BYTES + 1))[:4])
        self.assertRaises(FrameError, buffer.next)

    def test_session_frames_stay_small(self) -> None:
        """Kinds below 16 are bounded also on a link that is up."""
        buffer = FrameBuffer({})
        buffer.allow_large()
        buffer.append(encode_frame(15, bytes(MAX_SESSION_PAYLOAD_BYTES + 1))[:6])
        self.assertRaises(FrameError, buffer.next)

    def test_addresses_alone_may_be_larger(self) -> None:
        """One session kind has a bound of its own."""
        buffer = FrameBuffer({})
        buffer.allow_large()
        buffer.append(encode_frame(ADDRESSES, bytes(MAX_ADDRESSES_BYTES)))
        self.assertEqual(len(drain(buffer)), 1)
        buffer.append(encode_frame(ADDRESSES, bytes(MAX_ADDRESSES_BYTES + 1))[:6])
        self.assertRaises(FrameError, buffer.next)

    def test_unknown_flag_is_refused(self) -> None:
        """The payload of a frame with a flag cannot be read."""
        for flag in (2, 3, 0x80):
            buffer = FrameBuffer({16: 1_000})
            buffer.append(struct.pack("<IBB", 5, 16, flag) + b"abc")
            error = self.assertRaises(FrameError, buffer.next)
            self.assertIn("flags", str(error))
