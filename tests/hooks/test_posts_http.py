"""Media are told to a posts backend over HTTP, and its answers are believed."""

import socket
import threading
import time
from base64 import b64encode
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from hooks.posts import Post, Posts
from hooks.posts_http import HttpPosts
from hooks.signing import Signer
from processing.catalog import Catalog
from processing.medium import Medium
from processing.patience import NotNow
from processing.posting import Refused
from processing.shelf import Shelf
from tests.receiver import Receiver, Reply
from tests.records import START, FakeClock, known, ready_medium
from tests.services import free_port

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def posts_at(
    url: str, catalog: Catalog, folder: Path, clock: FakeClock, timeout_seconds: float = 5.0
) -> HttpPosts:
    return HttpPosts(
        catalog,
        Shelf(folder),
        url=url,
        signer=Signer(SECRET),
        describe=lambda medium: {"id": medium.id, "file_name": medium.file_name},
        timeout_seconds=timeout_seconds,
        clock=clock,
    )


@pytest.fixture
def medium(catalog: Catalog) -> Medium:
    return ready_medium(catalog, post_id="p1", file_name="Füße 🎉.mp4")


@pytest.fixture
def register(catalog: Catalog, tmp_path: Path, clock: FakeClock, medium: Medium) -> Any:
    """Tells this receiver of the medium."""

    def call(receiver: Receiver, **options: float) -> str | None:
        return posts_at(receiver.url, catalog, tmp_path, clock, **options).register(medium)

    return call


def test_a_ready_medium_is_told_in_one_signed_call(register: Any, medium: Medium) -> None:
    with Receiver(Reply(201, b'{"id": "backend-7"}')) as receiver:
        assert register(receiver) == "backend-7"
    (got,) = receiver.got
    assert (got.method, got.path) == ("POST", "/media?from=tusd")
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["Idempotency-Key"] == got.headers["webhook-id"] == medium.id
    assert Webhook(SECRET).verify(got.body, dict(got.headers)) == {
        "type": "media.ready",
        "timestamp": "2026-11-22T12:30:05.000Z",
        "data": {"id": medium.id, "file_name": "Füße 🎉.mp4"},
    }


def test_the_call_keeps_its_name_when_it_is_repeated(register: Any) -> None:
    with Receiver() as receiver:
        register(receiver)
        register(receiver)
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1


def test_a_password_comes_from_the_url_and_from_nowhere_else(
    catalog: Catalog,
    tmp_path: Path,
    clock: FakeClock,
    medium: Medium,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login root password of-something-else")
    monkeypatch.setenv("NETRC", str(netrc))
    with Receiver() as receiver:
        for url in (receiver.url, receiver.url.replace("//", "//tusd:pass%20word@")):
            posts_at(url, catalog, tmp_path, clock).register(medium)
    assert [got.headers.get("Authorization") for got in receiver.got] == [
        None,
        "Basic " + b64encode(b"tusd:pass word").decode(),
    ]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"id": "b-1"}', "b-1"),
        (b'{"id": 17}', "17"),
        (b'{"data": {"id": "b-1"}}', "b-1"),
        (b'{"id": "outer", "data": {"id": "inner"}}', "outer"),
        (b"", None),
        (b"OK", None),
        (b"\xff", None),
        (b"[1]", None),
        (b"{}", None),
        (b'{"id": null, "data": 5}', None),
        (b'{"id": true}', None),
        (b'{"id": ""}', None),
        (b'{"id": "a\\u0000b"}', None),
        (b'{"id": "\\ud800"}', None),
        (b'{"id": "' + b"x" * 256 + b'"}', None),
        (b'{"id": "b-1", "more": "' + b"x" * 100_000 + b'"}', None),
        (b"[" * 60_000, None),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_the_backends_own_name_is_optional(register: Any, body: bytes, name: str | None) -> None:
    with Receiver(Reply(200, body)) as receiver:
        assert register(receiver) == name


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599, 408, 425, 429, 301, 302, 307])
def test_a_backend_that_cannot_now_is_asked_again(register: Any, status: int) -> None:
    moved = Reply(status, b'{"id": "b-1"}', {"Location": "http://127.0.0.1:1/"})
    with Receiver(moved) as receiver, pytest.raises(NotNow, match=str(status)) as refused:
        register(receiver)
    assert len(receiver.got) == 1
    assert refused.value.after_seconds is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("99999999999999999999", 3600.0),
        ("Sun, 22 Nov 2026 12:32:05 GMT", 120.0),
        ("Sun, 22 Nov 2026 12:00:00 GMT", 0.0),
        ("Mon, 22 Nov 2027 12:00:00 GMT", 3600.0),
        ("Sun, 22 Nov 2026 12:32:05", 120.0),
        ("-5", None),
        ("soon", None),
        ("٣", None),
    ],
)
def test_the_backend_may_name_the_pause(text: str, seconds: float | None, register: Any) -> None:
    reply = Reply(503, headers={"Retry-After": text.encode().decode("latin-1")})
    with Receiver(reply) as receiver, pytest.raises(NotNow) as refused:
        register(receiver)
    assert refused.value.after_seconds == seconds


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"title": "No", "detail": "The post is closed."}', "The post is closed."),
        (b'{"title": "Closed", "detail": 5}', "Closed"),
        (b'{"error": "post closed"}', "post closed"),
        (b'{"message": "post closed"}', "post closed"),
        (b'{"error": {"code": 5, "message": "post closed"}}', "post closed"),
        (b'{"detail": "two\\nlines\\u0007 and\\u202e more"}', "two lines and more"),
        (b'{"detail": "' + b"x" * 400 + b'"}', "x" * 297 + "..."),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_refusal_has_the_backends_own_sentence(register: Any, body: bytes, sentence: str) -> None:
    with Receiver(Reply(422, body)) as receiver, pytest.raises(Refused) as refused:
        register(receiver)
    reason = refused.value.reason
    assert (reason.code, reason.message) == ("refused_by_backend", sentence)
    assert refused.value.error.startswith("The posts backend answered 422 ")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 499])
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b'{"detail": "  "}', b"\xff"])
def test_a_refusal_without_a_reason_is_one(register: Any, status: int, body: bytes) -> None:
    with Receiver(Reply(status, body)) as receiver, pytest.raises(Refused) as refused:
        register(receiver)
    assert "without a reason" in refused.value.reason.message


def test_nobody_there(catalog: Catalog, tmp_path: Path, clock: FakeClock, medium: Medium) -> None:
    posts = posts_at(f"http://127.0.0.1:{free_port()}/", catalog, tmp_path, clock)
    with pytest.raises(NotNow, match="did not answer"):
        posts.register(medium)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def break_off(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"id":')
    hang_up(handler)


@pytest.mark.parametrize("instead", [hang_up, break_off])
def test_a_call_that_breaks_off_is_made_again(register: Any, instead: Any) -> None:
    receiver = Receiver(Reply(instead=instead), Reply(200, b'{"id": "b-1"}'))
    with receiver:
        with pytest.raises(NotNow):
            register(receiver)
        assert register(receiver) == "b-1"


def test_an_answer_that_never_comes_or_never_ends_is_not_waited_for(register: Any) -> None:
    over = threading.Event()

    def silent(handler: BaseHTTPRequestHandler) -> None:
        over.wait(30)

    def dripping(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not over.wait(0.02):
            handler.wfile.write(b" ")

    def dripping_headers(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        # For as long as one line of headers may be.
        for _ in range(1000):
            if over.wait(0.02):
                break
            handler.wfile.write(b"x")

    replies = [Reply(instead=each) for each in (silent, dripping, dripping_headers)]
    with Receiver(*replies) as receiver:
        try:
            for _ in replies:
                began = time.monotonic()
                with pytest.raises(NotNow, match="did not answer"):
                    register(receiver, timeout_seconds=0.2)
                assert time.monotonic() - began < 10
        finally:
            over.set()


def registered(catalog: Catalog, folder: Path, upload_id: str, owner: str = "alice") -> list[Path]:
    medium = ready_medium(catalog, upload_id, post_id="p1", owner=owner)
    shelf = Shelf(folder)
    catalog.place(medium.id, shelf.destinations(owner, START, upload_id, ".mp4", upload_id))
    assert catalog.registered(medium.id, f"backend-{upload_id}")
    files = [shelf.prepare(path) for path in known(catalog, medium.id).paths]
    for file in files:
        file.write_bytes(b"x")
    return files


def found(posts: Posts, owner: str | None = None) -> Post:
    post = posts.get("p1", owner)
    assert post is not None
    return post


def test_a_post_is_its_registered_media(catalog: Catalog, tmp_path: Path, clock: FakeClock) -> None:
    posts = posts_at("http://127.0.0.1:1/", catalog, tmp_path, clock)
    ready_medium(catalog, "u0", post_id="p1")
    assert posts.get("p1") is None
    assert posts.published("p1") is None
    registered(catalog, tmp_path, "u1")
    clock.advance(60)
    registered(catalog, tmp_path, "u2")
    post = found(posts)
    assert (post.id, post.owner, post.created_at, post.published_at) == ("p1", "alice", START, None)
    assert {medium.backend_id for medium in post.media} == {"backend-u1", "backend-u2"}


def test_a_post_with_media_of_several_users_shows_and_publishes_each_their_own(
    catalog: Catalog, tmp_path: Path, clock: FakeClock
) -> None:
    posts = posts_at("http://127.0.0.1:1/", catalog, tmp_path, clock)
    hers = registered(catalog, tmp_path, "u1")
    his = registered(catalog, tmp_path, "u2", owner="bob")
    assert found(posts).owner is None
    assert [medium.owner for medium in found(posts, "bob").media] == ["bob"]
    assert posts.get("p1", "mallory") is None
    assert posts.published("p1", "mallory") is None
    assert posts.published("p1", "bob") is not None
    assert all(file.exists() for file in hers)
    assert not any(file.exists() for file in his)
    assert {each.owner: each.status for each in found(posts).media} == {
        "alice": "registered",
        "bob": "deleted",
    }


def test_what_comes_after_the_publication_waits_for_the_next_call(
    catalog: Catalog, tmp_path: Path, clock: FakeClock
) -> None:
    posts = posts_at("http://127.0.0.1:1/", catalog, tmp_path, clock)
    first = registered(catalog, tmp_path, "u1")
    clock.advance(60)
    post = posts.published("p1")
    assert post is not None
    assert post.published_at == clock.now
    late = registered(catalog, tmp_path, "u2")
    assert not any(file.exists() for file in first)
    assert all(file.exists() for file in late)
    posts.published("p1")
    assert [medium.status for medium in found(posts).media] == ["deleted", "deleted"]
    assert not any(file.exists() for file in late)
