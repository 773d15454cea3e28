"""Hostile requests over the wire: the table's status, one sentence, nothing written."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.live import Live, make_token
from tests.raw import OCTETS, Answer, Client, Field, Wire, jpeg_bytes

NUMBERS = [
    "-1",
    "+5",
    "1_000",
    "0x10",
    "1e3",
    "5.0",
    "five",
    "",
    "1 2",
    "5,5",
    "9223372036854775808",
    "99999999999999999999",
    "1" * 5000,
    "\u00b2",
    "\u0663".encode().decode("latin-1"),
    "inf",
    "NaN",
    "0b1",
    "\t",
]
IDS = [
    "..",
    "%2e%2e",
    "%2e%2e%2fsecret",
    "..%2f..%2fetc%2fpasswd",
    "%2fetc%2fpasswd",
    ".tusd-server",
    "%2etusd-server",
    "uploads",
    "a%00b",
    "%00",
    "a%0d%0aX: 1",
    "a.info",
    "-rf",
    "a" * 129,
    "a" * 10_000,
    "%ff%fe",
    "%c0%ae%c0%ae",
    "a%5c..%5cb",
    "%e2%80%ae",
    "CON",
    "%",
    "%zz",
    "~",
    "a;b",
    "a%20b",
]
METADATA = [
    "filename *",
    "filename YQ",
    "filename YQ==,",
    "filename YQ== YQ==",
    "filename YQ==,filename Yg==",
    "filename  YQ==",
    " ,",
    ",",
    "na\u00efve YQ==",
    "filename YQ=\u00e9",
    "filename Y-_=",
    "post_id AAAA",
    "post_id " + "YWFh" * 400,
]


@dataclass(frozen=True)
class Case:
    """A request, and the statuses of the table that may answer it."""

    name: str
    method: str
    target: str
    fields: tuple[Field, ...]
    statuses: tuple[int, ...]
    body: bytes = field(default=b"", repr=False)


def creations() -> Iterator[Case]:
    def case(name: str, statuses: tuple[int, ...], *fields: Field, body: bytes = b"") -> Case:
        return Case(f"POST {name}", "POST", "/files/", fields, statuses, body)

    length, octets = ("Upload-Length", "100"), ("Content-Type", OCTETS)
    for text in NUMBERS:
        yield case(f"length {text[:25]!r}", (400,), ("Upload-Length", text))
    yield case("length 2**63-1", (413,), ("Upload-Length", str(2**63 - 1)))
    yield case("length 500 MiB + 1", (413,), ("Upload-Length", str(500 * 1024 * 1024 + 1)))
    yield case("no length", (400,))
    yield case("two lengths", (400,), length, length)
    yield case("two different lengths", (400,), length, ("Upload-Length", "5"))
    for text in METADATA:
        yield case(f"metadata {text[:25]!r}", (400,), length, ("Upload-Metadata", text))
    yield case("deferred", (400,), ("Upload-Defer-Length", "2"))
    yield case("deferred and a length", (400,), length, ("Upload-Defer-Length", "1"))
    yield case("concat", (400,), length, ("Upload-Concat", "final;/files/../a"))
    yield case("body of no type", (415,), length, body=b"x" * 50)
    yield case("body of another type", (415,), length, ("Content-Type", "a/b"), body=b"x" * 50)
    yield case("body too long", (413,), length, octets, body=jpeg_bytes(101))
    yield case("text", (415,), length, octets, body=b"x" * 100)
    for text in ("0.2.2", "1.0.1", "1.0", "", "1.0.0, 1.0.0", "\u0661.0.0".encode().decode("l1")):
        yield case(f"version {text!r}", (412,), length, ("Tus-Resumable", text))


def appends(path: str) -> Iterator[Case]:
    def case(name: str, statuses: tuple[int, ...], *fields: Field, body: bytes = b"x") -> Case:
        return Case(f"PATCH {name}", "PATCH", path, fields, statuses, body)

    octets, zero = ("Content-Type", OCTETS), ("Upload-Offset", "0")
    for text in NUMBERS:
        yield case(f"offset {text[:25]!r}", (400,), octets, ("Upload-Offset", text))
    yield case("no offset", (400,), octets)
    yield case("two offsets", (400,), octets, zero, zero)
    for text in ("1", "99", "100", "101", str(2**63 - 1)):
        yield case(f"offset {text}", (409,), octets, ("Upload-Offset", text))
    yield case("no type", (415,), zero)
    for text in ("", "text/plain", "application/offset", f"{OCTETS}x", f"a/b, {OCTETS}"):
        yield case(f"type {text!r}", (415,), ("Content-Type", text), zero)
    yield case("two types", (415,), octets, octets, zero)
    yield case("body too long", (413,), octets, zero, body=jpeg_bytes(101))
    yield case("another length", (400,), octets, zero, ("Upload-Length", "5"))


def others(path: str) -> Iterator[Case]:
    octets, zero = ("Content-Type", OCTETS), ("Upload-Offset", "0")
    for upload_id in IDS:
        target = f"/files/{upload_id}"
        for method in ("HEAD", "GET", "DELETE"):
            yield Case(f"{method} {upload_id[:30]}", method, target, (), (400, 404))
        yield Case(f"PATCH {upload_id[:30]}", "PATCH", target, (octets, zero), (400, 404), b"x")
    for target in (path + ".info", path + "/info", path + "/", path + "/..", path + "%2finfo"):
        yield Case(f"GET {target}", "GET", target, (), (404,))
        yield Case(f"DELETE {target}", "DELETE", target, (), (404,))
    for method in ("PUT", "TRACE", "CONNECT", "BREW"):
        yield Case(f"{method}", method, path, (), (405,))
        override = ("X-HTTP-Method-Override", method)
        yield Case(f"override {method}", "POST", path, (override,), (405,))
    yield Case("POST to an upload", "POST", path, (), (405,))
    yield Case("PATCH of all uploads", "PATCH", "/files/", (octets, zero), (405,), b"x")
    yield Case("no token", "HEAD", path, (("Authorization", ""),), (401,))
    for text in (
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer \u00e4\u00f6.\u00fc.\u00df",
        "Basic YTpi",
        "Bearer " + "a" * 9000,
        "Bearer " + make_token(hours=-1),
        "Bearer " + make_token()[:-4] + "AAAA",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.",
        "Bearer " + make_token(sub=None),
        "Bearer " + make_token(sub=""),
        "Bearer " + make_token(sub="a" * 300),
        "Bearer " + make_token(type="refresh"),
    ):
        fields = (("Authorization", text), octets, zero)
        yield Case(f"PATCH with {text[:20]!r}", "PATCH", path, fields, (401,), b"x" * 5000)
    for target in (
        "/api/v1/media/..",
        "/api/v1/media/%00",
        "/api/v1/media/" + "a" * 5000,
        "/api/v1/posts/%00",
        "/api/v1/posts/..%2f..",
        "/api/v1/media/a/file?expires=1&signature=%00",
        "/api/v1/media/a/file?expires=%d9%a3&signature=%ff",
        "/api/v1/media/a/file?signature=",
        "/api/v1/media?limit=-1",
        "/api/v1/media?limit=\u00b2".encode().decode("latin-1").replace("\u00c2\u00b2", "%c2%b2"),
        "/api/v1/media?cursor=%00%ff",
        "/api/v1/media?status=what",
        "/api/v1/media?limit=1&limit=2&cursor=" + "9" * 500,
    ):
        yield Case(f"GET {target[:50]}", "GET", target, (), (200, 400, 401, 404))
    for target in ("//files/", "/files//", "/./files/", "/files/../files/", "/%66iles/", "/%"):
        yield Case(f"HEAD {target}", "HEAD", target, (), (404, 405, 308))
    yield Case("range", "GET", path, (("Range", "bytes=5-1,-,x"),), (409,))


@pytest.fixture(scope="module")
def path(web: Live) -> str:
    """An upload of 100 bytes of which none has come."""
    return Client(web).create(100)


def send(client: Client, case: Case) -> Answer:
    replaced = {name.lower() for name, _ in case.fields}
    usual = [
        ("Host", f"{client.server.host}:{client.server.port}"),
        ("Authorization", f"Bearer {client.token}"),
        ("Tus-Resumable", "1.0.0"),
    ]
    fields = [*(field for field in usual if field[0].lower() not in replaced), *case.fields]
    if case.body:
        fields.append(("Content-Length", str(len(case.body))))
    lines = [f"{case.method} {case.target} HTTP/1.1", *(f"{key}: {text}" for key, text in fields)]
    with client.wire() as wire:
        wire.send("\r\n".join([*lines, "", ""]).encode("latin-1") + case.body)
        answer = wire.answer(bodiless=case.method == "HEAD")
        if answer.get("connection") != "close":
            wire.send(client.head("GET", "/healthz"))
            assert wire.answer().status == 200
        return answer


def check_words(case: Case, answer: Answer, data_dir: Path) -> None:
    """One sentence, without a path, a traceback or the name of anything inside."""
    text = answer.body.decode()
    inside = re.compile(r"Traceback|File \"|\.py\b|0x[0-9a-f]{6,}|Error\b|sqlite|werkzeug", re.I)
    assert not inside.search(text), text
    assert str(data_dir) not in text
    if answer.status >= 400 and case.method != "HEAD" and not case.target.startswith("/api"):
        assert re.fullmatch(r"[A-Z][^\n]*\.\n", text), text
    if case.target.startswith("/files") and answer.status >= 405:
        assert answer["tus-resumable"] == "1.0.0"


def snapshot(live: Live) -> dict[str, tuple[int, int]]:
    """Every file below the data directory but the database's and the locks': size and time."""
    files = (path for path in live.data_dir.rglob("*") if path.is_file())
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in files
        if "catalog" not in path.name
    }


CREATIONS = list(creations())
APPENDS = list(appends("<path>"))
OTHERS = list(others("<path>"))


@pytest.mark.parametrize("case", CREATIONS + APPENDS + OTHERS, ids=lambda case: ascii(case.name))
def test_table(web: Live, path: str, case: Case) -> None:
    client, before = Client(web), snapshot(web)
    case = Case(
        case.name,
        case.method,
        case.target.replace("<path>", path),
        case.fields,
        case.statuses,
        case.body,
    )
    answer = send(client, case)
    assert answer.status in case.statuses, answer
    check_words(case, answer, web.data_dir)
    assert snapshot(web) == before
    assert client.offset(path) == 0


def test_412_names_the_version(client: Client) -> None:
    with client.wire() as wire:
        wire.send(client.head("HEAD", "/files/x", tus=False))
        answer = wire.answer(bodiless=True)
    assert (answer.status, answer["tus-version"]) == (412, "1.0.0")


def test_token_is_checked_before_a_byte_of_the_body(web: Live, path: str) -> None:
    with Wire(web.host, web.port) as wire:
        wire.send(
            f"PATCH {path} HTTP/1.1\r\nHost: here\r\nTus-Resumable: 1.0.0\r\n"
            f"Content-Type: {OCTETS}\r\nUpload-Offset: 0\r\nContent-Length: 100\r\n\r\n".encode()
        )
        answer = wire.answer()
    assert (answer.status, answer["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    "host", ["evil.example", "a:99999", "[::1]:1", "a,b", "*", "a:", "my_service:1080", None]
)
def test_a_location_can_be_followed_whatever_the_host(client: Client, host: str | None) -> None:
    """Absolute with a host, or a path; Docker's service names may have an underscore."""
    known = f"Host: {client.server.host}:{client.server.port}\r\n".encode()
    head = client.head("POST", "/files/", ("Upload-Length", "100"))
    if host is None:
        head = head.replace(known, b"").replace(b"HTTP/1.1", b"HTTP/1.0")
    else:
        head = head.replace(known, f"Host: {host}\r\n".encode())
    with client.wire() as wire:
        wire.send(head)
        answer = wire.answer()
    assert answer.status == 201
    assert re.fullmatch(r"(http://[^/\s]+)?/files/[0-9a-f]{32}", answer["location"])


def seeds(client: Client, path: str) -> list[bytes]:
    """Valid requests, from which the mutations are made."""
    body = jpeg_bytes(50)
    octets, fifty = ("Content-Type", OCTETS), ("Content-Length", "50")
    metadata = ("Upload-Metadata", "filename YS5qcGc=,filetype aW1hZ2UvanBlZw==,post_id cG9zdA==")
    chunks = b"19\r\n" + body[:25] + b"\r\n19\r\n" + body[25:] + b"\r\n0\r\n\r\n"
    fields = (octets, ("Upload-Offset", "0"))
    return [
        client.head("OPTIONS", "/files/"),
        client.head("POST", "/files/", ("Upload-Length", "100"), metadata),
        client.head("POST", "/files/", ("Upload-Length", "100"), octets, fifty) + body,
        client.head("HEAD", path),
        client.head("PATCH", path, *fields, fifty) + body,
        client.head("PATCH", path, *fields, ("Transfer-Encoding", "chunked")) + chunks,
        client.head("DELETE", path),
        client.head("GET", path, ("Range", "bytes=0-10")),
        client.head("GET", "/api/v1/media?limit=5&post_id=post&status=ready"),
        client.head("POST", "/api/v1/posts/post/published"),
        client.head("GET", "/api/v1/media/00000000-0000-5000-8000-000000000000/file"),
    ]


SPLICES = (
    b"\r\n", b"\n", b"\0", b"\xff", b" ", b"\t", b":", b",", b"%", b"%00", b"../", b"-", b"9" * 30,
    b"\r\nTransfer-Encoding: chunked", b"\r\nContent-Length: 5", b"\r\nExpect: 100-continue",
    b"\r\nX-HTTP-Method-Override: PATCH", b"\r\n\r\n", b"HTTP/1.0", b"\xe2\x80\xae", b"A" * 9000,
)  # fmt: skip


def mutated(chance: random.Random, request: bytes) -> bytes:
    data = bytearray(request)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at, size = chance.randrange(len(data) + 1), chance.choice((1, 1, 3, 20))
        kind = chance.randrange(5)
        if kind == 0:
            data[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            del data[at : at + size]
        elif kind == 2:
            data[at:at] = chance.choice(SPLICES)
        elif kind == 3:
            data[at:at] = data[at : at + size]
        else:
            end = data.find(b"\r\n", at) + 2
            data[end:end] = data[at:end]
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_mutations_are_answered_without_a_5xx(web: Live, seed: int) -> None:
    client, chance = Client(web), random.Random(seed)
    answered = set()
    for _ in range(35):
        requests = seeds(client, client.create(100))
        for _ in range(20):
            request = mutated(chance, chance.choice(requests))
            found = statuses(client, request)
            assert all(status < 500 for status in found), request
            answered.update(found)
    # The mutations reach behind the first checks.
    assert {200, 201, 204, 400, 401, 404, 409, 412, 415} <= answered
    assert client.ask("GET", "/healthz").status == 200
    assert "Traceback" not in web.log()


def statuses(client: Client, request: bytes) -> list[int]:
    """Send, say that no more comes, and read whatever is answered until the server ends."""
    with client.wire() as wire:
        wire.send_until_refused([request])
        try:
            wire.half_close()
        except OSError:
            return []
        received = b""
        try:
            while data := wire.socket.recv(65_536):
                received += data
        except ConnectionResetError:
            pass
    return [int(code) for code in re.findall(rb"(?:^|\n)HTTP/1\.1 (\d{3}) ", received)]
