"""Against a server that does every wrong thing once, in the order that a test names."""

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.media import make_jpeg
from tusd_server.commands.connection import BadAnswer, Connection, NoAnswer, UploadFailed
from tusd_server.commands.patience import Patience
from tusd_server.commands.remembered import Remembered
from tusd_server.commands.transfer import Transfer

SIZE = 100_000


class Faulty(ThreadingHTTPServer):
    """A small tus server; each request takes the next fault of its method, if there is one."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: dict[str, list[str]] = {}
        self.seen: list[str] = []
        self.tokens: set[str | None] = set()
        self.data = bytearray()
        self.length = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: connections break here on purpose, and a client's test sees the rest."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Faulty

    def do_POST(self) -> None:
        if self._at_fault():
            return
        self.server.length = int(self.headers["Upload-Length"])
        self.server.data.clear()
        self._answer(201, {"Location": "/files/u1"})

    def do_HEAD(self) -> None:
        if not self._at_fault():
            self._answer(200, self._offset())

    def do_GET(self) -> None:
        if not self._at_fault():
            self._answer(200, {})

    def do_PATCH(self) -> None:
        if self._at_fault():
            return
        assert int(self.headers["Upload-Offset"]) == len(self.server.data)
        self.server.data += self._body()
        self._answer(204, self._offset())

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _at_fault(self) -> bool:
        self.server.seen.append(self.command)
        self.server.tokens.add(self.headers["Authorization"])
        faults = self.server.faults.get(self.command, [])
        fault = faults.pop(0) if faults else ""
        if fault == "cut":
            self.server.data += self._body()[:1000]
            self.close_connection = True
        elif fault.startswith("location "):
            self._answer(201, {"Location": fault.split()[1]})
        elif fault == "offset":
            self._body()
            self._answer(204, {"Upload-Offset": "12345678901234567890"})
        elif fault:
            self._body()
            status, _, text = fault.partition(" ")
            self.close_connection = True
            self._answer(int(status), {"Content-Type": "text/plain"}, text)
        return bool(fault)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _offset(self) -> dict[str, str]:
        headers = {"Upload-Offset": str(len(self.server.data))}
        return {**headers, "Upload-Media-Id": "m1"} if self._is_whole() else headers

    def _is_whole(self) -> bool:
        return len(self.server.data) == self.server.length

    def _answer(self, status: int, headers: dict[str, str], text: str = "") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())


@pytest.fixture
def server() -> Iterator[Faulty]:
    with Faulty() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = make_jpeg(tmp_path / "photo.jpg")
    path.write_bytes(path.read_bytes().ljust(SIZE, b"\0"))
    return path


class Meter:
    def __init__(self) -> None:
        self.offsets: list[int] = []

    def at(self, offset: int) -> None:
        self.offsets.append(offset)


class Sending:
    """A transfer that does not really wait."""

    def __init__(self, server: Faulty, folder: Path) -> None:
        self.said: list[str] = []
        self.meter = Meter()
        self.remembered = Remembered(folder / "began.json")
        self._folder = folder
        self._server = server

    def __call__(self, path: Path, *, patience_seconds: float = 60.0) -> str:
        now = [0.0]

        def sleep(seconds: float) -> None:
            now[0] += seconds

        patience = Patience(patience_seconds, self.said.append, clock=lambda: now[0], sleep=sleep)
        connection = Connection(self._server.url, "t")
        transfer = Transfer(
            connection=connection,
            remembered=self.remembered,
            patience=patience,
            chunk_size=30_000,
            meter=lambda _name, _size, _start: nullcontext(self.meter),
            say=self.said.append,
        )
        self.key = transfer.key(path)
        try:
            return transfer.send(path)
        finally:
            connection.close()


@pytest.fixture
def send(server: Faulty, tmp_path: Path) -> Sending:
    return Sending(server, tmp_path)


def test_nothing_wrong(server: Faulty, send: Sending, photo: Path) -> None:
    assert send(photo) == "m1"
    assert bytes(server.data) == photo.read_bytes()
    assert server.seen == ["POST", "PATCH", "PATCH", "PATCH", "PATCH"]
    assert server.tokens == {"Bearer t"}
    assert send.meter.offsets == sorted(send.meter.offsets)
    assert send.meter.offsets[-1] == SIZE
    assert send.said == []


@pytest.mark.parametrize(
    "faults",
    [
        {"POST": ["503 Stopping."]},
        {"PATCH": ["409 Not there."]},
        {"PATCH": ["423 Locked."] * 3},
        {"PATCH": ["cut", "cut"]},
        {"PATCH": ["500 Failed."], "HEAD": ["503 Stopping.", "cut"]},
    ],
)
def test_what_passes(
    server: Faulty, send: Sending, photo: Path, faults: dict[str, list[str]]
) -> None:
    count = sum(map(len, faults.values()))
    server.faults = faults
    assert send(photo) == "m1"
    assert bytes(server.data) == photo.read_bytes()
    assert [" trying again in " in each for each in send.said] == [True] * count


def test_the_last_answer_is_lost(server: Faulty, send: Sending, photo: Path) -> None:
    assert send(photo) == "m1"
    server.seen.clear()
    assert send(photo) == "m1"
    assert server.seen == ["HEAD"]


def test_patience_has_an_end(server: Faulty, send: Sending, photo: Path) -> None:
    server.faults = {"PATCH": ["503 Stopping."] * 1000}
    with pytest.raises(BadAnswer, match=r"^Stopping\.$"):
        send(photo, patience_seconds=20)
    assert send.remembered.get(send.key) == f"{server.url}/files/u1"


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"POST": ["413 Too large."]}, "Too large."),
        ({"PATCH": ["415 No photo."]}, "No photo."),
        ({"PATCH": ["cut"], "HEAD": ["415"], "GET": ["415 No photo."]}, "No photo."),
        ({"PATCH": ["cut"], "HEAD": ["404"]}, "The server answered 404 Not Found."),
        ({"POST": ["418"]}, "The server answered 418 I'm a Teapot."),
        (
            {"POST": ["302"]},
            "The server redirects to elsewhere; give its true address as --url.",
        ),
    ],
)
def test_what_is_final(
    server: Faulty, send: Sending, photo: Path, faults: dict[str, list[str]], said: str
) -> None:
    server.faults = faults
    with pytest.raises(BadAnswer) as caught:
        send(photo)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"POST": ["location /files/"]}, "The server did not say where the upload is"),
        ({"POST": ["location http://example.org/u1"]}, "which is not below --url"),
        ({"PATCH": ["offset"]}, "The server did not say how much it has"),
    ],
)
def test_what_is_no_tus_server(
    server: Faulty, send: Sending, photo: Path, faults: dict[str, list[str]], said: str
) -> None:
    server.faults = faults
    with pytest.raises(UploadFailed, match=said):
        send(photo)
    assert send.remembered.get(send.key) is None or "PATCH" in server.seen


def test_a_server_that_was_never_there_is_not_waited_for(
    server: Faulty, send: Sending, photo: Path
) -> None:
    server.faults = {"POST": ["cut"]}
    with pytest.raises(NoAnswer, match=r"does not answer: "):
        send(photo)
    assert send.said == []


def test_an_upload_that_was_refused_is_forgotten(
    server: Faulty, send: Sending, photo: Path
) -> None:
    server.faults = {"PATCH": ["415 No photo."]}
    with pytest.raises(BadAnswer):
        send(photo)
    assert send.remembered.get(send.key) is None


@pytest.mark.parametrize("status", ["404", "410", "415"])
def test_an_upload_that_is_over_begins_anew(
    server: Faulty, send: Sending, photo: Path, status: str
) -> None:
    assert send(photo) == "m1"
    server.seen.clear()
    server.faults = {"HEAD": [status]}
    assert send(photo) == "m1"
    assert server.seen[:2] == ["HEAD", "POST"]


def test_a_file_that_shrinks_while_it_is_read(
    server: Faulty, send: Sending, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shrink(offset: int) -> None:
        if offset > 30_000:
            photo.write_bytes(b"short")

    monkeypatch.setattr(send.meter, "at", shrink)
    with pytest.raises(UploadFailed, match=r"^The file changed while it was sent"):
        send(photo)
