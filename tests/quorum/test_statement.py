"""Signed bytes: written out once more here, and no two kinds alike."""

from __future__ import annotations

from itertools import combinations

from twisted.trial.unittest import SynchronousTestCase

from timecoin.quorum.statement import (
    NIL,
    precommit_statement,
    prepare_statement,
    stored_statement,
    vote_statement,
)

CHAIN_ID = b"\x03\x00\x00\x00genesis!"


class StatementTests(SynchronousTestCase):
    def test_vote(self) -> None:
        self.assertEqual(
            vote_statement(CHAIN_ID, 258, b"r" * 32, 9, b"\x01\x00").hex(),
            (b"timecoin/vote\x00" + CHAIN_ID).hex()
            + "0201000000000000"
            + "72" * 32
            + "09000000"
            + "0100",
        )

    def test_stored(self) -> None:
        self.assertEqual(
            stored_statement(CHAIN_ID, 259, 258, b"r" * 32, 9, b"\x01\x00").hex(),
            (b"timecoin/stored\x00" + CHAIN_ID).hex()
            + "0301000000000000"
            + "0201000000000000"
            + "72" * 32
            + "09000000"
            + "0100",
        )

    def test_block_votes(self) -> None:
        for name, statement in (("prepare", prepare_statement), ("precommit", precommit_statement)):
            self.assertEqual(
                statement(CHAIN_ID, 7, 2, b"b" * 32).hex(),
                (f"timecoin/{name}\0".encode() + CHAIN_ID).hex()
                + "0700000000000000"
                + "02000000"
                + "62" * 32,
            )

    def test_every_field_is_covered(self) -> None:
        other_chain = b"\x01" + CHAIN_ID[1:]
        root, block = b"r" * 32, b"b" * 32
        statements = [
            vote_statement(CHAIN_ID, 1, root, 9, b"\x00\x00"),
            vote_statement(other_chain, 1, root, 9, b"\x00\x00"),
            vote_statement(CHAIN_ID, 2, root, 9, b"\x00\x00"),
            vote_statement(CHAIN_ID, 1, block, 9, b"\x00\x00"),
            vote_statement(CHAIN_ID, 1, root, 10, b"\x00\x00"),
            vote_statement(CHAIN_ID, 1, root, 9, b"\x01\x00"),
            stored_statement(CHAIN_ID, 1, 1, root, 9, b"\x00\x00"),
            stored_statement(other_chain, 1, 1, root, 9, b"\x00\x00"),
            stored_statement(CHAIN_ID, 2, 1, root, 9, b"\x00\x00"),
            stored_statement(CHAIN_ID, 1, 2, root, 9, b"\x00\x00"),
            stored_statement(CHAIN_ID, 1, 1, block, 9, b"\x00\x00"),
            stored_statement(CHAIN_ID, 1, 1, root, 10, b"\x00\x00"),
            stored_statement(CHAIN_ID, 1, 1, root, 9, b"\x01\x00"),
        ]
        for statement in (prepare_statement, precommit_statement):
            statements += [
                statement(CHAIN_ID, 1, 1, block),
                statement(other_chain, 1, 1, block),
                statement(CHAIN_ID, 2, 1, block),
                statement(CHAIN_ID, 1, 2, block),
                statement(CHAIN_ID, 1, 1, NIL),
            ]
        for first, second in combinations(statements, 2):
            self.assertNotEqual(first, second)
            self.assertFalse(first.startswith(second))
