"""Checks of what a running node says of itself."""

from __future__ import annotations

from collections.abc import Iterator

import click

from timecoin.cli.doctor.finding import Finding, fail, ok, warn
from timecoin.cli.output.sanitize import visible
from timecoin.cli.rpc.failures import CannotConnect
from timecoin.cli.rpc.session import Session

ANSWER_S = 10.0
BEHIND_BLOCKS = 2
"""A node may be so far behind what its peers announce: a block is under way."""


def check_answers(session: Session) -> Iterator[Finding]:
    """RPC, chain and peers."""
    session.timeout_s = ANSWER_S
    try:
        uptime_s = session.call("uptime", {})
        yield ok("node", f"answers at {session.connection.url}, running for {uptime_s} s")
        yield from _check_chain(session)
        yield from _check_peers(session)
    except CannotConnect as error:
        yield fail("node", error.message, _advice(error))
    except click.ClickException as error:
        yield fail("node", error.message, "check the user's rpcwhitelist and the node's log")
    finally:
        session.close()


def _advice(error: CannotConnect) -> str:
    if error.status == 401:
        return "give the right --rpc-user, --datadir or cookie"
    if error.status == 403:
        return "check rpcallowip and rpcwhitelist"
    return "check rpc-bind, --rpc-url and --tls-cert, and the node's log"


def _check_chain(session: Session) -> Iterator[Finding]:
    chain = session.call("getblockchaininfo", {})
    shown = f"{visible(str(chain['chain']))}, block {chain['blocks']}"
    if chain["initialblockdownload"]:
        advice = "wait: it cannot pay or vote before"
        yield warn("chain", f"{shown} of {chain['headers']}: catching up", advice)
    else:
        yield ok("chain", shown)
    for warning in chain["warnings"]:
        advice = "look at its links, its clock and its log"
        yield fail("chain", visible(str(warning)), advice)


def _check_peers(session: Session) -> Iterator[Finding]:
    peers = session.call("getpeerinfo", {})
    members = session.call("masternodelist", {})
    height = session.call("getblockcount", {})
    if not peers and members["total"] > 1:
        advice = "set peers to nodes that run, and let its port through the firewall"
        yield fail("peers", f"none, of {members['total']} members", advice)
        return
    known = f"{len(peers)} linked, {members['active']} of {members['total']} members active"
    best = max((peer["height"] for peer in peers), default=height)
    if best > height + BEHIND_BLOCKS:
        advice = "wait; if it stays so, look at its log"
        yield warn("peers", f"{known}; they are at block {best}, this node at {height}", advice)
    else:
        yield ok("peers", known)
