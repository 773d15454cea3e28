"""What hooks make of an upload, below the protocol; tests/interop/test_hooks.py has the rest."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hooks.base import Hooks
from hooks.events import (
    CreateReply,
    HookEvent,
    HookName,
    HookRejected,
    HookReply,
    HookUnavailable,
    Stop,
)
from tests.desk import REQUEST, Desk, body_of, files_desk
from tests.services import wait_until
from tusd_server import errors
from tusd_server.protocol.status import status_of
from tusd_server.uploads.body import Ending, PortableBody
from tusd_server.uploads.chunked import Chunked
from tusd_server.uploads.service import Uploads, Wanted

CONTENT = b"hello world"


class Asked(Hooks):
    """Replies as it is told to, and notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []
        self.change = CreateReply()
        self.failures: dict[str, Exception] = {}
        self.stop_at: int | None = None

    def note(self, event: HookEvent) -> None:
        self.heard.append((event.name, event.upload.offset))
        if event.name in self.failures:
            raise self.failures[event.name]

    def names(self) -> list[str]:
        return [name for name, _ in self.heard]

    def pre_create(self, event: HookEvent) -> CreateReply:
        self.note(event)
        return self.change

    def post_receive(self, event: HookEvent) -> Stop | None:
        self.note(event)
        enough = self.stop_at is not None and event.upload.offset >= self.stop_at
        return Stop(HookReply(body="Enough.", status=403)) if enough else None

    def pre_finish(self, event: HookEvent) -> HookReply:
        self.note(event)
        return HookReply({"X-Seen": "1"}, 202, "Seen.")

    def post_finish(self, event: HookEvent) -> HookReply:
        self.note(event)
        return HookReply({"Upload-Media-Id": "m1"})

    def post_terminate(self, event: HookEvent) -> None:
        self.note(event)


class Room:
    """Alice's desk with such a hook, on the local store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hooks = Asked()
        self.announced: list[str] = []
        self.taken: set[str] = set()
        self.open()

    def open(self, hooks: Hooks | None = None) -> None:
        """Begin anew, as a process does, perhaps with other hooks."""
        self.desk: Desk = files_desk(self.folder)
        self.desk.uploads = Uploads(
            self.desk.store,
            self.desk.locker,
            hooks or self.hooks,
            max_size=1_000_000,
            announce=lambda event: self.announced.append(event.name),
            taken=lambda upload_id: upload_id in self.taken,
            progress_seconds=0.01,
            clock=self.desk.clock,
        )

    def heard(self, name: HookName) -> list[int]:
        return [offset for heard, offset in self.hooks.heard if heard == name]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


class Slow(PortableBody):
    """A body whose second half comes when it may."""

    def __init__(self, content: bytes) -> None:
        super().__init__(body_of(content)._stream, len(content))
        self.may = threading.Event()
        self._halves = [content[: len(content) // 2], content[len(content) // 2 :]]

    def chunks(self, limit: int) -> Iterator[memoryview]:
        yield memoryview(self._halves[0])
        assert self.may.wait(10)
        if self._taken_over:
            self.ending = Ending.TAKEN_OVER
            return
        yield memoryview(self._halves[1])
        self.ending = Ending.COMPLETE

    def let_go(self) -> None:
        super().let_go()
        self.may.set()


def test_a_change_of_the_creation_is_kept(room: Room) -> None:
    room.hooks.change = CreateReply(
        "mine", {"k": "v"}, "a/b.jpg", HookReply({"A": "1"}, 200, "Hi.")
    )
    made = room.desk.uploads.create("alice", Wanted(len(CONTENT)), None, REQUEST)
    assert (made.headers, made.status, made.body) == ({"A": "1"}, 200, "Hi.")
    room.open()
    info = room.desk.info("mine")
    assert (info.id, info.metadata.to_text(), info.place) == ("mine", {"k": "v"}, "a/b.jpg")


@pytest.mark.parametrize(
    "change",
    [
        CreateReply(id="a/b"),
        CreateReply(id=""),
        CreateReply(id="uploads"),
        CreateReply(id="there"),
        CreateReply(id="recorded"),
        CreateReply(place="../x"),
    ],
)
def test_a_change_that_cannot_be_is_the_hooks_fault(room: Room, change: CreateReply) -> None:
    room.taken.add("recorded")
    room.hooks.change = CreateReply(id="there")
    room.desk.create()
    room.hooks.change = change
    with pytest.raises(errors.HookFailed) as caught:
        room.desk.create()
    assert status_of(caught.value) == 502
    assert [info.id for info in room.desk.store.all()] == ["there"]


def test_a_stray_file_of_the_wanted_name_is_not_touched(room: Room) -> None:
    (room.folder / "data" / "mine").write_bytes(b"somebody's")
    room.hooks.change = CreateReply(id="mine")
    with pytest.raises(errors.HookFailed):
        room.desk.create()
    assert (room.folder / "data" / "mine").read_bytes() == b"somebody's"


def test_the_cause_of_a_failure_is_for_the_log(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    room.hooks.failures["pre-create"] = HookUnavailable("http://inner:1/ is down.")
    with pytest.raises(errors.HookFailed) as caught:
        room.desk.create()
    assert "inner" not in caught.value.message
    assert "http://inner:1/ is down." in caplog.text


def test_the_last_answer_has_what_the_hooks_put_into_it(room: Room) -> None:
    upload = room.desk.create()
    done = room.desk.append(upload, 0, CONTENT)
    assert done.headers == {"X-Seen": "1", "Upload-Media-Id": "m1"}
    assert (done.status, done.body) == (202, "Seen.")


def test_hooks_are_asked_until_they_have_agreed_once(room: Room) -> None:
    upload = room.desk.create()
    room.hooks.failures["pre-finish"] = HookUnavailable("It is down.")
    with pytest.raises(errors.HookFailed) as caught:
        room.desk.append(upload, 0, CONTENT)
    assert caught.value.offset == len(CONTENT)
    for again in (lambda: room.desk.look(upload), lambda: room.desk.append(upload, 11, b"")):
        with pytest.raises(errors.HookFailed):
            again()
    assert room.heard("post-finish") == []
    room.open()
    room.hooks.failures.clear()
    assert room.desk.info(upload).accepted
    room.desk.look(upload)
    assert len(room.heard("pre-finish")) == 4
    assert len(room.heard("post-finish")) == 1


def test_recovery_asks_too_and_tells_the_rest(room: Room) -> None:
    upload = room.desk.create()
    room.hooks.failures["pre-finish"] = HookUnavailable("It is down.")
    with pytest.raises(errors.HookFailed):
        room.desk.append(upload, 0, CONTENT)
    with pytest.raises(errors.HookFailed):
        room.desk.uploads.recover(upload)
    room.hooks.failures["pre-finish"] = HookRejected("no", "Not this one.", "forbidden")
    with pytest.raises(errors.UploadRejected):
        room.desk.uploads.recover(upload)
    room.desk.uploads.recover(upload)
    assert len(room.heard("pre-finish")) == 3
    assert room.heard("post-finish") == []


def test_a_rejection_survives_with_its_answer(room: Room) -> None:
    upload = room.desk.create()
    reply = HookReply({"X-Why": "face"}, 422, "No faces.")
    room.hooks.failures["pre-finish"] = HookRejected("no", "No faces.", reply=reply)
    with pytest.raises(errors.UploadRejected):
        room.desk.append(upload, 0, CONTENT)
    room.open(Hooks())
    with pytest.raises(errors.UploadRejected, match=r"No faces\.") as caught:
        room.desk.look(upload)
    assert (caught.value.status, caught.value.headers) == (422, (("X-Why", "face"),))
    assert not (room.folder / "data" / upload).exists()


def test_without_such_hooks_nothing_is_noted(room: Room) -> None:
    room.open(Hooks())
    upload = room.desk.create()
    room.desk.append(upload, 0, CONTENT)
    assert not room.desk.info(upload).accepted


def test_what_tusd_had_finished_is_nobodys_to_judge(room: Room) -> None:
    upload = room.desk.create()
    room.open(Hooks())
    room.desk.append(upload, 0, CONTENT)
    info_file = room.folder / "data" / f"{upload}.info"
    info_file.write_text(info_file.read_text().replace('"Owner":"alice"', '"Owner":null'))
    room.open()
    room.desk.look(upload)
    assert room.heard("pre-finish") == []


def test_durable_events_are_announced_in_time(room: Room) -> None:
    upload = room.desk.create()
    assert room.announced == ["post-create"]
    room.desk.uploads.terminate(upload, "alice", body_of(b""), REQUEST)
    assert room.announced == ["post-create", "post-terminate"]


def test_an_announcement_that_fails_leaves_the_upload_to_be_terminated_again(room: Room) -> None:
    upload = room.desk.create()

    def fail(_: HookEvent) -> None:
        raise OSError("the database is away")

    room.desk.uploads._announce = fail
    with pytest.raises(OSError, match="database is away"):
        room.desk.uploads.terminate(upload, "alice", body_of(b""), REQUEST)
    assert room.desk.info(upload).offset == 0


def test_progress_is_told_beside_the_request(room: Room) -> None:
    upload = room.desk.create()
    body = Slow(CONTENT)
    sender = threading.Thread(target=lambda: room.desk.append(upload, 0, body))
    sender.start()
    wait_until(lambda: room.heard("post-receive") == [5], "the first half's event")
    body.may.set()
    sender.join()
    wait_until(lambda: room.heard("post-receive") == [5, 11], "the last event")


def test_bytes_that_do_not_count_are_not_told(room: Room) -> None:
    upload = room.desk.create(5)
    with pytest.raises(errors.UploadTooLarge):
        room.desk.append(upload, 0, body_of(CONTENT, None))
    room.desk.append(upload, 0, CONTENT[:5])
    wait_until(lambda: room.heard("post-receive"), "the event of the second request")
    assert room.heard("post-receive") == [5]


def test_a_stop_in_the_middle_is_the_answer(room: Room) -> None:
    upload = room.desk.create()
    room.hooks.stop_at = 1
    with pytest.raises(errors.UploadRejected, match="Enough") as caught:
        room.desk.append(upload, 0, Slow(CONTENT))
    assert caught.value.status == 403
    with pytest.raises(errors.UploadNotFound):
        room.desk.look(upload)
    assert room.announced == ["post-create", "post-terminate"]
    assert room.heard("post-finish") == []


def test_a_stop_behind_the_end_spares_a_complete_upload(room: Room) -> None:
    upload = room.desk.create()
    room.hooks.stop_at = len(CONTENT)
    done = room.desk.append(upload, 0, CONTENT)
    assert done.info.finished
    wait_until(lambda: room.heard("post-receive") == [11], "the event behind the end")
    assert room.desk.contents(upload) == CONTENT


def test_an_upload_in_chunks_has_the_same_events(room: Room) -> None:
    chunked = Chunked(room.desk.uploads)
    upload = chunked.begin("alice", len(CONTENT), 4, "", REQUEST).info.id
    for index in (2, 0, 1):
        sent = CONTENT[index * 4 : index * 4 + 4]
        progress = chunked.put(upload, "alice", index, body_of(sent), REQUEST)
    assert progress.headers["X-Seen"] == "1"
    assert room.announced == ["post-create"]
    wait_until(lambda: len(room.heard("post-receive")) == 3, "an event for each chunk")
    assert room.heard("post-receive") == [3, 7, 11]
    assert (room.heard("pre-finish"), room.heard("post-finish")) == ([11], [11])


def test_an_upload_in_chunks_is_rejected_for_good(room: Room) -> None:
    chunked = Chunked(room.desk.uploads)
    upload = chunked.begin("alice", len(CONTENT), 20, "", REQUEST).info.id
    room.hooks.failures["pre-finish"] = HookRejected("no", "Not this one.", "forbidden")
    with pytest.raises(errors.UploadRejected):
        chunked.put(upload, "alice", 0, body_of(CONTENT), REQUEST)
    for again in (chunked.progress, lambda *who: chunked.finish(*who, REQUEST)):
        with pytest.raises(errors.UploadRejected):
            again(upload, "alice")


def test_a_chunk_can_be_stopped(room: Room) -> None:
    chunked = Chunked(room.desk.uploads)
    upload = chunked.begin("alice", 2 * len(CONTENT), len(CONTENT), "", REQUEST).info.id
    room.hooks.stop_at = 1
    with pytest.raises(errors.UploadRejected, match="Enough"):
        chunked.put(upload, "alice", 0, Slow(CONTENT), REQUEST)
    with pytest.raises(errors.UploadNotFound):
        room.desk.look(upload)
    assert room.announced == ["post-create", "post-terminate"]
