"""The status table: one row for each error."""

import http
import inspect
import re

import pytest

from tusd_server import errors
from tusd_server.errors import QuotaExceeded, UploadError, UploadRefused, WrongFields
from tusd_server.protocol.status import STATUS, reason_phrase, status_of

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, UploadError) and kind is not UploadError
]
EXPECTED = {
    "UnsupportedVersion": 412,
    "BadHeader": 400,
    "WrongContentType": 415,
    "OffsetMismatch": 409,
    "UploadTooLarge": 413,
    "UploadNotFound": 404,
    "UploadGone": 410,
    "UnknownChecksum": 400,
    "ChecksumMismatch": 460,
    "FinalUpload": 403,
    "UploadNotFinished": 409,
    "UploadRefused": 415,
    "UploadForbidden": 403,
    "UploadRejected": 400,
    "HookFailed": 502,
    "UploadLocked": 423,
    "UploadInterrupted": 400,
    "ServerStopping": 503,
    "ReadTimedOut": 503,
    "BodyCut": 400,
    "BodyBroken": 400,
    "AccessDenied": 401,
    "QuotaExceeded": 429,
    "MalformedBody": 400,
    "WrongBodyType": 415,
    "WrongFields": 422,
    "PostMismatch": 409,
    "MediumRejected": 422,
    "NotExaminedInTime": 503,
    "StorageFull": 507,
}


def made(kind: type[UploadError]) -> UploadError:
    if issubclass(kind, UploadRefused):
        return kind("No.", code="a_code")
    if issubclass(kind, QuotaExceeded):
        return kind("No.", retry_after_seconds=60)
    if issubclass(kind, WrongFields):
        return kind(("field", "No."))
    return kind("No.")


def test_a_hook_may_decide_on_the_status() -> None:
    assert status_of(errors.UploadRejected("No.", status=451)) == 451
    assert status_of(errors.HookFailed("No.", status=503)) == 503


def test_every_error_has_a_row_or_an_ancestor_with_one() -> None:
    assert [kind for kind in KINDS if not set(kind.__mro__) & set(STATUS)] == []


def test_every_row_has_its_error() -> None:
    assert set(STATUS) <= set(KINDS)


def test_every_status_is_expected() -> None:
    assert {kind.__name__ for kind in STATUS} == set(EXPECTED)


@pytest.mark.parametrize(("name", "status"), EXPECTED.items())
def test_statuses(name: str, status: int) -> None:
    assert status_of(made(getattr(errors, name))) == status


def test_a_new_kind_has_the_status_of_its_nearest_ancestor() -> None:
    class Vanished(errors.UploadGone, errors.UploadNotFound):
        pass

    assert status_of(Vanished("No.")) == 410


def test_an_error_without_a_row_is_the_servers() -> None:
    assert status_of(UploadError("No.")) == 500


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.__name__)
def test_rows(kind: type[UploadError]) -> None:
    """A status that HTTP or WebDAV knows (460 is tus's own), and a sentence that says why."""
    row = STATUS[kind]
    assert row.status in {*http.HTTPStatus, 460}
    assert row.why.endswith(".")


def test_what_clients_are_to_try_again_they_do_try_again() -> None:
    """tus-js-client tries 409, 423 and what is no 4xx again, and gives up on other 4xx; Uppy, which
    brings its own judgement, waits after a 429."""
    for kind, row in STATUS.items():
        if row.retry and kind is not QuotaExceeded:
            assert row.status in (409, 423) or row.status >= 500


def test_reason_phrases() -> None:
    assert reason_phrase(204) == "No Content"
    assert reason_phrase(460) == "Checksum Mismatch"
    assert all(reason_phrase(row.status) for row in STATUS.values())


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    real = [
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.TusdError)
    ]
    assert sorted(drawn) == sorted(set(real) - {"TusdError"})
