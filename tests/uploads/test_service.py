"""What an upload may do next: owners, offsets, endings, vetoes."""

import io
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hooks.base import Hooks
from hooks.events import HookEvent, HookRejected, HookReply, RejectionKind, RequestFacts
from processing.sniff import HEAD_BYTES
from tests.records import START, FakeClock
from tests.rooms import Cut, Untouched, metadata, timeless
from tusd_server import errors
from tusd_server.errors import UploadError
from tusd_server.info import UploadInfo
from tusd_server.locks import MemoryLocker
from tusd_server.protocol.status import status_of
from tusd_server.storage.base import Writer
from tusd_server.storage.filesystem import FilesystemStore
from tusd_server.storage.memory import MemoryStore
from tusd_server.uploads.body import Ending, PortableBody
from tusd_server.uploads.service import Outcome, Uploads, Wanted, random_id

REQUEST = RequestFacts("PATCH", "/files/u1", "127.0.0.1:1")
REPLY = HookReply({"Upload-Media-Id": "m1"})
MAX_SIZE = 10_000_000


class Recorder(Hooks):
    """Writes down what it is told; vetoes the moment that it is told to veto."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.events: list[HookEvent] = []
        self.heads: list[bytes] = []
        self.veto: str | None = None
        self.kind: RejectionKind = "forbidden"

    def _note(self, event: HookEvent, name: str) -> None:
        assert event.name == name
        self.told.append(name)
        self.events.append(event)
        if self.veto == name:
            raise HookRejected("a_code", "Not this one.", kind=self.kind)

    def pre_create(self, event: HookEvent) -> None:
        self._note(event, "pre-create")

    def post_create(self, event: HookEvent) -> None:
        self._note(event, "post-create")

    def first_bytes(self, event: HookEvent, head: bytes) -> None:
        self.heads.append(head)
        self._note(event, "first-bytes")

    def pre_finish(self, event: HookEvent) -> None:
        self._note(event, "pre-finish")

    def post_finish(self, event: HookEvent) -> HookReply:
        self._note(event, "post-finish")
        return REPLY

    def pre_terminate(self, event: HookEvent) -> None:
        self._note(event, "pre-terminate")

    def post_terminate(self, event: HookEvent) -> None:
        self._note(event, "post-terminate")


@dataclass
class Room:
    """The service with all that it works with; alice asks."""

    store: MemoryStore = field(default_factory=MemoryStore)
    hooks: Recorder = field(default_factory=Recorder)
    locker: MemoryLocker = field(default_factory=lambda: MemoryLocker(timeout_seconds=0.2))
    made: int = 0

    def __post_init__(self) -> None:
        self.uploads = Uploads(
            self.store,
            self.locker,
            self.hooks,
            max_size=MAX_SIZE,
            clock=lambda: START,
            new_id=self._new_id,
        )

    def _new_id(self) -> str:
        self.made += 1
        return f"u{self.made}"

    def create(
        self,
        length: int | None = 11,
        body: PortableBody | None = None,
        header: str = "",
        **more: Any,
    ) -> Outcome:
        return self.uploads.create("alice", Wanted(length, header, **more), body, REQUEST)

    def append(
        self, offset: int, body: bytes | PortableBody, upload_id: str = "u1", **more: Any
    ) -> Outcome:
        if isinstance(body, bytes):
            body = body_of(body)
        return self.uploads.append(upload_id, "alice", offset, body, REQUEST, **more)

    def look(self, upload_id: str = "u1") -> UploadInfo:
        return self.uploads.look(upload_id, "alice", REQUEST).info

    def terminate(self, upload_id: str = "u1") -> None:
        self.uploads.terminate(upload_id, "alice", body_of(b""), REQUEST)


class Stopped(MemoryStore):
    """A store whose bytes come by a clock of the test's own."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self._times: dict[str, datetime] = {}

    def create(self, info: UploadInfo) -> None:
        super().create(info)
        self._times[info.id] = self._clock()

    @contextmanager
    def writer(self, info: UploadInfo) -> Iterator[Writer]:
        with super().writer(info) as writer:
            yield writer
        self._times[info.id] = self._clock()

    def look(self, upload_id: str) -> UploadInfo:
        return replace(super().look(upload_id), touched_at=self._times.get(upload_id))


def body_of(data: bytes, length: int | None = -1) -> PortableBody:
    """A body that announces its length; None is a chunked one."""
    return PortableBody(io.BytesIO(data), len(data) if length == -1 else length)


@pytest.fixture
def room() -> Room:
    return Room()


# Creation.


def test_a_creation(room: Room) -> None:
    outcome = room.create(header="a YQ==")
    info = UploadInfo(
        id="u1",
        length=11,
        owner="alice",
        metadata_header="a YQ==",
        created_at=START,
        touched_at=START,
    )
    assert outcome == Outcome(info, expires=None, headers={})
    assert timeless(room.look()) == timeless(info)
    assert room.hooks.told == ["pre-create", "post-create"]


def test_what_hooks_are_told_of_a_creation(room: Room) -> None:
    room.create(header=metadata(filename="a.gif"))
    before, after = (event.upload for event in room.hooks.events)
    assert (before.id, before.storage) == ("", None)
    assert (after.id, after.size, after.offset, after.owner) == ("u1", 11, 0, "alice")
    assert after.file_name == "a.gif"
    assert after.created_at == START
    assert room.hooks.events[0].request is REQUEST


def test_names_are_128_random_bits() -> None:
    names = {random_id() for _ in range(100)}
    assert len(names) == 100
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in names)


def test_an_upload_of_no_bytes_is_finished_at_once(room: Room) -> None:
    outcome = room.create(0)
    assert outcome.info.finished
    assert outcome.headers == REPLY.headers
    assert room.hooks.told == ["pre-create", "post-create", "pre-finish", "post-finish"]


def test_a_creation_with_all_bytes(room: Room) -> None:
    outcome = room.create(11, body_of(b"hello world"))
    assert (outcome.info.offset, outcome.headers) == (11, REPLY.headers)
    assert room.hooks.told == [
        "pre-create",
        "post-create",
        "first-bytes",
        "pre-finish",
        "post-finish",
    ]


def test_a_creation_with_some_bytes(room: Room) -> None:
    outcome = room.create(11, body_of(b"hello"))
    assert (outcome.info.offset, outcome.headers) == (5, {})
    assert room.append(5, b" world").info.finished


@pytest.mark.parametrize("error", [None, ConnectionResetError(), TimeoutError()])
def test_a_creation_that_is_cut_is_still_one(room: Room, error: Exception | None) -> None:
    """So that the client learns the URL and goes on."""
    outcome = room.create(11, PortableBody(Cut(b"hello", error), 11))
    assert outcome.info.offset == 5
    assert room.look().offset == 5


def test_a_creation_on_a_full_disk_is_still_one(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object, data: memoryview) -> None:
        raise errors.StorageFull("The disk is full.", offset=0)

    monkeypatch.setattr("tusd_server.storage.memory.MemoryWriter.write", full)
    assert timeless(room.create(11, body_of(b"hello")).info) == timeless(room.look())
    assert room.look().offset == 0


def test_a_creation_whose_body_is_too_long_never_was(room: Room) -> None:
    with pytest.raises(errors.UploadTooLarge, match="The body has 12 bytes"):
        room.create(11, PortableBody(Untouched(), 12))
    assert room.hooks.told == []
    with pytest.raises(errors.UploadTooLarge, match="goes on beyond 11 bytes; none of it is kept"):
        room.create(11, body_of(b"hello world!", None))
    assert list(room.store.all()) == []


@pytest.mark.parametrize("kind", ["content", "forbidden", "invalid"])
def test_a_creation_with_refused_bytes_leaves_nothing(room: Room, kind: RejectionKind) -> None:
    """The client does not learn the URL, so nobody could ever delete it."""
    room.hooks.veto, room.hooks.kind = "first-bytes", kind
    with pytest.raises(UploadError, match="Not this one"):
        room.create(11, body_of(b"hello world"))
    assert list(room.store.all()) == []


# Appending.


def test_appending(room: Room) -> None:
    room.create()
    assert room.append(0, b"hello ").info.offset == 6
    outcome = room.append(6, b"world")
    assert (outcome.info.offset, outcome.headers) == (11, REPLY.headers)
    assert room.store.look("u1").finished


@pytest.mark.parametrize("offset", [0, 4, 6, 11, 2**63 - 1])
def test_appending_elsewhere_reads_and_changes_nothing(room: Room, offset: int) -> None:
    room.create()
    room.append(0, b"hello")
    with pytest.raises(errors.OffsetMismatch) as caught:
        room.append(offset, PortableBody(Untouched(), 6))
    assert caught.value.offset == 5
    assert room.look().offset == 5


def test_appending_too_much_reads_and_changes_nothing(room: Room) -> None:
    room.create()
    room.append(0, b"hello")
    with pytest.raises(errors.UploadTooLarge) as caught:
        room.append(5, PortableBody(Untouched(), 7))
    assert caught.value.offset == 5
    assert room.look().offset == 5


def test_a_chunked_body_beyond_the_length_is_cut_off_whole(room: Room) -> None:
    room.create()
    room.append(0, b"hello")
    with pytest.raises(errors.UploadTooLarge) as caught:
        room.append(5, body_of(b" world!", None))
    assert caught.value.offset == 5
    assert room.look().offset == 5
    assert "post-finish" not in room.hooks.told


class Ended:
    """A body that brings `data` and ends as it is told."""

    length = None
    trailers: Mapping[str, str] = {}

    def __init__(self, data: bytes, ending: Ending) -> None:
        self._data = data
        self._ending = ending
        self.ending: Ending | None = None

    def chunks(self, limit: int) -> list[memoryview]:
        self.ending = self._ending
        return [memoryview(self._data[:limit])]

    def let_go(self) -> None:
        """Nobody asks."""

    def closing(self) -> bool:
        return False


BAD_ENDINGS = {
    Ending.DISCONNECTED: errors.BodyCut,
    Ending.TIMED_OUT: errors.ReadTimedOut,
    Ending.TAKEN_OVER: errors.UploadInterrupted,
    Ending.STOPPING: errors.ServerStopping,
    Ending.BROKEN: errors.BodyBroken,
}


def test_every_ending_is_judged() -> None:
    assert set(Ending) == {*BAD_ENDINGS, Ending.COMPLETE, Ending.OVERRUN}


@pytest.mark.parametrize(("ending", "error"), BAD_ENDINGS.items())
def test_bad_endings_keep_the_bytes_and_tell_the_offset(
    room: Room, ending: Ending, error: type[UploadError]
) -> None:
    room.create()
    body: PortableBody = Ended(b"hello", ending)  # type: ignore[assignment]
    with pytest.raises(error) as caught:
        room.append(0, body)
    assert caught.value.offset == 5
    assert "the 5 bytes up to Upload-Offset are kept" in caught.value.message
    assert room.look().offset == 5


@pytest.mark.parametrize("ending", BAD_ENDINGS)
def test_once_all_bytes_are_in_no_ending_is_bad(room: Room, ending: Ending) -> None:
    room.create()
    body: PortableBody = Ended(b"hello world", ending)  # type: ignore[assignment]
    assert room.append(0, body).info.finished
    assert room.hooks.told[-1] == "post-finish"


def test_a_finished_upload_answers_the_same_again(room: Room) -> None:
    """The client may have missed the answer; the hand-over may have failed."""
    room.create()
    first = room.append(0, b"hello world")
    again = room.append(11, b"")
    accepted = replace(timeless(first.info), accepted=True)
    assert (timeless(again.info), again.headers) == (accepted, first.headers)
    assert room.hooks.told[-3:] == ["pre-finish", "post-finish", "post-finish"]
    with pytest.raises(errors.OffsetMismatch) as caught:
        room.append(0, b"hello world")
    assert caught.value.offset == 11
    with pytest.raises(errors.UploadTooLarge):
        room.append(11, b"!")


def test_a_failed_hand_over_is_made_good_by_the_next_request(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.create()
    monkeypatch.setattr(room.hooks, "post_finish", failing(room.hooks.post_finish))
    with pytest.raises(RuntimeError):
        room.append(0, b"hello world")
    assert room.look().finished
    assert room.append(11, b"").headers == REPLY.headers


def away(*_: object) -> None:
    """A hook whose other side is down."""
    raise RuntimeError("the other side is away")


def failing(real: Callable[[HookEvent], HookReply]) -> Callable[[HookEvent], HookReply]:
    """Fails at its first call."""
    calls = 0

    def call(event: HookEvent) -> HookReply:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("the database is away")
        return real(event)

    return call


def test_finish_is_durable_before_anybody_hears_of_it(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room.store, "finish", lambda info: room.hooks.told.append("durable"))
    room.create()
    room.append(0, b"hello world")
    assert room.hooks.told[-3:] == ["durable", "pre-finish", "post-finish"]


# A length that is told later.


def test_a_length_that_is_told_later(room: Room) -> None:
    assert room.create(None).info.length is None
    assert room.append(0, b"hello").info == replace(room.look(), touched_at=START)
    assert (room.look().length, room.look().finished) == (None, False)
    assert room.append(5, b"", length=11).info.length == 11
    assert (room.look().length, room.look().offset) == (11, 5)
    assert room.append(5, b" world").info.finished
    assert room.hooks.told[-1] == "post-finish"


def test_the_last_bytes_may_bring_the_length(room: Room) -> None:
    room.create(None, body_of(b"hello"))
    assert room.append(5, b" world", length=11).info.finished
    assert [event.upload.size for event in room.hooks.events[:2]] == [None, None]
    assert room.hooks.events[-1].upload.size == 11


def test_nothing_may_bring_the_length_of_what_is_here_already(room: Room) -> None:
    """A client that reads a stream learns of its end behind the last byte."""
    room.create(None)
    room.append(0, b"hello world")
    assert "first-bytes" not in room.hooks.told
    assert room.append(11, b"", length=11).info.finished
    assert room.hooks.heads == [b"hello world"]


@pytest.mark.parametrize(
    ("told", "length", "error"),
    [
        (11, 12, errors.BadHeader),
        (11, 10, errors.BadHeader),
        (None, 4, errors.BadHeader),
        (None, 5, errors.UploadTooLarge),
        (None, 10, errors.UploadTooLarge),
    ],
)
def test_a_length_that_cannot_be(
    room: Room, told: int | None, length: int, error: type[UploadError]
) -> None:
    """It does not change, lies not below the bytes that are here, and holds those that come."""
    room.create(told, body_of(b"hello"))
    with pytest.raises(error):
        room.append(5, PortableBody(Untouched(), 6), length=length)
    assert (room.look().length, room.look().offset) == (told, 5)
    assert room.append(5, b" world", length=11).info.finished


def test_a_length_that_is_told_again(room: Room) -> None:
    room.create()
    assert room.append(0, b"hello", length=11).info.offset == 5
    assert room.append(5, b" world", length=11).info.finished
    assert room.append(11, b"", length=11).info.finished
    with pytest.raises(errors.BadHeader, match="does not change"):
        room.append(11, b"", length=12)


def test_an_upload_without_a_length_is_bounded_by_the_largest(room: Room) -> None:
    room.create(None)
    with pytest.raises(errors.UploadTooLarge):
        room.append(0, PortableBody(Untouched(), MAX_SIZE + 1))
    with pytest.raises(errors.UploadTooLarge):
        room.create(None, PortableBody(Untouched(), MAX_SIZE + 1))
    stream = io.BytesIO(bytes(MAX_SIZE + 1))
    with pytest.raises(errors.UploadTooLarge, match="goes on beyond 10000000 bytes"):
        room.append(0, PortableBody(stream, None))
    assert room.look().offset == 0


def test_an_upload_that_is_made_of_others_takes_no_bytes(room: Room) -> None:
    part = room.create(None, concat="partial", partial=True).info
    final = room.create(None, concat=f"final;{part.id}", parts=(part.id,)).info
    with pytest.raises(errors.FinalUpload):
        room.append(0, PortableBody(Untouched(), 11), final.id, length=11)
    assert (room.look(final.id).length, room.look(final.id).offset) == (None, 0)


# Expiration.


def test_an_upload_expires_when_no_bytes_come() -> None:
    clock = FakeClock()
    room = Room()
    store = Stopped(clock)
    uploads = Uploads(
        store,
        room.locker,
        room.hooks,
        max_size=MAX_SIZE,
        expire_after=timedelta(seconds=60),
        clock=clock,
        new_id=lambda: "u1",
    )
    made = uploads.create("alice", Wanted(11), None, REQUEST)
    assert made.expires == START + timedelta(seconds=60)
    clock.advance(50)
    appended = uploads.append("u1", "alice", 0, body_of(b"hello"), REQUEST)
    assert appended.expires == START + timedelta(seconds=110)
    clock.advance(60)
    assert uploads.look("u1", "alice", REQUEST).expires == START + timedelta(seconds=110)
    clock.advance(1)
    body = PortableBody(Untouched(), 6)
    for call in (
        lambda: uploads.look("u1", "alice", REQUEST),
        lambda: uploads.append("u1", "alice", 5, body, REQUEST),
        lambda: uploads.terminate("u1", "alice", body, REQUEST),
    ):
        with pytest.raises(errors.UploadGone, match="has expired"):
            call()


def test_a_complete_upload_does_not_expire() -> None:
    clock = FakeClock()
    room = Room()
    uploads = Uploads(
        Stopped(clock),
        room.locker,
        room.hooks,
        max_size=MAX_SIZE,
        expire_after=timedelta(seconds=60),
        clock=clock,
        new_id=lambda: "u1",
    )
    assert uploads.create("alice", Wanted(5), body_of(b"hello"), REQUEST).expires is None
    clock.advance(1000)
    assert uploads.look("u1", "alice", REQUEST).info.finished


# The first bytes.


@pytest.mark.parametrize(
    ("length", "parts", "judged_after"),
    [
        (11, [5, 6], 11),
        (HEAD_BYTES, [HEAD_BYTES - 1, 1], HEAD_BYTES),
        (HEAD_BYTES + 9, [HEAD_BYTES - 1, 1, 9], HEAD_BYTES),
        (3 * HEAD_BYTES, [2 * HEAD_BYTES, HEAD_BYTES], 2 * HEAD_BYTES),
    ],
)
def test_first_bytes_are_judged_once_as_soon_as_they_are_in(
    room: Room, length: int, parts: list[int], judged_after: int
) -> None:
    data = bytes(range(256)) * (length // 256 + 1)
    room.create(length)
    offset = 0
    for part in parts:
        room.append(offset, data[offset : offset + part])
        offset += part
        assert ("first-bytes" in room.hooks.told) is (offset >= judged_after)
    assert room.hooks.heads == [data[: min(HEAD_BYTES, length)]]


def test_a_judge_that_fails_is_asked_again(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a moment's failure of a hook would let any content in."""
    data = b"x" * (HEAD_BYTES + 100)
    room.create(len(data))
    with monkeypatch.context() as patched:
        patched.setattr(room.hooks, "first_bytes", away)
        with pytest.raises(RuntimeError):
            room.append(0, data[: HEAD_BYTES + 50])
    offset = room.look().offset
    room.append(offset, data[offset:])
    assert room.hooks.heads == [data[:HEAD_BYTES]]


@pytest.mark.parametrize("kind", ["forbidden", "invalid"])
def test_a_veto_of_the_first_bytes_cannot_be_passed_by_going_on(
    room: Room, kind: RejectionKind
) -> None:
    room.create(HEAD_BYTES + 100)
    room.hooks.veto, room.hooks.kind = "first-bytes", kind
    with pytest.raises(UploadError, match="Not this one"):
        room.append(0, bytes(HEAD_BYTES))
    with pytest.raises(UploadError, match="Not this one"):
        room.append(room.look().offset, bytes(HEAD_BYTES + 100 - room.look().offset))


def test_refused_content_is_not_read_to_its_end(room: Room) -> None:
    room.create(1_000_000)
    room.hooks.veto, room.hooks.kind = "first-bytes", "content"
    stream = io.BytesIO(b"x" * 1_000_000)
    with pytest.raises(errors.UploadRefused) as caught:
        room.append(0, PortableBody(stream, 1_000_000))
    assert (caught.value.code, caught.value.message) == ("a_code", "Not this one.")
    assert stream.tell() < 100_000


def test_a_refused_upload_refuses_everything_but_its_end(room: Room) -> None:
    room.create()
    room.hooks.veto, room.hooks.kind = "first-bytes", "content"
    with pytest.raises(errors.UploadRefused):
        room.append(0, b"hello world")
    for call in (room.look, lambda: room.append(0, b""), lambda: room.append(11, b"")):
        with pytest.raises(errors.UploadRefused, match="Not this one"):
            call()
    room.terminate()
    assert list(room.store.all()) == []


# Vetoes.


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("forbidden", errors.UploadForbidden),
        ("invalid", errors.BadHeader),
        ("content", errors.UploadRefused),
    ],
)
def test_a_veto_is_an_error_with_the_hooks_sentence(
    room: Room, kind: RejectionKind, error: type[UploadError]
) -> None:
    room.hooks.veto, room.hooks.kind = "pre-create", kind
    with pytest.raises(error, match="Not this one"):
        room.create(11, PortableBody(Untouched(), 11))
    assert list(room.store.all()) == []
    assert room.hooks.told == ["pre-create"]


def test_a_veto_of_the_end_leaves_the_upload(room: Room) -> None:
    room.create()
    room.hooks.veto = "pre-terminate"
    with pytest.raises(errors.UploadForbidden):
        room.terminate()
    assert room.look().offset == 0
    assert "post-terminate" not in room.hooks.told


def test_a_veto_of_the_finish_hands_nothing_over(room: Room) -> None:
    room.create()
    room.hooks.veto = "pre-finish"
    with pytest.raises(errors.UploadRejected):
        room.append(0, b"hello world")
    assert "post-finish" not in room.hooks.told


@pytest.mark.parametrize(
    ("kind", "status"), [("content", 415), ("forbidden", 403), ("invalid", 400)]
)
def test_a_veto_of_the_finish_is_final(room: Room, kind: RejectionKind, status: int) -> None:
    """A failed finish check is a final 4xx, and HEAD fails with the same afterwards: clients
    report success whenever HEAD shows offset == length."""
    room.create()
    room.hooks.veto, room.hooks.kind = "pre-finish", kind
    for request in (lambda: room.append(0, b"hello world"), room.look, room.look):
        with pytest.raises(errors.UploadError, match="Not this one") as caught:
            request()
        assert status_of(caught.value) == status
    assert room.hooks.told.count("pre-finish") == 1


# Owners.


def test_others_uploads_do_not_exist(room: Room) -> None:
    room.create()
    body = PortableBody(Untouched(), 11)
    uploads = room.uploads
    for call in (
        lambda: uploads.look("u1", "mallory", REQUEST),
        lambda: uploads.append("u1", "mallory", 0, body, REQUEST),
        lambda: uploads.append("u1", "mallory", 5, body, REQUEST),
        lambda: uploads.finished("u1", "mallory"),
        lambda: uploads.terminate("u1", "mallory", body, REQUEST),
        lambda: uploads.look("unknown", "mallory", REQUEST),
        lambda: uploads.create("mallory", Wanted(None, parts=("u1",)), None, REQUEST),
    ):
        with pytest.raises(errors.UploadNotFound, match=r"^There is no such upload\.$"):
            call()
    assert room.look().offset == 0
    assert room.hooks.told == ["pre-create", "post-create"]


def test_an_upload_of_tusds_belongs_to_its_first_user(room: Room) -> None:
    """It has no owner, and whoever knows its URL may go on; the first who brings bytes owns it."""
    room.store.create(UploadInfo(id="u1", length=11, owner=None))
    for name in ("alice", "mallory"):
        assert room.uploads.look("u1", name, REQUEST).info.owner is None
    assert room.append(0, b"hello").info.owner == "alice"
    assert (room.look().owner, room.look().offset) == ("alice", 5)
    assert room.look().created_at is not None
    with pytest.raises(errors.UploadNotFound):
        room.uploads.look("u1", "mallory", REQUEST)


# Termination and downloads.


def test_termination(room: Room) -> None:
    room.create()
    room.append(0, b"hello")
    room.terminate()
    assert room.hooks.told[-2:] == ["pre-terminate", "post-terminate"]
    for call in (room.look, room.terminate, lambda: room.append(5, b" world")):
        with pytest.raises(errors.UploadNotFound):
            call()


def test_termination_stops_whoever_writes(room: Room) -> None:
    room.create()
    started, asked = threading.Event(), threading.Event()
    caught: list[UploadError] = []

    class Waiting(PortableBody):
        """A phone that has stopped sending."""

        def let_go(self) -> None:
            super().let_go()
            asked.set()

    class Silent:
        def __init__(self) -> None:
            self.blocks = [b"hello"]

        def read(self, size: int) -> bytes:
            if self.blocks:
                return self.blocks.pop()
            started.set()
            assert asked.wait(10)
            return b"-"

    def write() -> None:
        try:
            room.append(0, Waiting(Silent(), 11))
        except UploadError as error:
            caught.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    assert started.wait(10)
    room.locker._timeout_seconds = 10.0
    room.terminate()
    writer.join(10)
    assert [type(error) for error in caught] == [errors.UploadInterrupted]
    assert caught[0].offset == 6
    with pytest.raises(errors.UploadNotFound):
        room.look()


def test_a_busy_upload_that_is_not_let_go(room: Room) -> None:
    room.create()
    with room.locker.hold("u1", body_of(b"")):
        with pytest.raises(errors.UploadLocked):
            room.append(0, PortableBody(Untouched(), 11))
        with pytest.raises(errors.UploadLocked):
            room.terminate()
        assert room.look().offset == 0
    assert room.append(0, b"hello world").info.finished


def test_a_download_needs_all_bytes(room: Room) -> None:
    room.create()
    with pytest.raises(errors.UploadNotFinished, match="0 of 11 bytes are here"):
        room.uploads.finished("u1", "alice")


def test_a_download_is_a_file(tmp_path: Path) -> None:
    hooks = Recorder()
    store = FilesystemStore(tmp_path, durability="none")
    locker = MemoryLocker(timeout_seconds=0.2)
    uploads = Uploads(store, locker, hooks, max_size=MAX_SIZE, new_id=lambda: "u1")
    uploads.create("alice", Wanted(11), body_of(b"hello world"), REQUEST)
    info, path = uploads.finished("u1", "alice")
    assert info.finished
    assert path.read_bytes() == b"hello world"
    storage = hooks.events[-1].upload.storage
    assert storage is not None
    assert (storage.path, storage.info_path) == (str(path), f"{path}.info")
