"""How much one user may have, and how often begin."""

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from limits.errors import StorageError

from tests.desk import REQUEST, Desk, body_of, files_desk
from tests.services import free_port, redis_server
from tusd_server.errors import QuotaExceeded, UploadError
from tusd_server.hashing import Checksum
from tusd_server.storage.memory import MemoryStore
from tusd_server.uploads.body import PortableBody
from tusd_server.uploads.quotas import Allowance, Quotas
from tusd_server.uploads.receiving import Proof
from tusd_server.uploads.service import NO_PROOF, Wanted

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


@allowed(stored_bytes=100)
@pytest.mark.parametrize("announced", [True, False])
def test_bytes_of_a_body_without_a_length(room: Desk, announced: bool) -> None:
    """They count as they come: no body takes its user beyond."""
    upload = room.create(None)

    def append(offset: int, size: int) -> None:
        room.append(upload, offset, body_of(b"x" * size, size if announced else None))

    append(0, 60)
    with pytest.raises(QuotaExceeded) as exceeded:
        append(60, 41)
    assert exceeded.value.offset == 60
    assert exceeded.value.expires is not None
    assert room.info(upload).offset == 60
    append(60, 40)
    with pytest.raises(QuotaExceeded):
        append(100, 1)
    assert room.append(upload, 100, b"", length=100).info.finished


@allowed(stored_bytes=100)
def test_a_length_that_is_told_late(room: Desk) -> None:
    upload = room.create(None)
    room.append(upload, 0, b"x" * 60)
    room.create(30)
    with pytest.raises(QuotaExceeded) as exceeded:
        room.append(upload, 60, b"", length=71)
    assert exceeded.value.offset == 60
    assert room.info(upload).length is None
    assert room.append(upload, 60, b"", length=70).info.length == 70


@allowed(stored_bytes=50)
def test_a_creation_with_too_many_bytes_leaves_nothing(room: Desk) -> None:
    assert "with 51 more" in refused(room, None, body_of(b"x" * 51))
    assert "with 51 more" in refused(room, None, body_of(b"x" * 51, None))
    assert room.info(room.create(None, body_of(b"x" * 50, None))).offset == 50


@allowed(stored_bytes=100)
@pytest.mark.parametrize("proven", [True, False])
def test_bodies_that_come_at_once(room: Desk, proven: bool) -> None:
    """Each fits alone, and one of them is refused."""
    first, second = room.create(None), room.create(None)
    content = b"x" * 60
    sha1 = Checksum("sha1", hashlib.sha1(content, usedforsecurity=False).digest())
    proof = Proof(sha1) if proven else NO_PROOF

    refusals = []

    def send(upload: str, body: PortableBody, proof: Proof) -> None:
        try:
            room.append(upload, 0, body, proof=proof)
        except QuotaExceeded:
            refusals.append(upload)

    class Interrupted(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() == 60:
                send(second, body_of(b"y" * 60), NO_PROOF)
            return super().read(size)

    send(first, PortableBody(Interrupted(content), None), proof)
    # What is not verified yet is not counted either.
    assert refusals == [first if proven else second]
    assert {room.info(each).offset for each in (first, second)} == {0, 60}
    room.append(refusals[0], 0, b"x" * 40)


@allowed(stored_bytes=1_000)
def test_an_endless_body_is_ended(room: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tusd_server.uploads.receiving.UNCOUNTED_BYTES", 10_000)
    upload = room.create(None)
    stream = io.BytesIO(b"x" * 500_000)
    with pytest.raises(QuotaExceeded):
        room.append(upload, 0, PortableBody(stream, None))
    assert stream.tell() < 100_000
    assert room.info(upload).offset == 0


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
