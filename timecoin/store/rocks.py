"""RocksDB through rocksdict: a column family for each table, memory within fixed bounds.

Four facts about the library shape this module. A write with ``sync`` holds the interpreter's
lock through the fsync, ``flush_wal`` does not: so a batch is written first and synced by the
latter, which a thread may do. The directory's LOCK is freed only when every handle of a column
family and every iterator is gone: so handles live in this class alone and a scan takes its rows
page by page. Raw mode takes bytes only; the default would unpickle values from disk. Its iterators
end silently at rows that cannot be read: where one ends, a cursor is asked for the reason.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    ColumnFamily,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    WriteBatch,
)

from timecoin.store.engine import (
    DataDirectoryInUse,
    Row,
    StoreDamaged,
    StoreError,
    StoreUnwritable,
)
from timecoin.store.keys import ADDED, META, META_REINDEX, META_SCHEMA, REBUILT, TABLES
from timecoin.store.tornlog import newest_log, zeros_at_end

_MIB = 1 << 20
_BLOCK_CACHE_BYTES = 32 * _MIB
_WRITE_BUFFER_BYTES = 4 * _MIB
_ALL_WRITE_BUFFERS_BYTES = 16 * _MIB
_MAX_LOG_BYTES = 128 * _MIB
_MAX_OPEN_FILES = 256
_BLOOM_BITS = 10
_SCAN_PAGE_ROWS = 512


def _options(cache: Cache) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_db_write_buffer_size(_ALL_WRITE_BUFFERS_BYTES)
    options.set_max_total_wal_size(_MAX_LOG_BYTES)
    options.set_max_open_files(_MAX_OPEN_FILES)
    options.set_keep_log_file_num(4)
    # By default a store forgets all that its log holds behind a wrong checksum: signed votes too.
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    # Signatures and hashes do not shrink.
    options.set_compression_type(DBCompressionType.none())
    blocks = BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_bloom_filter(_BLOOM_BITS, False)
    options.set_block_based_table_factory(blocks)
    return options


def _missing_tables(directory: Path, tables: Sequence[str], options: Options) -> list[str]:
    """Those of ``tables`` that a store in ``directory`` lacks; none if there is no store yet."""
    if not (directory / "CURRENT").exists():
        return []
    with _telling(directory, "open"):
        found = Rdict.list_cf(str(directory), options)
    return [name for name in tables if name not in found]


def _may_be_completed(directory: Path, missing: set[str], options: Options) -> bool:
    """Whether a crash explains that tables are ``missing``, and nothing was in them.

    It came while the store was made, before anything was written, or while tables that follow from
    the blocks were replaced.
    """
    if META in missing:
        return True
    database = _open(directory, (META,), options, read_only=True)
    with _telling(directory, "read"):
        family = database.get_column_family(META)
        claimed, marked = (family.get(key) is not None for key in (META_SCHEMA, META_REINDEX))
        family.close()
        database.close()
    return not claimed or (marked and missing <= set(REBUILT))


@contextmanager
def _telling(directory: Path, what: str) -> Iterator[None]:
    """Gives errors of the library their kind."""
    try:
        yield
    except Exception as error:
        raise _named(directory, what, str(error)) from error


def _named(directory: Path, what: str, text: str) -> StoreError:
    """The library raises plain Exception: only its text tells."""
    if "lock" in text.lower() and ("LOCK" in text or "No locks available" in text):
        return DataDirectoryInUse(f"the data directory {directory} is in use by another process")
    if text.startswith("Corruption"):
        return StoreDamaged(f"the store in {directory} is damaged: {text}; ask timecoin-cli doctor")
    kind = StoreUnwritable if what == "write" else StoreError
    return kind(f"cannot {what} the store in {directory}: {text}")


def _open(directory: Path, tables: Sequence[str], options: Options, read_only: bool) -> Rdict:
    """The database; before a log counts as damaged, zeros that a power cut left are cut off it."""
    access = AccessType.read_only() if read_only else AccessType.read_write()
    families = dict.fromkeys(tables, options)

    def attempt() -> Rdict:
        with _telling(directory, "open"):
            return Rdict(
                str(directory), options=options, column_families=families, access_type=access
            )

    try:
        return attempt()
    except StoreDamaged:
        log = newest_log(directory)
        zeros = zeros_at_end(log)
        if log is None or not zeros or read_only:
            raise
    size = log.stat().st_size
    os.truncate(log, size - zeros)
    try:
        return attempt()
    except StoreDamaged:
        os.truncate(log, size)  # it was not that: as it was
        raise


class RocksEngine:
    """The engine of a real node; one process at a time may have a directory open."""

    def __init__(
        self, directory: Path, tables: Sequence[str] = TABLES, read_only: bool = False
    ) -> None:
        """Open or create the store in ``directory``.

        ``read_only`` changes nothing there, takes no lock and sees the rows of this moment.

        :class:`DataDirectoryInUse` when another process has it, :class:`StoreDamaged` when it
        cannot be read; :class:`StoreError` when it cannot be opened for another reason, such as a
        table this version does not know. A store of an earlier layout gets the tables in
        ``keys.ADDED``, after which that version cannot open it any more, and one whose making or
        rebuild was interrupted those that it lacks; any other is refused as it is.
        """
        try:
            if not read_only:
                directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot create the data directory {directory}: {error}") from error
        options = _options(Cache(_BLOCK_CACHE_BYTES))
        missing = set(_missing_tables(directory, tables, options)) - ADDED.keys()
        if missing and not (META in tables and _may_be_completed(directory, missing, options)):
            names = ", ".join(sorted(missing))
            raise StoreError(
                f"the store in {directory} has another layout (without {names}): "
                "use the version that made it, or a new data directory"
            )
        self._db = _open(directory, tables, options, read_only)
        self._read_only = read_only
        self._directory = directory
        self._options = options
        self._families: dict[str, Rdict] = {}
        self._handles: dict[str, ColumnFamily] = {}
        for name in tables:
            self._take(name)
        self._sync_lock = threading.Lock()
        self._open = True

    def get(self, table: str, key: bytes) -> bytes | None:
        """See :class:`timecoin.store.engine.Engine`."""
        family = self._families[table]
        try:
            value: bytes | None = family.get(key)
        except Exception as error:
            raise _named(self._directory, "read", str(error)) from error
        return value

    def scan(
        self, table: str, prefix: bytes = b"", start: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`timecoin.store.engine.Engine`."""
        start = max(prefix, start)
        while True:
            page: list[tuple[bytes, bytes]] = []
            for key, value in self._families[table].items(from_key=start):
                assert isinstance(key, bytes)
                if len(page) == _SCAN_PAGE_ROWS or not key.startswith(prefix):
                    break
                page.append((key, value))
            else:
                self._check_end(table, page[-1][0] if page else start)
            yield from page
            if len(page) < _SCAN_PAGE_ROWS:
                return
            start = page[-1][0] + b"\x00"

    def _check_end(self, table: str, last: bytes) -> None:
        """:class:`StoreDamaged` unless the table has no row behind ``last``."""
        cursor = self._families[table].iter()
        cursor.seek(last)
        if cursor.valid() and cursor.key() == last:
            cursor.next()
        try:
            cursor.status()
        except Exception as error:
            del cursor  # a traceback would keep it, and it the directory's LOCK
            raise _named(self._directory, "read", str(error)) from error

    def write(self, rows: Sequence[Row], sync: bool) -> None:
        """See :class:`timecoin.store.engine.Engine`."""
        batch = WriteBatch(raw_mode=True)
        for table, key, value in rows:
            if value is None:
                batch.delete(key, self._handles[table])
            else:
                batch.put(key, value, self._handles[table])
        with _telling(self._directory, "write"):
            self._db.write(batch)
        if sync:
            self.sync()

    def clear(self, table: str) -> None:
        """See :class:`timecoin.store.engine.Engine`; the table is replaced by an empty one."""
        del self._handles[table]
        self._families.pop(table).close()
        with _telling(self._directory, "write"):
            self._db.drop_column_family(table)
            self._db.create_column_family(table, self._options)
        self._take(table)

    def _take(self, table: str) -> None:
        self._families[table] = self._db.get_column_family(table)
        self._handles[table] = self._db.get_column_family_handle(table)

    def sync(self) -> None:
        """See :class:`timecoin.store.engine.Engine`; the interpreter is free meanwhile."""
        with self._sync_lock:
            if not self._open:
                raise StoreError("the store is closed")
            with _telling(self._directory, "write"):
                self._db.flush_wal(True)

    def close(self) -> None:
        """See :class:`timecoin.store.engine.Engine`; a second call does nothing."""
        with self._sync_lock:
            if not self._open:
                return
            self._open = False
            try:
                if not self._read_only:
                    with _telling(self._directory, "write"):
                        self._db.flush_wal(True)
            finally:
                self._handles.clear()
                for family in self._families.values():
                    family.close()
                self._families.clear()
                self._db.close()
