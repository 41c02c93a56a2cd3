"""Levels for all areas and for single ones, at the start and while the node runs."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from tests.support.architecture import ROW_OF
from timecoin.node.log.levels import AREAS, LEVELS, Levels, LevelSetting, area_of, read_levels


class SettingTests(SynchronousTestCase):
    def test_read(self) -> None:
        self.assertEqual(read_levels("warn"), LevelSetting("warn", {}))
        self.assertEqual(
            read_levels("p2p:debug, error,rpc:warn"),
            LevelSetting("error", {"p2p": "debug", "rpc": "warn"}),
        )
        self.assertEqual(read_levels("p2p:debug").default, "info")

    @given(st.text(max_size=40))
    def test_anything_is_read_or_refused(self, text: str) -> None:
        try:
            found = read_levels(text)
        except ValueError:
            return
        self.assertIn(found.default, LEVELS)
        self.assertLessEqual(set(found.areas), set(AREAS))

    def test_every_package_that_logs_is_an_area(self) -> None:
        root = Path(__file__).resolve().parents[3] / "timecoin"
        for package in ROW_OF:
            files = root.glob(f"{package}/**/*.py")
            if any("Logger(" in path.read_text("utf-8") for path in files):
                self.assertIn(package, AREAS)


class LevelsTests(SynchronousTestCase):
    def event(self, namespace: str, level: str) -> dict[str, object]:
        return {"log_namespace": namespace, "log_level": LogLevel.levelWithName(level)}

    def test_areas(self) -> None:
        self.assertEqual(area_of({"log_namespace": "timecoin.p2p.links.Links"}), "p2p")
        self.assertEqual(area_of({"log_namespace": "log_legacy"}), "twisted")
        self.assertEqual(area_of({}), "twisted")

    def test_one_level_for_all_but_twisted(self) -> None:
        levels = Levels(LevelSetting("info"))
        self.assertTrue(levels.takes(self.event("timecoin.p2p.links", "info")))
        self.assertFalse(levels.takes(self.event("timecoin.p2p.links", "debug")))
        for namespace in ("twisted.internet", "log_legacy", "-"):
            self.assertFalse(levels.takes(self.event(namespace, "info")), namespace)
            self.assertTrue(levels.takes(self.event(namespace, "warn")), namespace)

    def test_single_areas(self) -> None:
        levels = Levels(read_levels("warn,p2p:debug,twisted:info"))
        self.assertTrue(levels.takes(self.event("timecoin.p2p.links", "debug")))
        self.assertFalse(levels.takes(self.event("timecoin.rpc.server", "info")))
        self.assertTrue(levels.takes(self.event("twisted.web", "info")))
        levels.set("rpc", "info")
        self.assertTrue(levels.takes(self.event("timecoin.rpc.server", "info")))
        self.assertTrue(levels.writes("rpc", "info"))
        self.assertFalse(levels.writes("rpc", "debug"))
        self.assertEqual(levels.shown()["rpc"], "info")

    def test_unknown(self) -> None:
        levels = Levels(LevelSetting())
        before = levels.shown()
        self.assertRaises(ValueError, levels.set, "kitchen", "info")
        self.assertRaises(ValueError, levels.set, "rpc", "loud")
        self.assertEqual(levels.shown(), before)
