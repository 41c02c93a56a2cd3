"""Logins, the cookie, allowed addresses, and slowing down whoever guesses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import stat
from http import HTTPStatus
from ipaddress import ip_network
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from timecoin.rpc import throttle as throttle_module
from timecoin.rpc.auth import (
    LOOPBACK,
    Caller,
    Gate,
    Login,
    Logins,
    basic_credentials,
    parse_allowip,
    parse_whitelist,
)
from timecoin.rpc.cookie import COOKIE_USER, Cookie
from timecoin.rpc.http import HttpRefusal
from timecoin.rpc.throttle import LoginThrottle

HERE = "127.0.0.1"


def basic(user: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


def rpcauth_line(user: str, salt: str, password: str) -> str:
    """As Bitcoin Core's share/rpcauth/rpcauth.py computes it."""
    digest = hmac.new(salt.encode("utf-8"), password.encode("utf-8"), hashlib.sha256).hexdigest()
    return f"{user}:{salt}${digest}"


class LoginTests(SynchronousTestCase):
    def test_password(self) -> None:
        logins = Logins([Login.from_password("alice", "pä:ss")], {})
        self.assertEqual(logins.check("alice", "pä:ss"), Caller("alice", None))
        for user, password in (
            ("alice", "pä:sS"),
            ("alice", ""),
            ("", "pä:ss"),
            ("Alice", "pä:ss"),
            ("älice", "pä:ss"),
        ):
            self.assertIsNone(logins.check(user, password))

    def test_password_is_not_kept(self) -> None:
        login = Login.from_password("alice", "correct horse")
        self.assertNotIn("correct horse", repr(login))
        self.assertNotEqual(login.salt, Login.from_password("alice", "correct horse").salt)

    def test_rpcauth(self) -> None:
        line = rpcauth_line("bob", "0123456789abcdef0123456789abcdef", "hunter2")
        logins = Logins([Login.from_rpcauth(line)], {})
        self.assertEqual(logins.check("bob", "hunter2"), Caller("bob", None))
        self.assertIsNone(logins.check("bob", "hunter3"))

    def test_rpcauth_of_bitcoin_core(self) -> None:
        """The line and password of its own test, test/functional/rpc_users.py."""
        line = (
            "rt:93648e835a54c573682c2eb19f882535"
            "$7681e9c5b74bdd85e78166031d2058e1069b3ed7ed967c93fc63abba06f31144"
        )
        password = "cA773lm788buwYe4g4WT+05pKyNruVKjQ25x3n0DQcM="
        self.assertIsNotNone(Logins([Login.from_rpcauth(line)], {}).check("rt", password))

    def test_bad_lines(self) -> None:
        digest = "0" * 64
        for line in ("", "bob", "bob:salt", f"bob:${digest}", f":salt${digest}", "bob:salt$00"):
            self.assertRaises(ValueError, Login.from_rpcauth, line)
        self.assertRaises(ValueError, Login.from_rpcauth, f"bob:salt${'G' * 64}")
        self.assertRaises(ValueError, Login.from_password, "a:b", "x")
        self.assertRaises(ValueError, Login.from_password, "", "x")
        self.assertRaises(ValueError, Login.from_password, "a", "")

    def test_one_user_two_passwords(self) -> None:
        logins = Logins([Login.from_password("a", "1"), Login.from_password("a", "2")], {})
        self.assertIsNotNone(logins.check("a", "1"))
        self.assertIsNotNone(logins.check("a", "2"))

    def test_whitelist(self) -> None:
        whitelist = parse_whitelist(["a:help, stop", "a:help,uptime", "b:"])
        self.assertEqual(whitelist, {"a": frozenset({"help"}), "b": frozenset()})
        logins = Logins([Login.from_password(user, "x") for user in "abc"], whitelist)
        allowed = [
            [method for method in ("help", "stop") if caller.may_call(method)]
            for caller in (logins.check(user, "x") for user in "abc")
            if caller is not None
        ]
        self.assertEqual(allowed, [["help"], [], []])
        for line in ("a", ":help", ""):
            self.assertRaises(ValueError, parse_whitelist, [line])


class BasicCredentialsTests(SynchronousTestCase):
    def test_read(self) -> None:
        self.assertEqual(basic_credentials(basic("a", "b:c")), ("a", "b:c"))
        self.assertEqual(basic_credentials(b"bAsIc   YTpi "), ("a", "b"))

    def test_refused(self) -> None:
        for header in (
            None,
            b"",
            b"Basic",
            b"Basic !!",
            b"Bearer YTpi",
            b"Basic YQ==",
            b"Basic /w",
        ):
            self.assertIsNone(basic_credentials(header))

    @given(st.binary(max_size=60))
    def test_any_bytes(self, header: bytes) -> None:
        basic_credentials(header)
        basic_credentials(b"Basic " + header)
        basic_credentials(b"Basic " + base64.b64encode(header))


class CookieTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.cookie = Cookie(self.path)

    def test_created_private_and_removed(self) -> None:
        login = self.cookie.create()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        user, _, password = self.path.read_text().partition(":")
        self.assertEqual(user, COOKIE_USER)
        self.assertEqual(len(bytes.fromhex(password)), 32)
        self.assertIsNotNone(Logins([login], {}).check(user, password))
        self.cookie.remove()
        self.assertFalse(self.path.exists())
        self.cookie.remove()

    def test_replaces_what_a_killed_node_left(self) -> None:
        self.path.write_text("old")
        self.path.chmod(0o644)
        self.path.with_name(self.path.name + ".tmp").write_text("older")
        self.cookie.create()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertTrue(self.path.read_text().startswith(COOKIE_USER))

    def test_keeps_a_file_that_is_not_its_own(self) -> None:
        self.cookie.create()
        self.path.write_text("another node's")
        self.cookie.remove()
        self.assertEqual(self.path.read_text(), "another node's")


class GateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.throttle = LoginThrottle(self.clock)
        self.gate = Gate(Logins([Login.from_password("alice", "right")], {}), self.throttle)

    def admit(self, header: bytes | None, address: str = HERE) -> Deferred[Caller]:
        return Deferred.fromCoroutine(self.gate.admit(address, header))

    def status(self, admitted: Deferred[Caller]) -> HTTPStatus:
        refusal = self.failureResultOf(admitted, HttpRefusal).value
        assert isinstance(refusal, HttpRefusal)
        return refusal.status

    def test_admitted(self) -> None:
        caller = self.successResultOf(self.admit(basic("alice", "right")))
        self.assertEqual(caller.user, "alice")

    def test_no_login_is_refused_at_once_and_not_counted(self) -> None:
        admitted = self.admit(None)
        refusal = self.failureResultOf(admitted, HttpRefusal).value
        self.assertEqual(refusal.status, HTTPStatus.UNAUTHORIZED)
        self.assertIn("WWW-Authenticate", refusal.headers)
        self.assertEqual(self.throttle.failed_total, 0)

    def test_failures_are_slowed_ever_more(self) -> None:
        for delay_s in (0.25, 0.5, 1.0, 2.0, 4.0, 4.0):
            admitted = self.admit(basic("alice", "wrong"))
            self.clock.advance(delay_s - 0.01)
            self.assertNoResult(admitted)
            self.clock.advance(0.02)
            self.assertEqual(self.status(admitted), HTTPStatus.UNAUTHORIZED)
        self.assertEqual(self.throttle.failed_total, 6)

    def test_failures_are_logged_without_the_password(self) -> None:
        with capturedLogs() as events:
            self.admit(basic("alice", "hunter2")).addErrback(lambda _: None)
            self.clock.advance(1)
        lines = [str(formatEvent(event)) for event in events]
        self.assertEqual(lines, ["wrong user or password from 127.0.0.1"])
        self.assertNotIn("hunter2", repr(events))

    def test_any_failure_is_slowed_alike(self) -> None:
        headers = (basic("nobody", "x"), b"Basic !", b"Bearer x")
        for number, header in enumerate(headers):
            admitted = self.admit(header, f"127.0.0.{number + 1}")
            self.clock.advance(0.24)
            self.assertNoResult(admitted)
            self.clock.advance(0.02)
            self.assertEqual(self.status(admitted), HTTPStatus.UNAUTHORIZED)

    def test_success_and_time_forget(self) -> None:
        for forget in (
            lambda: self.successResultOf(self.admit(basic("alice", "right"))),
            lambda: self.clock.advance(throttle_module.FORGET_AFTER_S + 1),
        ):
            for _ in range(3):
                self.admit(basic("alice", "wrong")).addErrback(lambda _: None)
                self.clock.advance(4)
            forget()
            admitted = self.admit(basic("alice", "wrong"))
            self.clock.advance(0.26)
            self.assertEqual(self.status(admitted), HTTPStatus.UNAUTHORIZED)
            self.clock.advance(throttle_module.FORGET_AFTER_S + 1)

    def test_many_held_back_answers_refuse_the_next(self) -> None:
        held = [self.admit(basic("alice", "wrong")) for _ in range(8)]
        self.assertEqual(
            self.status(self.admit(basic("alice", "right"))), HTTPStatus.TOO_MANY_REQUESTS
        )
        self.successResultOf(self.admit(basic("alice", "right"), "127.0.0.2"))
        self.clock.advance(4)
        self.assertEqual({self.status(admitted) for admitted in held}, {HTTPStatus.UNAUTHORIZED})
        self.successResultOf(self.admit(basic("alice", "right")))

    def test_vanished_client_gives_its_place_back(self) -> None:
        held = [self.admit(basic("alice", "wrong")) for _ in range(8)]
        held[0].cancel()
        self.failureResultOf(held[0])
        self.successResultOf(self.admit(basic("alice", "right")))
        self.clock.advance(4)
        for admitted in held[1:]:
            self.failureResultOf(admitted, HttpRefusal)

    def test_memory_is_bounded(self) -> None:
        self.patch(throttle_module, "MAX_ADDRESSES", 3)
        gate = Gate(Logins([], {}), self.throttle, (ip_network("0.0.0.0/0"),))
        for number in range(10):
            admitted = Deferred.fromCoroutine(gate.admit(f"10.0.0.{number}", b"x"))
            self.clock.advance(4)
            self.failureResultOf(admitted, HttpRefusal)
        self.assertEqual(len(self.throttle), 3)

    def test_one_ipv6_network_is_one_address(self) -> None:
        gate = Gate(Logins([], {}), self.throttle, (ip_network("::/0"),))
        delays_s = []
        for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"):
            began_s = self.clock.seconds()
            admitted = Deferred.fromCoroutine(gate.admit(address, b"x"))
            while not admitted.called:
                self.clock.advance(0.25)
            self.failureResultOf(admitted, HttpRefusal)
            delays_s.append(self.clock.seconds() - began_s)
        self.assertEqual(delays_s, [0.25, 0.5, 0.25])

    def test_addresses(self) -> None:
        header = basic("alice", "right")
        for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
            self.successResultOf(self.admit(header, address))
        for address in ("10.0.0.1", "::2", "::ffff:10.0.0.1", "", "unix"):
            self.assertEqual(self.status(self.admit(header, address)), HTTPStatus.FORBIDDEN)

    def test_allowip_lines(self) -> None:
        allowed = parse_allowip(["10.0.0.0/8", "192.168.1.7", "fd00::/8"])
        self.assertEqual(allowed[: len(LOOPBACK)], LOOPBACK)
        self.assertEqual(len(allowed), len(LOOPBACK) + 3)
        for line in ("10.0.0.1/8", "nowhere", ""):
            self.assertRaises(ValueError, parse_allowip, [line])
