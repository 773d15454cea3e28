"""/api/v1/media: what became of an upload, and its files."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask

from processing.examined import Derivative
from processing.medium import Medium, Place, folder_of
from processing.reasons import Reason
from processing.shelf import Shelf
from tests.records import EXAMINED, NO_THUMBNAIL, known
from tests.rooms import MP4, Tus, catalog_of, make_app, metadata, run_jobs, settings
from tusd_server.settings import Settings

FIELDS = [
    "id",
    "upload_id",
    "post_id",
    "media_type",
    "file_name",
    "content_type",
    "size",
    "sha256",
    "status",
    "reasons",
    "width",
    "height",
    "duration",
    "codec",
    "bitrate",
    "fps",
    "rotation",
    "thumbhash",
    "url",
    "thumbnail_url",
    "thumbnail",
    "created_at",
    "registered_at",
    "published_at",
    "deleted_at",
    "media_id",
    "file_path",
    "derivatives",
    "backend_id",
    "deleted_because",
]


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return settings(tmp_path)


@pytest.fixture
def app(config: Settings) -> Iterator[Flask]:
    with make_app(config) as app:
        yield app


def finished(tus: Tus, **pairs: str) -> str:
    """A finished upload's medium."""
    upload = tus.create(len(MP4), metadata(**pairs))
    return tus.append(upload, 0, MP4).headers["Upload-Media-Id"]


def document(tus: Tus, media_id: str) -> dict[str, Any]:
    response = tus.talk(f"GET /api/v1/media/{media_id}", "200\nContent-Type: application/json")
    found: dict[str, Any] = response.json  # type: ignore[assignment]
    return found


def ids(tus: Tus, query: str = "") -> list[str]:
    answer = tus.talk(f"GET /api/v1/media{query}", "200").json
    assert answer is not None
    assert list(answer) == ["items", "next"]
    return [item["id"] for item in answer["items"]]


def without_host(url: str) -> str:
    split = urlsplit(url)
    return f"{split.path}?{split.query}"


def test_a_medium_that_has_just_arrived(alice: Tus) -> None:
    media_id = finished(alice, filename="Film.MP4", post_id="p7")
    found = document(alice, media_id)
    assert list(found) == FIELDS
    assert found | {"created_at": "", "upload_id": ""} == {
        **dict.fromkeys(FIELDS),
        "id": media_id,
        "upload_id": "",
        "post_id": "p7",
        "file_name": "Film.MP4",
        "size": len(MP4),
        "status": "received",
        "reasons": [],
        "thumbnail": {"status": "pending", "reason": None, "width": None, "height": None},
        "created_at": "",
        "media_id": media_id,
        "derivatives": [],
    }


def test_a_medium_that_is_ready(alice: Tus, app: Flask, config: Settings) -> None:
    media_id = finished(alice, filename="Film.MP4")
    run_jobs(app, config)
    found = document(alice, media_id)
    assert found["status"] == "ready"
    assert found["thumbnail"] == {"status": "ready", "reason": None, "width": 360, "height": 640}
    for name in ("media_type", "content_type", "width", "height", "duration", "codec", "bitrate"):
        assert found[name] == getattr(EXAMINED, name)
    assert (found["fps"], found["rotation"], found["sha256"]) == (29.97, 90, "ab" * 32)


def test_times_are_utc_and_sizes_bytes(alice: Tus) -> None:
    found = document(alice, finished(alice))
    date, _, time = found["created_at"].partition("T")
    assert (len(date), len(time), time[-1]) == (10, 13, "Z")
    assert found["size"] == len(MP4)


def test_links_work_without_a_token(alice: Tus, app: Flask, config: Settings) -> None:
    """In an `<img>`, which cannot send one."""
    media_id = finished(alice, filename="Film.MP4")
    run_jobs(app, config)
    found = document(alice, media_id)
    response = alice.talk(
        f"GET {without_host(found['url'])}\nAuthorization: (absent)\nRange: bytes=0-5",
        """
        206
        Content-Type: video/mp4
        Content-Disposition: inline; filename="Film.MP4"; filename*=UTF-8''Film.MP4
        X-Content-Type-Options: nosniff
        Content-Security-Policy: sandbox; default-src 'none'
        """,
    )
    assert response.data == MP4[:6]
    thumbnail = alice.talk(
        f"GET {without_host(found['thumbnail_url'])}\nAuthorization: (absent)",
        "200\nContent-Type: image/jpeg\nCache-Control: ...private...",
    )
    assert thumbnail.data == b"a small picture"


def test_links_are_for_one_file_only(alice: Tus, app: Flask, config: Settings) -> None:
    first, second = finished(alice), finished(alice)
    run_jobs(app, config)
    link = without_host(document(alice, first)["url"])
    for forged in (
        link.replace(first, second),
        link.replace("/file", "/thumbnail"),
        link.replace("expires=", "expires=9"),
        link[:-1],
        link.partition("&")[0] + "&signature=",
    ):
        alice.talk(f"GET {forged}\nAuthorization: (absent)", "401")
    alice.talk(f"GET {link}\nAuthorization: (absent)", "200")


def test_a_token_of_the_owner_does_too(alice: Tus, app: Flask, config: Settings) -> None:
    media_id = finished(alice)
    run_jobs(app, config)
    assert alice.get(f"/api/v1/media/{media_id}/file").data == MP4
    assert alice.get(f"/api/v1/media/{media_id}/thumbnail").data == b"a small picture"
    assert alice.other("bob").get(f"/api/v1/media/{media_id}/file").status_code == 404


def test_a_medium_without_a_thumbnail(alice: Tus, app: Flask) -> None:
    media_id = finished(alice)
    catalog = catalog_of(app)
    assert catalog.processing(media_id)
    assert catalog.ready(media_id, NO_THUMBNAIL)
    found = document(alice, media_id)
    assert found["thumbnail"]["reason"] == "ffmpeg_missing"
    assert found["thumbnail_url"] is None
    assert alice.get(f"/api/v1/media/{media_id}/thumbnail").status_code == 404


def rejected(app: Flask, media_id: str) -> Medium:
    catalog = catalog_of(app)
    assert catalog.processing(media_id)
    reason = Reason("video_too_long", "The video lasts 181 s; at most 180 s are allowed.")
    assert catalog.rejected(media_id, [reason])
    return known(catalog, media_id)


def test_a_rejected_medium_says_why(alice: Tus, app: Flask) -> None:
    media_id = finished(alice)
    rejected(app, media_id)
    found = document(alice, media_id)
    assert (found["status"], found["url"], found["thumbnail_url"]) == ("rejected", None, None)
    assert found["reasons"] == [
        {
            "code": "video_too_long",
            "message": "The video lasts 181 s; at most 180 s are allowed.",
        }
    ]
    response = alice.talk(f"GET /api/v1/media/{media_id}/file", "404")
    assert response.json is not None
    assert response.json["detail"] == "The medium has no file to show; its status is rejected."


def test_a_deleted_mediums_files_are_gone(alice: Tus, app: Flask, config: Settings) -> None:
    media_id = finished(alice)
    run_jobs(app, config)
    link = without_host(document(alice, media_id)["url"])
    assert catalog_of(app).deleted(media_id)
    assert alice.get(link).status_code == 410
    found = document(alice, media_id)
    assert (found["status"], found["url"], found["thumbnail_url"]) == ("deleted", None, None)
    assert found["deleted_at"] is not None


def test_a_file_that_somebody_removed(alice: Tus, app: Flask, config: Settings) -> None:
    media_id = finished(alice)
    run_jobs(app, config)
    medium = known(catalog_of(app), media_id)
    assert medium.path is not None
    (config.data_dir / medium.path).unlink()
    assert alice.get(f"/api/v1/media/{media_id}/file").status_code == 410


def test_others_media_do_not_exist_but_for_staff(alice: Tus) -> None:
    media_id = finished(alice)
    bob, boss = alice.other("bob"), alice.other("boss", staff=True)
    assert bob.get(f"/api/v1/media/{media_id}").status_code == 404
    assert ids(bob) == []
    assert document(boss, media_id)["id"] == media_id
    assert ids(boss) == [media_id]


def test_lists_can_be_narrowed(alice: Tus, app: Flask) -> None:
    one, two = finished(alice, post_id="p1"), finished(alice, post_id="p2")
    assert set(ids(alice)) == {one, two}
    assert ids(alice, "?post_id=p1") == [one]
    assert ids(alice, "?post_id=nothing") == []
    rejected(app, two)
    assert ids(alice, "?status=rejected") == [two]
    assert ids(alice, "?post_id=p1&status=rejected") == []


def test_lists_come_in_pages_newest_first(alice: Tus) -> None:
    made = [finished(alice) for _ in range(5)]
    seen: list[str] = []
    cursor = ""
    while True:
        answer = alice.get(f"/api/v1/media?limit=2{cursor}").json
        assert answer is not None
        seen += [item["id"] for item in answer["items"]]
        if answer["next"] is None:
            break
        cursor = f"&cursor={answer['next']}"
    assert seen == made[::-1]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=+5",
        "limit=1_0",
        "limit=%D9%A3",
        "limit=",
        "limit=" + "9" * 5000,
        "status=lost",
        "status=",
        "cursor=nonsense",
        "cursor=%00",
        "cursor=%C3%A9",
        "cursor=" + "A" * 1001,
    ],
)
def test_questions_that_cannot_be_answered(alice: Tus, query: str) -> None:
    response = alice.talk(
        f"GET /api/v1/media?{query}", "400\nContent-Type: application/problem+json"
    )
    assert response.json is not None
    assert response.json["detail"].endswith(".")


@pytest.mark.parametrize("name", ["x", "%00", "..%2f..", "a" * 3000, "%ff"])
def test_media_that_there_are_not(alice: Tus, name: str) -> None:
    for path in ("", "/file", "/thumbnail"):
        assert alice.get(f"/api/v1/media/{name}{path}").status_code == 404


def test_a_strange_post_id_finds_nothing(alice: Tus) -> None:
    finished(alice, post_id="p1")
    for text in ("%00", "%ff", "'%20OR%201=1", "x" * 3000):
        assert ids(alice, f"?post_id={text}") == []


def make_derivative(app: Flask, config: Settings, media_id: str, status: str) -> None:
    """Give the medium, which is not ready yet, a further size."""
    catalog = catalog_of(app)
    assert catalog.processing(media_id)
    place = catalog.place(media_id, [Place("uploads/alice/f.mp4", "uploads/alice/f.thumb.jpg")])
    path = f"{folder_of(place.path)}/thumbnail-64.webp"
    Shelf(config.data_dir).prepare(path).write_bytes(b"RIFF....WEBP")
    size = Derivative("thumbnail-64", "image/webp", path, 36, 64, 12, status)  # type: ignore[arg-type]
    assert catalog.ready(media_id, replace(EXAMINED, derivatives=(size,), thumbhash="1QcS"))


def test_a_derivative_is_served_as_what_it_is(alice: Tus, app: Flask, config: Settings) -> None:
    media_id = finished(alice)
    make_derivative(app, config, media_id, "ready")
    found = document(alice, media_id)
    assert found["thumbhash"] == "1QcS"
    (derivative,) = found["derivatives"]
    url = derivative.pop("url")
    assert derivative == {
        "name": "thumbnail-64",
        "content_type": "image/webp",
        "width": 36,
        "height": 64,
        "size": 12,
        "status": "ready",
        "reason": None,
    }
    response = alice.talk(
        f"GET {without_host(url)}\nAuthorization: (absent)",
        "200\nContent-Type: image/webp\nX-Content-Type-Options: nosniff",
    )
    assert response.data == b"RIFF....WEBP"
    alice.talk(f"GET /api/v1/media/{media_id}/derivatives/thumbnail-64", "200")
    alice.talk(f"GET /api/v1/media/{media_id}/derivatives/thumbnail-65", "404")


def test_a_derivative_of_anothers_medium_is_not_there(
    alice: Tus, app: Flask, config: Settings
) -> None:
    media_id = finished(alice)
    make_derivative(app, config, media_id, "ready")
    Tus(app, "bob").talk(f"GET /api/v1/media/{media_id}/derivatives/thumbnail-64", "404")


def test_a_derivative_that_is_not_made_yet_has_no_url(
    alice: Tus, app: Flask, config: Settings
) -> None:
    media_id = finished(alice)
    make_derivative(app, config, media_id, "pending")
    (derivative,) = document(alice, media_id)["derivatives"]
    assert (derivative["status"], derivative["url"]) == ("pending", None)
    alice.talk(f"GET /api/v1/media/{media_id}/derivatives/thumbnail-64", "404")


def test_the_times_of_a_storyboard_name_a_picture_that_can_be_fetched(
    alice: Tus, app: Flask, config: Settings
) -> None:
    media_id, catalog = finished(alice), catalog_of(app)
    assert catalog.processing(media_id)
    place = catalog.place(media_id, [Place("uploads/alice/f.mp4", "uploads/alice/f.thumb.jpg")])
    paths = [f"{folder_of(place.path)}/storyboard.{end}" for end in ("jpg", "vtt")]
    Shelf(config.data_dir).prepare(paths[0]).write_bytes(b"tiles")
    cue = "00:00.000 --> 00:01.000\nstoryboard.jpg#xywh=0,0,9,9\n"
    Shelf(config.data_dir).prepare(paths[1]).write_text(f"WEBVTT\n\n{cue}")
    board = (
        Derivative("storyboard", "image/jpeg", paths[0], 9, 9, 5),
        Derivative("storyboard.vtt", "text/vtt", paths[1], None, None, 5),
    )
    assert catalog.ready(media_id, replace(EXAMINED, derivatives=board))
    _, times = document(alice, media_id)["derivatives"]
    response = alice.talk(
        f"GET {without_host(times['url'])}\nAuthorization: (absent)",
        "200\nContent-Type: text/vtt; charset=utf-8\nCache-Control: ...private...",
    )
    start, time, url, *_ = response.text.split("\n")[0:1] + response.text.split("\n")[2:4]
    assert (start, time) == ("WEBVTT", "00:00.000 --> 00:01.000")
    picture, _, place_in_it = url.partition("#")
    assert place_in_it == "xywh=0,0,9,9"
    tiles = alice.talk(f"GET {without_host(picture)}\nAuthorization: (absent)", "200")
    assert tiles.data == b"tiles"
