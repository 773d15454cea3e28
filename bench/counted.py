"""What `bench instructions` runs below valgrind: few and many requests of each kind.

Prints a line with the kind and the process id for each child; every child forked from the same
state makes its requests and ends, and valgrind writes what it counted to a file of that id.
"""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.instructions import FEW, MANY
from tusd_server.app import create_app
from tusd_server.auth import User, make_token
from tusd_server.settings import Settings

CONTENT = b"GIF89a".ljust(4096, b"\0")
OCTETS = "application/offset+octet-stream"
KINDS = ("create", "upload_in_two", "upload_in_one", "head", "options")


class Caller:
    """Calls the application as a server would, without a socket."""

    def __init__(self, auth: str, data_dir: Path) -> None:
        """`auth` is that of the settings."""
        settings = Settings(
            data_dir=data_dir,
            durability="none",
            auth=auth,  # type: ignore[arg-type]
            jwt_secret="a secret for counting instructions",
        )
        self._app = create_app(settings)
        self._usual: dict[str, Any] = {
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "1080",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "127.0.0.1:1080",
            "HTTP_TUS_RESUMABLE": "1.0.0",
            "REMOTE_ADDR": "127.0.0.1",
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "RAW_URI": "/files/",
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.input_terminated": True,
        }
        if auth == "jwt":
            token = make_token(self._app, User("alice"), hours=24)
            self._usual["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        self._unfinished = self.create()

    def create(self) -> str:
        """The path of a new upload."""
        return self._post(b"", HTTP_UPLOAD_METADATA="filename YS5naWY=")

    def upload_in_two(self) -> None:
        """POST, then PATCH."""
        headers = {"HTTP_UPLOAD_OFFSET": "0", "CONTENT_TYPE": OCTETS}
        self._call("204", "PATCH", self.create(), CONTENT, **headers)

    def upload_in_one(self) -> None:
        """POST with all bytes."""
        self._post(CONTENT, CONTENT_TYPE=OCTETS)

    def head(self) -> None:
        """HEAD of an upload without bytes."""
        self._call("200", "HEAD", self._unfinished)

    def options(self) -> None:
        """OPTIONS of the same."""
        self._call("204", "OPTIONS", self._unfinished)

    def _post(self, body: bytes, **headers: str) -> str:
        length = str(len(CONTENT))
        answer = self._call("201", "POST", "/files/", body, HTTP_UPLOAD_LENGTH=length, **headers)
        return urlsplit(answer["Location"]).path

    def _call(
        self, status: str, method: str, path: str, body: bytes = b"", **headers: str
    ) -> dict[str, str]:
        environ: dict[str, Any] = {**self._usual, **headers}
        environ.update({"REQUEST_METHOD": method, "PATH_INFO": path})
        environ["wsgi.input"] = io.BytesIO(body)
        if body:
            environ["CONTENT_LENGTH"] = str(len(body))
        answer = _Answer()
        b"".join(self._app(environ, answer))
        if not answer.status.startswith(status):
            raise RuntimeError(f"{method} {path} was answered with {answer.status}.")
        return answer.headers


class _Answer:
    """WSGI's `start_response`, which keeps what it is told."""

    def __call__(
        self, status: str, headers: list[tuple[str, str]], exc_info: object = None, /
    ) -> Callable[[bytes], object]:
        self.status = status
        self.headers = dict(headers)
        return lambda _: None


def _count(kind: str, work: Callable[[], object], times: int) -> None:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    print(kind, os.getpid(), flush=True)
    for _ in range(times):
        work()
    os._exit(0)


def main(auth: str, data_dir: str) -> None:
    """Make the application once, and a child for each count."""
    caller = Caller(auth, Path(data_dir))
    for kind in KINDS:
        work = getattr(caller, kind)
        # What is done at the first request alone is not to be counted.
        work()
        for times in (FEW, MANY):
            _count(kind, work, times)


if __name__ == "__main__":
    main(*sys.argv[1:])
