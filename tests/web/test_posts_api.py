"""/api/v1/posts, with the embedded posts backend and with one over HTTP."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from hooks.signing import Signer
from tests.receiver import Receiver, Reply
from tests.rooms import MP4, Tus, make_app, metadata, run_jobs, settings
from tests.web.test_core import TUS
from tusd_server.settings import Settings

POSTS_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return settings(tmp_path)


@pytest.fixture
def app(config: Settings) -> Iterator[Flask]:
    with make_app(config) as app:
        yield app


def upload(tus: Tus, post_id: str, name: str) -> str:
    """A finished upload for a post."""
    return tus.create(len(MP4), metadata(filename=name, post_id=post_id), MP4)


def post(tus: Tus, request: str, status: int = 200) -> dict[str, Any]:
    answer: dict[str, Any] = tus.talk(request, str(status)).json  # type: ignore[assignment]
    return answer


def files_of(config: Settings) -> list[str]:
    folder = config.data_dir / "uploads"
    return sorted(path.name[16:] for path in folder.rglob("*") if path.is_file())


def test_a_post_comes_into_being_with_its_media(alice: Tus, app: Flask, config: Settings) -> None:
    upload(alice, "p7", "one.mp4")
    alice.talk("GET /api/v1/posts/p7", "404\nContent-Type: application/problem+json")
    run_jobs(app, config)
    upload(alice, "p7", "two.mp4")
    run_jobs(app, config)
    upload(alice, "p8", "other.mp4")
    found = post(alice, "GET /api/v1/posts/p7")
    assert list(found) == ["id", "owner", "created_at", "published_at", "media"]
    assert (found["id"], found["owner"], found["published_at"]) == ("p7", "alice", None)
    assert [medium["file_name"] for medium in found["media"]] == ["one.mp4", "two.mp4"]
    assert {medium["status"] for medium in found["media"]} == {"registered"}
    assert all(medium["url"] for medium in found["media"])


def test_a_published_post_keeps_its_records_and_not_its_files(
    alice: Tus, app: Flask, config: Settings
) -> None:
    upload_id = upload(alice, "p7", "one.mp4")
    upload(alice, "p8", "other.mp4")
    run_jobs(app, config)
    assert files_of(config) == ["one.mp4", "one.thumb.jpg", "other.mp4", "other.thumb.jpg"]
    found = post(alice, "POST /api/v1/posts/p7/published")
    assert found["published_at"] is not None
    (medium,) = found["media"]
    assert (medium["status"], medium["url"], medium["thumbnail_url"]) == ("deleted", None, None)
    assert (medium["sha256"], medium["width"]) == ("ab" * 32, 1080)
    assert medium["published_at"] is not None
    assert medium["deleted_at"] is not None
    assert files_of(config) == ["other.mp4", "other.thumb.jpg"]
    alice.talk(f"HEAD /files/{upload_id}\n{TUS}", "410\nUpload-Offset: (absent)")


def test_publishing_again_does_no_harm(alice: Tus, app: Flask, config: Settings) -> None:
    upload(alice, "p7", "one.mp4")
    run_jobs(app, config)
    first = post(alice, "POST /api/v1/posts/p7/published")
    assert post(alice, "POST /api/v1/posts/p7/published") == first
    assert post(alice, "GET /api/v1/posts/p7") == first


def test_staff_may_publish_and_others_see_nothing(alice: Tus, app: Flask, config: Settings) -> None:
    """The posts backend calls with a token of its own."""
    upload(alice, "p7", "one.mp4")
    run_jobs(app, config)
    mallory = alice.other("mallory")
    mallory.talk("GET /api/v1/posts/p7", "404")
    mallory.talk("POST /api/v1/posts/p7/published", "404")
    assert len(files_of(config)) == 2
    post(alice.other("backend", staff=True), "POST /api/v1/posts/p7/published")
    assert files_of(config) == []


def test_a_post_of_another_user_takes_no_media(alice: Tus, app: Flask, config: Settings) -> None:
    upload(alice, "p7", "one.mp4")
    run_jobs(app, config)
    mallory = alice.other("mallory")
    intruder = upload(mallory, "p7", "evil.mp4")
    run_jobs(app, config)
    assert [each["file_name"] for each in post(alice, "GET /api/v1/posts/p7")["media"]] == [
        "one.mp4"
    ]
    (medium,) = post(mallory, "GET /api/v1/media?post_id=p7")["items"]
    assert medium["upload_id"] == intruder
    assert [reason["code"] for reason in medium["reasons"]] == ["post_of_another_user"]


@pytest.mark.parametrize("name", ["nothing", "%00", "a" * 3000, "%ff", "%F0%9F%8E%89"])
def test_posts_that_there_are_not(alice: Tus, name: str) -> None:
    alice.talk(f"GET /api/v1/posts/{name}", "404")
    alice.talk(f"POST /api/v1/posts/{name}/published", "404")


def test_looking_publishes_nothing(alice: Tus, app: Flask, config: Settings) -> None:
    upload(alice, "p7", "one.mp4")
    run_jobs(app, config)
    alice.talk("GET /api/v1/posts/p7/published", "405\nAllow: OPTIONS, POST")
    assert post(alice, "GET /api/v1/posts/p7")["published_at"] is None


def test_a_post_may_have_any_printable_name(alice: Tus, app: Flask, config: Settings) -> None:
    upload(alice, "Ferien 2026 🎉", "one.mp4")
    run_jobs(app, config)
    found = post(alice, "GET /api/v1/posts/Ferien%202026%20%F0%9F%8E%89")
    assert found["id"] == "Ferien 2026 🎉"


@pytest.mark.parametrize("body", ['{"success": true}', "{}", '{"success": true, "more": 1}', " "])
def test_a_success_may_be_told_in_words(
    alice: Tus, app: Flask, config: Settings, body: str
) -> None:
    upload(alice, "p7", "one.mp4")
    run_jobs(app, config)
    alice.talk("POST /api/v1/posts/p7/published", "200", body=body.encode())
    assert files_of(config) == []


def test_a_failed_publication_keeps_everything(alice: Tus, app: Flask, config: Settings) -> None:
    upload(alice, "p7", "one.mp4")
    run_jobs(app, config)
    before = post(alice, "GET /api/v1/posts/p7")
    failure = b'{"success": false, "error": "the other side was away"}'
    answer = alice.talk("POST /api/v1/posts/p7/published", "200", body=failure)
    assert answer.json == before
    assert len(files_of(config)) == 2


@pytest.mark.parametrize(
    "body", [b"yes", b"[]", b'"success"', b'{"success": 1}', b'{"success": null}', b"\xff", b"{"]
)
def test_a_body_that_says_nothing_deletes_nothing(
    alice: Tus, app: Flask, config: Settings, body: bytes
) -> None:
    upload(alice, "p7", "one.mp4")
    run_jobs(app, config)
    answer = "400\nContent-Type: application/problem+json"
    alice.talk("POST /api/v1/posts/p7/published", answer, body=body)
    assert len(files_of(config)) == 2


def test_a_body_is_small(alice: Tus) -> None:
    alice.talk("POST /api/v1/posts/p7/published", "413", body=b" " * 70_000)


@pytest.fixture
def backend() -> Iterator[Receiver]:
    with Receiver(Reply(200, b'{"id": "backend-7"}')) as receiver:
        yield receiver


@pytest.fixture
def remote(tmp_path: Path, backend: Receiver) -> Settings:
    return settings(
        tmp_path,
        posts_url=backend.url,
        posts_secret=f"another_secret_of_24_bytes_or_more,{POSTS_SECRET}",
        public_url="https://media.example/below/",
    )


@pytest.fixture
def shared(remote: Settings) -> Iterator[Tus]:
    """Alice, where posts are kept elsewhere; she and bob each have a medium in p7."""
    with make_app(remote) as app:
        alice = Tus(app)
        for tus, name in ((alice, "hers.mp4"), (alice.other("bob"), "his.mp4")):
            upload(tus, "p7", name)
        run_jobs(app, remote)
        yield alice


def test_the_backend_is_told_what_the_api_tells(shared: Tus, backend: Receiver) -> None:
    (shown,) = post(shared, "GET /api/v1/posts/p7")["media"]
    told = json.loads(backend.got[0].body)["data"]
    assert (told.pop("owner"), told.pop("metadata")) == (
        "alice",
        {"filename": "hers.mp4", "post_id": "p7"},
    )
    assert list(told) == list(shown)
    changed = {"status", "registered_at", "url", "thumbnail_url", "backend_id"}
    assert all(told[name] == shown[name] for name in shown if name not in changed)
    assert (told["status"], told["registered_at"]) == ("ready", None)
    prefix = "https://media.example/below"
    for name in ("url", "thumbnail_url"):
        assert told[name].startswith(f"{prefix}/api/v1/media/{told['id']}/")
        link = told[name].removeprefix(prefix)
        shared.talk(f"GET {link}\nAuthorization: (absent)", "200")


def test_without_a_public_url_links_are_paths(tmp_path: Path, backend: Receiver) -> None:
    config = settings(tmp_path, posts_url=backend.url, posts_secret=POSTS_SECRET)
    with make_app(config) as app:
        upload(Tus(app), "p7", "one.mp4")
        run_jobs(app, config)
    assert json.loads(backend.got[0].body)["data"]["url"].startswith("/api/v1/media/")


def test_of_a_remote_post_users_see_and_publish_their_own(shared: Tus, remote: Settings) -> None:
    bob, staff = shared.other("bob"), shared.other("backend", staff=True)
    assert [m["file_name"] for m in post(bob, "GET /api/v1/posts/p7")["media"]] == ["his.mp4"]
    both = post(staff, "GET /api/v1/posts/p7")
    assert (both["owner"], len(both["media"])) == (None, 2)
    shared.other("mallory").talk("GET /api/v1/posts/p7", "404")
    shared.other("mallory").talk("POST /api/v1/posts/p7/published", "404")
    post(bob, "POST /api/v1/posts/p7/published")
    assert files_of(remote) == ["hers.mp4", "hers.thumb.jpg"]
    post(staff, "POST /api/v1/posts/p7/published")
    assert files_of(remote) == []


def signed(
    tus: Tus,
    body: bytes,
    status: int,
    *,
    post_id: str = "p7",
    secret: str = POSTS_SECRET,
    clock: Callable[[], float] = time.time,
    sent: bytes | None = None,
) -> dict[str, Any]:
    """The backend's own call, without a token."""
    headers = {**Signer(secret, clock).sign("msg_1", body), "Authorization": "(absent)"}
    path = f"/api/v1/posts/{post_id}/published"
    answer = tus.send("POST", path, headers, body if sent is None else sent)
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = answer.get_json(force=True)
    return document


def test_the_backends_signature_is_as_good_as_a_token_of_staff(
    shared: Tus, remote: Settings
) -> None:
    kept = signed(shared, b'{"post_id": "p7", "success": false}', 200)
    assert {medium["status"] for medium in kept["media"]} == {"registered"}
    gone = signed(shared, b'{"post_id": "p7"}', 200)
    assert {medium["status"] for medium in gone["media"]} == {"deleted"}
    assert signed(shared, b'{"post_id": "p7", "success": true}', 200) == gone
    assert files_of(remote) == []
    signed(shared, b'{"post_id": "p9"}', 404, post_id="p9")


def test_a_signature_is_for_one_body_one_post_and_five_minutes(
    shared: Tus, remote: Settings, backend: Receiver
) -> None:
    body = b'{"post_id": "p7"}'
    others = "whsec_" + "A" * 32
    signed(shared, body, 401, secret=others)
    signed(shared, body, 401, clock=lambda: time.time() - 400)
    signed(shared, b'{"post_id": "p7", "success": false}', 401, sent=body)
    signed(shared, b'{"post_id": "p8"}', 401)
    signed(shared, b'{"success": true}', 401)
    signed(shared, b"", 401)
    signed(shared, b"[]", 400)
    # Our own call, sent back to us.
    ours = backend.got[0]
    path = "/api/v1/posts/p7/published"
    headers = {**ours.headers, "Authorization": "(absent)"}
    assert shared.send("POST", path, headers, ours.body).status_code == 401
    assert len(files_of(remote)) == 4


def test_a_signature_opens_nothing_where_no_secret_is_set(
    alice: Tus, app: Flask, config: Settings
) -> None:
    upload(alice, "p7", "one.mp4")
    run_jobs(app, config)
    signed(alice, b'{"post_id": "p7"}', 401)
    assert len(files_of(config)) == 2
