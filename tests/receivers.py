"""A receiver of hooks for tests: a small HTTP server that notes what it is told."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hooks.events import HookEvent, HookName, RequestFacts, UploadFacts
from hooks.transport import Call
from tests.records import START
from tests.services import wait_until


@dataclass(frozen=True)
class Seen:
    """One request; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    peer: Any = None

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def name(self) -> str:
        return str(self.document["Type"])

    @property
    def upload(self) -> Any:
        return self.document["Event"]["Upload"]


@dataclass(frozen=True)
class Says:
    """An answer; `reply` becomes its JSON, `raw` is its body as it is."""

    reply: Any = None
    status: int = 200
    raw: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw
        return b"" if self.reply is None else json.dumps(self.reply).encode()


Answer = Callable[[Seen], Says]


class Receiver:
    """Answers each event as told; every other one with an empty JSON object, as tusd's do."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answers: dict[str, Answer] = {}
        self.url = ""
        self.port = 0

    def on(self, name: str, *says: Says) -> None:
        """Answer this event with these in turn; the last one goes on."""
        left = list(says)
        self.answers[name] = lambda _: left.pop(0) if len(left) > 1 else left[0]

    def names(self) -> list[str]:
        return [seen.name for seen in self.seen]

    def told(self, name: str, upload_id: str | None = None) -> list[Seen]:
        return [
            seen
            for seen in list(self.seen)
            if seen.name == name and upload_id in (None, seen.upload["ID"])
        ]

    def wait_for(self, name: str, upload_id: str | None = None, times: int = 1) -> Seen:
        """The last one of so many."""
        wait_until(lambda: len(self.told(name, upload_id)) >= times, f"{times} x {name}")
        return self.told(name, upload_id)[times - 1]

    def answer(self, seen: Seen) -> Says:
        self.seen.append(seen)
        usual: Answer = lambda _: Says({})  # noqa: E731
        return self.answers.get(seen.name, usual)(seen)


@contextmanager
def receiver(port: int = 0) -> Iterator[Receiver]:
    """A receiver on a free port, or on this one."""
    room = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            says = room.answer(Seen(self.path, headers, body, self.client_address))
            self.send_response(says.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(says.body)))
            for name, value in says.headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(says.body)
            except OSError:  # the other side does not want all of it
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        allow_reuse_address = True

    with Server(("127.0.0.1", port), Handler) as server:
        room.port = server.server_address[1]
        room.url = f"http://127.0.0.1:{room.port}/hook"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield room
        finally:
            server.shutdown()
            thread.join()


def event(
    name: HookName = "pre-create", upload_id: str = "u1", headers: Mapping[str, str] | None = None
) -> HookEvent:
    """An event about Alice's upload of 4 of 9 bytes."""
    given = {key: (value,) for key, value in (headers or {}).items()}
    request = RequestFacts("POST", "/files/", "127.0.0.1:9", given)
    return HookEvent(name, UploadFacts(upload_id, 9, 4, "alice", START), request)


def call(name: HookName = "pre-create", **headers: str) -> Call:
    """The same on its way; header names are written with underscores."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Call.asking(event(name, headers=named))
