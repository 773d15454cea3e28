import base64
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hooks.events import HookName
from hooks.signing import Signer
from hooks.transport import MOST_REPLY_BYTES, Away, Call, Failed
from hooks.webhook import WebHook
from tests.receivers import Receiver, Says, call, event, receiver
from tests.services import free_port

ALL: tuple[HookName, ...] = ("pre-create", "post-create", "post-finish")
KEY = "whsec_" + "QUJD" * 8


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as room:
        yield room


def webhook(url: str, **parts: Any) -> WebHook:
    usual = {"enabled": ALL, "timeout_seconds": 5.0, "sleep": lambda _: None}
    return WebHook(url, **{**usual, **parts})


def test_the_event_is_posted_as_tusd_posts_it(there: Receiver) -> None:
    assert webhook(there.url + "?key=1").ask(call()) == b"{}"
    (seen,) = there.seen
    assert seen.path == "/hook?key=1"
    assert seen.headers["content-type"] == "application/json"
    assert seen.document == event().to_json()
    assert "webhook-signature" not in seen.headers


def test_chosen_headers_of_the_client_are_forwarded_in_the_case_they_are_written(
    there: Receiver,
) -> None:
    chosen = ("AUTHORIZATION", "x-team", "Content-Type", "Host", "X-Absent")
    asked = call(Authorization="Bearer t", X_Team="red", Content_Type="text/plain", Cookie="c")
    webhook(there.url, forward_headers=chosen).ask(asked)
    (seen,) = there.seen
    assert (seen.headers["authorization"], seen.headers["x-team"]) == ("Bearer t", "red")
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["host"].startswith("127.0.0.1:")
    assert not {"cookie", "x-absent"} & set(seen.headers)


def test_what_is_sent_is_signed(there: Receiver) -> None:
    hook = webhook(there.url, signer=Signer(KEY))
    there.on("post-finish", Says(status=503), Says())
    told = Call("post-finish", "msg_1", event("post-finish").to_json())
    with pytest.raises(Away):
        hook.deliver(told)
    hook.deliver(told)
    ids = [Signer(KEY).verify(seen.headers, seen.body) for seen in there.seen]
    assert ids == ["msg_1", "msg_1"]


def test_an_empty_reply_is_fine(there: Receiver) -> None:
    there.on("pre-create", Says(status=204))
    assert webhook(there.url).ask(call()) == b""


def test_5xx_is_tried_again_three_times_in_all(there: Receiver) -> None:
    pauses: list[float] = []
    there.on("pre-create", Says(status=500), Says(status=502), Says({"RejectUpload": True}))
    hook = webhook(there.url, sleep=pauses.append, pause_seconds=1.0)
    assert json.loads(hook.ask(call())) == {"RejectUpload": True}
    assert (len(there.seen), pauses) == (3, [1.0, 1.0])
    there.on("pre-create", Says(status=503, raw=b"not\ntoday"))
    with pytest.raises(Away, match=r"answered 503: 'not\\ntoday'"):
        hook.ask(call())
    assert len(there.seen) == 6


@pytest.mark.parametrize("status", [301, 400, 403, 404])
def test_other_statuses_are_failures_at_once(there: Receiver, status: int) -> None:
    there.on("pre-create", Says(status=status, headers={"Location": "/elsewhere"}))
    with pytest.raises(Failed, match=f"answered {status}"):
        webhook(there.url).ask(call())
    assert len(there.seen) == 1


def test_a_receiver_that_is_down_is_away() -> None:
    pauses: list[float] = []
    hook = webhook(f"http://127.0.0.1:{free_port()}/hook", sleep=pauses.append)
    with pytest.raises(Away, match="cannot be reached"):
        hook.ask(call())
    assert len(pauses) == 2


def test_one_deadline_bounds_all_tries(there: Receiver) -> None:
    there.on("pre-create", Says(status=500))
    hook = webhook(there.url, timeout_seconds=0.5, pause_seconds=0.4, sleep=time.sleep, tries=9)
    started = time.monotonic()
    with pytest.raises(Away):
        hook.ask(call())
    assert time.monotonic() - started < 3
    assert len(there.seen) <= 2


def test_a_receiver_that_hangs_is_given_up(there: Receiver) -> None:
    release = threading.Event()

    def hang(_: object) -> Says:
        release.wait(30)
        return Says({})

    there.answers["pre-create"] = hang
    started = time.monotonic()
    with pytest.raises(Away):
        webhook(there.url, timeout_seconds=0.3).ask(call())
    assert time.monotonic() - started < 10
    release.set()


@contextmanager
def dripping() -> Iterator[tuple[str, threading.Event]]:
    """A receiver whose reply comes byte by byte; its URL, and whether the other side went away."""
    gone = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
            while not gone.wait(0.02):
                connection.sendall(b" ")
        gone.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/hook", gone
        finally:
            gone.set()
            thread.join()


def test_a_reply_that_drips_is_hung_up() -> None:
    with dripping() as (url, gone):
        with pytest.raises(Away):
            webhook(url, timeout_seconds=0.3).deliver(call())
        assert gone.wait(10)


def test_a_reply_that_breaks_off_is_no_reply(there: Receiver) -> None:
    there.on("pre-create", Says(raw=b"{}", headers={"Transfer-Encoding": "chunked"}))
    with pytest.raises(Away):
        webhook(there.url, tries=1).ask(call())


def test_a_connection_serves_many_events(there: Receiver) -> None:
    hook = webhook(there.url)
    for _ in range(3):
        hook.ask(call())
    assert len({seen.peer for seen in there.seen}) == 1


def test_a_huge_reply_is_not_read_to_its_end(there: Receiver) -> None:
    there.on("pre-create", Says(raw=b"x" * MOST_REPLY_BYTES), Says(raw=b"x" * 50_000_000))
    hook = webhook(there.url)
    assert len(hook.ask(call())) == MOST_REPLY_BYTES
    with pytest.raises(Failed, match="more than"):
        hook.ask(call())


def test_a_receivers_wish_for_a_pause_is_known(there: Receiver) -> None:
    there.on("post-finish", Says(status=429, headers={"Retry-After": "17"}), Says(status=503))
    for wished in (17.0, None):
        with pytest.raises(Away) as caught:
            webhook(there.url).deliver(call("post-finish"))
        assert caught.value.after_seconds == wished


def test_cookies_are_not_kept(there: Receiver) -> None:
    there.on("pre-create", Says({}, headers={"Set-Cookie": "a=b"}))
    hook = webhook(there.url)
    hook.ask(call())
    hook.ask(call())
    assert "cookie" not in there.seen[1].headers


def test_the_proxies_of_the_environment_are_used(
    there: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", there.url.removesuffix("/hook"))
    webhook("http://hooks.example/hook").ask(call())
    assert [seen.path for seen in there.seen] == ["http://hooks.example/hook"]


def test_a_name_shows_no_password_and_tells_urls_apart() -> None:
    first = webhook("https://user:word@host:8443/a?token=1").name
    assert first.startswith("https://host:8443/a#")
    assert first != webhook("https://user:word@host:8443/a?token=2").name
    assert first == webhook("https://user:word@host:8443/a?token=1").name


def test_only_what_is_enabled_is_taken() -> None:
    hook = webhook("http://host/", enabled=("pre-finish",))
    assert hook.takes("pre-finish")
    assert not hook.takes("pre-create")


def test_passwords_come_from_the_url_alone(
    there: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login wrong password wrong\n")
    monkeypatch.setenv("NETRC", str(netrc))
    asked = call(Authorization="Bearer t")
    webhook(there.url, forward_headers=("Authorization",)).ask(asked)
    webhook(there.url.replace("//", "//user:word@")).ask(asked)
    assert [seen.headers["authorization"] for seen in there.seen] == [
        "Bearer t",
        "Basic " + base64.b64encode(b"user:word").decode(),
    ]


def test_the_check_of_a_signature_in_the_documentation_holds() -> None:
    page = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "hmac" in block]
    names: dict[str, Any] = {}
    exec(code, names)
    body = b'{"Type": "post-finish"}'
    signed = Signer(KEY).sign("msg_1", body)
    assert names["verified"](signed, body, KEY) == "msg_1"
    for headers, sent in (
        (signed, body + b" "),
        ({**signed, "webhook-id": "msg_2"}, body),
        (Signer(KEY, clock=lambda: time.time() - 400).sign("msg_1", body), body),
    ):
        with pytest.raises(ValueError, match="not from our"):
            names["verified"](headers, sent, KEY)
