"""Checks of the store of a node that does not run: every row is read, nothing is changed."""

from __future__ import annotations

from pathlib import Path

from timecoin.cli.doctor.finding import Finding, fail, ok, warn
from timecoin.store.engine import StoreDamaged, StoreError
from timecoin.store.keys import REBUILT, TABLES
from timecoin.store.reindex import is_interrupted
from timecoin.store.rocks import RocksEngine
from timecoin.store.tornlog import newest_log, zeros_at_end

REINDEX = "start the node once with --reindex=1: they are rebuilt from the stored blocks"


def check_store(directory: Path) -> Finding:
    """Whether the store can be opened and read, and what to do if not."""
    if not directory.exists():
        return ok("store", f"{directory} will be made at the first start")
    try:
        engine = RocksEngine(directory, read_only=True)
    except StoreDamaged as error:
        if zeros_at_end(newest_log(directory)):
            advice = "start the node: it cuts them off, or says that more is damaged"
            return warn("store", "its log ends in zeros, as after a power cut", advice)
        return fail("store", str(error.__cause__ or error), _anew(directory))
    except StoreError as error:
        return fail("store", str(error), "see docs/operations/incidents.rst")
    try:
        rows, damaged = _read_all(engine)
        if damaged:
            advice = REINDEX if set(damaged) <= set(REBUILT) else _anew(directory)
            return fail("store", f"{directory} is damaged: {', '.join(damaged)}", advice)
        if is_interrupted(engine):
            return warn("store", "a rebuild was interrupted", "start the node: it begins it again")
    finally:
        engine.close()
    return ok("store", f"{rows} rows in {directory} can be read")


def _read_all(engine: RocksEngine) -> tuple[int, list[str]]:
    """The number of rows, and the tables that cannot be read to their end."""
    rows, damaged = 0, []
    for table in TABLES:
        try:
            for _ in engine.scan(table):
                rows += 1
        except StoreDamaged:
            damaged.append(table)
    return rows, damaged


def _anew(directory: Path) -> str:
    return (
        f"move {directory} away and start without validator-id: blocks come from peers again; "
        "when to vote again is in docs/operations/backup.rst"
    )
