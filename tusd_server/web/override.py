"""X-HTTP-Method-Override, for clients whose network or runtime knows no PATCH.

"The X-HTTP-Method-Override request header MUST be a string which MUST be interpreted as the
request's method by the Server, if the header is presented. The actual method of the request MUST
be ignored." Desktop Java cannot send PATCH at all and relies on it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_METHODS = frozenset({"OPTIONS", "HEAD", "GET", "POST", "PATCH", "DELETE"})


def with_method_override(app: "WSGIApplication") -> "WSGIApplication":
    """Wrap an application; a method that we do not know is left to the router's 405."""

    def overridden(
        environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> "Iterable[bytes]":
        method = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", "").strip().upper()
        if method in _METHODS:
            environ["REQUEST_METHOD"] = method
        elif method:
            environ["REQUEST_METHOD"] = "UNKNOWN"
        return app(environ, start_response)

    return overridden
