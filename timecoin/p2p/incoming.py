"""What has arrived on one connection: cut into frames, which are paid for, and heard in turns.

Who sends more than its allowance is not read from for a while. Of a stranger, a peer without stake,
only so much is judged at a time as ``TOKENS_A_TURN`` pay for; then it is the next one's turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from timecoin.p2p.allowance import Allowance
from timecoin.p2p.framing import Frame, FrameBuffer, FrameError
from timecoin.p2p.turns import Turns

TOKENS_A_TURN = 64


class Source(Protocol):
    """Where the bytes come from: the TLS transport."""

    def pauseProducing(self) -> None:
        """Deliver no more."""

    def resumeProducing(self) -> None:
        """Deliver again."""


class Judge(Protocol):
    """Takes the frames: the connection."""

    def is_staked(self) -> bool:
        """Whether the other end has proved a voting key with weight."""

    def judge(self, frame: Frame) -> None:
        """A whole frame."""

    def read_no_further(self, reason: str) -> None:
        """The stream is no sequence of frames."""

    def delayed(self, pause_ms: int) -> None:
        """The peer has overdrawn its allowance and is not read from for so long."""

    def heard(self) -> None:
        """The other end is alive: we have not listened to it for a while."""

    def note_held(self) -> None:
        """The bytes that are kept here have changed in number."""


class Incoming:
    """Bytes in, frames out, in order; nothing is lost but at the end."""

    def __init__(
        self, judge: Judge, compressible: Mapping[int, int], turns: Turns, clock: IReactorTime
    ) -> None:
        self._judge = judge
        self._frames = FrameBuffer(compressible)
        self._turns = turns
        self._clock = clock
        self._source: Source | None = None
        self._source_paused = False
        self._allowance: Allowance | None = None
        self._since_ms: int | None = None
        self._debt: IDelayedCall | None = None
        self._awaits_turn = False
        self._ended = False

    def __len__(self) -> int:
        """How many bytes wait."""
        return len(self._frames)

    @property
    def is_paused(self) -> bool:
        """Whether it is for us that nothing more comes."""
        return self._debt is not None or self._awaits_turn

    def frame_age_ms(self, now_ms: int) -> int:
        """For how long the frame that is not whole yet has been arriving."""
        return 0 if self._since_ms is None else now_ms - self._since_ms

    def link_up(self, allowance: Allowance) -> None:
        """From now on frames may be large, and cost."""
        self._frames.allow_large()
        self._allowance = allowance

    def take(self, data: bytes, source: Source) -> None:
        """Bytes arrived from ``source``."""
        self._source = source
        self._frames.append(data)
        self._queue_up()
        self._judge_frames()

    def take_turn(self) -> None:
        """Judge a little more."""
        self._awaits_turn = False
        self._go_on()

    def end(self) -> None:
        """Forget what waits; whatever still comes is not kept, but TLS's own close is heard."""
        self._ended = True
        self._frames.clear()
        self._since_ms = None
        self._turns.leave(self)
        self._awaits_turn = False
        if self._debt is not None and self._debt.active():
            self._debt.cancel()
        self._debt = None
        self._settle_source()

    def _judge_frames(self) -> None:
        left = TOKENS_A_TURN
        try:
            while not self._ended and not self.is_paused:
                frame = self._frames.next()
                if frame is None:
                    break
                self._since_ms = None
                left -= self._charge(frame)
                self._judge.judge(frame)
                if left <= 0:
                    self._queue_up(is_due=True)
        except FrameError as error:
            self._judge.read_no_further(str(error))
        if self._since_ms is None and len(self._frames):
            self._since_ms = self._now_ms()
        self._settle_source()
        self._judge.note_held()

    def _charge(self, frame: Frame) -> int:
        """What a stranger's frame costs; those behind one that overdraws wait, here and in TCP."""
        if self._allowance is None:
            return 0
        staked, size = self._judge.is_staked(), len(frame.payload)
        pause_ms = self._allowance.spend(frame.kind, size, staked, self._now_ms())
        if pause_ms:
            self._judge.delayed(pause_ms)
            self._debt = self._clock.callLater(pause_ms / 1000, self._debt_paid)
        if staked:
            return 0
        tokens = self._allowance.price(frame.kind, size)
        self._turns.spend(tokens)
        return tokens

    def _debt_paid(self) -> None:
        self._debt = None
        self._queue_up()
        self._go_on()

    def _queue_up(self, is_due: bool = False) -> None:
        """A stranger's frames wait for their turn if others' do, or if it has just had one."""
        if self._ended or self.is_paused or not len(self._frames):
            return
        if self._allowance is None or self._judge.is_staked():
            return
        if is_due or not self._turns.is_free:
            self._awaits_turn = True
            self._turns.wait(self)

    def _go_on(self) -> None:
        if not self.is_paused:
            self._judge.heard()
            self._judge_frames()

    def _settle_source(self) -> None:
        wanted = self.is_paused
        if self._source is not None and wanted != self._source_paused:
            self._source_paused = wanted
            if wanted:
                self._source.pauseProducing()
            else:
                self._source.resumeProducing()

    def _now_ms(self) -> int:
        return int(self._clock.seconds() * 1000)
