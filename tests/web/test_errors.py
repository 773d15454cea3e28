"""What errors look like: one sentence, the table's status, nothing of the inside."""

import logging
from pathlib import Path
from typing import Any

import pytest

from tests.rooms import OCTETS, Tus, in_memory, make_app, settings
from tests.web.test_core import TUS
from tusd_server.errors import (
    QuotaExceeded,
    UnsupportedVersion,
    UploadError,
    UploadRefused,
    UploadRejected,
    WrongFields,
)
from tusd_server.info import UploadInfo
from tusd_server.protocol.status import STATUS
from tusd_server.storage.memory import MemoryStore


class Failing(MemoryStore):
    """A store in which looking fails."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def look(self, upload_id: str) -> UploadInfo:
        raise self._error


def failing(tmp_path: Path, error: Exception) -> Any:
    return make_app(settings(tmp_path), **in_memory(Failing(error)))


def example(kind: type[UploadError]) -> UploadError:
    if issubclass(kind, UploadRefused):
        return kind("What was wrong; what would be right.", code="a_code")
    if issubclass(kind, QuotaExceeded):
        return kind("What was wrong; what would be right.", retry_after_seconds=60)
    if issubclass(kind, WrongFields):
        return kind(("field", "What was wrong; what would be right."))
    return kind("What was wrong; what would be right.")


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.__name__)
def test_every_error_has_its_answer(tmp_path: Path, kind: type[UploadError]) -> None:
    with failing(tmp_path, example(kind)) as app:
        tus = Tus(app)
        version = "1.0.0" if issubclass(kind, UnsupportedVersion) else "(absent)"
        pause = "60" if issubclass(kind, QuotaExceeded) else "(absent)"
        answer = f"""
            {STATUS[kind].status}
            {TUS}
            Tus-Version: {version}
            Retry-After: {pause}
            Content-Type: text/plain; charset=utf-8
            Cache-Control: no-store
            Upload-Offset: (absent)
            """
        tus.talk(
            f"PATCH /files/x\n{TUS}\nContent-Type: {OCTETS}\nUpload-Offset: 0",
            f"{answer}\n            What was wrong; what would be right.",
        )
        assert tus.talk(f"HEAD /files/x\n{TUS}", answer).data == b""


def test_an_offset_that_helps_is_told(tmp_path: Path) -> None:
    with failing(tmp_path, UploadError("It stands elsewhere.", offset=7)) as app:
        Tus(app).talk(
            f"PATCH /files/x\n{TUS}\nContent-Type: {OCTETS}\nUpload-Offset: 0",
            "500\nUpload-Offset: 7",
        )


@pytest.mark.parametrize(
    "error", [RuntimeError("secret"), OSError(5, "secret"), KeyError("secret")]
)
def test_the_unforeseen_is_logged_and_not_told(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with failing(tmp_path, error) as app, caplog.at_level(logging.ERROR):
        response = Tus(app).talk(
            f"DELETE /files/x\n{TUS}",
            f"""
            500
            {TUS}
            Content-Type: text/plain; charset=utf-8

            The server failed; the bytes it had acknowledged are kept.
            """,
        )
    assert "secret" not in response.text + str(response.headers)
    assert "secret" in caplog.text
    assert "DELETE" in caplog.text
    assert "/files/x" in caplog.text


def test_a_text_of_the_client_does_not_break_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with failing(tmp_path, RuntimeError("oops")) as app, caplog.at_level(logging.ERROR):
        Tus(app).talk(f"HEAD /files/x%0d%0aFAKE LINE\n{TUS}".replace(" LINE", "_LINE"), "500")
    assert not [line for line in caplog.text.splitlines() if line.startswith("FAKE_LINE")]


def test_urls_that_are_none(alice: Tus) -> None:
    alice.talk(
        "GET /nowhere",
        """
        404
        Content-Type: text/plain; charset=utf-8
        X-Content-Type-Options: nosniff
        Tus-Resumable: (absent)

        There is nothing at this URL.
        """,
    )
    assert alice.talk("HEAD /nowhere", "404").data == b""


def test_errors_of_the_json_api_are_problem_details(alice: Tus) -> None:
    """RFC 9457."""
    response = alice.talk("GET /api/v1/nothing", "404\nContent-Type: application/problem+json")
    assert response.json == {
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing at this URL.",
    }
    response = alice.talk("DELETE /api/v1/media", "405\nAllow: GET, HEAD, OPTIONS")
    assert response.json == {
        "title": "Method Not Allowed",
        "status": 405,
        "detail": "This URL does not take DELETE; it takes GET, HEAD, OPTIONS.",
    }


@pytest.mark.parametrize("name", ["Upload-Length", "Upload-Metadata", "Tus-Resumable"])
def test_a_clients_own_text_comes_back_short_and_harmless(alice: Tus, name: str) -> None:
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "11", name: "<script>\x80\t" + "x" * 9000}
    response = alice.send("POST", "/files/", headers)
    assert 400 <= response.status_code < 500
    assert len(response.text) < 300
    assert response.text.isascii()
    assert response.text.count("\n") == 1


ANSWERED = UploadRejected(
    '{"price": 5}',
    status=402,
    headers=(("Content-Type", "application/json"), ("X-Price", "5")),
)


def test_a_hook_words_the_answers_of_tus(tmp_path: Path) -> None:
    with failing(tmp_path, ANSWERED) as app:
        answer = Tus(app).get("/files/u1")
        assert (answer.status_code, answer.json) == (402, {"price": 5})
        assert answer.headers["X-Price"] == "5"
        head = Tus(app).head("u1")
        assert (head.status_code, head.data, head.headers["X-Price"]) == (402, b"", "5")


def test_the_json_api_words_its_own_answers(tmp_path: Path) -> None:
    with make_app(settings(tmp_path)) as app:

        def refuse() -> None:
            raise ANSWERED

        app.add_url_rule("/api/v1/refused", view_func=refuse)
        answer = Tus(app).get("/api/v1/refused")
        assert (answer.status_code, answer.mimetype) == (402, "application/problem+json")
        assert answer.headers["X-Price"] == "5"


def test_statuses_that_nobody_knows_and_those_without_a_body(tmp_path: Path) -> None:
    for status, body in ((499, b"No."), (204, b"")):
        with failing(tmp_path / str(status), UploadRejected("No.", status=status)) as app:
            answer = Tus(app).get("/files/u1")
            assert (answer.status_code, answer.data) == (status, body)
