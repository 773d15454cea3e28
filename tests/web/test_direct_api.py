"""/api/v1/media/upload/simple and /images: whole files in one form."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from hooks.content import ContentCheck
from hooks.events import CreateReply
from processing.medium import Medium, Received
from processing.reasons import Reason
from tests.forms import BOUNDARY, FORM, file, form, head_of, image
from tests.records import known
from tests.rooms import GIF, MP4, Cut, Tus, Untouched, catalog_of, make_app, run_jobs, settings
from tusd_server.app import make_store
from tusd_server.settings import Settings

SIMPLE = "/api/v1/media/upload/simple"
IMAGES = "/api/v1/media/upload/images"


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return settings(tmp_path, simple_max_size=100_000, image_max_size=50_000)


@pytest.fixture
def app(config: Settings) -> Iterator[Flask]:
    with make_app(config) as app:
        yield app


def post(tus: Tus, path: str, *parts: Any, **headers: str) -> TestResponse:
    return tus.send("POST", path, {"Content-Type": FORM, **headers}, form(*parts))


def left_behind(config: Settings) -> set[str]:
    """What uploads left in the data directory."""
    return {path.name for path in config.data_dir.iterdir()} - {".tusd-server", "uploads"}


def problem(response: TestResponse) -> dict[str, Any]:
    assert response.mimetype == "application/problem+json", response.text
    found: dict[str, Any] = response.json  # type: ignore[assignment]
    assert found["status"] == response.status_code
    return found


def test_a_file_becomes_a_medium(alice: Tus, app: Flask, config: Settings) -> None:
    response = post(alice, SIMPLE, file(MP4, "Film.MP4"), ("post_id", "p1"))
    assert response.status_code == 202
    assert response.headers["Retry-After"] == "1"
    medium = response.json
    assert medium is not None
    assert medium["media_id"] == medium["id"]
    assert (medium["status"], medium["post_id"]) == ("received", "p1")
    assert (medium["file_name"], medium["content_type"]) == ("Film.MP4", "video/mp4")
    assert response.headers["Content-Location"].endswith(f"/api/v1/media/{medium['id']}")
    run_jobs(app, config)
    done = alice.get(f"/api/v1/media/{medium['id']}").json
    assert done is not None
    assert (done["status"], done["post_id"]) == ("registered", "p1")
    assert (config.data_dir / done["file_path"]).read_bytes() == MP4


@pytest.mark.parametrize("before", [0, 1, 2])
def test_the_order_of_the_parts_does_not_matter(alice: Tus, app: Flask, before: int) -> None:
    fields = [("post_id", "p1"), ("media_type", "video")]
    response = post(alice, SIMPLE, *fields[:before], file(MP4), *fields[before:])
    assert response.status_code == 202
    assert response.json is not None
    assert response.json["post_id"] == "p1"


@pytest.mark.parametrize(
    ("path", "files"), [(SIMPLE, [file(MP4)]), (IMAGES, [image(GIF), image(GIF)])]
)
def test_a_post_that_is_named_behind_the_files_comes_with_their_records(
    alice: Tus, app: Flask, config: Settings, path: str, files: Any
) -> None:
    """No crash leaves a medium without it: the facts of the upload have it before its length."""
    store, catalog = make_store(config), catalog_of(app)
    seen = []
    receive = catalog.receive

    def note(received: Received, *orders: Any) -> Medium:
        info = store.look(received.upload_id)
        seen.append((received.post_id, info.metadata.text("post_id"), info.length is not None))
        return receive(received, *orders)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(catalog, "receive", note)
        response = post(alice, path, *files, ("post_id", "p1"))
    assert response.status_code == 202, response.text
    assert seen == [("p1", "p1", True)] * len(files)


def test_a_post_that_a_hook_chose_stays(
    alice: Tus, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        ContentCheck, "pre_create", lambda *_: CreateReply(metadata={"post_id": "chosen"})
    )
    response = post(alice, SIMPLE, file(MP4, "", None), ("post_id", "p1"))
    assert response.json is not None
    assert response.json["post_id"] == "chosen"


def test_a_file_alone_will_do(alice: Tus) -> None:
    response = post(alice, SIMPLE, file(MP4, "", None), ("post_id", ""), ("csrf", "x"))
    assert response.status_code == 202
    assert response.json is not None
    assert (response.json["post_id"], response.json["file_name"]) == (None, None)


def test_a_rejected_file_says_why(alice: Tus, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = catalog_of(app)
    receive = catalog.receive

    def reject(*received: Any) -> Any:
        medium = receive(*received)
        catalog.processing(medium.id)
        catalog.rejected(medium.id, [Reason("video_too_long", "The video lasts too long.")])
        return medium

    monkeypatch.setattr(catalog, "receive", reject)
    response = post(alice, SIMPLE, file(MP4))
    found = problem(response)
    assert response.status_code == 422
    assert found["detail"] == "The video lasts too long."
    assert found["code"] == "video_too_long"
    assert found["reasons"] == [{"code": "video_too_long", "message": found["detail"]}]
    assert known(catalog, found["media_id"]).status == "rejected"


@pytest.mark.parametrize(
    ("parts", "status", "detail"),
    [
        ([("post_id", "p1")], 422, "file is missing."),
        ([], 422, "file is missing."),
        ([file(b"")], 422, "file is an empty file."),
        ([file(MP4), file(MP4)], 422, "file must be there once only."),
        ([file(MP4), ("post_id", "a"), ("post_id", "b")], 422, "post_id must be there once only."),
        ([file(MP4), ("post_id", "\x07")], 422, "post_id must be 1 to 255 printable characters."),
        ([("post_id", "\x07"), file(MP4)], 422, "post_id must be 1 to 255 printable characters."),
        ([file(MP4), ("media_type", "audio")], 422, "media_type must be 'image' or 'video'."),
        (
            [file(MP4), ("media_type", "image")],
            415,
            "The file is video/mp4 but media_type says image; declare what it is.",
        ),
        (
            [file(GIF)],
            415,
            "The file is image/gif but was declared as video and video; declare what it is.",
        ),
        (
            [file(b"plain text")],
            415,
            "The first bytes are of no type that is accepted; send JPG, PNG, WEBP, GIF, HEIC, "
            "AVIF, MP4, MOV or WEBM.",
        ),
        (
            [file(MP4 + b"x" * 100_000)],
            413,
            "The file has more than 100000 bytes, which is the most that this URL takes; "
            "send larger files by upload/init.",
        ),
        (
            [file(GIF + b"x" * 50_000, "a.gif", "image/gif")],
            413,
            "The file has more than 50000 bytes, which is the most that an image may have.",
        ),
        (
            [file(MP4), ("upload[post]", "1")],
            422,
            "The field 'upload[post]' is nested; names have no brackets here.",
        ),
        (
            [file(MP4), ("other", MP4, "b.mp4", None)],
            422,
            "The field 'other' holds a file; send files as file.",
        ),
    ],
)
def test_every_refusal_of_a_file_has_its_sentence(
    alice: Tus, config: Settings, parts: Any, status: int, detail: str
) -> None:
    found = problem(post(alice, SIMPLE, *parts))
    assert (found["status"], found["detail"]) == (status, detail)
    assert left_behind(config) == set()
    listed = alice.get("/api/v1/media").json
    assert listed is not None
    assert [item for item in listed["items"] if item["status"] != "deleted"] == []


def test_wrong_fields_are_named(alice: Tus) -> None:
    found = problem(post(alice, SIMPLE, file(MP4), ("post_id", "\n"), ("media_type", "x")))
    assert [error["field"] for error in found["errors"]] == ["post_id", "media_type"]
    assert all(error["message"] in found["detail"] for error in found["errors"])


@pytest.mark.parametrize("path", [SIMPLE, IMAGES])
def test_a_body_that_is_no_form(alice: Tus, path: str) -> None:
    response = alice.send("POST", path, {"Content-Type": "application/json"}, b"{}")
    assert response.status_code == 415
    assert problem(response)["detail"] == (
        "Content-Type must be multipart/form-data with a boundary."
    )
    assert alice.send("POST", path, {}).status_code == 415


@pytest.mark.parametrize("path", [SIMPLE, IMAGES])
def test_the_token_is_checked_before_the_body_is_read(alice: Tus, path: str) -> None:
    untouched = Untouched()
    headers = {"Content-Type": FORM, "Authorization": "(absent)"}
    response = alice.send("POST", path, headers, wsgi_input=untouched, CONTENT_LENGTH="1000")
    assert (response.status_code, untouched.read_calls) == (401, 0)


@pytest.mark.parametrize("path", [SIMPLE, IMAGES])
def test_a_form_that_is_too_large_is_refused_unread(alice: Tus, path: str) -> None:
    untouched = Untouched()
    headers = {"Content-Type": FORM}
    response = alice.send("POST", path, headers, wsgi_input=untouched, CONTENT_LENGTH="10000000")
    assert (response.status_code, untouched.read_calls) == (413, 0)


@pytest.mark.parametrize("sent", [20, 120, 150, 5000, 9_990])
def test_a_connection_that_breaks_leaves_nothing_behind(
    alice: Tus, config: Settings, sent: int
) -> None:
    body = form(("post_id", "p1"), file(MP4 + b"x" * 10_000), ("media_type", "video"))
    response = alice.send(
        "POST",
        SIMPLE,
        {"Content-Type": FORM},
        wsgi_input=Cut(body[:sent]),
        CONTENT_LENGTH=str(len(body)),
        CONTENT_TYPE=FORM,
    )
    assert response.status_code == 400
    assert problem(response)["detail"] == "The connection ended before the form did."
    assert left_behind(config) == set()


def test_a_form_that_ends_early_leaves_nothing_behind(alice: Tus, config: Settings) -> None:
    body = form(file(MP4 + b"x" * 10_000))[:-30]
    response = alice.send("POST", SIMPLE, {"Content-Type": FORM}, body)
    assert problem(response)["detail"] == "The form ends before its last boundary."
    assert left_behind(config) == set()


DAMAGES = st.lists(
    st.tuples(st.integers(0, 600), st.integers(0, 5), st.binary(max_size=5)), max_size=3
)


@hypothesis(
    deadline=None,
    derandomize=True,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(DAMAGES)
def test_damaged_forms_leave_nothing_behind(alice: Tus, config: Settings, damages: Any) -> None:
    """Whatever is done to a form, the answer is a medium or a 4xx without a trace."""
    body = form(("post_id", "p1"), file(MP4 + b"x" * 200), ("media_type", "video"))
    for at, cut, put in damages:
        at %= len(body) or 1
        body = body[:at] + put + body[at + cut :]
    before = left_behind(config)
    response = alice.send("POST", SIMPLE, {"Content-Type": FORM}, body)
    if response.status_code == 202:
        assert len(left_behind(config) - before) == 2
    else:
        assert 400 <= response.status_code < 500, response.text
        assert problem(response)["detail"].endswith(".")
        assert left_behind(config) == before


def test_images_become_media(alice: Tus, config: Settings) -> None:
    response = post(alice, IMAGES, image(GIF, "a.gif"), ("post_id", "p1"), image(GIF, "b.gif"))
    assert response.status_code == 202
    assert [item["file_name"] for item in response.json or ()] == ["a.gif", "b.gif"]
    assert [item["post_id"] for item in response.json or ()] == ["p1", "p1"]


def test_each_image_has_its_own_result(alice: Tus, config: Settings) -> None:
    response = post(
        alice,
        IMAGES,
        image(b"plain text", "a.gif"),
        image(GIF, "b.gif"),
        image(MP4, "c.mp4", "video/mp4"),
        image(b"", "d.gif"),
        image(GIF + b"x" * 50_000, "e.gif"),
    )
    assert response.status_code == 207
    results = response.json
    assert results is not None
    assert results[1]["status"] == "received"
    wrong = [results[n] for n in (0, 2, 3, 4)]
    assert [each["index"] for each in wrong] == [0, 2, 3, 4]
    assert [each["file_name"] for each in wrong] == ["a.gif", "c.mp4", "d.gif", "e.gif"]
    assert [each["error"]["status"] for each in wrong] == [415, 415, 422, 413]
    assert wrong[1]["error"]["code"] == "type_not_allowed"
    assert len(left_behind(config)) == 2


@pytest.mark.parametrize(
    ("parts", "status", "detail"),
    [
        ([], 422, "images is missing; send 1 to 10."),
        ([image(GIF)] * 11, 422, "images must be there at most 10 times."),
        ([image(b"text")], 422, "The first bytes are of no type"),
        ([image(GIF), file(MP4)], 422, "The field 'file' holds a file; send files as images."),
        ([image(GIF), ("all_or_nothing", "maybe")], 422, "all_or_nothing must be true or false."),
        (
            [image(GIF), image(b"text"), ("all_or_nothing", "true")],
            422,
            "The first bytes are of no type",
        ),
        (
            [image(GIF), ("all_or_nothing", "1")],
            503,
            "Not every image was examined within 0.01 s, so none is kept; send them again.",
        ),
    ],
)
def test_every_refusal_of_images_has_its_sentence(
    alice: Tus, config: Settings, parts: Any, status: int, detail: str
) -> None:
    found = problem(post(alice, IMAGES, *parts))
    assert found["status"] == status
    assert found["detail"].startswith(detail)
    assert left_behind(config) == set()


def test_the_images_that_are_wrong_are_named(alice: Tus) -> None:
    found = problem(
        post(alice, IMAGES, image(GIF), image(b"text"), image(b""), ("all_or_nothing", "on"))
    )
    assert [error["field"] for error in found["errors"]] == ["images.1", "images.2"]


def test_a_form_that_breaks_behind_its_images_keeps_none(alice: Tus, config: Settings) -> None:
    body = form(image(GIF), image(GIF)).replace(f"--{BOUNDARY}--".encode(), b"")
    body += head_of(image(GIF))
    response = alice.send("POST", IMAGES, {"Content-Type": FORM}, body)
    assert response.status_code == 400
    assert left_behind(config) == set()


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        (SIMPLE, [file(MP4 + b"x" * 2000)]),
        (IMAGES, [image(GIF), image(GIF + b"x" * 900), image(GIF + b"x" * 900)]),
    ],
)
def test_files_beyond_the_quota_leave_nothing_behind(tmp_path: Path, path: str, parts: Any) -> None:
    config = settings(tmp_path, user_max_bytes=1_500)
    with make_app(config) as app:
        response = post(Tus(app), path, *parts)
        assert (response.status_code, response.headers["Retry-After"]) == (429, "60")
        assert "1500 bytes that are allowed" in problem(response)["detail"]
        assert left_behind(config) == set()


def test_others_see_nothing_of_it(alice: Tus) -> None:
    response = post(alice, SIMPLE, file(MP4))
    assert response.json is not None
    assert alice.other("bob").get(f"/api/v1/media/{response.json['id']}").status_code == 404
