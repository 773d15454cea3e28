"""Flask, without what no view of ours uses: it is on the way of every small upload."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from werkzeug.routing import MapAdapter
from werkzeug.wsgi import get_host

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Empty(Response):
    """An answer without a body, and so without a type."""

    default_mimetype = None

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        """A `Location` among the headers must be ASCII already."""
        super().__init__((), status)
        for name, value in headers.items():
            self.headers.add(name, value)

    def get_wsgi_response(
        self, environ: "WSGIEnvironment"
    ) -> tuple[tuple[()], str, list[tuple[str, str]]]:
        """Say that nothing follows, where HTTP does not know it by itself."""
        headers = self.headers.to_wsgi_list()
        if self.status_code != 204 and environ["REQUEST_METHOD"] != "HEAD":
            headers.append(("Content-Length", "0"))
        return (), self.status, headers


class NoSessions(SecureCookieSessionInterface):
    """Every request has the same empty session, which is never saved."""

    def __init__(self) -> None:
        self._nothing = self.null_session_class()

    def open_session(self, app: Flask, request: Request) -> SessionMixin | None:  # type: ignore[override]
        """The empty one; whoever writes to it is told that there are no sessions."""
        return self._nothing


class Application(Flask):
    """Flask without sessions, async views and host matching."""

    session_interface = NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Our views are plain functions; asking each of them each time is dear."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """What `Map.bind_to_environ` makes for HTTP, with the host worked out once."""
        if request is None or self.url_map.host_matching or self.config["TRUSTED_HOSTS"]:
            return super().create_url_adapter(request)
        environ = request.environ
        request.host = host = get_host(environ)
        return MapAdapter(
            self.url_map,
            host,
            request.root_path or "/",
            self.url_map.default_subdomain or "",
            environ["wsgi.url_scheme"],
            request.path,
            request.method,
            environ.get("QUERY_STRING", ""),
        )
