"""Profiles of faults: nothing unsafe happens in a run, and all comes right after it."""

from __future__ import annotations

from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from timecoin.sim.byzantine import BEHAVIOURS
from timecoin.sim.campaign import run_plan, shrink
from timecoin.sim.faults import Crash, FullDisk, OneWay, Partition
from timecoin.sim.profiles import PROFILES, Plan, make_plan
from timecoin.sim.world import WorldSettings


class ProfileTests(SynchronousTestCase):
    def test_a_seed_decides_everything(self) -> None:
        for name in PROFILES:
            plan = make_plan(name, 5, None, 3, 10)
            self.assertEqual(plan, make_plan(name, 5, None, 3, 10))
            self.assertNotEqual(plan, make_plan(name, 6, None, 3, 10))

    def test_fewer_than_a_third_are_faulty(self) -> None:
        for seed in range(50):
            plan = make_plan("byzantine", seed, None, 3, 10)
            self.assertTrue(plan.behaviours)
            self.assertLess(3 * len(plan.faulty), plan.settings.nodes)

    def test_faults_can_be_left_out(self) -> None:
        plan = make_plan("chaos", 1, None, 3, 10)
        fewer = plan.without((0, 2))
        self.assertEqual(fewer.faults, (plan.faults[1], *plan.faults[3:]))

    def test_each_profile(self) -> None:
        for name in PROFILES:
            outcome = run_plan(make_plan(name, 1, 4, 1, 8))
            self.assertIsNone(outcome.broken, name)
            self.assertGreater(outcome.final, 0, name)

    def test_one_plan_one_digest(self) -> None:
        plan = make_plan("chaos", 2, 4, 1, 4)
        self.assertEqual(run_plan(plan), run_plan(plan))


class FaultTests(SynchronousTestCase):
    """Each kind of fault by itself, long enough to hurt."""

    def test_each_fault(self) -> None:
        for fault in (
            Crash(9_000, 30_000, 0, 1),
            Partition(9_000, 40_000, ((0, 1), (2, 3))),
            OneWay(9_000, 40_000, 0, 1),
            FullDisk(9_000, 30_000, 2),
        ):
            plan = Plan(3, WorldSettings(nodes=4), 1, (fault,), (), 12, 30)
            self.assertIsNone(run_plan(plan).broken, fault)

    def test_a_full_disk_ends_the_node_until_there_is_room(self) -> None:
        plan = Plan(4, WorldSettings(nodes=4), 1, (FullDisk(9_000, 20_000, 2),), (), 6)
        lines: list[str] = []
        self.assertIsNone(run_plan(plan, lines.append).broken)
        words = [line.split()[1:] for line in lines]
        life = [what for what, *rest in words if what in ("start", "kill") and rest == ["2"]]
        self.assertEqual(life, ["start", "kill", "start"])


class BehaviourTests(SynchronousTestCase):
    """Each behaviour of a faulty member by itself: four members, one of them faulty."""

    def test_each_behaviour(self) -> None:
        for number, name in enumerate(BEHAVIOURS):
            plan = Plan(number, WorldSettings(nodes=4), 1, (), ((1, (name,)),), 8, 40)
            self.assertIsNone(run_plan(plan).broken, name)


class ShrinkTests(SynchronousTestCase):
    def test_only_the_fault_that_matters_is_left(self) -> None:
        faults = (
            OneWay(6_000, 5_000, 0, 1),
            Crash(9_000, 4_000, 0, 0),
            OneWay(20_000, 5_000, 2, 1),
            Partition(25_000, 5_000, ((0,), (1, 2))),
        )
        plan = Plan(1, WorldSettings(nodes=3), 1, faults, (), 0)

        def fails(*restart: object) -> None:
            raise LookupError("a restart goes wrong")

        with mock.patch("timecoin.sim.faults.Faults._bring_up", fails):
            found = shrink(plan, lambda left, runs: None)
        self.assertEqual(found.faults, (faults[1],))
        self.assertEqual(found.dropped, (0, 2, 3))

    def test_nothing_to_shrink(self) -> None:
        plan = Plan(1, WorldSettings(nodes=3), 1, (), (), 0)
        self.assertRaises(ValueError, shrink, plan, lambda left, runs: None)
