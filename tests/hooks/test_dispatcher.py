import pytest

from hooks.base import Hooks
from hooks.dispatcher import Dispatcher
from hooks.events import HookEvent, HookName, HookRejected, HookReply, UploadFacts
from tests.records import START

BEFORE = ("pre_create", "first_bytes", "pre_finish", "pre_terminate")
AFTER = ("post_create", "post_finish", "post_terminate")


class Recorder(Hooks):
    """Notes each call; raises `error` in the methods named by `fails`."""

    def __init__(self, calls: list[str], error: Exception | None = None) -> None:
        self.calls = calls
        self.error = error

    def note(self, event: HookEvent) -> None:
        self.calls.append(event.name)
        if self.error is not None:
            raise self.error

    def pre_create(self, event: HookEvent) -> None:
        self.note(event)

    def post_create(self, event: HookEvent) -> None:
        self.note(event)

    def first_bytes(self, event: HookEvent, head: bytes) -> None:
        assert head == b"head"
        self.note(event)

    def pre_finish(self, event: HookEvent) -> None:
        self.note(event)

    def post_finish(self, event: HookEvent) -> HookReply:
        self.note(event)
        return HookReply({"X-Hook": "told", "Upload-Media-Id": "forged"})

    def pre_terminate(self, event: HookEvent) -> None:
        self.note(event)

    def post_terminate(self, event: HookEvent) -> None:
        self.note(event)


def event(name: HookName = "pre-create") -> HookEvent:
    return HookEvent(name, UploadFacts("u1", 4, 4, "alice", START))


def hand_over(_: HookEvent) -> HookReply:
    return HookReply({"Upload-Media-Id": "m1"})


def call(dispatcher: Dispatcher, method: str) -> None:
    name: HookName = method.replace("_", "-")  # type: ignore[assignment]
    extra = (b"head",) if method == "first_bytes" else ()
    getattr(dispatcher, method)(event(name), *extra)


@pytest.mark.parametrize("method", BEFORE + AFTER)
def test_every_hook_is_called_in_order(method: str) -> None:
    first: list[str] = []
    second: list[str] = []
    call(Dispatcher([Recorder(first), Recorder(second)], hand_over), method)
    assert first == second == [method.replace("_", "-")]


@pytest.mark.parametrize("method", BEFORE)
@pytest.mark.parametrize("error", [HookRejected("no", "Not today."), OSError("broken hook")])
def test_a_hook_before_prevents_what_would_follow(method: str, error: Exception) -> None:
    later: list[str] = []
    dispatcher = Dispatcher([Recorder([], error), Recorder(later)], hand_over)
    with pytest.raises(type(error)):
        call(dispatcher, method)
    assert later == []


@pytest.mark.parametrize("method", AFTER)
def test_a_failing_hook_after_is_logged_and_the_others_are_told(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    later: list[str] = []
    call(Dispatcher([Recorder([], OSError("broken")), Recorder(later)], hand_over), method)
    assert len(later) == 1
    name = method.replace("_", "-")
    assert f"upload u1: the {name} hook Recorder failed" in caplog.text


def test_a_failing_hand_over_reaches_the_caller_and_nobody_is_told() -> None:
    def no_database(_: HookEvent) -> HookReply:
        raise OSError("the database is away")

    told: list[str] = []
    with pytest.raises(OSError, match="database is away"):
        Dispatcher([Recorder(told)], no_database).post_finish(event("post-finish"))
    assert told == []


def test_the_answer_has_all_headers_and_the_true_media_id() -> None:
    reply = Dispatcher([Recorder([])], hand_over).post_finish(event("post-finish"))
    assert reply.headers == {"X-Hook": "told", "Upload-Media-Id": "m1"}


@pytest.mark.parametrize("method", BEFORE + AFTER)
def test_a_hook_that_overrides_nothing_does_nothing(method: str) -> None:
    call(Dispatcher([Hooks()], hand_over), method)
