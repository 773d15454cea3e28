"""One database, SQLite or PostgreSQL: connections, and transactions that wait their turn."""

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from processing.insertion import InsertIfNew

T = TypeVar("T")
DIALECTS = ("sqlite", "postgresql")
PATIENCE_SECONDS = 10.0
PAUSE_SECONDS = 0.002
SQLITE_BUSY_CODES = (5, 6)
POSTGRESQL_TRY_AGAIN = ("40001", "40P01")


class Database:
    """Connections to the records' database; safe to share between threads and greenlets.

    A process that forks must open its own Database after the fork.
    """

    def __init__(self, url: str, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Open nothing yet; a URL of another kind is a ValueError."""
        parsed = make_url(url)
        self.kind = parsed.get_backend_name()
        if self.kind not in DIALECTS:
            raise ValueError(
                f"The database {self.kind!r} is not supported; give sqlite:/// or "
                "postgresql+psycopg://."
            )
        self._patience_seconds = patience_seconds
        self.engine = self._sqlite(parsed) if self.kind == "sqlite" else self._postgresql(parsed)
        self._reads = self.engine.execution_options(tusd_read_only=True)

    def read(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`, which only reads, and reads one state of the database."""
        return self._patiently(self._reads, work)

    def write(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`, committed as a whole or not at all.

        `work` may run again after a rollback, so it touches nothing but the database.
        """
        return self._patiently(self.engine, work)

    def insert_if_new(self, table: Table) -> InsertIfNew:
        """An INSERT that does nothing when a row with one of its unique values is there."""
        return InsertIfNew(table, self.engine.dialect)

    def only_one_at_a_time(self, connection: Connection, errand: int) -> None:
        """Until this transaction ends, others with the same errand number wait here.

        A write transaction of SQLite is alone anyway.
        """
        if self.kind == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:errand)"), {"errand": errand})

    def make_folder(self) -> None:
        """Make the folder of a SQLite database, where it is missing."""
        if self.kind == "sqlite":
            path = Path(self.engine.url.database or "")
            path.absolute().parent.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """Give back every connection; the Database may be used again afterwards."""
        self.engine.dispose()

    def _sqlite(self, url: URL) -> Engine:
        if url.database in (None, "", ":memory:"):
            raise ValueError("A database in memory dies with its process; give sqlite:///<path>.")
        # SQLite's own busy wait sleeps in C: under gevent it would stop every connection of the
        # process, not only the one that waits. So SQLite answers "busy" at once, and _patiently
        # sleeps in Python, which lets the other greenlets run.
        engine = create_engine(url, connect_args={"timeout": 0})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _postgresql(self, url: URL) -> Engine:
        return create_engine(url, pool_pre_ping=True)

    def _patiently(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        give_up_at = time.monotonic() + self._patience_seconds
        pause = PAUSE_SECONDS
        while True:
            try:
                with engine.begin() as connection:
                    return work(connection)
            except OperationalError as error:
                if not _is_busy(error) or time.monotonic() >= give_up_at:
                    raise
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 (jitter, no secret)
            pause = min(pause * 2, 16 * PAUSE_SECONDS)


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # Without this, Python's driver opens transactions by its own rules, and late.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


# NORMAL: a power cut may take the last commits, never the database's order. The reconciler
# makes such records again from the uploads, whose bytes are synced before the answer.
_PRAGMAS: Sequence[str] = ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that turns from reading to writing fails when another wrote in
    # between, and no waiting helps; IMMEDIATE takes its turn before it reads.
    read_only = connection.get_execution_options().get("tusd_read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _is_busy(error: OperationalError) -> bool:
    cause: Any = error.orig
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in SQLITE_BUSY_CODES
    return getattr(cause, "sqlstate", None) in POSTGRESQL_TRY_AGAIN
