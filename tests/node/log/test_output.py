"""From events to lines: formats, limits, counts, and nothing that is secret."""

from __future__ import annotations

import io
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from twisted.trial.unittest import SynchronousTestCase

from timecoin.node.log.formats import MAX_TEXT_CHARS
from timecoin.node.log.levels import Levels, LevelSetting
from timecoin.node.log.output import LogOutput, is_journal
from timecoin.node.log.redact import HIDDEN, Redaction
from timecoin.node.log.repeats import BURST, MAX_KINDS, WINDOW_S, Repeats


class OutputCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.out = io.StringIO()
        self.request: str | None = None

    def output(self, format_name: str = "text", level: str = "info") -> LogOutput:
        levels = Levels(LevelSetting(level))
        return LogOutput(self.out, levels, format_name, lambda: self.request)

    def logger(self, output: LogOutput, namespace: str = "timecoin.chain.commit") -> Logger:
        return Logger(namespace, observer=LogPublisher(output))


class TextTests(OutputCase):
    def test_a_line(self) -> None:
        self.logger(self.output()).info("height {height}", height=7)
        stamp, level, rest = self.out.getvalue().split(None, 2)
        self.assertRegex(stamp, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual((level, rest), ("info", "chain: height 7\n"))

    def test_levels_and_counts(self) -> None:
        output = self.output(level="warn")
        log = self.logger(output)
        log.info("no")
        log.warn("yes")
        log.error("yes")
        self.assertEqual(self.out.getvalue().count("yes"), 2)
        self.assertNotIn("no", self.out.getvalue())
        counts = {"debug": 0, "info": 0, "warn": 1, "error": 1, "critical": 0}
        self.assertEqual(output.lines, counts)

    def test_no_forged_lines(self) -> None:
        self.logger(self.output()).info("said {what}", what="hello\n2026 info  chain: fake\r\n")
        self.assertEqual(self.out.getvalue().count("\n"), 1)

    def test_a_failure_shows_its_traceback(self) -> None:
        try:
            raise KeyError("lost")
        except KeyError:
            self.logger(self.output()).failure("it broke", Failure())
        first, *rest = self.out.getvalue().splitlines()
        self.assertTrue(first.endswith("chain: it broke"))
        self.assertIn("KeyError", "\n".join(rest))

    def test_the_request_that_caused_it(self) -> None:
        log = self.logger(self.output())
        log.info("before")
        self.request = "abc-1"
        log.info("within")
        before, within = self.out.getvalue().splitlines()
        self.assertTrue(before.endswith("before"))
        self.assertTrue(within.endswith("within [abc-1]"))

    def test_long_messages_are_cut(self) -> None:
        self.logger(self.output()).info("{what}", what="x" * 100_000)
        self.assertLess(len(self.out.getvalue()), MAX_TEXT_CHARS + 200)
        self.assertIn("(100000 characters)", self.out.getvalue())

    def test_nothing_for_an_empty_message(self) -> None:
        self.logger(self.output()).info("")
        self.assertEqual(self.out.getvalue(), "")


class JournalTests(OutputCase):
    def test_priorities(self) -> None:
        log = self.logger(self.output("journal", "debug"))
        for level in ("debug", "info", "warn", "error", "critical"):
            getattr(log, level)("said")
        found = self.out.getvalue().splitlines()
        self.assertEqual(found, [f"<{number}>chain: said" for number in (7, 6, 4, 3, 2)])

    def test_each_line_of_a_traceback_has_it(self) -> None:
        try:
            raise KeyError("lost")
        except KeyError:
            self.logger(self.output("journal")).failure("it broke", Failure())
        lines = self.out.getvalue().splitlines()
        self.assertGreater(len(lines), 2)
        self.assertTrue(all(line.startswith("<2>") for line in lines))

    def test_whether_it_is_the_journal(self) -> None:
        path = Path(self.mktemp())
        with path.open("w") as file:
            status = path.stat()
            here = f"{status.st_dev}:{status.st_ino}"
            self.assertTrue(is_journal({"JOURNAL_STREAM": here}, file))
            self.assertFalse(is_journal({"JOURNAL_STREAM": "1:2"}, file))
            self.assertFalse(is_journal({}, file))
        self.assertFalse(is_journal({"JOURNAL_STREAM": here}, io.StringIO()))


class JsonTests(OutputCase):
    def read(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def test_fields(self) -> None:
        self.request = "r1"
        self.logger(self.output("json")).warn(
            "block {height}", height=7, block=b"\xab\xcd", share=0.5, odd=float("nan"), other=object
        )
        (line,) = self.read()
        self.assertRegex(str(line.pop("time")), r"^\d{4}-.*Z$")
        self.assertEqual(
            line,
            {
                "level": "warn",
                "area": "chain",
                "message": "block 7",
                "height": 7,
                "block": "abcd",
                "share": 0.5,
                "request": "r1",
            },
        )

    def test_tracebacks(self) -> None:
        try:
            raise KeyError("lost")
        except KeyError:
            self.logger(self.output("json")).failure("it broke", Failure())
        (line,) = self.read()
        self.assertIn("KeyError", str(line["traceback"]))

    @given(st.text(), st.dictionaries(st.from_regex(r"[a-z]{1,9}", fullmatch=True), st.text()))
    def test_always_one_object_a_line(self, text: str, fields: dict[str, str]) -> None:
        self.out.seek(0)
        self.out.truncate()
        fields.pop("level", None)
        self.logger(self.output("json")).info("said {text}", **{**fields, "text": text})
        (line,) = [json.loads(each) for each in self.out.getvalue().split("\n") if each]
        self.assertEqual(line["area"], "chain")


class RedactionTests(SynchronousTestCase):
    def test_what_looks_like_a_secret(self) -> None:
        redaction = Redaction()
        for line in (
            "rpcpassword=hunter2hunter2",
            "password: 'hunter2hunter2'",
            '{"passphrase": "hunter2hunter2", "x": 1}',
            "Authorization: Basic aHVudGVyMmh1bnRlcjI=",
            "basic aHVudGVyMmh1bnRlcjI=",
            "http://alice:hunter2hunter2@127.0.0.1/",
            "wallet_seed=hunter2hunter2",
            "TIMECOIN_WALLET_PASSPHRASE=hunter2hunter2",
        ):
            shown = redaction.text(line)
            self.assertIn(HIDDEN, shown, line)
            self.assertNotIn("hunter2", shown)
            self.assertNotIn("aHVudGVy", shown)

    def test_known_ones_anywhere(self) -> None:
        redaction = Redaction()
        redaction.add("open sesame")
        redaction.add("the")
        self.assertEqual(
            redaction.text("he said open sesame to the door"), f"he said {HIDDEN} to the door"
        )

    def test_ordinary_lines_stay(self) -> None:
        for line in (
            "height 5 round 1: prepare vote for abababababababab (100 of 300)",
            "wrong user or password from 192.0.2.1",
            "listening on http://127.0.0.1:24201/",
            "wallet: 3 addresses in use, ready to pay",
        ):
            self.assertEqual(Redaction().text(line), line)

    def test_fields(self) -> None:
        redaction = Redaction()
        for name in ("passphrase", "new_password", "seed", "rpcauth"):
            self.assertEqual(redaction.field(name, "x"), HIDDEN)
        self.assertEqual(redaction.field("height", 7), 7)
        self.assertEqual(redaction.field("said", "password=abc"), f"password={HIDDEN}")

    def test_every_format(self) -> None:
        for name in ("text", "journal", "json"):
            out = io.StringIO()
            output = LogOutput(out, Levels(LevelSetting()), name, lambda: None)
            output.redaction.add("open sesame")
            log = Logger("timecoin.wallet", observer=LogPublisher(output))
            try:
                raise ValueError("open sesame")
            except ValueError:
                log.failure("with {passphrase} open sesame", passphrase="open sesame")
            self.assertIn(HIDDEN, out.getvalue())
            self.assertNotIn("open sesame", out.getvalue(), name)


class RepeatTests(OutputCase):
    def feed(self, repeats: Repeats, count: int, at_s: float, text: str = "{n} times") -> None:
        for n in range(count):
            repeats({"log_namespace": "timecoin.p2p", "log_format": text, "n": n, "log_time": at_s})

    def test_a_burst(self) -> None:
        written: list[dict[str, object]] = []
        repeats = Repeats(written.append)
        self.feed(repeats, BURST + 50, 1_000.0)
        self.assertEqual(len(written), BURST)
        self.feed(repeats, 1, 1_000.0, "another kind")
        self.assertEqual(len(written), BURST + 1)
        self.feed(repeats, 1, 1_000.0 + WINDOW_S)
        summary, line = written[BURST + 1 :]
        self.assertEqual((summary["left_out"], summary["what"]), (50, "{n} times"))
        self.assertEqual(line["n"], 0)

    def test_a_clock_that_goes_back(self) -> None:
        written: list[dict[str, object]] = []
        repeats = Repeats(written.append)
        self.feed(repeats, BURST + 1, 1_000.0)
        self.feed(repeats, 1, 500.0)
        self.assertEqual(len(written), BURST + 2)

    def test_critical_ones_always(self) -> None:
        log = self.logger(self.output())
        for _ in range(BURST + 5):
            log.critical("SAFETY BROKEN")
        self.assertEqual(self.out.getvalue().count("SAFETY"), BURST + 5)

    def test_left_out_ones_are_counted(self) -> None:
        output = self.output()
        log = self.logger(output)
        for _ in range(BURST + 5):
            log.warn("again")
        self.assertEqual(output.lines["warn"], BURST + 5)
        self.assertEqual(self.out.getvalue().count("again"), BURST)

    def test_bounded(self) -> None:
        repeats = Repeats(lambda event: None)
        for number in range(MAX_KINDS + 100):
            self.feed(repeats, 1, 1_000.0, f"kind {number}")
        self.assertEqual(len(repeats), MAX_KINDS)


class FileTests(SynchronousTestCase):
    def test_a_file_that_was_moved_away(self) -> None:
        """logrotate moves the file and sends SIGHUP: later lines are in a new one."""
        folder = Path(self.mktemp())
        folder.mkdir()
        path = folder / "node.log"
        output = LogOutput(
            LogFile.fromFullPath(str(path)), Levels(LevelSetting()), "text", lambda: None
        )
        log = Logger("timecoin.node", observer=LogPublisher(output))
        log.info("old")
        path.rename(folder / "node.log.1")
        log.info("still old")
        output.reopen()
        log.info("new")
        self.assertEqual((folder / "node.log.1").read_text().count("old"), 2)
        self.assertIn("node: new", path.read_text())
        self.assertNotIn("old", path.read_text())
