from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from processing.catalog import Catalog
from processing.cleanup import clear
from processing.declared import Declared
from processing.examined import Derivative, Examined
from processing.medium import Medium
from processing.patience import GiveUp, NotNow
from processing.posting import Refused
from processing.queue import Job
from processing.reasons import Reason, Rejected
from processing.shelf import Shelf
from processing.steps.strip import STRIPPED
from processing.tasks import Derive, Tasks
from processing.turns import LAST
from tests.records import EXAMINED, NO_THUMBNAIL, FolderFiles, examine, known, received

BROKEN = Reason("unreadable", "The file is broken; send another.")
NOT_YOURS = Reason("post_of_another_user", "The post belongs to another user.")


class PowerCut(Exception):
    """The process ends here."""


class Posts:
    """A posts backend that counts what it was told.

    It rejects the post `foreign`, and refuses every medium while `refusal` is set.
    """

    def __init__(self) -> None:
        self.registered: list[str] = []
        self.refusal: str | None = None

    def register(self, medium: Medium) -> str:
        if medium.post_id == "foreign":
            raise Rejected(NOT_YOURS)
        if self.refusal is not None:
            raise Refused(Reason("refused_by_backend", self.refusal), f"422: {self.refusal}")
        if medium.id not in self.registered:
            self.registered.append(medium.id)
        return f"backend-{medium.id}"


@dataclass
class Room:
    """One data directory with everything that tasks touch."""

    catalog: Catalog
    folder: Path
    files: FolderFiles
    shelf: Shelf
    posts: Posts

    def tasks(
        self,
        pipeline: Callable[[Path, Declared, Path], Examined] = examine,
        derive: Derive | None = None,
    ) -> Tasks:
        return Tasks(
            catalog=self.catalog,
            examine=pipeline,
            files=self.files,
            shelf=self.shelf,
            posts=self.posts,
            work_dir=self.folder / "work",
            derive=derive,
        )

    def receive(self, upload_id: str = "u1", **changes: object) -> Medium:
        self.files.add(upload_id)
        return self.catalog.receive(received(upload_id, **changes))

    def run(self, tasks: Tasks) -> str:
        """Run the next job as a worker does; the answer is how it ended."""
        job = self.claim()
        outcome = tasks.run(job)
        assert self.catalog.queue.done(job)
        return outcome

    def claim(self) -> Job:
        job = self.catalog.queue.claim(30)
        assert job is not None
        return job

    def shelved(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted((self.folder / "uploads").rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def room(catalog: Catalog, tmp_path: Path) -> Room:
    return Room(catalog, tmp_path, FolderFiles(tmp_path), Shelf(tmp_path), Posts())


def refuse(source: Path, declared: Declared, into: Path) -> Examined:
    raise Rejected(BROKEN)


VIDEO = "uploads/alice/20261122_123005_Holiday.mp4"
THUMBNAIL = "uploads/alice/20261122_123005_Holiday.thumb.jpg"
MORE = "uploads/alice/20261122_123005_Holiday.more"


def test_a_good_file_ends_on_the_shelf_with_its_thumbnail(room: Room) -> None:
    medium = room.receive()
    assert room.run(room.tasks()) == "ready"
    assert room.shelved() == {VIDEO: b"the bytes", THUMBNAIL: b"a small picture"}
    assert known(room.catalog, medium.id).paths == (VIDEO, THUMBNAIL, MORE)
    assert list((room.folder / "work").iterdir()) == []


def test_the_pipeline_is_told_what_the_client_said(room: Room) -> None:
    told: list[Declared] = []

    def listen(source: Path, declared: Declared, into: Path) -> Examined:
        told.append(declared)
        return examine(source, declared, into)

    room.receive()
    room.run(room.tasks(listen))
    assert told == [Declared("Holiday.MP4", "video/mp4")]


def test_a_file_without_a_thumbnail_is_ready_too(room: Room) -> None:
    room.receive()
    assert room.run(room.tasks(lambda *_: NO_THUMBNAIL)) == "ready"
    assert list(room.shelved()) == [VIDEO]


def with_sizes(source: Path, declared: Declared, into: Path) -> Examined:
    (into / "thumbnail-320.webp").write_bytes(b"smaller still")
    size = Derivative("thumbnail-320", "image/webp", "thumbnail-320.webp", 180, 320, 13)
    return replace(examine(source, declared, into), derivatives=(size,))


def test_further_sizes_lie_in_a_folder_of_their_own(room: Room) -> None:
    medium = room.receive()
    room.run(room.tasks(with_sizes))
    (size,) = known(room.catalog, medium.id).derivatives
    assert size == Derivative(
        "thumbnail-320", "image/webp", f"{MORE}/thumbnail-320.webp", 180, 320, 13
    )
    assert room.shelved()[size.path] == b"smaller still"
    assert room.shelf.remove(known(room.catalog, medium.id).paths) == 3
    assert list((room.folder / "uploads/alice").iterdir()) == []


def test_a_medium_deleted_meanwhile_leaves_no_folder(room: Room) -> None:
    medium = room.receive()

    def meanwhile_deleted(source: Path, declared: Declared, into: Path) -> Examined:
        room.catalog.deleted(medium.id)
        return with_sizes(source, declared, into)

    assert room.run(room.tasks(meanwhile_deleted)) == "deleted"
    assert list((room.folder / "uploads/alice").iterdir()) == []


def test_another_format_in_the_next_try_leaves_no_thumbnail_of_the_first(room: Room) -> None:
    def webp(source: Path, declared: Declared, into: Path) -> Examined:
        form = replace(EXAMINED.thumbnail, content_type="image/webp")
        return replace(examine(source, declared, into), thumbnail=form)

    medium = room.receive()
    job = room.claim()
    with pytest.MonkeyPatch.context() as cut:
        cut.setattr(room.catalog, "ready", power_cut)
        with pytest.raises(PowerCut):
            room.tasks(webp).run(job)
    before = known(room.catalog, medium.id)
    assert room.shelf.full(str(before.thumbnail_path)).suffix == ".webp"
    assert room.tasks().run(job) == "ready"
    after = known(room.catalog, medium.id)
    assert after.path == before.path
    assert str(after.thumbnail_path).endswith(".thumb.jpg")
    lying = {path.name for path in (room.folder / "uploads").rglob("*") if path.is_file()}
    assert lying == {Path(str(after.path)).name, Path(str(after.thumbnail_path)).name}


def power_cut(*_: object) -> None:
    raise PowerCut


def test_a_webp_thumbnail_is_called_so(room: Room) -> None:
    room.receive()
    webp = replace(EXAMINED, thumbnail=replace(EXAMINED.thumbnail, content_type="image/webp"))

    def as_webp(source: Path, declared: Declared, into: Path) -> Examined:
        examine(source, declared, into)
        return webp

    room.run(room.tasks(as_webp))
    assert THUMBNAIL.replace(".jpg", ".webp") in room.shelved()


def test_two_uploads_of_one_name_and_moment_both_keep_their_bytes(room: Room) -> None:
    for upload_id in ("u1", "u2"):
        room.receive(upload_id)
        room.run(room.tasks())
    assert len(room.shelved()) == 4


def test_the_extension_is_that_of_the_content(room: Room) -> None:
    room.receive()
    image = replace(EXAMINED, media_type="image", content_type="image/webp")

    def as_image(source: Path, declared: Declared, into: Path) -> Examined:
        examine(source, declared, into)
        return image

    room.run(room.tasks(as_image))
    assert VIDEO.replace(".mp4", ".webp") in room.shelved()


def test_a_bad_file_is_rejected_and_removed(room: Room) -> None:
    medium = room.receive()
    assert room.run(room.tasks(refuse)) == "rejected"
    assert known(room.catalog, medium.id).reasons == (BROKEN,)
    assert not (room.folder / "u1").exists()
    assert room.shelved() == {}


def test_a_crash_between_the_verdict_and_the_removal_is_made_good(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.receive()
    job = room.claim()
    with monkeypatch.context() as patch:
        patch.setattr(room.files, "discard", cut)
        with pytest.raises(PowerCut):
            room.tasks(refuse).run(job)
    assert (room.folder / "u1").exists()
    assert room.tasks(refuse).run(job) == "rejected"
    assert not (room.folder / "u1").exists()


def test_a_medium_of_a_post_is_registered_once(room: Room) -> None:
    medium = room.receive(post_id="p1")
    assert [room.run(room.tasks()), room.run(room.tasks())] == ["ready", "registered"]
    assert room.posts.registered == [medium.id]


def test_the_backends_name_of_a_medium_is_noted(room: Room) -> None:
    medium = room.receive(post_id="p1")
    room.run(room.tasks())
    room.run(room.tasks())
    assert known(room.catalog, medium.id).backend_id == f"backend-{medium.id}"


def test_a_refusal_keeps_the_file_and_waits_for_somebody(room: Room) -> None:
    medium = room.receive(post_id="p1")
    room.run(room.tasks())
    for sentence in ("The post is closed.", "The post is closed for good."):
        room.posts.refusal = sentence
        job = room.claim()
        assert room.tasks().run(job) == "failed"
        assert not room.catalog.queue.done(job), "the parked job must not be forgotten"
        failed = known(room.catalog, medium.id)
        assert failed.status == "failed"
        assert failed.reasons == (Reason("refused_by_backend", sentence),)
        assert len(room.shelved()) == 2
        (parked,) = room.catalog.queue.failed()
        assert parked.last_error == f"422: {sentence}"
        assert room.catalog.queue.claim(30) is None
        assert room.catalog.queue.replay(parked.id)
    room.posts.refusal = None
    assert room.run(room.tasks()) == "registered"
    done = known(room.catalog, medium.id)
    assert (done.reasons, done.backend_id) == ((), f"backend-{medium.id}")


def test_a_stale_workers_refusal_changes_nothing(room: Room) -> None:
    medium = room.receive(post_id="p1")
    room.run(room.tasks())
    stale = room.claim()
    room.catalog.queue.release(stale)
    room.posts.refusal = "No."
    newer = room.claim()
    assert room.tasks().run(stale) == "ready"
    assert room.catalog.queue.heartbeat(newer, 30)
    assert known(room.catalog, medium.id).reasons == ()


def test_a_rejected_medium_of_a_post_is_removed(room: Room) -> None:
    medium = room.receive(post_id="foreign")
    assert [room.run(room.tasks()), room.run(room.tasks())] == ["ready", "rejected"]
    assert known(room.catalog, medium.id).reasons == (NOT_YOURS,)
    assert room.shelved() == {}


def test_a_medium_deleted_while_its_job_waits_leaves_nothing(room: Room) -> None:
    medium = room.receive()
    room.catalog.deleted(medium.id)
    assert room.run(room.tasks()) == "deleted"
    assert not (room.folder / "u1").exists()


def test_a_medium_deleted_while_its_job_runs_leaves_nothing(room: Room) -> None:
    medium = room.receive()

    def meanwhile_deleted(source: Path, declared: Declared, into: Path) -> Examined:
        room.catalog.deleted(medium.id)
        return examine(source, declared, into)

    assert room.run(room.tasks(meanwhile_deleted)) == "deleted"
    assert room.shelved() == {}
    assert not (room.folder / "u1").exists()


def test_an_unknown_kind_of_job_is_an_error(room: Room) -> None:
    room.catalog.queue.put("dance", "dance:1", {})
    with pytest.raises(NotNow, match="'dance'"):
        room.run(room.tasks())


def test_a_job_without_a_record_is_an_error(room: Room) -> None:
    room.catalog.queue.put("process", "process:x", {"media_id": "x"})
    with pytest.raises(GiveUp, match="no medium x"):
        room.run(room.tasks())


def cut(*_: object) -> None:
    raise PowerCut


def cut_after(method: Callable[..., object]) -> Callable[..., object]:
    def wrapped(*args: object) -> None:
        method(*args)
        raise PowerCut

    return wrapped


CUTS = [
    ("catalog", "processing"),
    ("catalog", "place"),
    ("shelf", "put"),
    ("files", "hand_over"),
    ("catalog", "ready"),
    ("posts", "register"),
    ("catalog", "registered"),
]


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize(("part", "step"), CUTS)
def test_a_crash_at_any_step_changes_nothing_in_the_end(
    room: Room, monkeypatch: pytest.MonkeyPatch, part: str, step: str, where: str
) -> None:
    medium = room.receive(post_id="p1")
    crashes = 0
    while (job := room.catalog.queue.claim(30)) is not None:
        with monkeypatch.context() as patch:
            if crashes == 0:
                owner = getattr(room, part)
                patch.setattr(
                    owner, step, cut if where == "before" else cut_after(getattr(owner, step))
                )
            try:
                room.tasks().run(job)
            except PowerCut:
                crashes += 1
                assert room.catalog.queue.release(job)
            else:
                assert room.catalog.queue.done(job)
    assert crashes == 1
    assert known(room.catalog, medium.id).status == "registered"
    assert room.posts.registered == [medium.id]
    assert room.shelved() == {VIDEO: b"the bytes", THUMBNAIL: b"a small picture"}
    assert not (room.folder / "u1").exists()


def test_a_record_lost_in_a_power_cut_finds_its_file_again(room: Room, tmp_path: Path) -> None:
    room.receive()
    room.run(room.tasks())
    with_empty_records = Catalog(f"sqlite:///{tmp_path / 'restored.db'}")
    with_empty_records.migrate()
    room.catalog = with_empty_records
    medium = room.catalog.receive(received())
    assert room.run(room.tasks()) == "ready"
    assert known(room.catalog, medium.id).path == VIDEO
    assert len(room.shelved()) == 2
    with_empty_records.close()


def strip(source: Path, declared: Declared, into: Path) -> Examined:
    """A pipeline that makes `bytes` of `the bytes`, and lets `bytes` be."""
    examine(source, declared, into)
    if source.read_bytes() == b"bytes":
        return replace(EXAMINED, size=5)
    (into / STRIPPED).write_bytes(b"bytes")
    return replace(EXAMINED, size=5, stripped=True)


def test_a_stripped_file_takes_the_place_of_the_uploaded_one(room: Room) -> None:
    medium = room.receive()
    assert room.run(room.tasks(strip)) == "ready"
    assert room.shelved() == {VIDEO: b"bytes", THUMBNAIL: b"a small picture"}
    assert known(room.catalog, medium.id).size == 5
    assert room.files.path("u1").read_bytes() == b"bytes"
    assert list((room.folder / "work").iterdir()) == []


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize(
    ("part", "step", "call"),
    [
        ("catalog", "place", 1),
        ("shelf", "put", 1),
        ("files", "hand_over", 1),
        ("shelf", "put", 2),
        ("catalog", "ready", 1),
    ],
)
def test_a_crash_around_the_stripping_changes_nothing_in_the_end(
    room: Room, monkeypatch: pytest.MonkeyPatch, part: str, step: str, call: int, where: str
) -> None:
    medium = room.receive()
    owner, calls = getattr(room, part), 0
    method = getattr(owner, step)

    def fragile(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls != call:
            return method(*arguments)
        if where == "after":
            method(*arguments)
        raise PowerCut

    job = room.claim()
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, fragile)
        with pytest.raises(PowerCut):
            room.tasks(strip).run(job)
    assert room.tasks(strip).run(job) == "ready"
    assert room.shelved() == {VIDEO: b"bytes", THUMBNAIL: b"a small picture"}
    assert known(room.catalog, medium.id).size == 5
    assert not (room.folder / "u1").exists()


def test_kinds_that_are_about_no_medium_are_done_by_others(room: Room) -> None:
    tasks = Tasks(
        catalog=room.catalog,
        examine=examine,
        files=room.files,
        shelf=room.shelf,
        posts=room.posts,
        work_dir=room.folder / "work",
        others={"bell": lambda job: f"rang {job.payload['times']} times"},
    )
    room.catalog.queue.put("bell", "bell:1", {"times": 3})
    assert room.run(tasks) == "rang 3 times"


def test_a_medium_goes_where_a_hook_wants_it(room: Room) -> None:
    medium = room.receive()
    (room.folder / "u1.wanted").write_text("teams/red/film.avi")
    assert room.run(room.tasks()) == "ready"
    assert known(room.catalog, medium.id).path == "uploads/teams/red/film.mp4"
    assert (room.folder / "uploads" / "teams" / "red" / "film.mp4").read_bytes() == b"the bytes"


PENDING = Derivative("720p", "video/mp4", "720p.mp4", None, None, None, "pending")
RENDITION = f"{MORE}/720p.mp4"


def promise(source: Path, declared: Declared, into: Path) -> Examined:
    return replace(examine(source, declared, into), derivatives=(PENDING,))


def transcode(source: Path, wanted: Sequence[Derivative], into: Path) -> Sequence[Derivative]:
    assert source.read_bytes() == b"the bytes"
    assert [each.name for each in wanted] == ["720p"]
    (into / "720p.mp4").write_bytes(b"smaller")
    return [Derivative("720p", "video/mp4", "720p.mp4", 1280, 720, 7)]


def test_a_rendition_is_made_once_the_medium_is_ready(room: Room) -> None:
    medium = room.receive()
    tasks = room.tasks(promise, transcode)
    assert room.run(tasks) == "ready"
    (pending,) = known(room.catalog, medium.id).derivatives
    assert pending == replace(PENDING, path=RENDITION)
    assert not (room.folder / RENDITION).exists()
    (job,) = room.catalog.queue.waiting()
    assert (job.kind, job.rank_at - job.visible_at) == ("derive", LAST)
    assert room.run(tasks) == "ready"
    (done,) = known(room.catalog, medium.id).derivatives
    assert done == Derivative("720p", "video/mp4", RENDITION, 1280, 720, 7)
    assert room.shelved()[RENDITION] == b"smaller"
    assert list((room.folder / "work").iterdir()) == []


def test_a_failed_rendition_leaves_the_medium_as_it_is(room: Room) -> None:
    medium = room.receive(post_id="p1")
    failed = Derivative("720p", "video/mp4", "720p.mp4", None, None, None, "failed", "timeout")
    tasks = room.tasks(promise, lambda *_: [failed])
    assert [room.run(tasks) for _ in range(3)] == ["ready", "registered", "registered"]
    assert known(room.catalog, medium.id).derivatives == (replace(failed, path=RENDITION),)
    assert room.shelved().keys() == {VIDEO, THUMBNAIL}


@pytest.mark.parametrize("when", ["before", "meanwhile", "at the end"])
def test_a_medium_deleted_while_its_rendition_is_made_leaves_nothing(
    room: Room, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium = room.receive()

    def delete() -> None:
        clear(room.catalog, room.shelf, [known(room.catalog, medium.id)])

    def slow(*arguments: Any) -> Sequence[Derivative]:
        found = transcode(*arguments)
        if when == "meanwhile":
            delete()
        return found

    tasks = room.tasks(promise, slow)
    room.run(tasks)
    if when == "before":
        delete()
    if when == "at the end":
        derived = room.catalog.derived

        def derived_too_late(*arguments: Any) -> bool:
            delete()
            return derived(*arguments)

        monkeypatch.setattr(room.catalog, "derived", derived_too_late)
    assert room.run(tasks) == "deleted"
    assert list((room.folder / "uploads/alice").iterdir()) == []


def test_a_rendition_that_comes_between_removal_and_mark_is_removed(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium = room.receive()
    tasks = room.tasks(promise, transcode)
    room.run(tasks)
    remove, jobs = room.shelf.remove, [room.claim()]

    def remove_and_lose_the_race(paths: Iterable[str]) -> int:
        removed = remove(paths)
        if jobs:
            (room.folder / VIDEO).write_bytes(b"the bytes")
            tasks.run(jobs.pop())
        return removed

    monkeypatch.setattr(room.shelf, "remove", remove_and_lose_the_race)
    clear(room.catalog, room.shelf, [known(room.catalog, medium.id)])
    assert list((room.folder / "uploads/alice").iterdir()) == []


def test_a_file_that_comes_between_does_not_keep_others_from_being_cleared(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a folder of derivatives that is found empty, and has a file when it is to go."""
    for upload_id in ("u1", "u2"):
        room.receive(upload_id)
        room.run(room.tasks())
    found = [known(room.catalog, medium.id) for medium in room.catalog.find()[0]]
    remove, calls = room.shelf.remove, iter([None, OSError("Directory not empty")])

    def late(paths: Iterable[str]) -> int:
        for fault in calls:
            if fault is not None:
                raise fault
            break
        return remove(paths)

    monkeypatch.setattr(room.shelf, "remove", late)
    assert clear(room.catalog, room.shelf, found) == 2
    assert {known(room.catalog, medium.id).status for medium in found} == {"deleted"}


def test_a_job_that_was_given_up_goes_with_its_medium(room: Room) -> None:
    medium = room.receive()
    tasks = room.tasks(promise)
    room.run(tasks)
    job = room.claim()
    assert (job.kind, room.catalog.failed(job, None, "no luck")) == ("derive", True)
    clear(room.catalog, room.shelf, [known(room.catalog, medium.id)])
    assert room.catalog.queue.failed() == []


def test_a_rendition_of_a_published_medium_is_not_kept(room: Room) -> None:
    medium = room.receive(post_id="p1")

    def slow(*arguments: Any) -> Sequence[Derivative]:
        room.catalog.published("p1")
        return transcode(*arguments)

    tasks = room.tasks(promise, slow)
    assert [room.run(tasks) for _ in range(3)] == ["ready", "registered", "published"]
    assert not (room.folder / MORE).exists()
    assert known(room.catalog, medium.id).derivatives[0].status == "pending"


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize(("part", "step"), [("shelf", "put"), ("catalog", "derived")])
def test_a_crash_while_a_rendition_is_made_changes_nothing_in_the_end(
    room: Room, monkeypatch: pytest.MonkeyPatch, part: str, step: str, where: str
) -> None:
    medium = room.receive()
    tasks = room.tasks(promise, transcode)
    room.run(tasks)
    job, owner = room.claim(), getattr(room, part)
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, cut if where == "before" else cut_after(getattr(owner, step)))
        with pytest.raises(PowerCut):
            tasks.run(job)
    assert room.catalog.queue.release(job)
    assert room.run(tasks) == "ready"
    assert known(room.catalog, medium.id).derivatives[0].status == "ready"
    assert room.shelved().keys() == {VIDEO, THUMBNAIL, RENDITION}


def test_a_rendition_that_was_given_up_is_made_by_a_retry(room: Room) -> None:
    medium = room.receive()
    tasks = room.tasks(promise, transcode)
    room.run(tasks)
    assert room.catalog.failed(room.claim(), None, "its worker died")
    (given_up,) = known(room.catalog, medium.id).derivatives
    assert (given_up.status, given_up.reason) == ("failed", "gave_up")
    assert known(room.catalog, medium.id).status == "ready"
    (parked,) = room.catalog.queue.failed()
    assert room.catalog.queue.replay(parked.id)
    room.run(tasks)
    assert known(room.catalog, medium.id).derivatives[0].status == "ready"
