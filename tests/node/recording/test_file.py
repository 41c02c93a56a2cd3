"""Recordings as bytes: whole turns come back, anything else is refused with its reason."""

from __future__ import annotations

import io
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.ledger.genesis import Genesis, GenesisValidator
from timecoin.node.node import NodeSettings
from timecoin.node.recording import items
from timecoin.node.recording.file import (
    LENGTH_BYTES,
    MAGIC,
    MAX_BLOCK_BYTES,
    RecordingError,
    RecordingReader,
    block,
)
from timecoin.node.recording.recorder import open_recording
from timecoin.p2p.ports import PeerInfo

GENESIS = Genesis(
    1, 3, 1, 1000, 1, (GenesisValidator(b"\1" * 32, b"\2" * 32, 1, b"\3" * 20, 9),), ()
)
HEADER = items.header_of(NodeSettings(GENESIS, checkpoints=((4, b"\4" * 32),)), "0.1")
PEER = PeerInfo(b"\5" * 32, "a:1", True, None, "x", 3, 0, None, -7, 1, 2, {16: 1}, {}, 5)

KEYS = st.binary(max_size=64)
NUMBERS = st.integers(0, 2**64 - 1)
ROWS = st.tuples(st.text(max_size=9), KEYS, st.none() | st.binary(max_size=99))
ITEMS = st.one_of(
    st.builds(items.Build),
    st.builds(items.Start),
    st.builds(items.Stop),
    st.builds(items.End),
    st.builds(items.Fire, NUMBERS),
    st.builds(items.Done, NUMBERS),
    st.builds(items.LinkOpened, KEYS, st.none() | KEYS),
    st.builds(items.LinkClosed, KEYS),
    st.builds(items.Frame, KEYS, st.integers(0, 255), st.binary(max_size=99)),
    st.builds(items.AskJoin, KEYS, st.booleans()),
    st.builds(items.Time, st.floats(allow_nan=False)),
    st.builds(items.Seed, st.text(max_size=9), st.binary(min_size=32, max_size=32)),
    st.just(items.Peers((PEER,))),
    st.builds(items.Sent, KEYS, st.integers(0, 255), st.none() | st.binary(max_size=99)),
    st.builds(items.Blamed, KEYS, st.integers(0, 2**32 - 1), st.text(max_size=9)),
    st.builds(items.Praised, KEYS, st.integers(0, 2**32 - 1)),
    st.builds(items.Height, NUMBERS),
    st.builds(items.Written, st.lists(ROWS, max_size=3).map(tuple), st.booleans()),
    st.builds(items.Stored, st.lists(ROWS, max_size=3).map(tuple)),
    st.builds(items.CallLater, NUMBERS, st.floats(0, 1e9)),
    st.builds(items.Cancelled, NUMBERS),
    st.builds(items.Aside, NUMBERS),
    st.builds(items.Published, st.text(max_size=9), st.binary(min_size=16, max_size=16)),
    st.builds(items.Judged, st.text(max_size=9), st.text(max_size=9)),
    st.builds(items.Crashed, st.text(max_size=9)),
    st.builds(items.Cleared, st.text(max_size=9)),
    st.builds(items.Failed, st.text(max_size=9), st.text(max_size=9)),
)
TURNS = st.lists(st.lists(ITEMS, max_size=6).map(lambda some: items.Turn(tuple(some))), max_size=4)


def read(data: bytes) -> tuple[list[items.Turn], bool]:
    """The turns in ``data``, and whether it is cut off."""
    reader = RecordingReader(io.BytesIO(data))
    return list(reader.turns()), reader.cut_off


def recording(turns: list[items.Turn]) -> bytes:
    return b"".join([MAGIC, block(HEADER), *map(block, turns)])


class ReadingTests(SynchronousTestCase):
    @given(TURNS)
    def test_there_and_back(self, turns: list[items.Turn]) -> None:
        self.assertEqual(read(recording(turns)), (turns, False))

    @given(TURNS, st.integers(1, 10_000))
    def test_cut_anywhere_whole_turns_are_left(self, turns: list[items.Turn], less: int) -> None:
        whole = recording(turns)
        fewest = len(recording([]))
        cut = whole[: max(fewest, len(whole) - less)]
        found, cut_off = read(cut)
        self.assertEqual(found, turns[: len(found)])
        self.assertEqual(cut_off, recording(found) != cut)

    @settings(max_examples=300)
    @given(TURNS, st.data())
    def test_changed_bytes(self, turns: list[items.Turn], data: st.DataObject) -> None:
        """Each reads as something, or is refused; nothing else is raised."""
        changed = bytearray(recording(turns))
        for _ in range(data.draw(st.integers(1, 3))):
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
        try:
            found, cut_off = read(bytes(changed))
        except RecordingError as error:
            self.assertTrue(str(error))
        else:
            self.assertTrue(cut_off or len(recording(found)) <= len(changed))

    @given(st.binary(max_size=200))
    def test_any_bytes(self, data: bytes) -> None:
        for given_ in (data, MAGIC + data):
            with self.assertRaises(RecordingError):
                read(given_)

    def test_reasons(self) -> None:
        too_large = (MAX_BLOCK_BYTES + 1).to_bytes(LENGTH_BYTES, "big")
        for data, reason in (
            (b"", "no recording"),
            (b"timecoin recording 2\n", "another version"),
            (MAGIC, "no header"),
            (MAGIC + too_large, "block of"),
            (recording([]) + too_large, "block of"),
        ):
            with self.assertRaises(RecordingError) as caught:
                read(data)
            self.assertIn(reason, str(caught.exception))

    def test_settings_come_back(self) -> None:
        found = RecordingReader(io.BytesIO(recording([]))).header
        self.assertEqual(found, HEADER)
        self.assertEqual(
            found.settings(None), NodeSettings(GENESIS, checkpoints=((4, b"\4" * 32),))
        )


class OpeningTests(SynchronousTestCase):
    def test_for_the_owner_only_and_the_one_before_is_kept(self) -> None:
        path = Path(self.mktemp())
        for content in (b"first", b"second"):
            with open_recording(path) as file:
                file.write(content)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(path.read_bytes(), b"second")
        self.assertEqual(path.with_name(path.name + ".old").read_bytes(), b"first")

    def test_nowhere(self) -> None:
        with self.assertRaises(OSError):
            open_recording(Path(self.mktemp()) / "recording")
