"""RocksDB through rocksdict: a column family for each table, memory within fixed bounds.

Three facts about the library shape this module. A write with ``sync`` holds the interpreter's
lock through the fsync, ``flush_wal`` does not: so a batch is written first and synced by the
latter, which a thread may do. The directory's LOCK is freed only when every handle of a column
family and every iterator is gone: so handles live in this class alone and a scan takes its rows
page by page. Raw mode takes bytes only; the default would unpickle values from disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from rocksdict import (
    BlockBasedOptions,
    Cache,
    ColumnFamily,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
)

from timecoin.store.engine import DataDirectoryInUse, Row, StoreError
from timecoin.store.keys import ADDED, TABLES

_MIB = 1 << 20
_BLOCK_CACHE_BYTES = 32 * _MIB
_WRITE_BUFFER_BYTES = 8 * _MIB
_ALL_WRITE_BUFFERS_BYTES = 32 * _MIB
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
    try:
        found = Rdict.list_cf(str(directory), options)
    except Exception as error:  # as in RocksEngine
        raise StoreError(f"cannot open the store in {directory}: {error}") from error
    return [name for name in tables if name not in found]


class RocksEngine:
    """The engine of a real node; one process at a time may have a directory open."""

    def __init__(self, directory: Path, tables: Sequence[str] = TABLES) -> None:
        """Open or create the store in ``directory``.

        :class:`DataDirectoryInUse` when another process has it; :class:`StoreError` when it
        cannot be opened for another reason, such as a table this version does not know. A store
        of an earlier layout gets the tables in ``keys.ADDED``, after which that version cannot open
        it any more; one that lacks others is refused as it is.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot create the data directory {directory}: {error}") from error
        options = _options(Cache(_BLOCK_CACHE_BYTES))
        missing = _missing_tables(directory, tables, options)
        if not ADDED.keys() >= set(missing):
            raise StoreError(
                f"the store in {directory} has another layout (without {', '.join(missing)}): "
                "use the version that made it, or a new data directory"
            )
        try:
            self._db = Rdict(
                str(directory), options=options, column_families=dict.fromkeys(tables, options)
            )
        except Exception as error:  # rocksdict raises plain Exception: only the text tells
            text = str(error)
            if "lock" in text.lower() and ("LOCK" in text or "No locks available" in text):
                raise DataDirectoryInUse(
                    f"the data directory {directory} is in use by another process"
                ) from error
            raise StoreError(f"cannot open the store in {directory}: {text}") from error
        self._families: dict[str, Rdict] = {}
        self._handles: dict[str, ColumnFamily] = {}
        for name in tables:
            self._families[name] = self._db.get_column_family(name)
            self._handles[name] = self._db.get_column_family_handle(name)
        self._sync_lock = threading.Lock()
        self._open = True

    def get(self, table: str, key: bytes) -> bytes | None:
        """See :class:`timecoin.store.engine.Engine`."""
        value: bytes | None = self._families[table].get(key)
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
            yield from page
            if len(page) < _SCAN_PAGE_ROWS:
                return
            start = page[-1][0] + b"\x00"

    def write(self, rows: Sequence[Row], sync: bool) -> None:
        """See :class:`timecoin.store.engine.Engine`."""
        batch = WriteBatch(raw_mode=True)
        for table, key, value in rows:
            if value is None:
                batch.delete(key, self._handles[table])
            else:
                batch.put(key, value, self._handles[table])
        self._db.write(batch)
        if sync:
            self.sync()

    def sync(self) -> None:
        """See :class:`timecoin.store.engine.Engine`; the interpreter is free meanwhile."""
        with self._sync_lock:
            if not self._open:
                raise StoreError("the store is closed")
            self._db.flush_wal(True)

    def close(self) -> None:
        """See :class:`timecoin.store.engine.Engine`; a second call does nothing."""
        with self._sync_lock:
            if not self._open:
                return
            self._open = False
            self._db.flush_wal(True)
            self._handles.clear()
            for family in self._families.values():
                family.close()
            self._families.clear()
            self._db.close()
