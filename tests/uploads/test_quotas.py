"""How much one user may have, and how often begin."""

from pathlib import Path
from typing import Any

import pytest
from limits.errors import StorageError

from tests.desk import REQUEST, Desk, files_desk
from tests.services import free_port, redis_server
from tusd_server.errors import QuotaExceeded, UploadError
from tusd_server.storage.memory import MemoryStore
from tusd_server.uploads.quotas import Allowance, Quotas
from tusd_server.uploads.service import Wanted

STORED = {"alice": 0, "bob": 0}


@pytest.fixture
def room(desk: Desk, request: pytest.FixtureRequest) -> Desk:
    """A desk with the allowance of the test's parameter."""
    desk.quotas = Quotas(request.param, desk.store, lambda owner: STORED[owner])
    desk.open()
    return desk


def allowed(**limits: int) -> Any:
    return pytest.mark.parametrize("room", [Allowance(**limits)], indirect=True)


def refused(desk: Desk, *arguments: Any, **wanted: Any) -> str:
    before = {info.id for info in desk.store.all()}
    with pytest.raises(QuotaExceeded) as exceeded:
        desk.create(*arguments, **wanted)
    assert exceeded.value.retry_after_seconds > 0
    assert {info.id for info in desk.store.all()} == before
    return exceeded.value.message


@allowed()
def test_nothing_is_limited(room: Desk) -> None:
    for _ in range(20):
        room.create(1_000_000)


@allowed(unfinished=2)
def test_unfinished(room: Desk) -> None:
    first, _ = room.create(), room.create()
    assert "2 unfinished uploads" in refused(room)
    room.append(first, 0, b"hello")
    assert refused(room)
    room.append(first, 5, b" world")
    room.create(None)
    assert refused(room)


@allowed(unfinished=1)
def test_another_users_uploads_do_not_count(room: Desk) -> None:
    room.create()
    room.uploads.create("bob", Wanted(11), None, REQUEST)
    assert refused(room)


@allowed(unfinished=1)
def test_one_that_was_refused_or_expired_does_not_count(room: Desk) -> None:
    first = room.create()
    with pytest.raises(UploadError):
        room.append(first, 0, b"bad content")
    second = room.create()
    assert refused(room)
    room.store.expire(room.store.look(second))  # type: ignore[attr-defined]
    room.create()


@allowed(unfinished=2)
def test_a_whole_that_waits_is_unfinished(room: Desk) -> None:
    done, late = room.part(b"hello "), room.create(5, partial=True)
    room.join(done, late)
    assert refused(room)
    room.append(late, 0, b"world")
    room.create()
    room.create()
    assert refused(room)


@allowed(stored_bytes=100)
def test_bytes(room: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STORED, "alice", 50)
    monkeypatch.setitem(STORED, "bob", 100)
    assert "50 bytes here; with 51 more" in refused(room, 51)
    room.create(50)
    assert "100 bytes here; with 1 more" in refused(room, 1)
    room.create(0)


@allowed(stored_bytes=100)
def test_bytes_whose_number_is_not_known(room: Desk) -> None:
    """A deferred length counts with what is here."""
    upload = room.create(None)
    room.append(upload, 0, b"x" * 60)
    assert refused(room, 41)
    room.create(40)


@allowed(stored_bytes=20)
def test_parts(room: Desk) -> None:
    one, two = room.part(b"hello "), room.part(b"world")
    assert refused(room, 10)
    rest = room.create(9)
    assert refused(room, None, parts=(one, two, two))
    room.join(one, two)
    assert refused(room, 12)
    room.append(rest, 0, b"x" * 9)
    room.create(20)


@allowed(creations_per_minute=2)
def test_creations(room: Desk) -> None:
    room.create()
    room.create()
    assert "2 uploads within a minute" in refused(room)
    room.uploads.create("bob", Wanted(11), None, REQUEST)


def test_a_store_without_owners_is_limited_by_its_rate_alone() -> None:
    quotas = Quotas(Allowance(1, 1, 1), object(), lambda _: 99)  # type: ignore[arg-type]
    quotas.check("alice", 100)
    with pytest.raises(QuotaExceeded):
        quotas.check("alice", 0)


def test_creations_are_counted_together_in_redis() -> None:
    with redis_server() as url:
        web = [
            Quotas(Allowance(creations_per_minute=2), MemoryStore(), lambda _: 0, redis_url=url)
            for _ in range(2)
        ]
        web[0].check("alice", 1)
        web[1].check("alice", 1)
        for quotas in web:
            with pytest.raises(QuotaExceeded):
                quotas.check("alice", 1)
            quotas.check("bob", 1)


def test_a_counter_that_is_away_stops_nobody() -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    quotas = Quotas(Allowance(creations_per_minute=1), MemoryStore(), lambda _: 0, redis_url=url)
    for _ in range(3):
        quotas.check("alice", 1)


def test_the_error_of_the_counter_is_the_one_that_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quotas = Quotas(Allowance(creations_per_minute=1), MemoryStore(), lambda _: 0)

    def fail(*_: object) -> bool:
        raise StorageError(OSError())

    monkeypatch.setattr(quotas._limiter, "hit", fail)
    quotas.check("alice", 1)


def test_notes_of_owners_are_dropped_with_their_uploads(tmp_path: Path) -> None:
    desk = files_desk(tmp_path)
    upload, part = desk.create(), desk.part(b"hello")
    notes = tmp_path / "data/.tusd-server/owners"

    def noted() -> set[str]:
        desk.store.unfinished_of("alice")  # type: ignore[attr-defined]
        return {path.name for path in notes.glob("*/*")}

    assert noted() == {upload, part}
    desk.append(upload, 0, b"hello world")
    assert noted() == {part}
    desk.join(part)
    assert noted() == set()
