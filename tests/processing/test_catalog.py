import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from processing.catalog import Catalog
from processing.medium import Medium, Place, Received, media_id_for
from processing.queue import Job
from processing.reasons import Reason
from tests.records import EXAMINED, NO_THUMBNAIL, START, FakeClock, known, ready_medium, received

BROKEN = Reason("unreadable", "The file is broken; send another.")
FAILED = Reason("processing_failed", "The server could not examine the file.")
LEASE = 30.0


def claimed(catalog: Catalog) -> Job:
    job = catalog.queue.claim(LEASE)
    assert job is not None
    return job


def test_the_id_of_a_medium_follows_from_its_upload() -> None:
    assert media_id_for("u1") == media_id_for("u1")
    assert media_id_for("u1") != media_id_for("u2")


def test_a_received_upload_has_a_record_and_a_job(catalog: Catalog, clock: FakeClock) -> None:
    clock.advance(60)
    medium = catalog.receive(received(post_id="p1"))
    assert medium.id == media_id_for("u1")
    assert (medium.status, medium.post_id, medium.size) == ("received", "p1", 9)
    assert (medium.created_at, medium.received_at) == (START, START + timedelta(seconds=60))
    assert medium.metadata == {"filename": "Holiday.MP4", "filetype": "video/mp4"}
    assert known(catalog, medium.id) == medium
    assert catalog.by_upload("u1") == medium
    job = claimed(catalog)
    assert (job.kind, job.payload) == ("process", {"media_id": medium.id})


def test_receiving_twice_is_receiving_once(catalog: Catalog) -> None:
    first = catalog.receive(received())
    assert catalog.receive(received(owner="mallory")) == first
    assert len(catalog.queue.waiting()) == 1


def test_many_may_receive_the_same_upload_at_once(catalog: Catalog, database_url: str) -> None:
    ids: list[str] = []

    def receive() -> None:
        mine = Catalog(database_url)
        ids.append(mine.receive(received()).id)
        mine.close()

    servers = [threading.Thread(target=receive) for _ in range(5)]
    for server in servers:
        server.start()
    for server in servers:
        server.join()
    assert ids == [media_id_for("u1")] * 5
    assert len(catalog.queue.waiting()) == 1


def test_texts_that_a_database_cannot_hold_do_not_lose_the_upload(catalog: Catalog) -> None:
    odd = {"filename": "a\x00b\ud83d.mp4"}
    medium = catalog.receive(received(file_name="a\x00b\ud83d.mp4", metadata=odd))
    assert medium.file_name == "a\ufffdb?.mp4"
    assert known(catalog, medium.id).metadata == {"filename": "a\ufffdb?.mp4"}


@pytest.mark.parametrize("post_id", ["", "p" * 256, "p\x00", "p\n"])
def test_a_post_id_that_is_none_is_refused(post_id: str) -> None:
    with pytest.raises(ValueError, match="post_id of upload u1"):
        received(post_id=post_id)


def test_what_is_unknown_is_none(catalog: Catalog) -> None:
    assert catalog.get("nothing") is None
    assert catalog.by_upload("nothing") is None


def test_a_ready_medium_has_all_that_was_found(catalog: Catalog) -> None:
    medium = ready_medium(catalog)
    names = (
        "media_type content_type width height duration codec bitrate fps rotation "
        "sha256 probe thumbnail"
    )
    for name in names.split():
        assert getattr(medium, name) == getattr(EXAMINED, name)
    assert (medium.status, medium.reasons) == ("ready", ())


def test_a_missing_thumbnail_keeps_its_reason(catalog: Catalog) -> None:
    medium = catalog.receive(received())
    catalog.processing(medium.id)
    catalog.ready(medium.id, NO_THUMBNAIL)
    assert known(catalog, medium.id).thumbnail == NO_THUMBNAIL.thumbnail


def test_only_a_medium_of_a_post_is_to_be_registered(catalog: Catalog) -> None:
    ready_medium(catalog, "alone")
    ready_medium(catalog, "of a post", post_id="p1")
    kinds = [job.kind for job in catalog.queue.waiting()]
    assert sorted(kinds) == ["process", "process", "register"]


def test_a_post_that_is_named_before_the_medium_is_ready(catalog: Catalog) -> None:
    medium = catalog.receive(received())
    assert catalog.assign_post(medium.id, "p1")
    assert known(catalog, medium.id).post_id == "p1"
    assert [job.kind for job in catalog.queue.waiting()] == ["process"]
    catalog.processing(medium.id)
    catalog.ready(medium.id, EXAMINED)
    assert sorted(job.kind for job in catalog.queue.waiting()) == ["process", "register"]


def test_a_post_that_is_named_when_the_medium_is_ready(catalog: Catalog) -> None:
    medium = ready_medium(catalog)
    assert catalog.assign_post(medium.id, "p1")
    assert catalog.assign_post(medium.id, "p1")
    assert sorted(job.kind for job in catalog.queue.waiting()) == ["process", "register"]


def test_a_medium_keeps_its_post(catalog: Catalog) -> None:
    medium = ready_medium(catalog, post_id="p1")
    assert not catalog.assign_post(medium.id, "p2")
    assert known(catalog, medium.id).post_id == "p1"
    assert catalog.assign_post(medium.id, "p1")


def test_a_post_for_several_media_comes_to_all_of_them_or_to_none(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = [ready_medium(catalog, upload_id).id for upload_id in ("u1", "u2", "u3")]
    put_job = catalog._put_job

    def dies_at_the_last(connection: Any, kind: str, media_id: str, *more: Any) -> None:
        if media_id == media[-1]:
            raise KeyboardInterrupt
        put_job(connection, kind, media_id, *more)

    with monkeypatch.context() as patched:
        patched.setattr(catalog, "_put_job", dies_at_the_last)
        with pytest.raises(KeyboardInterrupt):
            catalog.assign_post_to_all(media, "p1")
    assert [known(catalog, each).post_id for each in media] == [None, None, None]
    assert catalog.assign_post_to_all(media, "p1")
    assert [known(catalog, each).post_id for each in media] == ["p1", "p1", "p1"]
    assert not catalog.assign_post_to_all([*media, "nothing"], "p1")


@pytest.mark.parametrize("status", ["rejected", "deleted"])
def test_what_is_over_gets_no_post(catalog: Catalog, status: str) -> None:
    medium = catalog.receive(received())
    catalog.processing(medium.id)
    if status == "rejected":
        catalog.rejected(medium.id, [BROKEN])
    else:
        catalog.deleted(medium.id)
    assert not catalog.assign_post(medium.id, "p1")
    assert known(catalog, medium.id).post_id is None
    assert not catalog.assign_post("nothing", "p1")


def test_the_whole_way_of_a_medium(catalog: Catalog, clock: FakeClock) -> None:
    medium = ready_medium(catalog, post_id="p1")
    clock.advance(1)
    assert catalog.registered(medium.id)
    clock.advance(1)
    assert [published.id for published in catalog.published("p1")] == [medium.id]
    clock.advance(1)
    assert catalog.deleted(medium.id)
    end = known(catalog, medium.id)
    assert end.status == "deleted"
    moments = [end.created_at, end.registered_at, end.published_at, end.deleted_at]
    assert moments == [START + timedelta(seconds=seconds) for seconds in range(4)]


def test_published_answers_until_the_files_are_gone(catalog: Catalog) -> None:
    medium = ready_medium(catalog, post_id="p1")
    assert catalog.published("p1") == []
    catalog.registered(medium.id)
    first = catalog.published("p1")
    assert catalog.published("p1") == first
    catalog.deleted(medium.id)
    assert catalog.published("p1") == []


def test_a_change_from_a_wrong_state_changes_nothing(catalog: Catalog) -> None:
    medium = catalog.receive(received())
    assert not catalog.ready(medium.id, EXAMINED)
    assert not catalog.registered(medium.id)
    assert not catalog.rejected(medium.id, [BROKEN])
    assert not catalog.refused(medium.id, [BROKEN])
    assert not catalog.retry(medium.id)
    assert known(catalog, medium.id) == medium
    catalog.deleted(medium.id)
    assert not catalog.processing(medium.id)
    assert not catalog.deleted(medium.id)


def test_a_repeated_change_says_that_it_was_not_the_one(catalog: Catalog) -> None:
    medium = ready_medium(catalog, post_id="p1")
    assert not catalog.ready(medium.id, EXAMINED)
    assert catalog.registered(medium.id)
    assert not catalog.registered(medium.id)


def test_a_rejected_medium_keeps_its_reasons(catalog: Catalog) -> None:
    medium = catalog.receive(received())
    catalog.processing(medium.id)
    assert catalog.rejected(medium.id, [BROKEN])
    end = known(catalog, medium.id)
    assert (end.status, end.reasons) == ("rejected", (BROKEN,))


def test_a_stale_worker_cannot_reject_what_is_ready(catalog: Catalog) -> None:
    medium = ready_medium(catalog)
    assert not catalog.rejected(medium.id, [BROKEN])


def test_a_failed_medium_is_examined_again_after_a_retry(catalog: Catalog) -> None:
    medium = catalog.receive(received())
    job = claimed(catalog)
    catalog.processing(medium.id)
    assert catalog.failed(job, FAILED, "no space left")
    end = known(catalog, medium.id)
    assert (end.status, end.reasons) == ("failed", (FAILED,))
    assert [parked.last_error for parked in catalog.queue.failed()] == ["no space left"]
    assert catalog.retry(medium.id)
    again = known(catalog, medium.id)
    assert replace(again, changed_at=medium.changed_at) == medium
    assert claimed(catalog).key == job.key


def test_a_failed_registration_is_repeated_without_another_look_at_the_file(
    catalog: Catalog,
) -> None:
    medium = ready_medium(catalog, post_id="p1")
    catalog.queue.done(claimed(catalog))
    assert catalog.failed(claimed(catalog), FAILED, "nobody answers")
    assert catalog.retry(medium.id)
    assert known(catalog, medium.id).status == "ready"
    assert claimed(catalog).kind == "register"


def test_a_stale_worker_cannot_fail_a_medium(catalog: Catalog, clock: FakeClock) -> None:
    medium = catalog.receive(received())
    stale = claimed(catalog)
    clock.advance(LEASE)
    claimed(catalog)
    assert not catalog.failed(stale, FAILED, "too late")
    assert known(catalog, medium.id).status == "received"


def test_two_media_never_get_one_place(catalog: Catalog) -> None:
    shared = Place("uploads/alice/a.mp4", "uploads/alice/a.thumb.jpg")
    first, second = catalog.receive(received("u1")), catalog.receive(received("u2"))
    own = Place("uploads/alice/a-2.mp4", "uploads/alice/a-2.thumb.jpg")
    assert catalog.place(first.id, [shared, own]) == shared
    assert catalog.place(second.id, [shared, own]) == own
    assert catalog.place(second.id, [shared, own]) == own
    assert known(catalog, second.id).paths == (
        own.path,
        own.thumbnail_path,
        "uploads/alice/a-2.more",
    )


def test_a_medium_never_gets_the_place_of_a_thumbnail(catalog: Catalog) -> None:
    first, second = catalog.receive(received("u1")), catalog.receive(received("u2"))
    catalog.place(first.id, [Place("a.mp4", "a.thumb.jpg")])
    like_a_thumbnail = Place("a.thumb.jpg", "a.thumb.thumb.jpg")
    own = Place("a.thumb-2.jpg", "a.thumb-2.thumb.jpg")
    assert catalog.place(second.id, [like_a_thumbnail, own]) == own


def test_two_media_never_share_a_folder_of_derivatives(catalog: Catalog) -> None:
    """Their thumbnails may be in two formats, as the setting was changed between them."""
    first, second = catalog.receive(received("u1")), catalog.receive(received("u2"))
    catalog.place(first.id, [Place("a.mp4", "a.thumb.jpg")])
    own = Place("a-2.jpg", "a-2.thumb.webp")
    assert catalog.place(second.id, [Place("a.jpg", "a.thumb.webp"), own]) == own


def test_there_is_no_place_without_a_record(catalog: Catalog) -> None:
    with pytest.raises(LookupError, match="no medium nothing"):
        catalog.place("nothing", [Place("a", "b")])


def uploads_of(owner: str, count: int) -> list[Received]:
    plain = received(owner=owner)
    moments = [START + timedelta(seconds=number // 2) for number in range(count)]
    return [
        replace(plain, upload_id=f"{owner}{number}", created_at=moment)
        for number, moment in enumerate(moments)
    ]


def test_pages_show_every_medium_once_newest_first(catalog: Catalog) -> None:
    for upload in uploads_of("alice", 7) + uploads_of("bob", 3):
        catalog.receive(upload)
    seen: list[Medium] = []
    after = None
    while True:
        page, after = catalog.find(owner="alice", after=after, limit=3)
        seen.extend(page)
        if after is None:
            break
    assert len(seen) == 7
    assert seen == sorted(seen, key=lambda m: (m.created_at, m.id), reverse=True)
    assert {medium.owner for medium in seen} == {"alice"}


def test_find_by_post_and_state(catalog: Catalog) -> None:
    ready = ready_medium(catalog, "u1", post_id="p1")
    other = catalog.receive(received("u2", post_id="p1"))
    catalog.receive(received("u3"))
    found, after = catalog.find(post_id="p1")
    assert ({medium.id for medium in found}, after) == ({ready.id, other.id}, None)
    assert catalog.find(post_id="p1", status="ready") == ([ready], None)


@pytest.mark.parametrize("cursor", ["", "?", "abc", "MjAyNi0xMS0yMnx4", "x" * 5000, "é"])
def test_a_made_up_cursor_is_refused(catalog: Catalog, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor is not one of ours"):
        catalog.find(after=cursor)


def test_unrecorded_uploads_are_those_without_a_record(catalog: Catalog) -> None:
    catalog.receive(received("known"))
    many = [f"u{number}" for number in range(1200)]
    assert catalog.unrecorded(["known", *many]) == set(many)
    assert catalog.unrecorded([]) == set()


@pytest.mark.parametrize(("post_id", "because"), [("p1", "published"), (None, "asked")])
def test_a_record_says_when_and_why_its_files_went(
    catalog: Catalog, clock: FakeClock, post_id: str | None, because: str
) -> None:
    medium = ready_medium(catalog, post_id=post_id)
    if post_id is not None:
        assert catalog.registered(medium.id)
        catalog.published(post_id)
    clock.advance(60)
    assert catalog.deleted(medium.id)
    gone = known(catalog, medium.id)
    assert (gone.status, gone.deleted_because, gone.deleted_at) == ("deleted", because, clock.now)
    clock.advance(60)
    assert not catalog.deleted(medium.id)
    assert known(catalog, medium.id) == gone
