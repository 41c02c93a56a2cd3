"""Effects and events are values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from timecoin import machine
from timecoin.codec import Wire
from timecoin.signal import Signal


class Ping(Wire, frozen=True):
    number: int


class Heard(Signal):
    pass


EFFECTS: tuple[object, ...] = (
    machine.Send(b"peer", Ping(1)),
    machine.Broadcast(Ping(1)),
    machine.Spread(Ping(1)),
    machine.StartTimer(("round", 1, b"key"), 10),
    machine.StopTimer(("round", 1, b"key")),
    machine.Record("locks", b"key", None),
    machine.Blame(b"peer", 5, "reason"),
    machine.Praise(b"peer", 1),
    machine.Emit(Heard()),
)


class EffectTests(SynchronousTestCase):
    def test_every_effect_is_here(self) -> None:
        self.assertEqual(tuple(map(type, EFFECTS)), get_args(machine.Effect))

    def test_effects_do_not_change(self) -> None:
        for effect in EFFECTS:
            name = fields(effect)[0].name  # type: ignore[arg-type]
            self.assertRaises(FrozenInstanceError, setattr, effect, name, None)

    def test_a_record_is_durable_and_a_broadcast_for_all_unless_said_otherwise(self) -> None:
        self.assertTrue(machine.Record("votes", b"key", b"value").durable)
        broadcast = machine.Broadcast(Ping(1))
        self.assertEqual((broadcast.staked_only, broadcast.skip), (False, None))
