import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError

from processing.catalog import Catalog
from processing.database import Database
from processing.tables import posts
from tests.records import START


def add_post(connection: Connection, post_id: str) -> None:
    connection.execute(insert(posts).values(id=post_id, owner="alice", created_at=START))


def test_a_write_is_whole_or_not_at_all(catalog: Catalog) -> None:
    def twice(connection: Connection) -> None:
        add_post(connection, "p1")
        add_post(connection, "p1")

    with pytest.raises(IntegrityError):
        catalog.database.write(twice)
    assert catalog.database.read(lambda c: c.execute(select(posts)).all()) == []


def test_a_naive_moment_is_refused(catalog: Catalog) -> None:
    naive = insert(posts).values(id="p1", owner="alice", created_at=START.replace(tzinfo=None))
    with pytest.raises(StatementError, match="without a time zone"):
        catalog.database.write(lambda c: c.execute(naive))


def test_a_writer_waits_for_the_one_before_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    first, second = Catalog(url), Catalog(url)
    first.migrate()
    holds, may_go = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        add_post(connection, "p1")
        holds.set()
        may_go.wait(10)

    writer = threading.Thread(target=lambda: first.database.write(slow))
    writer.start()
    assert holds.wait(10)
    threading.Timer(0.2, may_go.set).start()
    second.database.write(lambda connection: add_post(connection, "p2"))
    writer.join()
    found = second.database.read(lambda c: c.scalars(select(posts.c.id).order_by(posts.c.id)).all())
    assert found == ["p1", "p2"]
    first.close()
    second.close()


def test_a_writer_gives_up_after_its_patience(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    holder, hurried = Database(url), Database(url, patience_seconds=0.1)

    def waiting_meets_the_lock(_connection: Connection) -> None:
        started = time.monotonic()
        with pytest.raises(OperationalError, match="locked"):
            hurried.write(lambda connection: None)
        assert time.monotonic() - started >= 0.1

    holder.write(waiting_meets_the_lock)
    holder.close()
    hurried.close()


def test_sqlite_runs_as_we_promise(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new' / 'catalog.db'}")
    database.make_folder()

    def pragma(name: str) -> object:
        return database.read(lambda c: c.exec_driver_sql(f"PRAGMA {name}").scalar())

    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    assert [pragma(name) for name in names] == ["wal", 1, 1, 0]
    database.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [("sqlite://", "dies with its process"), ("mysql://localhost/x", "not supported")],
)
def test_other_databases_are_refused(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Database(url)
