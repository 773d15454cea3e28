"""What every answer carries, and what errors look like: text for tus, problem details for JSON."""

import logging
from collections.abc import Mapping

from flask import Flask, Response, json, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from tusd_server.errors import AccessDenied, UploadError, UploadRefused, UploadRejected
from tusd_server.protocol.headers import VERSION
from tusd_server.protocol.replies import (
    ALLOWED_HEADERS,
    ALLOWED_METHODS,
    EXPOSED_HEADERS,
    error_headers,
)
from tusd_server.protocol.status import reason_phrase, status_of
from tusd_server.web.application import Empty

log = logging.getLogger("tusd_server.web")

PREFLIGHT_SECONDS = 86_400
BODILESS = frozenset({204, 205, 304})


def register_responses(app: Flask, cors_origins: tuple[str, ...]) -> None:
    """Teach an application our errors, CORS and the headers of every answer."""
    app.register_error_handler(UploadError, _upload_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unknown_error)

    @app.before_request
    def preflight() -> Response | None:
        """Answer a browser's question before any view can ask for a token."""
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return Empty(204, {})
        return None

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        _allow_origin(response, cors_origins)
        return response


def _allow_origin(response: Response, origins: tuple[str, ...]) -> None:
    origin = request.headers.get("Origin")
    everybody = "*" in origins
    if not everybody:
        # Also where no origin was told: a cache may keep that answer and show it to a page.
        response.headers.add("Vary", "Origin")
    if origin is None or not (everybody or origin in origins):
        return
    response.headers["Access-Control-Allow-Origin"] = "*" if everybody else origin
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = ALLOWED_METHODS
        response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
        response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
    else:
        response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS


def _upload_error(error: UploadError) -> Response:
    headers = error_headers(error)
    if isinstance(error, AccessDenied):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, UploadRejected):
        headers |= _of_hook(error)
        if error.status is not None and not _is_api():
            return hook_response(error.status, error.message, headers)
    code = error.code if isinstance(error, UploadRefused) else None
    return error_response(
        status_of(error), error.message, headers, code=code, details=error.details
    )


def _of_hook(error: UploadRejected) -> dict[str, str]:
    """The headers of a hook; the JSON API words its own errors, so there they say no type."""
    given = dict(error.headers)
    return {n: v for n, v in given.items() if not _is_api() or n.lower() != "content-type"}


def _is_api() -> bool:
    return request.path.startswith("/api/")


def _http_error(error: HTTPException) -> Response:
    """Errors of routing and of reading a request, in our own words."""
    status = error.code or 500
    headers: dict[str, str] = {}
    message = _SENTENCES.get(status, f"{reason_phrase(status)}.")
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        headers["Allow"] = ", ".join(sorted(allowed))
        message = f"This URL does not take {request.method[:20]}; it takes {headers['Allow']}."
    content_range = [value for name, value in error.get_headers() if name == "Content-Range"]
    if content_range:
        headers["Content-Range"] = content_range[0]
    return error_response(status, message, headers)


_SENTENCES = {
    404: "There is nothing at this URL.",
    413: "The request's body is too large for this URL.",
    416: "Range asks for bytes that the file does not have.",
    500: "The server failed; the bytes it had acknowledged are kept.",
}


def _unknown_error(error: Exception) -> Response:
    """Anything unforeseen: logged in full, told in one sentence without internals."""
    log.exception("unexpected error: %s %r", request.method, request.path, exc_info=error)
    return error_response(500, _SENTENCES[500], {})


def error_response(
    status: int,
    message: str,
    headers: dict[str, str],
    *,
    code: str | None = None,
    details: Mapping[str, object] | None = None,
) -> Response:
    """One sentence: text/plain for uploads, problem details (RFC 9457) for the JSON API."""
    if _is_api():
        return problem(status, message, headers, code=code, details=details)
    line = f"{status} {reason_phrase(status)}"
    response = Response(f"{message}\n", line, headers, mimetype="text/plain")
    if request.path.startswith("/files"):
        response.headers["Tus-Resumable"] = VERSION
    return without_body_for_head(response)


def hook_response(status: int, body: str, headers: dict[str, str]) -> Response:
    """An answer whose body a hook wrote; it is text unless the hook's headers say otherwise."""
    given = Headers(headers)
    kind = given.pop("Content-Type", "text/plain; charset=utf-8")
    line = f"{status} {reason_phrase(status)}"
    response = Response("" if status in BODILESS else body, line, given, content_type=kind)
    if request.path.startswith("/files"):
        response.headers["Tus-Resumable"] = VERSION
    return without_body_for_head(response)


def problem(
    status: int,
    detail: str,
    headers: dict[str, str] | None = None,
    *,
    code: str | None = None,
    details: Mapping[str, object] | None = None,
) -> Response:
    """An error of the JSON API."""
    document = problem_document(status, detail, code, details)
    return without_body_for_head(
        Response(
            json.dumps(document),
            f"{status} {reason_phrase(status)}",
            headers,
            mimetype="application/problem+json",
        )
    )


def problem_document(
    status: int, detail: str, code: str | None = None, details: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Problem details (RFC 9457); `details` are members of our own, absent without a value."""
    code_member = {} if code is None else {"code": code}
    title = {"title": reason_phrase(status), "status": status, "detail": detail}
    return {**title, **code_member, **(details or {})}


def without_body_for_head(response: Response) -> Response:
    """Drop the body where none may follow.

    A HEAD that came as a POST with X-HTTP-Method-Override is a POST to everybody on the way, so
    a Content-Length without a body would make them wait for it.
    """
    if request.method == "HEAD":
        response.set_data(b"")
    return response
