"""The whole application as one blueprint, for an application of somebody else's making."""

from typing import TYPE_CHECKING

from flask import Blueprint, request
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

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

    @blueprint.route("/", defaults={"path": ""}, methods=METHODS)
    @blueprint.route("/<path:path>", methods=METHODS)
    def everything(path: str) -> Response:
        return Passed.from_app(app, _below(request.environ, path))

    return blueprint


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
