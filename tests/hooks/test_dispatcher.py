import pytest

from hooks.base import Hooks
from hooks.dispatcher import Dispatcher
from hooks.events import (
    CreateReply,
    HookEvent,
    HookName,
    HookRejected,
    HookReply,
    Stop,
    UploadFacts,
)
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


class Changer(Hooks):
    """Answers with fixed replies and notes the metadata that it is asked about."""

    def __init__(self, change: CreateReply | None = None, reply: HookReply | None = None) -> None:
        self.change = change
        self.reply = reply
        self.saw: list[dict[str, str]] = []

    def pre_create(self, event: HookEvent) -> CreateReply | None:
        self.saw.append(dict(event.upload.metadata))
        return self.change

    def pre_finish(self, event: HookEvent) -> HookReply | None:
        return self.reply

    def pre_terminate(self, event: HookEvent) -> HookReply | None:
        return self.reply


def test_each_is_asked_about_the_upload_as_those_before_changed_it() -> None:
    first = Changer(
        CreateReply("a", {"k": "1"}, "x/y", HookReply({"A": "1", "B": "1"}, 200, "one"))
    )
    second = Changer(None)
    third = Changer(CreateReply(id="b", reply=HookReply({"B": "3"}, body="three")))
    changed = Dispatcher([first, second, third], hand_over).pre_create(event())
    assert [hook.saw for hook in (first, second, third)] == [[{}], [{"k": "1"}], [{"k": "1"}]]
    reply = HookReply({"A": "1", "B": "3"}, 200, "three")
    assert changed == CreateReply("b", {"k": "1"}, "x/y", reply)


@pytest.mark.parametrize("method", ["pre_finish", "pre_terminate"])
def test_what_several_put_into_the_answer_is_merged(method: str) -> None:
    hooks = [
        Changer(reply=HookReply({"A": "1"}, 202)),
        Changer(),
        Changer(reply=HookReply({}, 203)),
    ]
    name: HookName = method.replace("_", "-")  # type: ignore[assignment]
    assert getattr(Dispatcher(hooks, hand_over), method)(event(name)) == HookReply({"A": "1"}, 203)


def test_only_what_somebody_overrides_is_wanted() -> None:
    dispatcher = Dispatcher([Hooks(), Changer()], hand_over)
    assert dispatcher.wants("pre-finish")
    assert not dispatcher.wants("post-receive")
    assert not Dispatcher([], hand_over).wants("pre-finish")


class Stopper(Hooks):
    """Wants to stop, or fails."""

    def __init__(self, stop: Stop | None) -> None:
        self.stop = stop

    def post_receive(self, event: HookEvent) -> Stop | None:
        if self.stop is None:
            raise OSError("broken")
        return self.stop


def test_one_that_wants_to_stop_is_enough() -> None:
    stops = [Stop(HookReply(body="first")), Stop(HookReply(body="second"))]
    hooks = [Stopper(None), Stopper(stops[0]), Stopper(stops[1])]
    assert Dispatcher(hooks, hand_over).post_receive(event("post-receive")) == stops[0]
    assert (
        Dispatcher([Stopper(None), Hooks()], hand_over).post_receive(event("post-receive")) is None
    )
