"""Deleting a medium, what the server takes, and cleaning up."""

import select
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from processing.sniff import KINDS
from processing.tables import media
from tests.conftest import Start
from tests.raw import Client
from tests.records import known
from tests.rooms import (
    GIF,
    Tus,
    catalog_of,
    in_memory,
    make_app,
    metadata,
    run_jobs,
    settings,
)
from tests.web.test_media_api import app, config, document, finished
from tusd_server.info import UploadInfo
from tusd_server.settings import Settings
from tusd_server.storage.filesystem import FilesystemStore

__all__ = ["app", "config"]
FORMATS = "/api/v1/media/supported-formats"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
CLEANUP = "/api/v1/media/cleanup/expired"


def json_of(response: Any, status: int = 200) -> dict[str, Any]:
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json
    return found


def delete(tus: Tus, media_id: str, status: int = 200) -> dict[str, Any]:
    return json_of(tus.send("DELETE", f"/api/v1/media/{media_id}"), status)


def test_a_deleted_medium_keeps_its_record(alice: Tus, app: Flask, config: Settings) -> None:
    media_id = finished(alice, filename="Film.MP4")
    run_jobs(app, config)
    path = config.data_dir / document(alice, media_id)["file_path"]
    assert path.exists()
    found = delete(alice, media_id)
    assert (found["status"], found["file_path"], found["url"]) == ("deleted", None, None)
    assert found["file_name"] == "Film.MP4"
    assert found["deleted_at"] is not None
    assert list(config.data_dir.rglob("*.mp4")) == []
    assert list(config.data_dir.rglob("*.jpg")) == []
    assert document(alice, media_id) == found


def test_deleting_again_changes_nothing(alice: Tus, app: Flask, config: Settings) -> None:
    media_id = finished(alice)
    run_jobs(app, config)
    assert delete(alice, media_id) == delete(alice, media_id)


def test_a_medium_that_waits_for_its_examination(alice: Tus, app: Flask, config: Settings) -> None:
    media_id = finished(alice)
    upload = document(alice, media_id)["upload_id"]
    assert delete(alice, media_id)["status"] == "deleted"
    run_jobs(app, config)
    assert document(alice, media_id)["status"] == "deleted"
    assert not (config.data_dir / upload).exists()
    assert alice.head(upload).status_code == 404


def test_a_medium_whose_upload_is_long_forgotten(alice: Tus, app: Flask, config: Settings) -> None:
    media_id = finished(alice)
    run_jobs(app, config)
    upload = document(alice, media_id)["upload_id"]
    store = FilesystemStore(config.data_dir, config.state_dir)
    store.remove(store.look(upload))
    assert delete(alice, media_id)["status"] == "deleted"


def test_a_rejected_medium_can_be_deleted(alice: Tus, app: Flask) -> None:
    media_id = finished(alice)
    catalog_of(app).processing(media_id)
    catalog_of(app).rejected(media_id, [])
    assert delete(alice, media_id)["status"] == "deleted"


def test_only_the_owner_and_staff_delete(alice: Tus, app: Flask, config: Settings) -> None:
    media_id = finished(alice)
    run_jobs(app, config)
    delete(alice.other("bob"), media_id, 404)
    alice.talk(f"DELETE /api/v1/media/{media_id}\nAuthorization: (absent)", "401")
    assert known(catalog_of(app), media_id).status == "ready"
    assert delete(alice.other("boss", staff=True), media_id)["status"] == "deleted"
    delete(alice, "nothing", 404)


def test_what_the_server_takes(alice: Tus, config: Settings) -> None:
    found = json_of(alice.get(FORMATS))
    types = found["video"]["content_types"] + found["image"]["content_types"]
    assert set(types) == {kind.content_type for kind in KINDS}
    assert {".jpg", ".jpeg", ".heic"} <= set(found["image"]["extensions"])
    assert {".mp4", ".mov", ".webm"} <= set(found["video"]["extensions"])
    assert found["video"]["max_size"] == config.video_max_size
    assert (found["image"]["min_side"], found["image"]["max_side"]) == (100, 4096)
    assert found["simple_max_size"] == 50 * 1024 * 1024
    assert found["images_per_request"] == 10
    assert found["chunk_size"]["default"] == 5 * 1024 * 1024
    assert found["tus"]["url"].endswith("/files/")
    assert "creation" in found["tus"]["extensions"]
    assert isinstance(found["ffmpeg"], bool)


def test_nobody_is_told_without_a_token(alice: Tus) -> None:
    alice.talk(f"GET {FORMATS}\nAuthorization: (absent)", "401")
    alice.talk(f"POST {CLEANUP}\nAuthorization: (absent)", "401")


def expired(tmp_path: Path) -> Settings:
    return settings(tmp_path, expire_unfinished_seconds=1e-6)


def test_cleaning_up_deletes_what_has_expired(tmp_path: Path) -> None:
    config = expired(tmp_path)
    with make_app(config) as app:
        boss = Tus(app, "boss", staff=True)
        upload = boss.create(100, metadata(filename="a.gif"), body=GIF)
        told = {"expired": 1, "expired_bytes": len(GIF), "orphans": 0, "forgotten": 0}
        told |= {"retired": 0, "retired_bytes": 0}
        dry = json_of(boss.send("POST", CLEANUP, body=b'{"dry_run": true}'))
        assert dry == {"dry_run": True, **told}
        assert (config.data_dir / upload).exists()
        assert json_of(boss.send("POST", CLEANUP)) == {"dry_run": False, **told}
        assert not (config.data_dir / upload).exists()
        assert json_of(boss.send("POST", CLEANUP, body=b"{}"))["expired"] == 0


def test_others_are_answered_while_very_much_is_cleaned_up(
    start_server: Start, tmp_path: Path
) -> None:
    server = start_server(workers=1)
    store = FilesystemStore(server.data_dir, server.data_dir / ".tusd-server", durability="none")
    for number in range(2_000):
        store.create(UploadInfo(f"{number:032x}", 100))
    boss, other = Client(server), Client(server)
    boss.token = server.token("boss", staff=True)
    answered = 0
    with boss.wire() as wire:
        wire.send(boss.head("POST", CLEANUP, ("Content-Length", "0")))
        while not select.select([wire.socket], [], [], 0)[0]:
            assert other.ask("GET", "/healthz").status == 200
            answered += 1
        assert wire.answer().json()["expired"] == 0
    # A server that did not pause would answer one, or two, and the rest behind its round.
    assert answered > 5


def test_cleaning_up_retires_media_too(tmp_path: Path) -> None:
    config = settings(tmp_path, retention_days=1)
    with make_app(config) as app:
        alice = Tus(app)
        media_id = finished(alice)
        run_jobs(app, config)
        with catalog_of(app).database.engine.begin() as connection:
            connection.execute(update(media).values(received_at=LONG_AGO))
        boss = alice.other("boss", staff=True)
        dry = json_of(boss.send("POST", CLEANUP, body=b'{"dry_run": true}'))
        assert (dry["retired"], dry["retired_bytes"]) == (1, document(alice, media_id)["size"])
        assert document(alice, media_id)["status"] == "ready"
        assert json_of(boss.send("POST", CLEANUP))["retired"] == 1
        assert document(alice, media_id)["deleted_because"] == "retention"


def test_only_staff_cleans_up(tmp_path: Path) -> None:
    config = expired(tmp_path)
    with make_app(config) as app:
        alice = Tus(app)
        upload = alice.create(100, body=GIF)
        found = json_of(alice.send("POST", CLEANUP), 403)
        assert found["detail"] == ("Only staff may clean up; use a token with the claim `staff`.")
        assert (config.data_dir / upload).exists()


def test_a_store_without_a_disk_has_nothing_to_clean_up(tmp_path: Path) -> None:
    with make_app(settings(tmp_path), **in_memory()) as app:
        boss = Tus(app, "boss", staff=True)
        assert json_of(boss.send("POST", CLEANUP), 404)["detail"] == (
            "The store of this server cleans up by itself."
        )


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"{", 400, "The body must be one JSON object."),
        (b"a=b", 400, "The body must be one JSON object."),
        (b"\xff", 400, "The body must be one JSON object."),
        (b"[" * 10_000, 400, "The body must be one JSON object."),
        (b"[]", 422, "The body must be one JSON object."),
        (b"null", 422, "The body must be one JSON object."),
        (b'{"dry_run": 1}', 422, "dry_run must be true or false."),
        (b'{"dry_run": "yes"}', 422, "dry_run must be true or false."),
        (b" " * 70_000, 413, "The body has more than 65536 bytes."),
    ],
)
def test_every_wrong_json_has_its_sentence(
    alice: Tus, body: bytes, status: int, detail: str
) -> None:
    boss = alice.other("boss", staff=True)
    assert json_of(boss.send("POST", CLEANUP, {}, body), status)["detail"] == detail


def test_a_form_is_no_json(alice: Tus) -> None:
    boss = alice.other("boss", staff=True)
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    found = json_of(boss.send("POST", CLEANUP, headers, b"{}"), 415)
    assert found["detail"] == "Content-Type must be application/json."


@pytest.mark.parametrize(
    "kind", ["application/json", "application/x-www-form-urlencoded", "text/plain", ""]
)
def test_json_is_read_whatever_it_is_called(alice: Tus, kind: str) -> None:
    """`curl -d` says application/x-www-form-urlencoded; unknown fields are ignored."""
    boss = alice.other("boss", staff=True)
    body = b'{"dry_run": true, "confirm": [1]}'
    assert json_of(boss.send("POST", CLEANUP, {"Content-Type": kind}, body))["dry_run"] is True


@pytest.mark.parametrize("media_id", ["upload", "supported-formats", "cleanup"])
def test_names_of_the_api_are_no_media(alice: Tus, media_id: str) -> None:
    finished(alice, filename="a.mp4")
    delete(alice, "upload", 404)
    assert alice.get(f"/api/v1/media/{media_id}/file").status_code == 404
    assert alice.send("DELETE", "/api/v1/media/supported-formats").status_code in (404, 405)
    assert alice.get("/api/v1/media/upload/file").status_code == 404
