"""/api/v1/posts: the embedded posts backend."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.rooms import MP4, Tus, make_app, metadata, run_jobs, settings
from tests.web.test_core import TUS
from tusd_server.settings import Settings


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
