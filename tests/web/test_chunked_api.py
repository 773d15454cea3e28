"""/api/v1/media/upload/init, chunk, status and finalize: a file in chunks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from processing.reasons import Reason
from tests.forms import BOUNDARY, FORM, form, head_of
from tests.live import Live
from tests.raw import Client
from tests.records import known
from tests.rooms import (
    GIF,
    MP4,
    Cut,
    Tus,
    Untouched,
    catalog_of,
    make_app,
    metadata,
    run_jobs,
    settings,
)
from tusd_server.settings import Settings

UPLOAD = "/api/v1/media/upload"
SIZE = 64 * 1024
CLIP = MP4 + bytes(range(256)) * 640
"""Three chunks, the last one smaller."""


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return settings(tmp_path, image_max_size=50_000, video_max_size=1_000_000)


@pytest.fixture
def app(config: Settings) -> Iterator[Flask]:
    with make_app(config) as app:
        yield app


def json_of(response: TestResponse, status: int = 200) -> dict[str, Any]:
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json  # type: ignore[assignment]
    return found


def ask(tus: Tus, path: str, document: object = None, status: int = 200) -> dict[str, Any]:
    """POST JSON, or GET without it."""
    if document is None:
        return json_of(tus.get(f"{UPLOAD}/{path}"), status)
    body = document if isinstance(document, bytes) else tus.app.json.dumps(document).encode()
    return json_of(tus.send("POST", f"{UPLOAD}/{path}", {}, body), status)


def begin(tus: Tus, **changes: object) -> str:
    wanted = {
        "file_name": "clip.mp4",
        "file_size": len(CLIP),
        "content_type": "video/mp4",
        "chunk_size": SIZE,
        **changes,
    }
    upload: str = ask(tus, "init", wanted)["upload_id"]
    return upload


def piece(index: int) -> bytes:
    return CLIP[index * SIZE : (index + 1) * SIZE]


def chunk(upload: str, index: int, content: bytes | None = None) -> list[Any]:
    found = piece(index) if content is None else content
    return [("upload_id", upload), ("chunk_index", str(index)), ("chunk", found, "blob", None)]


def send(tus: Tus, parts: list[Any], status: int = 200) -> dict[str, Any]:
    return json_of(
        tus.send("POST", f"{UPLOAD}/chunk", {"Content-Type": FORM}, form(*parts)), status
    )


def complete(tus: Tus, **changes: object) -> str:
    upload = begin(tus, **changes)
    for index in (2, 0, 1):
        send(tus, chunk(upload, index))
    return upload


def test_an_upload_begins(alice: Tus) -> None:
    found = ask(
        alice,
        "init",
        {
            "file_name": "large_video.mp4",
            "file_size": 900_000,
            "content_type": "video/mp4",
            "chunk_size": 100_000,
        },
    )
    assert (found["chunk_size"], found["total_chunks"]) == (100_000, 9)
    assert found["upload_url"].endswith(f"/files/{found['upload_id']}")
    assert found["expires_at"].endswith("Z")
    assert alice.offset(found["upload_id"]) == 0


def test_a_client_need_not_choose_a_size(alice: Tus) -> None:
    found = ask(
        alice, "init", {"file_name": "a.mp4", "file_size": 900_000, "content_type": "video/mp4"}
    )
    assert (found["chunk_size"], found["total_chunks"]) == (5 * 1024 * 1024, 1)


@pytest.mark.parametrize(
    ("changes", "status", "detail"),
    [
        ({"file_size": 0}, 422, "file_size must be at least 1."),
        ({"file_size": -5}, 422, "file_size must be at least 1."),
        ({"file_size": "10"}, 422, "file_size must be a whole number."),
        ({"file_size": 1.5}, 422, "file_size must be a whole number."),
        ({"file_size": True}, 422, "file_size must be a whole number."),
        ({"file_size": None}, 422, "file_size must be a whole number."),
        ({"file_name": ""}, 422, "file_name must have at least 1 character."),
        ({"file_name": "x" * 256}, 422, "file_name must have at most 255 characters."),
        ({"file_name": 5}, 422, "file_name must be a text."),
        ({"chunk_size": 1}, 422, "chunk_size must be at least 65536."),
        ({"chunk_size": 2**40}, 422, "chunk_size must be at most 67108864."),
        ({"post_id": ""}, 422, "post_id must be 1 to 255 printable characters."),
        ({"post_id": "\x00"}, 422, "post_id must be 1 to 255 printable characters."),
        (
            {"file_size": 2_000_000},
            413,
            "The file has 2000000 bytes; a video may have at most 1000000 bytes.",
        ),
        (
            {"file_size": 60_000, "content_type": "image/jpeg", "file_name": "a.jpg"},
            413,
            "The file has 60000 bytes; an image may have at most 50000 bytes.",
        ),
        (
            {"content_type": "text/plain"},
            415,
            "The content_type is of no type that is accepted; send JPG, PNG, WEBP, GIF, HEIC, "
            "AVIF, MP4, MOV or WEBM.",
        ),
        (
            {"content_type": "image/jpeg"},
            415,
            "The file_name is that of another family than the content_type; declare what the "
            "file is.",
        ),
    ],
)
def test_what_could_never_be_accepted_is_not_begun(
    alice: Tus, config: Settings, changes: dict[str, Any], status: int, detail: str
) -> None:
    wanted = {
        "file_name": "clip.mp4",
        "file_size": 100,
        "content_type": "video/mp4",
        "chunk_size": SIZE,
    }
    assert ask(alice, "init", {**wanted, **changes}, status)["detail"] == detail
    assert {path.name for path in config.data_dir.iterdir()} == {".tusd-server"}


def test_all_that_is_missing_is_told_at_once(alice: Tus) -> None:
    found = ask(alice, "init", {}, 422)
    fields = [error["field"] for error in found["errors"]]
    assert fields == ["file_name", "file_size", "content_type"]
    assert found["detail"].startswith("file_name is missing. ")


@pytest.mark.parametrize("kind", ["image/jpg", "IMAGE/JPEG", "image/jpeg; charset=binary"])
def test_types_are_known_by_their_other_names(alice: Tus, kind: str) -> None:
    assert begin(alice, file_name="a.jpg", file_size=100, content_type=kind)


def test_chunks_come_in_any_order_and_again(alice: Tus, config: Settings) -> None:
    upload = begin(alice)
    told = [send(alice, chunk(upload, index)) for index in (2, 0, 0, 1)]
    assert [each["status"] for each in told] == ["received"] * 3 + ["completed"]
    assert [each["next_chunk"] for each in told] == [0, 1, 1, None]
    assert [each["missing"] for each in told] == [[0, 1], [1], [1], []]
    assert [each["progress"] for each in told] == [20, 60, 60, 100]
    assert (config.data_dir / upload).read_bytes() == CLIP
    assert send(alice, chunk(upload, 1))["status"] == "completed"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (0, 2, 1), (2, 1, 0), (1, 2, 0)])
def test_the_order_of_the_parts_does_not_matter(
    alice: Tus, config: Settings, order: tuple[int, ...]
) -> None:
    upload = begin(alice)
    parts = chunk(upload, 2)
    send(alice, [parts[at] for at in order])
    assert (config.data_dir / upload).read_bytes()[2 * SIZE :] == piece(2)
    assert ask(alice, f"{upload}/status")["missing_chunks"] == [0, 1]
    assert list((config.state_dir / "work").glob("*")) == []


def test_how_far_an_upload_has_come(alice: Tus, app: Flask, config: Settings) -> None:
    upload = begin(alice)
    found = ask(alice, f"{upload}/status")
    assert found.pop("events_url").startswith("http://localhost/api/v1/media/upload/")
    assert found == {
        "upload_id": upload,
        "status": "pending",
        "progress": 0,
        "received_bytes": 0,
        "total_bytes": len(CLIP),
        "chunk_size": SIZE,
        "total_chunks": 3,
        "missing_chunks": [0, 1, 2],
        "media": None,
        "job": None,
    }
    send(alice, chunk(upload, 1))
    found = ask(alice, f"{upload}/status")
    assert (found["status"], found["received_bytes"]) == ("uploading", SIZE)
    for index in (0, 2):
        send(alice, chunk(upload, index))
    found = ask(alice, f"{upload}/status")
    assert (found["status"], found["progress"], found["missing_chunks"]) == ("completed", 100, [])
    assert found["media"]["status"] == "received"
    run_jobs(app, config)
    assert ask(alice, f"{upload}/status")["media"]["status"] == "ready"


def test_the_status_of_a_tus_upload(alice: Tus) -> None:
    upload = alice.create(len(GIF), metadata(filename="a.gif"))
    found = ask(alice, f"{upload}/status")
    assert (found["status"], found["total_bytes"], found["chunk_size"]) == ("pending", 11, None)
    alice.append(upload, 0, GIF[:6])
    assert ask(alice, f"{upload}/status")["progress"] == 54
    alice.append(upload, 6, GIF[6:])
    found = ask(alice, f"{upload}/status")
    assert (found["status"], found["media"]["size"]) == ("completed", 11)


def test_the_status_of_what_was_rejected_or_forgotten(
    alice: Tus, app: Flask, config: Settings
) -> None:
    upload = complete(alice)
    media_id = ask(alice, f"{upload}/finalize", {}, 202)["id"]
    catalog_of(app).processing(media_id)
    catalog_of(app).rejected(media_id, [Reason("video_too_long", "It lasts too long.")])
    for path in config.data_dir.glob(f"{upload}*"):
        path.unlink()
    found = ask(alice, f"{upload}/status")
    assert (found["status"], found["media"]["status"]) == ("completed", "rejected")
    assert ask(alice, f"{upload}/finalize", {}, 422)["code"] == "video_too_long"


def test_a_refused_upload_says_so(alice: Tus) -> None:
    upload = begin(alice, file_size=SIZE)
    found = send(alice, chunk(upload, 0, b"x" * SIZE), 415)
    assert found["code"] == "type_not_allowed"
    assert ask(alice, f"{upload}/status", None, 415)["code"] == "type_not_allowed"
    assert ask(alice, f"{upload}/finalize", {}, 415)["code"] == "type_not_allowed"


def test_finalizing_gives_the_medium_to_its_post(alice: Tus, app: Flask, config: Settings) -> None:
    upload = complete(alice)
    found = ask(alice, f"{upload}/finalize", {"post_id": "post-456"}, 202)
    assert (found["post_id"], found["status"]) == ("post-456", "received")
    run_jobs(app, config)
    again = ask(alice, f"{upload}/finalize", {"post_id": "post-456"})
    assert (again["id"], again["status"]) == (found["id"], "registered")
    assert (config.data_dir / again["file_path"]).read_bytes() == CLIP
    assert ask(alice, f"{upload}/finalize", {}) == again
    assert len(json_of(alice.get("/api/v1/posts/post-456"))["media"]) == 1


def test_a_ready_medium_is_registered_with_a_post_that_is_named_late(
    alice: Tus, app: Flask, config: Settings
) -> None:
    upload = complete(alice)
    run_jobs(app, config)
    assert ask(alice, f"{upload}/finalize", {})["status"] == "ready"
    ask(alice, f"{upload}/finalize", b'{"post_id": "p1", "more": 1}')
    run_jobs(app, config)
    assert ask(alice, f"{upload}/finalize", {})["status"] == "registered"


def test_a_medium_has_one_post(alice: Tus) -> None:
    upload = complete(alice, post_id="p1")
    assert ask(alice, f"{upload}/finalize", {"post_id": "p1"}, 202)["post_id"] == "p1"
    found = ask(alice, f"{upload}/finalize", {"post_id": "p2"}, 409)
    assert found["detail"].startswith("The medium belongs to another post already")
    assert ask(alice, f"{upload}/finalize", {}, 202)["post_id"] == "p1"


def test_what_is_missing_cannot_be_finalized(alice: Tus) -> None:
    upload = begin(alice)
    send(alice, chunk(upload, 1))
    found = ask(alice, f"{upload}/finalize", {"post_id": "p1"}, 409)
    assert found["missing_chunks"] == [0, 2]
    assert found["detail"] == (f"The upload is not complete; {SIZE} of {len(CLIP)} bytes are here.")


def test_a_tus_upload_is_finalized_as_well(alice: Tus) -> None:
    upload = alice.create(len(GIF))
    assert ask(alice, f"{upload}/finalize", {}, 409)["missing_chunks"] == []
    media_id = alice.append(upload, 0, GIF).headers["Upload-Media-Id"]
    assert ask(alice, f"{upload}/finalize", {"post_id": "p1"}, 202)["id"] == media_id


def test_a_part_of_others_becomes_no_medium(alice: Tus) -> None:
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "11", "Upload-Concat": "partial"}
    response = alice.send("POST", "/files/", headers)
    upload = response.headers["Location"].rpartition("/")[2]
    alice.append(upload, 0, GIF)
    found = ask(alice, f"{upload}/finalize", {}, 404)
    assert found["detail"] == "The upload is a part of others and becomes no medium itself."


def test_a_deleted_medium_gets_no_post(alice: Tus, app: Flask) -> None:
    upload = complete(alice)
    media_id = ask(alice, f"{upload}/finalize", {}, 202)["id"]
    assert alice.send("DELETE", f"/api/v1/media/{media_id}").status_code == 200
    found = ask(alice, f"{upload}/finalize", {"post_id": "p1"}, 410)
    assert found["detail"] == "The medium's files have been deleted; upload it anew."
    assert known(catalog_of(app), media_id).post_id is None
    assert ask(alice, f"{upload}/finalize", {})["status"] == "deleted"


def test_the_same_upload_by_tus(alice: Tus, config: Settings) -> None:
    """What came in chunks from the beginning on, tus goes on behind."""
    upload = begin(alice)
    send(alice, chunk(upload, 0))
    assert alice.offset(upload) == SIZE
    alice.append(upload, SIZE, CLIP[SIZE:])
    found = ask(alice, f"{upload}/status")
    assert (found["status"], found["missing_chunks"]) == ("completed", [])
    assert (config.data_dir / upload).read_bytes() == CLIP


@pytest.mark.parametrize(
    ("parts", "status", "detail"),
    [
        ([], 422, "upload_id is missing. chunk_index is missing."),
        ([("upload_id", "ID"), ("chunk_index", "0")], 422, "chunk is missing."),
        ([("upload_id", "ID"), ("chunk", b"x", "b", None)], 422, "chunk_index is missing."),
        ([("chunk_index", "0"), ("chunk", b"x", "b", None)], 422, "upload_id is missing."),
        (
            [("upload_id", "ID"), ("chunk_index", "-1"), ("chunk", b"x", "b", None)],
            422,
            "chunk_index must be a whole number, the first is 0.",
        ),
        (
            [("chunk", b"x", "b", None), ("upload_id", "ID"), ("chunk_index", "1_0")],
            422,
            "chunk_index must be a whole number, the first is 0.",
        ),
        (
            [("upload_id", "ID"), ("chunk_index", "3"), ("chunk", b"x", "b", None)],
            400,
            "chunk_index is 3; this upload has the chunks 0 to 2.",
        ),
        (
            [("upload_id", "ID"), ("chunk_index", "0"), ("chunk", b"x", "b", None)],
            400,
            "Chunk 0 has 1 bytes; it must have 65536.",
        ),
        (
            [("upload_id", "ID"), ("chunk_index", "0"), ("chunk", CLIP[:70_000], "b", None)],
            413,
            "Chunk 0 goes on beyond its 65536 bytes.",
        ),
        (
            [("chunk", b"x" * 70_000, "b", None), ("upload_id", "ID"), ("chunk_index", "0")],
            413,
            "Chunk 0 has 70000 bytes; it must have 65536.",
        ),
        (
            [("upload_id", "nothing"), ("chunk_index", "0"), ("chunk", b"x", "b", None)],
            404,
            "There is no such upload.",
        ),
        (
            [("upload_id", "../x"), ("chunk_index", "0"), ("chunk", b"x", "b", None)],
            404,
            "There is no such upload.",
        ),
        (
            [("chunk", b"x", "b", None), ("chunk", b"x", "b", None)],
            422,
            "chunk must be there once only.",
        ),
        (
            [("upload_id", "ID"), ("upload_id", "ID"), ("chunk_index", "0")],
            422,
            "upload_id must be there once only.",
        ),
        ([("file", b"x", "b", None)], 422, "The field 'file' holds a file; send files as chunk."),
        ([("chunk[]", "x")], 422, "The field 'chunk[]' is nested; names have no brackets here."),
    ],
)
def test_every_refusal_of_a_chunk_has_its_sentence(
    alice: Tus, parts: list[Any], status: int, detail: str
) -> None:
    upload = begin(alice)
    named = [tuple(upload if each == "ID" else each for each in part) for part in parts]
    assert send(alice, named, status)["detail"] == detail
    assert ask(alice, f"{upload}/status")["missing_chunks"] == [0, 1, 2]


def test_a_chunk_of_a_tus_upload(alice: Tus) -> None:
    upload = alice.create(len(GIF))
    found = send(alice, chunk(upload, 0, GIF), 400)
    assert found["detail"] == (
        "This upload was not begun in chunks; send its bytes to its tus URL."
    )


@pytest.mark.parametrize("cut", [1, 30, SIZE, SIZE + 100])
@pytest.mark.parametrize("early", [False, True])
def test_a_chunk_that_does_not_come_whole_counts_nothing(
    alice: Tus, config: Settings, cut: int, *, early: bool
) -> None:
    upload = begin(alice)
    parts = chunk(upload, 1)
    body = form(*(parts[::-1] if early else parts))
    response = alice.send(
        "POST",
        f"{UPLOAD}/chunk",
        {"Content-Type": FORM},
        wsgi_input=Cut(body[:-cut]),
        CONTENT_LENGTH=str(len(body)),
        CONTENT_TYPE=FORM,
    )
    found = json_of(response, 400)
    assert found["detail"] == "The connection ended before the form did."
    missing = ask(alice, f"{upload}/status")["missing_chunks"]
    # Behind the chunk's own boundary the chunk is whole.
    assert missing == ([0, 2] if cut == 1 and not early else [0, 1, 2])


def test_a_chunk_that_came_quicker_by_another_request_is_received(web: Live) -> None:
    """A client that gave up waiting sends it again, and then the last one."""
    slow, quick = Client(web), Client(web)
    begun = {"file_name": "a.mp4", "file_size": 2 * SIZE, "content_type": "video/mp4"}
    init = json.dumps({**begun, "chunk_size": SIZE}).encode()
    upload = quick.ask("POST", f"{UPLOAD}/init", body=init).json()["upload_id"]

    def put(index: int) -> tuple[bytes, bytes]:
        body = form(*chunk(upload, index))
        kind, length = ("Content-Type", FORM), ("Content-Length", str(len(body)))
        return slow.head("POST", f"{UPLOAD}/chunk", kind, length), body

    with slow.wire() as wire:
        head, body = put(0)
        wire.send(head + body[:30_000])
        for index in (0, 1):
            with quick.wire() as other:
                other.send(b"".join(put(index)))
                said = other.answer()
                assert said.status == 200, said
        assert said.json()["status"] == "completed"
        answer = wire.answer()
        assert answer.status == 200, answer


def test_a_form_that_is_too_large_is_refused_unread(alice: Tus) -> None:
    untouched = Untouched()
    response = alice.send(
        "POST",
        f"{UPLOAD}/chunk",
        {"Content-Type": FORM},
        wsgi_input=untouched,
        CONTENT_LENGTH="100000000",
    )
    assert (response.status_code, untouched.read_calls) == (413, 0)


@pytest.mark.parametrize("path", ["init", "chunk", "x/finalize"])
def test_the_token_is_checked_before_the_body_is_read(alice: Tus, path: str) -> None:
    untouched = Untouched()
    headers = {"Content-Type": FORM, "Authorization": "(absent)"}
    response = alice.send(
        "POST", f"{UPLOAD}/{path}", headers, wsgi_input=untouched, CONTENT_LENGTH="100"
    )
    assert (response.status_code, untouched.read_calls) == (401, 0)


def test_others_uploads_do_not_exist(alice: Tus) -> None:
    bob = alice.other("bob")
    upload = complete(alice)
    ask(bob, f"{upload}/status", None, 404)
    ask(bob, f"{upload}/finalize", {}, 404)
    send(bob, chunk(upload, 0), 404)
    alice.talk(f"GET {UPLOAD}/{upload}/status\nAuthorization: (absent)", "401")


def test_a_form_without_its_end_is_told(alice: Tus) -> None:
    upload = begin(alice)
    parts = chunk(upload, 0)
    body = form(*parts[:2]).replace(f"--{BOUNDARY}--".encode(), b"").rstrip(b"\r\n") + b"\r\n"
    body += head_of(parts[2]) + piece(0)
    response = alice.send("POST", f"{UPLOAD}/chunk", {"Content-Type": FORM}, body)
    assert json_of(response, 400)["detail"] == "The form ends before its last boundary."
    assert ask(alice, f"{upload}/status")["missing_chunks"] == [0, 1, 2]


def test_the_status_tells_what_is_done_for_the_medium(
    alice: Tus, app: Flask, config: Settings
) -> None:
    upload = alice.create(len(MP4), metadata(filename="a.mp4"), MP4)

    def job() -> Any:
        return ask(alice, f"{upload}/status")["job"]

    queue = catalog_of(app).queue
    waiting = {"kind": "process", "state": "waiting", "step": None, "progress": None}
    assert job() == waiting
    running = queue.claim(60)
    assert running is not None
    assert queue.tell(running, "thumbnail", 5 / 6)
    assert job() == {"kind": "process", "state": "running", "step": "thumbnail", "progress": 83}
    assert queue.release(running)
    run_jobs(app, config)
    assert job() is None
