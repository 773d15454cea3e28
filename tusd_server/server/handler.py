"""One connection: reads requests, runs the application, ends every connection in good order."""

import contextlib
import socket
import time
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

import gevent
from gunicorn.workers.ggevent import PyWSGIHandler

from tusd_server.server.body import (
    DRAIN_SECONDS,
    READ_BUFFER_BYTES,
    RequestBody,
    hang_up,
)
from tusd_server.server.reading import (
    MAX_LINE_BYTES,
    BadRequestHead,
    HeadTooLarge,
    RequestHeaders,
    parse_request_line,
    read_headers,
)
from tusd_server.uploads.body import Ending


class Connection(PyWSGIHandler):  # type: ignore[misc]
    """gunicorn's pywsgi handler with our own request head, our own body and orderly endings."""

    headers: RequestHeaders
    wsgi_input: RequestBody
    environ: dict[str, Any]
    idle = True
    # When the server began to wait for the head that it still reads.
    head_since: float | None = None

    def __init__(self, sock: socket.socket, address: Any, server: Any) -> None:
        """Take over an accepted connection; pywsgi's own buffer would be twice as large."""
        super().__init__(sock, address, server, sock.makefile("rb", READ_BUFFER_BYTES))

    def handle(self) -> None:
        """Serve requests until the connection ends; the server can see it meanwhile."""
        self.socket.settimeout(self.server.network_timeout_seconds)
        self.wsgi_input = RequestBody(
            self.rfile, self.socket, length=None, chunked=False, expects_continue=False
        )
        self.server.connections.add(self)
        try:
            super().handle()
        finally:
            self.server.connections.discard(self)

    def handle_one_request(self) -> Any:
        """Read one request and answer it; None ends the connection."""
        # A client that always has its next request ready would keep all others waiting.
        gevent.sleep(0)
        if self.server.stopping or not self._receive_head():
            return None
        self.environ = self.get_environ()
        self.application = self.server.application
        self.handle_one_response()
        if not self.wsgi_input.settle() or self.close_connection:
            return None
        self.socket.settimeout(self.server.network_timeout_seconds)
        return True

    def end_slow_head(self, before: float) -> None:
        """End a connection whose head began before this moment and is still not complete.

        The timeout of a single read cannot see a client that sends a byte now and then.
        """
        if self.head_since is not None and self.head_since < before:
            self._stop_reading()

    def end_slow_body(self, now: float, window_seconds: float, least_bytes: int) -> None:
        """Stop a body that comes more slowly than so many bytes in a window of seconds."""
        if not self.idle and self.wsgi_input.too_slow(now, window_seconds, least_bytes):
            self.wsgi_input.let_go(Ending.TIMED_OUT)

    def wake_if_idle(self) -> None:
        """End a connection that waits for its next request; one that has begun is answered."""
        if self.idle:
            self._stop_reading()

    def interrupt(self) -> None:
        """Stop taking in a body: its bytes are kept and the client is told to try again."""
        if not self.idle and self.wsgi_input.unread:
            self.wsgi_input.let_go(Ending.STOPPING)

    def get_environ(self) -> dict[str, Any]:
        """The WSGI environment; headers with an underscore are dropped, as nginx does.

        Otherwise `X_Forwarded_For` would arrive under the name of `X-Forwarded-For`.
        """
        environ: dict[str, Any] = self.server.get_environ()
        path, _, query = self.path.partition("?")
        environ.update(
            REQUEST_METHOD=self.command,
            SCRIPT_NAME="",
            PATH_INFO=unquote_to_bytes(_without_origin(path)).decode("latin-1"),
            QUERY_STRING=query,
            RAW_URI=self.path,
            SERVER_PROTOCOL=self.request_version,
        )
        environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.input_terminated"] = True
        if isinstance(self.client_address, tuple):
            environ["REMOTE_ADDR"] = str(self.client_address[0])
            environ["REMOTE_PORT"] = str(self.client_address[1])
        for name, value in self.headers.fields:
            if "_" not in name:
                key = _environ_key(name)
                environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ

    def finalize_headers(self) -> None:
        """Decide what becomes of the connection before the answer's head goes out."""
        body = self.wsgi_input
        if body.unread and not body.drainable:
            self.close_connection = True
        if self.server.stopping:
            self.close_connection = True
        if self.close_connection and not self._says_connection():
            self.response_headers.append((b"Connection", b"close"))
        # pywsgi would also count the length of a body that a 204 must not have.
        super().finalize_headers()
        if self.command == "HEAD":
            self.response_use_chunked = False

    def log_request(self) -> None:
        """Write the access log's line, where the operator wants one."""
        if self.server.access_log and getattr(self, "headers", None) is not None:
            super().log_request()

    def log_error(self, msg: str, *args: object) -> None:
        """Errors of clients are theirs; they are told, and we count them at debug level."""
        self.server.logger.debug("client error: " + msg, *args)

    def _write(self, data: bytes) -> None:
        # A HEAD that X-HTTP-Method-Override turns into a GET is a HEAD to the client's reader.
        if self.command != "HEAD":
            super()._write(data)

    def _receive_head(self) -> bool:
        """Read the next request's head; False when there is none and the connection ends."""
        self.idle = True
        self.head_since = time.monotonic()
        try:
            line = self.rfile.readline(MAX_LINE_BYTES)
            if not line:
                return False
            self.idle = False
            self.head_since = time.monotonic()
            self.response_length = 0
            self.time_start = time.time()
            self._read_head(line)
        except BadRequestHead as error:
            self._refuse(error)
            return False
        except (OSError, EOFError):
            return False
        finally:
            self.head_since = None
        return True

    def _read_head(self, line: bytes) -> None:
        if not line.endswith(b"\n"):
            if len(line) < MAX_LINE_BYTES:
                raise EOFError
            raise HeadTooLarge("The request line is too long; 16 KiB are allowed.")
        self.requestline = line.rstrip().decode("latin-1")
        self.command, self.path, self.request_version = parse_request_line(line)
        self.headers = read_headers(self.rfile, self.request_version)
        self.content_length = self.headers.content_length
        options = self.headers.tokens("connection")
        self.close_connection = "close" in options or (
            self.request_version == "HTTP/1.0" and "keep-alive" not in options
        )
        self.wsgi_input = RequestBody(
            self.rfile,
            self.socket,
            length=self.headers.content_length,
            chunked=self.headers.chunked,
            # "A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore
            # that expectation."
            expects_continue=self.request_version != "HTTP/1.0"
            and "100-continue" in self.headers.tokens("expect"),
        )

    def _refuse(self, error: BadRequestHead) -> None:
        """Answer what is no request, and end the connection: nobody knows where the next begins."""
        self.log_error("%s", error)
        status = (
            "431 Request Header Fields Too Large"
            if isinstance(error, HeadTooLarge)
            else "400 Bad Request"
        )
        text = f"{error}\n".encode()
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
        )
        with contextlib.suppress(OSError):
            self.socket.sendall(head.encode("ascii") + text)
            hang_up(self.socket, time.monotonic() + DRAIN_SECONDS)

    def _stop_reading(self) -> None:
        with contextlib.suppress(OSError):  # the client is gone already
            self.socket.shutdown(socket.SHUT_RD)

    def _says_connection(self) -> bool:
        return any(name.lower() == b"connection" for name, _ in self.response_headers)


# Cached, so that thousands of waiting requests share their keys.
@lru_cache(maxsize=256)
def _environ_key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


def _without_origin(target: str) -> str:
    """The path of an absolute-form target, which proxies may send; others are paths already."""
    if target.startswith(("http://", "https://")):
        return "/" + target.split("/", 3)[3] if target.count("/") > 2 else "/"
    return target
