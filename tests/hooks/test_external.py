import json
from typing import Any

import pytest

from hooks.events import CreateReply, HookName, HookRejected, HookReply, HookUnavailable, Stop
from hooks.external import External
from hooks.transport import Away, Call, Failed
from tests.receivers import event


class Fixed:
    """A transport that always replies the same, or raises it."""

    name = "fixed"

    def __init__(self, reply: Any, names: tuple[HookName, ...] | None = None) -> None:
        self.reply = reply
        self.names = names
        self.asked: list[Call] = []

    def takes(self, name: HookName) -> bool:
        return self.names is None or name in self.names

    def ask(self, call: Call) -> bytes:
        self.asked.append(call)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply if isinstance(self.reply, bytes) else json.dumps(self.reply).encode()

    def deliver(self, call: Call) -> None:
        raise AssertionError("Deliveries are the worker's.")


NO = {"StatusCode": 402, "Body": "Pay first.", "Header": {"X-Price": "5"}}
PRE: tuple[HookName, ...] = ("pre-create", "pre-finish", "pre-terminate")


def ask(name: HookName, reply: Any) -> Any:
    return getattr(External(Fixed(reply)), name.replace("-", "_"))(event(name))


def test_a_creation_is_changed() -> None:
    change = {"ID": "abc", "MetaData": {}, "Storage": {"Path": "a/b"}}
    reply = ask("pre-create", {"ChangeFileInfo": change, "HTTPResponse": {"Body": "hi"}})
    assert reply == CreateReply("abc", {}, "a/b", HookReply(body="hi"))


@pytest.mark.parametrize(
    ("name", "flag"), [("pre-create", "RejectUpload"), ("pre-terminate", "RejectTermination")]
)
def test_a_rejection_answers_as_the_receiver_wants(name: HookName, flag: str) -> None:
    with pytest.raises(HookRejected, match=r"Pay first\.") as caught:
        ask(name, {flag: True, "HTTPResponse": NO})
    assert caught.value.reply == HookReply({"X-Price": "5"}, 402, "Pay first.")
    with pytest.raises(HookRejected, match="was rejected") as plain:
        ask(name, {flag: True})
    assert plain.value.reply == HookReply()


@pytest.mark.parametrize("name", PRE)
def test_an_answer_of_4xx_is_a_rejection(name: HookName) -> None:
    with pytest.raises(HookRejected, match=r"Pay first\."):
        ask(name, {"HTTPResponse": NO})


@pytest.mark.parametrize("name", PRE)
def test_an_answer_of_5xx_is_for_trying_again(name: HookName) -> None:
    with pytest.raises(HookUnavailable) as caught:
        ask(name, {"HTTPResponse": {"StatusCode": 503, "Body": "Later."}})
    assert (caught.value.reply.status, caught.value.reply.body) == (503, "Later.")


@pytest.mark.parametrize("name", PRE)
@pytest.mark.parametrize("failure", [Away("It is down."), Failed("It said 404."), b"<html>", []])
def test_a_receiver_that_fails_is_no_rejection(name: HookName, failure: Any) -> None:
    with pytest.raises(HookUnavailable):
        ask(name, failure)


def test_only_a_stop_stops() -> None:
    assert ask("post-receive", {"RejectUpload": True, "HTTPResponse": NO}) is None
    stop = ask("post-receive", {"StopUpload": True, "HTTPResponse": NO})
    assert stop == Stop(HookReply({"X-Price": "5"}, 402, "Pay first."))


def test_what_the_receiver_does_not_take_is_not_asked() -> None:
    transport = Fixed({"RejectUpload": True}, names=("pre-finish",))
    hook = External(transport)
    hook.pre_create(event())
    assert transport.asked == []
    assert hook.wants("pre-finish")
    assert not hook.wants("post-receive")


def test_two_questions_are_two_messages() -> None:
    transport = Fixed({})
    for _ in range(2):
        External(transport).pre_create(event())
    assert len({call.message_id for call in transport.asked}) == 2
