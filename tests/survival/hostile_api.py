"""Requests to the JSON API of somebody who means harm: forms and JSON that are nearly right."""

import json
import random
from dataclasses import dataclass

from tests.forms import BOUNDARY, FORM, Field, File, form
from tests.raw import jpeg_bytes

API = "/api/v1/media"
TEXTS = (
    "", "0", "1", "-1", "999999999", "9" * 40, "1e3", "\u0663", "\0", "a\r\nb", "../../etc/passwd",
    "'", "%00", "x" * 300, "x" * 9000, "true", "null", "post-1", "\u202e", "image", "video", "{}",
)  # fmt: skip
VALUES = (
    None, True, 0, -1, 1.5, 2**63, 1e308, "", "a", "\u0000", "x" * 70_000, [], {}, [[]] * 50,
    "clip.mp4", "image/gif", "a.gif", 65_536, "post-1",
)  # fmt: skip
FIELDS = (
    "upload_id", "chunk_index", "chunk", "file", "images", "post_id", "media_type",
    "all_or_nothing", "chunk[]", "", "x" * 300, "\u00e9", 'a"b',
)  # fmt: skip
NAMES = ("a.gif", "clip.mp4", "", "..", "a\0b", "x" * 5000, "\u202egpj.exe", 'a";x="b', "a\\b")
CONTENTS = (
    b"",
    b"GIF89a\x01\x00\x01\x00\x00",
    b"text",
    b"\r\n--",
    b"\r\n--" + BOUNDARY.encode()[:9],
)
KINDS = (None, "image/gif", "image/jpeg", "video/mp4", "text/html", "x" * 300, "a/b; charset=\xff")
TYPES = (
    FORM, FORM, FORM, FORM, FORM, "multipart/form-data", "multipart/form-data; boundary=",
    "multipart/form-data; boundary=" + "b" * 201, "multipart/mixed; boundary=x", "application/json",
    "multipart/form-data; boundary*=utf-8''%ff", "multipart/form-data; boundary=\"a\\\"", "",
)  # fmt: skip
JSONS = (
    b"", b"{", b"[]", b"null", b"[" * 5000, b'{"a":' * 5000, b"\xff", b'{"file_name": "\\ud800"}',
    b"1e999",
    b'{"file_size": 1e999}', b'{"file_size": ' + b"9" * 5000 + b"}", b"{}" * 40_000,
)  # fmt: skip
INIT = {
    "file_name": "a.gif",
    "file_size": 200_000,
    "content_type": "image/gif",
    "chunk_size": 65_536,
}


@dataclass(frozen=True)
class Call:
    """A request's method, target, body and its type."""

    method: str
    target: str
    kind: str
    body: bytes


class Forger:
    """Makes calls by chance; `upload_id` is that of an upload in chunks."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.upload_id = "none"

    def call(self) -> Call:
        return self._rng.choice((self._form, self._form, self._json, self._plain))()

    def _form(self) -> Call:
        """Fields and files of the right names and wrong ones, and then some bytes changed."""
        target = self._rng.choice(
            (f"{API}/upload/chunk", f"{API}/upload/simple", f"{API}/upload/images")
        )
        parts = [self._part() for _ in range(self._rng.choice((0, 1, 3, 3, 12, 70)))]
        if self._rng.random() < 0.5:
            known: list[Field] = [
                ("upload_id", self.upload_id),
                ("chunk_index", str(self._rng.randint(0, 4))),
            ]
            parts = [*known, *parts] if self._rng.random() < 0.5 else [*parts, *known]
        body = bytearray(form(*parts))
        for _ in range(self._rng.choice((0, 0, 1, 3))):
            at = self._rng.randrange(len(body) or 1)
            body[at : at + self._rng.randint(0, 3)] = self._rng.choice(
                (b"", b"\r\n", b"--", b"\0", b"\xff")
            )
        if self._rng.random() < 0.1:
            body += b"x" * self._rng.choice((10, 20_000))
        return Call("POST", target, self._rng.choice(TYPES), bytes(body))

    def _part(self) -> Field | File:
        pick = self._rng.choice
        name = pick(FIELDS)
        if self._rng.random() < 0.5:
            return (name, pick(TEXTS))
        content = pick(
            (*CONTENTS, jpeg_bytes(3000), self._rng.randbytes(self._rng.randint(1, 70_000)))
        )
        return (name, content, pick(NAMES), pick(KINDS))

    def _json(self) -> Call:
        target = self._rng.choice(
            (f"{API}/upload/init", f"{API}/upload/init", f"{API}/upload/{self.upload_id}/finalize",
             f"{API}/cleanup/expired", "/api/v1/posts/p/published")
        )  # fmt: skip
        if self._rng.random() < 0.3:
            body = self._rng.choice(JSONS)
        else:
            asked = {
                name: self._rng.choice((good, good, self._rng.choice(VALUES)))
                for name, good in INIT.items()
            }
            asked[self._rng.choice(FIELDS)] = self._rng.choice(VALUES)
            body = json.dumps(asked).encode()
        return Call(
            "POST", target, self._rng.choice(("application/json", "text/plain", FORM)), body
        )

    def _plain(self) -> Call:
        """No body, at URLs with parts that are none. The streams of events would not end."""
        odd = self._rng.choice(
            (self.upload_id, "none", "%00", "%2e%2e", "a" * 200, "%ff", "upload", "%27")
        )
        target = self._rng.choice(
            (f"{API}/upload/{odd}/status", f"{API}/{odd}", f"{API}/{odd}/derivatives/{odd}",
             f"{API}/{odd}/file?signature=x&expires={odd}", f"{API}/usage?owner={odd}",
             f"{API}?cursor={odd}&post_id={odd}", f"{API}/supported-formats",
             f"{API}/upload/{odd}/chunk")
        )  # fmt: skip
        method = self._rng.choice(("GET", "GET", "HEAD", "DELETE", "POST", "OPTIONS"))
        return Call(method, target, "", b"")
