"""The whole application as one blueprint, for an application of somebody else's making."""

from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING

from flask import Blueprint, request
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS")


class Passed(Response):
    """An answer as it was made: without a type, if it has none."""

    default_mimetype = None


def mounted_blueprint(name: str, app: "WSGIApplication") -> Blueprint:
    """A blueprint that hands every request below its prefix to `app`, body unread.

    The application sees the prefix as SCRIPT_NAME, so its links are right, and keeps its own
    settings, errors and tokens. What the outer application does before and after each request
    happens around it.
    """
    blueprint = Blueprint(name, __name__)
    apart = Apart(app)

    @blueprint.route("/", defaults={"path": ""}, methods=METHODS)
    @blueprint.route("/<path:path>", methods=METHODS)
    def everything(path: str) -> Response:
        return Passed.from_app(apart, _below(request.environ, path))

    return blueprint


class Apart:
    """A WSGI application whose context variables are not seen by whoever calls it.

    A stream of Flask's keeps the context of its request until it ends, and an outer request that
    ends before it would find that in the place of its own.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> "Iterable[bytes]":
        """Call the application in a context of this request's own."""
        context = copy_context()
        return _Parts(context, context.run(self._app, environ, start_response))


class _Parts:
    """The parts of an answer, each made in the context in which the answer was."""

    def __init__(self, context: Context, answer: "Iterable[bytes]") -> None:
        self._context = context
        self._parts: Iterator[bytes] = context.run(iter, answer)
        self._close: Callable[[], object] | None = getattr(answer, "close", None)

    def __iter__(self) -> "Iterator[bytes]":
        return self

    def __next__(self) -> bytes:
        return self._context.run(next, self._parts)

    def close(self) -> None:
        if self._close is not None:
            self._context.run(self._close)


def _below(environ: "WSGIEnvironment", path: str) -> "WSGIEnvironment":
    """The request as it looks from inside: `path` is what follows the prefix."""
    whole = environ["PATH_INFO"]
    # WSGI writes each byte of a path as one character.
    prefix = whole[: len(whole) - len(path.encode()) - 1]
    return {
        **environ,
        "SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + prefix,
        "PATH_INFO": whole[len(prefix) :],
    }
