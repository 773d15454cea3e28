import threading
from collections.abc import Callable
from datetime import timedelta

from processing.catalog import Catalog
from processing.changes import Changes
from processing.medium import Change, Medium
from processing.moments import utc_now
from tests.records import START, known, ready_medium, received

SECONDS = 10.0
TICK = 0.01


def of_upload(upload_id: str) -> Callable[[Change], bool]:
    return lambda change: change.upload_id == upload_id


def test_every_write_of_a_record_moves_its_moment(catalog: Catalog) -> None:
    moments = []
    medium = catalog.receive(received(post_id="p1"))
    moments.append(known(catalog, medium.id).changed_at)
    for step in (catalog.processing, catalog.deleted):
        assert step(medium.id)
        moments.append(known(catalog, medium.id).changed_at)
    assert moments == sorted(set(moments))
    assert moments[-1] <= utc_now()


def test_changes_are_found_from_a_moment_on_and_by_owner(catalog: Catalog) -> None:
    first, second = ready_medium(catalog, "u1"), ready_medium(catalog, "u2", owner="bob")
    assert ids(catalog.changed_since(first.changed_at)) == [first.id, second.id]
    assert ids(catalog.changed_since(second.changed_at)) == [second.id]
    assert ids(catalog.changed_since(first.changed_at, owner="bob")) == [second.id]
    assert ids(catalog.changed_since(first.changed_at, limit=1)) == [first.id]
    later = second.changed_at + timedelta(microseconds=1)
    assert catalog.changed_since(later) == []
    assert catalog.changes_since(later) == []
    assert catalog.changes_since(second.changed_at) == [
        Change(second.id, "u2", "bob", second.changed_at)
    ]


def ids(media: object) -> list[str]:
    assert isinstance(media, list)
    return [medium.id for medium in media if isinstance(medium, Medium)]


def test_a_listener_is_told_what_another_connection_changed(catalog: Catalog) -> None:
    url = catalog.database.engine.url.render_as_string(hide_password=False)
    other = Catalog(url)
    try:
        changes = Changes(catalog, tick_seconds=TICK, clock=lambda: START)
        with changes.listen(of_upload("u1")) as listener:
            assert not listener.wait(5 * TICK)
            other.receive(received("u1"))
            assert listener.wait(SECONDS)
    finally:
        other.close()


def test_a_listener_sleeps_through_what_it_does_not_want(catalog: Catalog) -> None:
    changes = Changes(catalog, tick_seconds=TICK, clock=lambda: START)
    with changes.listen(of_upload("u1")) as deaf, changes.listen(of_upload("u2")) as other:
        catalog.receive(received("u2"))
        assert other.wait(SECONDS)
        assert not deaf.wait(0)


def test_a_change_is_told_once(catalog: Catalog) -> None:
    changes = Changes(catalog, tick_seconds=TICK, clock=lambda: START)
    with changes.listen(of_upload("u1")) as listener, changes.listen(of_upload("u2")) as other:
        catalog.receive(received("u1"))
        assert listener.wait(SECONDS)
        catalog.receive(received("u2"))
        assert other.wait(SECONDS)
        assert not listener.wait(0)


def test_nobody_looks_when_nobody_listens(catalog: Catalog) -> None:
    changes = Changes(catalog, tick_seconds=SECONDS, clock=lambda: START)
    before = set(threading.enumerate())
    for _ in range(3):
        with changes.listen(of_upload("u1")):
            looking = [thread for thread in threading.enumerate() if thread not in before]
            assert len(looking) == 1
        assert not looking[0].is_alive()


def test_listeners_end_with_the_server(catalog: Catalog) -> None:
    changes = Changes(catalog, tick_seconds=TICK, clock=lambda: START)
    stops = threading.Event()
    with changes.listen(of_upload("u1"), stops.is_set) as listener:
        assert not listener.wait(5 * TICK)
        assert not listener.ended
        stops.set()
        assert listener.wait(SECONDS)
        assert listener.ended


def test_listeners_outlive_a_database_that_is_away(catalog: Catalog) -> None:
    class Sometimes(Catalog):
        fails = True

        def changes_since(self, moment: object) -> list[Change]:  # type: ignore[override]
            if self.fails:
                raise ConnectionError
            return [Change("m", "u1", "alice", START)]

    sometimes = Sometimes("sqlite:///none")
    changes = Changes(sometimes, tick_seconds=TICK, clock=lambda: START)
    with changes.listen(of_upload("u1")) as listener:
        assert not listener.wait(5 * TICK)
        sometimes.fails = False
        assert listener.wait(SECONDS)
