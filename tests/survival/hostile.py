"""Requests of somebody who means harm, or knows no HTTP: the server answers and does not grow.

`python -m tests.survival.hostile --requests 100000` prints what was answered and what the web
processes hold before and after; the exit status is 1 when a promise was broken.
"""

import argparse
import json
import os
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.live import Live
from tests.raw import OCTETS, Client, Wire, chunked, jpeg_bytes, request_head
from tests.survival.hostile_api import API, INIT, Forger

ANSWER_SECONDS = 20.0
WARM_UP = 0.1
MOST_GROWN_KIB = 8 * 1024
# Nobody examines anything here, so nobody needs to wait for it.
SETTINGS: dict[str, Any] = {"workers": 2, "answer_wait_seconds": 0.01}

NUMBERS = (
    "0", "1", "5", "007", "+5", "-1", "1_0", " 7 ", "٣".encode().decode("latin-1"), "1e3", "0x10",
    "", "9223372036854775807", "9223372036854775808", "9" * 40, "5,5", "NaN", "1.0", "5\t",
)  # fmt: skip
PATHS = (
    "/files/", "/files", "/files//", "/files/../../etc/passwd", "/files/%2e%2e%2fsecret",
    "/files/a.info", "/files/%00", "/files/" + "a" * 300, "/files/uploads", "/files/.tusd-server",
    "*", "http://[::1", "http://elsewhere/files/", "/%ff%fe", "/api/v1/media", "/api/v1/media/%27",
    "/api/v1/media?after=x&limit=-1", "/api/v1/posts/..%2f/published", "/healthz", "/readyz", "//",
    "/?" + "q" * 5000, "/files/;x=1", "/files/#",
)  # fmt: skip
METHODS = (
    "POST", "POST", "PATCH", "PATCH", "GET", "HEAD", "DELETE", "OPTIONS", "PUT", "TRACE",
    "CONNECT", "BREW", "patch", "P" * 40,
)  # fmt: skip
METADATA = (
    "", ",", "a", "a b", "a YQ==", "a YQ==,a YQ==", "a YQ", "a =", "é YQ==", "filename ///w",
    "filename " + "QUFB" * 1000, "a YQ==, b YQ==", " a YQ==", "post_id Li4v", "sha256 eA==",
)  # fmt: skip
CHECKSUMS = (
    "", "sha1", "sha1 ", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "crc32 AAAAAA==", "md5 zz", "none x",
    "sha1  Kq5=", "SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "sha256 " + "A" * 44,
)  # fmt: skip
CONCATS = (
    "partial", "final", "final;", "final;/files/x", "final; /files/../x", "Partial",
    "final;" + "/files/a " * 50, "partial;x", "final;http://[::1/", "final;/files/%2e%2e",
)  # fmt: skip
OTHERS = (
    ("Expect", "100-continue"), ("Expect", "200-ok"), ("Upgrade", "h2c"), ("Connection", "close"),
    ("Connection", "keep-alive, x"), ("X-HTTP-Method-Override", "PATCH"),
    ("X-HTTP-Method-Override", "DELETE"), ("X-HTTP-Method-Override", "\x7f"), ("Range", "bytes=0-"),
    ("Range", "bytes=-1,-2"), ("Range", "bytes=99999999999999999999-"), ("Origin", "null"),
    ("Repr-Digest", "sha-256=:x:"), ("Repr-Digest", "sha-256=::"), ("Idempotency-Key", ""),
    ("Idempotency-Key", "k" * 300), ("Upload-Defer-Length", "2"), ("Upload-Defer-Length", "1"),
    ("Trailer", "Upload-Checksum"), ("Content-Type", "text/html"), ("Content-Type", OCTETS + ";x"),
    ("Authorization", "Bearer x"), ("Authorization", "Basic eDp4"), ("Tus-Resumable", "0.2.2"),
    ("Cookie", "a=" + "b" * 3000), ("X-Forwarded-Host", "evil"), ("Transfer-Encoding", "gzip"),
    ("If-None-Match", '"'), ("If-Range", "x"), ("If-Modified-Since", "yesterday"),
    ("Access-Control-Request-Method", "PATCH"), ("Content-Encoding", "br"), ("TE", "trailers"),
    ("Host", "other"), ("Content-Length", "5"), ("Accept", "\xff"), ("Forwarded", "for=x"),
)  # fmt: skip


# A name, how likely it is there, a value that is often right, and others.
FIELDS = (
    ("Upload-Offset", 0.6, "0", NUMBERS),
    ("Upload-Length", 0.5, "1000", NUMBERS),
    ("Upload-Metadata", 0.3, "filename YS5qcGc=", METADATA),
    ("Upload-Checksum", 0.15, "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", CHECKSUMS),
    ("Upload-Concat", 0.15, "partial", CONCATS),
)


@dataclass(frozen=True)
class Sizes:
    """What the web processes hold."""

    rss_kib: int
    descriptors: int
    threads: int

    def __str__(self) -> str:
        return f"{self.rss_kib} KiB, {self.descriptors} descriptors, {self.threads} threads"


def sizes(pids: list[int]) -> Sizes:
    def status(pid: int, name: str) -> int:
        text = Path(f"/proc/{pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
        assert found is not None
        return int(found[1])

    return Sizes(
        sum(status(pid, "VmRSS") for pid in pids),
        sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
        sum(status(pid, "Threads") for pid in pids),
    )


@dataclass
class Seen:
    """What the server did."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    broken: list[str] = field(default_factory=list)
    before: Sizes = Sizes(0, 0, 0)
    after: Sizes = Sizes(0, 0, 0)

    def lines(self) -> Iterator[str]:
        statuses = ", ".join(f"{status}: {n}" for status, n in sorted(self.statuses.items()))
        yield f"requests: {self.requests}"
        yield f"answers: {statuses}; ended without one: {self.unanswered}"
        yield f"before, warmed up: {self.before}"
        yield f"after: {self.after}"
        yield f"broken promises: {len(self.broken)}"
        yield from (f"  {promise}" for promise in self.broken[:20])


class Stranger(threading.Thread):
    """Sends requests of every bad kind on fresh connections, well-framed ones on a kept one."""

    def __init__(self, server: Live, rng: random.Random, requests: int, seen: Seen) -> None:
        super().__init__(daemon=True)
        self._rng = rng
        self._requests = requests
        self._seen = seen
        self._client = Client(server)
        self._kept: Wire | None = None
        self._path = ""
        self._forger = Forger(rng)
        self._kinds: dict[Callable[[], bytes], int] = {
            self._mixed: 8,
            self._noise: 2,
            self._bad_head: 3,
            self._huge: 1,
            self._framing: 3,
            self._cut: 2,
            self._pipelined: 1,
            self._api: 6,
        }

    def run(self) -> None:
        for number in range(self._requests):
            request = b""
            try:
                if number % 50 == 0:
                    self._path = self._client.create(1000)
                    self._forger.upload_id = self._begin_in_chunks()
                if self._rng.random() < 0.4:
                    method = self._rng.choice(METHODS)
                    request = self._request(method, framed=True)
                    self._ask_kept(method, request)
                else:
                    kinds, weights = tuple(self._kinds), tuple(self._kinds.values())
                    request = self._rng.choices(kinds, weights)[0]()
                    self._ask_afresh(request)
            except (ConnectionError, EOFError):
                self._seen.unanswered += 1
                self._let_go()
            except Exception as error:
                self._seen.broken.append(f"{type(error).__name__}: {error} to {request[:500]!r}")
                self._let_go()
            self._seen.requests += 1
        self._let_go()

    def _begin_in_chunks(self) -> str:
        begun = self._client.ask("POST", f"{API}/upload/init", body=json.dumps(INIT).encode())
        assert begun.status == 200, begun
        upload_id: str = begun.json()["upload_id"]
        return upload_id

    def _ask_kept(self, method: str, request: bytes) -> None:
        wire = self._kept = self._kept or _Line(*self._address(), seconds=ANSWER_SECONDS)
        wire.send(request)
        while (answer := wire.answer(bodiless=method == "HEAD")).status == 100:
            pass
        self._count(answer.status, request)
        if answer.get("connection") == "close":
            self._let_go()

    def _ask_afresh(self, request: bytes) -> None:
        """Send, say that nothing more comes, and read to the end, which must come soon."""
        with Wire(*self._address(), seconds=ANSWER_SECONDS) as wire:
            wire.send(request)
            wire.half_close()
            received = b""
            while block := wire.socket.recv(65_536):
                received += block
        statuses = re.findall(rb"^HTTP/1\.1 (\d{3}) ", received, re.MULTILINE)
        if not statuses:
            raise EOFError
        for status in statuses:
            self._count(int(status), request)

    def _count(self, status: int, request: bytes) -> None:
        self._seen.statuses[status] += 1
        if status >= 500:
            self._seen.broken.append(f"{status} to {request[:500]!r}")

    def _address(self) -> tuple[str, int]:
        return self._client.server.host, self._client.server.port

    def _let_go(self) -> None:
        if self._kept is not None:
            self._kept.close()
        self._kept = None

    def _request(self, method: str, *, framed: bool) -> bytes:
        """Fields that each may be wrong; where `framed`, nobody can doubt where the body ends."""
        pick = self._rng.choice
        usual = "/files/" if method == "POST" else self._path
        path = pick((usual, usual, usual, pick(PATHS)))
        fields = [("Host", "here")] if self._rng.random() < 0.95 or framed else []
        if self._rng.random() < 0.9:
            fields.append(("Authorization", f"Bearer {self._client.token}"))
        if self._rng.random() < 0.9:
            fields.append(("Tus-Resumable", "1.0.0"))
        for name, likely, good, values in FIELDS:
            if self._rng.random() < likely:
                fields.append((name, good if self._rng.random() < 0.6 else pick(values)))
        if self._rng.random() < 0.6:
            fields.append(("Content-Type", OCTETS))
        for _ in range(self._rng.randint(0, 3)):
            name, value = pick(OTHERS)
            if not framed or name not in ("Content-Length", "Transfer-Encoding", "Expect", "Host"):
                fields.append((name, value))
        self._rng.shuffle(fields)
        body = self._rng.randbytes(pick((0, 0, 1, 5, 100, 1000)))
        if self._rng.random() < 0.2:
            return request_head(method, path, [*fields, CHUNKED]) + chunked(*_split(body))
        if body or self._rng.random() < 0.5:
            fields.append(("Content-Length", str(len(body))))
        return request_head(method, path, fields) + body

    def _mixed(self) -> bytes:
        return self._request(self._rng.choice(METHODS), framed=False)

    def _noise(self) -> bytes:
        return self._rng.randbytes(self._rng.randint(1, 3000))

    def _bad_head(self) -> bytes:
        """A good request with a few bytes of its head replaced, doubled or left out."""
        request = bytearray(self._request("PATCH", framed=True))
        for _ in range(self._rng.randint(1, 4)):
            at = self._rng.randrange(min(len(request), 400))
            request[at : at + self._rng.randint(0, 2)] = self._rng.choice(
                (
                    b"\0",
                    b"\r",
                    b"\n",
                    b"\r\n",
                    b" ",
                    b":",
                    b"\t",
                    b"\xff",
                    b"",
                    b"\r\n ",
                    b"\r\n\r\n",
                )
            )
        return bytes(request)

    def _huge(self) -> bytes:
        big = self._rng.choice((17_000, 70_000))
        return self._rng.choice(
            (
                request_head("GET", "/" + "a" * big, [("Host", "here")]),
                request_head("GET", "/", [("Host", "here"), ("X", "a" * big)]),
                request_head("GET", "/", [("Host", "here")] + [("X", "a")] * (big // 6)),
                b"\r\n" * (big // 2),
            )
        )

    def _framing(self) -> bytes:
        """Chunked codings that end nowhere, or in two places."""
        bad = self._rng.choice(
            (
                b"5\r\nhello",
                b"5\r\nhelloXX0\r\n\r\n",
                b"-5\r\nhello\r\n0\r\n\r\n",
                b"0x5\r\nhello\r\n0\r\n\r\n",
                b"5;" + b"x" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
                b"f" * 17 + b"\r\n",
                b"ffffffffffffffff\r\nhello",
                b"5\nhello\n0\n\n",
                b"\r\n",
                b"0\r\n" + b"A: b\r\n" * 100 + b"\r\n",
                b"0\r\nno colon\r\n\r\n",
                b"0\r\nUpload-Checksum: sha1 zz\r\n\r\n",
                self._rng.randbytes(200),
            )
        )
        fields = [("Content-Type", OCTETS), ("Upload-Offset", "0"), CHUNKED]
        if self._rng.random() < 0.3:
            fields.append(("Trailer", "Upload-Checksum"))
        if self._rng.random() < 0.2:
            fields.append(("Content-Length", "5"))
        return self._client.head("PATCH", self._path, *fields) + bad

    def _cut(self) -> bytes:
        request = self._client.patch_head(self._path, 0, 1000) + jpeg_bytes(1000)
        return request[: self._rng.randint(1, len(request))]

    def _pipelined(self) -> bytes:
        methods = self._rng.choices(METHODS, k=self._rng.randint(2, 8))
        return b"".join(self._request(method, framed=True) for method in methods)

    def _api(self) -> bytes:
        """Forms and JSON, now and then cut short."""
        call = self._forger.call()
        fields = [("Content-Length", str(len(call.body)))] if call.method == "POST" else []
        fields += [("Content-Type", call.kind)] if call.kind else []
        request = self._client.head(call.method, call.target, *fields, tus=False) + call.body
        return (
            request[: self._rng.randint(1, len(request))] if self._rng.random() < 0.1 else request
        )


class _Line(Wire):
    """A connection whose early end is no failure of the test."""

    def _more(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise EOFError
        self._received += data


CHUNKED = ("Transfer-Encoding", "chunked")


def _split(body: bytes) -> list[bytes]:
    return [body[at : at + 300] for at in range(0, len(body), 300)]


def assault(live: Live, *, requests: int, seed: int, strangers: int = 4) -> Seen:
    """Send so many hostile requests; what came back, and what the server became."""
    seen = Seen()
    rng = random.Random(seed)
    pids = live.web_pids()
    _wave(live, rng, int(requests * WARM_UP), strangers, seen)
    idle = _settled(pids, 0)
    seen.before = idle
    _wave(live, rng, requests - seen.requests, strangers, seen)
    seen.after = _settled(pids, idle.descriptors)
    if live.web_pids() != pids:
        seen.broken.append("A web process died.")
    if seen.after.descriptors > idle.descriptors:
        seen.broken.append("The server holds more descriptors than before.")
    # gevent keeps up to ten threads for blocking calls, and starts them one by one.
    if seen.after.threads > idle.threads + 10 * len(pids):
        seen.broken.append("The server runs more threads than before.")
    if seen.after.rss_kib > idle.rss_kib + MOST_GROWN_KIB:
        seen.broken.append("The server holds more memory than before.")
    if "unexpected error" in live.log() or "Traceback" in live.log():
        seen.broken.append("The server met an unexpected error; its log tells which.")
    if Client(live).ask("GET", "/healthz").status != 200:
        seen.broken.append("The server does not answer any more.")
    return seen


def _wave(live: Live, rng: random.Random, requests: int, strangers: int, seen: Seen) -> None:
    share = -(-requests // strangers)
    threads = [Stranger(live, random.Random(rng.random()), share, seen) for _ in range(strangers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _settled(pids: list[int], most_descriptors: int) -> Sizes:
    """The sizes once connections are closed: no fewer descriptors within half a second."""
    give_up = time.monotonic() + 10
    last, since = sizes(pids), time.monotonic()
    while time.monotonic() < give_up and time.monotonic() - since < 0.5:
        if 0 < last.descriptors <= most_descriptors:
            break
        now = sizes(pids)
        if now.descriptors < last.descriptors:
            since = time.monotonic()
        last = now
        time.sleep(0.02)
    return last


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.survival.hostile", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=None, help="chosen by chance when left out")
    asked = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if asked.seed is None else asked.seed
    print(f"seed: {seed}", flush=True)
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="tusd-hostile-") as folder,
        Live(Path(folder) / "data", **SETTINGS) as live,
    ):
        seen = assault(live, requests=asked.requests, seed=seed)
        for line in seen.lines():
            print(line)
    print(f"seconds: {time.monotonic() - started:.0f}")
    return 1 if seen.broken else 0


if __name__ == "__main__":
    sys.exit(main())
