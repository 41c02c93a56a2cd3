"""A recorded node, run again: the same bytes, or the first difference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from tests.sim.recorded import MAX_BYTES, identity, pay, read, record
from timecoin.chain.commit import BlockConnected
from timecoin.consensus.seat import Identity
from timecoin.crypto.keys import SigningKey
from timecoin.finality.messages import Code, TxAnswer
from timecoin.masternodes.changes import sign_leave
from timecoin.node.build import build_node
from timecoin.node.node import Node, NodeSettings
from timecoin.node.recording import items
from timecoin.node.recording.file import RecordingError
from timecoin.node.recording.recorder import build_recorded, open_recording
from timecoin.node.runtime import Runtime
from timecoin.node.wiring import observe
from timecoin.sim.campaign import run_plan
from timecoin.sim.profiles import make_plan
from timecoin.sim.replay import Difference, Player, Replayed, replay
from timecoin.sim.world import SimNode, World, WorldSettings
from timecoin.store.keys import ADDRESS_HISTORY

SEED = 5


class ReplayCase(SynchronousTestCase):
    """Node 1 of a small world is recorded."""

    nodes = 4
    validators: int | None = None

    def setUp(self) -> None:
        self.world = World(SEED, WorldSettings(nodes=self.nodes, validators=self.validators))
        self.path = Path(self.mktemp())
        self.node: SimNode = self.world.nodes[-1]
        record(self.node, self.path)

    def run_world(self, payments: int = 12, seconds: int = 12) -> None:
        """Start, pay, and stop the recorded node."""
        self.world.start()
        self.world.run(1)
        pay(self.world, payments)
        self.world.run(seconds)

    def replayed(self, path: Path | None = None) -> Replayed:
        return replay(read(path or self.path, self), identity(self.node))

    def turns(self) -> list[items.Turn]:
        return list(read(self.path, self).turns())


class RoundTripTests(ReplayCase):
    def test_the_same_bytes_each_time(self) -> None:
        self.run_world()
        height = self.node.running.chain.tip_height
        self.assertGreater(height, 0)
        self.node.kill()
        first = self.replayed()
        self.assertEqual(first.height, height)
        self.assertFalse(first.cut_off)
        self.assertGreater(first.effects, first.turns)
        self.assertEqual(self.replayed(), first)

    def test_a_second_life_begins_with_what_the_store_held(self) -> None:
        self.run_world()
        self.node.kill()
        self.world.run(5)
        self.node.start()
        pay(self.world, 6)
        self.world.run(10)
        height = self.node.running.chain.tip_height
        self.node.kill()
        self.assertIsInstance(self.turns()[0].items[0], items.Stored)
        self.assertEqual(self.replayed().height, height)
        earlier = self.path.with_name(self.path.name + ".old")
        self.assertLess(self.replayed(earlier).height, height)

    def test_an_index_that_is_built_anew(self) -> None:
        recorded = self.node.build

        def without(settings: NodeSettings, runtime: Runtime) -> Node:
            return build_node(replace(settings, address_index=False), runtime)

        self.node.build = without
        self.run_world(payments=4)
        self.node.kill()
        self.node.build = recorded
        self.node.start()
        self.world.run(2)
        self.node.kill()
        (built,) = (turn.items for turn in self.turns() if isinstance(turn.items[0], items.Build))
        self.assertIn(items.Cleared(ADDRESS_HISTORY), built)
        self.replayed()

    def test_links_that_go_and_come(self) -> None:
        self.world.start()
        first, last = self.world.nodes[0].node_id, self.node.node_id
        self.world.run(1)
        pay(self.world, 3)
        self.world.network.cut(first, last)
        pay(self.world, 3)
        self.world.network.heal(first, last)
        self.world.run(12)
        self.node.kill()
        self.assertGreater(self.replayed().height, 0)

    def test_a_payment_out_of_a_listener(self) -> None:
        """As a wallet does that takes its stake back when a block lets it."""
        tx = self.world.users.payment()
        assert tx is not None

        def watch(node: SimNode) -> None:
            def submit(_: BlockConnected) -> None:
                self.world.submit(node.number, tx)

            observe(node.running, BlockConnected, submit)

        self.world.on_start(watch)
        self.run_world()
        self.node.kill()
        nested = [
            turn
            for turn in self.turns()
            if any(isinstance(item, items.Submit) for item in turn.items[1:])
        ]
        self.assertTrue(nested)
        self.replayed()

    def test_what_the_user_asks_for_masternodes(self) -> None:
        self.world.start()
        self.world.run(1)
        node, chain_id = self.node.running, self.world.genesis.chain_id
        pubkey = self.node.voting_key.public
        node.join_with(b"\x01" * 36, at_once=False)
        node.leave(sign_leave(self.node.voting_key, chain_id, pubkey, joined_height=0))
        self.world.run(25)
        active = node.chain.active_set(node.chain.tip_height)
        assert active is not None
        self.assertNotIn(pubkey, active.by_pubkey)
        self.node.kill()
        self.replayed()

    def test_a_link_that_goes_while_something_is_sent_on_it(self) -> None:
        first, last = self.world.nodes[0].node_id, self.node.node_id
        port = self.world.network

        def cut(kind: int, payload: bytes) -> None:
            if self.world.now_ms() % 7 == 0:
                port.cut(first, last)

        port.observers.append(cut)
        self.world.start()
        for _ in range(8):
            pay(self.world, 4, every_s=0.3)
            port.heal(first, last)
        self.node.kill()
        nested = [
            turn
            for turn in self.turns()
            if any(isinstance(item, items.LinkClosed) for item in turn.items[1:])
        ]
        self.assertTrue(nested)
        self.replayed()

    def test_a_disk_that_takes_no_write(self) -> None:
        self.world.on_disk_full(lambda node: node.kill())
        self.world.start()
        pay(self.world, 4)
        self.node.engine.full = True
        pay(self.world, 3)
        self.assertIsNone(self.node.node)
        noted = [item for turn in self.turns() for item in turn.items]
        crashed = [item.error for item in noted if isinstance(item, items.Crashed)]
        self.assertEqual(len(crashed), 1)
        self.assertIn("DiskFull", crashed[0])
        self.replayed()


class BadDayTests(SynchronousTestCase):
    """Every life of every node on a day with crashes, full disks, cut links and wrong clocks."""

    def test_chaos(self) -> None:
        lives: list[tuple[Path, Identity | None]] = []

        def build(settings: NodeSettings, runtime: Runtime) -> Node:
            path = Path(self.mktemp())
            lives.append((path, settings.identity))
            return build_recorded(settings, runtime, open_recording(path), MAX_BYTES)

        with patch("timecoin.sim.world.build_node", build):
            outcome = run_plan(make_plan("chaos", 1, 4, minutes=1, payments=8))
        self.assertIsNone(outcome.broken)
        self.assertGreater(len(lives), 4)
        for path, keys in lives:
            self.assertGreater(replay(read(path, self), keys).effects, 0)


class FollowerTests(ReplayCase):
    nodes = 4
    validators = 3

    def test_a_node_without_keys(self) -> None:
        self.run_world()
        self.node.kill()
        self.assertIsNone(identity(self.node))
        self.assertGreater(self.replayed().height, 0)


class DifferenceTests(ReplayCase):
    """What is not as it was is told: where, whose, what."""

    def setUp(self) -> None:
        super().setUp()
        self.run_world(payments=4)
        self.node.kill()

    def differs(self) -> Difference:
        with self.assertRaises(Difference) as caught:
            self.replayed()
        found: Difference = caught.exception
        return found

    def test_a_changed_rule_of_consensus(self) -> None:
        with patch("timecoin.consensus.agreement.delay_ms", lambda *args: 12_345):
            found = self.differs()
        self.assertEqual(found.machine, "Consensus")
        self.assertIn("delay_s=12.345", found.came)
        self.assertIn("CallLater", found.expected)
        self.assertIn(f"turn {found.turn}", str(found))
        self.assertGreater(found.turn, 1)

    def test_a_changed_message(self) -> None:
        def doubt(code: Code, detail: bytes) -> TxAnswer:
            return TxAnswer(Code.UNKNOWN, detail)

        with patch("timecoin.finality.votes.TxAnswer", doubt):
            found = self.differs()
        self.assertEqual(found.machine, "Finality")
        self.assertEqual(found.expected, f"Sent Answer.answers[0].code {Code.VALID:d}")
        self.assertEqual(found.came, f"Sent Answer.answers[0].code {Code.UNKNOWN:d}")

    def test_effects_that_are_recorded_and_do_not_come(self) -> None:
        turns = self.turns()
        player = Player(read(self.path, self).header, identity(self.node))
        with self.assertRaises(Difference) as caught:
            for turn in turns:
                *rest, end = turn.items
                longer = (*rest, items.Height(7), end) if player.turns > 20 else turn.items
                player.play(items.Turn(longer))
        self.assertEqual(caught.exception.turn, 22)
        self.assertEqual(caught.exception.expected, "Height height=7")

    def test_effects_that_come_and_are_not_recorded(self) -> None:
        player = Player(read(self.path, self).header, identity(self.node))
        with self.assertRaises(Difference) as caught:
            for turn in self.turns():
                kept = (item for item in turn.items if not isinstance(item, items.Written))
                player.play(items.Turn(tuple(kept)))
        self.assertIn("Written", caught.exception.came)

    def test_rows_that_differ_are_shown_alone(self) -> None:
        player = Player(read(self.path, self).header, identity(self.node))
        with self.assertRaises(Difference) as caught:
            for turn in self.turns():
                player.play(items.Turn(tuple(map(_with_a_row_more, turn.items))))
        self.assertEqual(caught.exception.expected, "Written and synced: locks 6b6579 01")

    def test_a_crash_is_an_effect_too(self) -> None:
        def fail(*args: object) -> None:
            raise KeyError("lost")

        with patch("timecoin.finality.machine.Finality.handle", fail):
            found = self.differs()
        self.assertIn("KeyError", found.came)


class RefusalTests(ReplayCase):
    def test_keys_of_another(self) -> None:
        self.run_world(payments=0, seconds=1)
        header = read(self.path, self).header
        for other in (None, Identity(SigningKey(b"\x01" * 32), bytes(32))):
            with self.assertRaises(RecordingError):
                Player(header, other)

    def test_turns_that_make_no_sense(self) -> None:
        self.run_world(payments=0, seconds=1)
        header = read(self.path, self).header
        build = self.turns()[0]
        number = 10**9
        for turns in (
            (items.Turn(()),),
            (items.Turn((items.Start(), items.End())),),
            (build, items.Turn((items.Fire(number), items.End()))),
            (build, items.Turn((items.Done(number), items.End()))),
            (build, items.Turn((items.Height(1),))),
            (build, items.Turn((items.Start(),))),
            (items.Turn((*build.items, items.End())),),
        ):
            player = Player(header, identity(self.node))
            with self.assertRaises(RecordingError):
                for turn in turns:
                    player.play(turn)


def _with_a_row_more(item: items.Item) -> items.Item:
    if not isinstance(item, items.Written) or not item.sync:
        return item
    return items.Written((*item.rows, ("locks", b"key", b"\x01")), item.sync)
