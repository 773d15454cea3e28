"""Forms as streams: whatever comes, the parts are right or the error is one of ours."""

import contextlib
import io
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.forms import BOUNDARY, FORM, form
from tests.rooms import Cut
from tusd_server.errors import (
    BodyCut,
    MalformedBody,
    ReadTimedOut,
    UploadError,
    UploadTooLarge,
    WrongBodyType,
    WrongFields,
)
from tusd_server.uploads.body import Ending, PortableBody
from tusd_server.web.multipart import (
    FEED_BYTES,
    MOST_AROUND_BYTES,
    MOST_HEAD_BYTES,
    MOST_PARTS,
    MOST_TEXT_BYTES,
    Fields,
    Form,
    PartBody,
)

MIB = 1024 * 1024


class Pieces:
    """A stream that gives its bytes in pieces of these sizes, again and again."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self._stream = io.BytesIO(content)
        self._sizes = sizes
        self._at = 0

    def read(self, size: int, /) -> bytes:
        wanted = self._sizes[self._at % len(self._sizes)]
        self._at += 1
        return self._stream.read(min(size, wanted))


def opened(body: bytes, sizes: list[int] | None = None, most: int = 10 * MIB) -> Form:
    return Form(PortableBody(Pieces(body, sizes or [65_536]), len(body)), FORM, most_bytes=most)


def read(found: Form) -> list[tuple[str, str | None, bytes]]:
    parts = []
    for part in found:
        content = bytearray()
        while (data := part.form.data()) is not None:
            content += data
        parts.append((part.name, part.file_name, bytes(content)))
    return parts


class Shared(PortableBody):
    """A body whose one view is of a buffer that others write to as soon as they may."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(), len(content))
        self.buffer = bytearray(content)

    def chunks(self, limit: int) -> Iterator[memoryview]:
        yield memoryview(self.buffer)
        self.ending = Ending.COMPLETE


def test_other_connections_may_run_while_a_part_is_dealt_with() -> None:
    content = bytes(range(256)) * (3 * FEED_BYTES // 256)
    body = Shared(form(("file", content, "a.bin", None)))
    found = Form(body, FORM, most_bytes=10 * MIB)
    kept = bytearray()
    for part in found:
        while (data := part.form.data()) is not None:
            kept += data
            body.buffer[:] = bytes(len(body.buffer))
    assert kept == content


# Contents that look like what stands between parts.
TRICKY = st.sampled_from(
    [
        b"\r\n",
        b"\r",
        b"\n",
        b"--",
        b"\r\n--",
        BOUNDARY.encode()[:7],
        b"\r\n--" + BOUNDARY.encode()[:-1],
        b"\0",
        b"x" * 1000,
    ]
)
CONTENTS = st.lists(st.one_of(TRICKY, st.binary(max_size=50)), max_size=8).map(b"".join)
SIZES = st.lists(st.integers(1, 3000), min_size=1, max_size=5)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.lists(CONTENTS, max_size=5), SIZES)
def test_parts_come_out_as_they_went_in(contents: list[bytes], sizes: list[int]) -> None:
    parts = [(f"f{n}", content, f"{n}.bin", None) for n, content in enumerate(contents)]
    expected = [(name, file_name, content) for name, content, file_name, _ in parts]
    assert read(opened(form(*parts), sizes)) == expected


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    st.lists(CONTENTS, min_size=1, max_size=3),
    SIZES,
    st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 6), st.binary(max_size=6)),
        min_size=1,
        max_size=4,
    ),
)
def test_damaged_forms_are_our_errors(
    contents: list[bytes], sizes: list[int], damages: list[tuple[int, int, bytes]]
) -> None:
    """Bytes are cut out, put in and changed; any exception but ours is an error of the server."""
    body = form(*[(f"f{n}", content, f"{n}.bin", None) for n, content in enumerate(contents)])
    for at, cut, put in damages:
        at %= len(body) or 1
        body = body[:at] + put + body[at + cut :]
    with contextlib.suppress(UploadError):
        read(opened(body, sizes))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.binary(max_size=3000), SIZES)
def test_noise_is_no_form(noise: bytes, sizes: list[int]) -> None:
    with pytest.raises(MalformedBody):
        read(opened(b"--" + BOUNDARY.encode() + b"\r\n" + noise, sizes))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The form ends before its last boundary."),
        (b"hello", "The form ends before its last boundary."),
        (form(("a", "1"))[:-6], "The form ends before its last boundary."),
        (form(("a", "1"))[:60], "The form ends before its last boundary."),
        (b"x" * (2 * FEED_BYTES), "The form does not begin with its boundary."),
        (
            f"--{BOUNDARY}\r\nX: {'x' * 2 * FEED_BYTES}\r\n\r\n".encode(),
            "A part of the form has too long a head.",
        ),
        (
            f"--{BOUNDARY}\r\n{'X: x' * 10 + chr(13) + chr(10)}".encode() * 1000,
            "A part of the form has a head that cannot be read.",
        ),
        (f"--{BOUNDARY}er\r\n".encode(), "A boundary of the form is not alone on its line."),
        (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{"x" * MOST_HEAD_BYTES}"'
            f"\r\n\r\n\r\n--{BOUNDARY}--".encode(),
            "A part of the form has too long a head.",
        ),
        (
            f"--{BOUNDARY}\r\n\r\nx\r\n--{BOUNDARY}--".encode(),
            "A part of the form has no name in its Content-Disposition.",
        ),
        (
            f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=\xff\r\n\r\nx".encode("latin-1"),
            "A part of the form has a head that cannot be read.",
        ),
        (
            f"--{BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\nx\r\n--{BOUNDARY}--".encode(),
            "A part of the form has no name in its Content-Disposition.",
        ),
        (
            form(*[("a", "1")] * (MOST_PARTS + 1)),
            f"The form has more than {MOST_PARTS} parts.",
        ),
        (
            form(("a", "1")) + b"x" * (MOST_AROUND_BYTES + 1),
            "The form goes on behind its last boundary.",
        ),
    ],
)
@pytest.mark.parametrize("size", [7, 65_536])
def test_every_malformed_form_has_its_sentence(body: bytes, message: str, size: int) -> None:
    with pytest.raises(MalformedBody) as caught:
        read(opened(body, [size]))
    assert caught.value.message == message


def test_what_stands_around_the_parts_means_nothing() -> None:
    body = b"preamble\r\n" + form(("a", "1")) + b"epilogue"
    assert read(opened(body, [3])) == [("a", None, b"1")]
    assert read(opened(form())) == []


@pytest.mark.parametrize(
    ("content_type", "error"),
    [
        (None, WrongBodyType),
        ("", WrongBodyType),
        ("application/json", WrongBodyType),
        ("multipart/mixed; boundary=x", WrongBodyType),
        ("multipart/form-data", MalformedBody),
        ("multipart/form-data; boundary=", MalformedBody),
        ('multipart/form-data; boundary=""', MalformedBody),
        ("multipart/form-data; boundary=\u00e9", MalformedBody),
        (f"multipart/form-data; boundary={'x' * 201}", MalformedBody),
    ],
)
def test_content_types_that_name_no_form(content_type: Any, error: type[UploadError]) -> None:
    with pytest.raises(error):
        Form(PortableBody(io.BytesIO(b""), 0), content_type, most_bytes=10)


def test_a_boundary_is_no_pattern() -> None:
    body = b"--(.*)+\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--(.*)+--"
    content_type = 'multipart/form-data; boundary="(.*)+"'
    found = Form(PortableBody(io.BytesIO(body), len(body)), content_type, most_bytes=1000)
    assert read(found) == [("a", None, b"1")]


def test_a_form_is_bounded_before_and_while_it_comes() -> None:
    body = form(("a", "1" * 2000))
    with pytest.raises(UploadTooLarge, match=r"has 2\d+ bytes; this URL takes at most 1000 bytes"):
        opened(body, most=1000)
    chunked = Form(PortableBody(io.BytesIO(body), None), FORM, most_bytes=1000)
    with pytest.raises(UploadTooLarge, match="more than 1000 bytes"):
        read(chunked)


@pytest.mark.parametrize(
    ("error", "expected"), [(None, BodyCut), (TimeoutError(), ReadTimedOut), (OSError(), BodyCut)]
)
@pytest.mark.parametrize("sent", [0, 10, 70, 100])
def test_a_body_that_ends_badly(
    error: Exception | None, expected: type[UploadError], sent: int
) -> None:
    body = form(("a", "1" * 100))
    with pytest.raises(expected):
        read(Form(PortableBody(Cut(body[:sent], error), len(body)), FORM, most_bytes=1000))


def test_a_part_is_the_body_of_an_upload() -> None:
    found = opened(form(("a", b"0123456789", "a", None), ("b", "2")), [4])
    parts = iter(found)
    body = PartBody(next(parts), 100)
    assert b"".join(body.chunks(100)) == b"0123456789"
    assert (body.ending, body.received, body.head) == (Ending.COMPLETE, 10, b"0123456789")
    assert next(parts).text() == "2"


@pytest.mark.parametrize(("limit", "most"), [(100, 7), (7, 100)])
def test_a_part_that_is_too_long_overruns(limit: int, most: int) -> None:
    found = opened(form(("a", b"0123456789", "a", None), ("b", "2")), [4])
    parts = iter(found)
    body = PartBody(next(parts), most)
    assert b"".join(body.chunks(limit)) == b"0123456"
    assert body.ending is Ending.OVERRUN
    assert next(parts).text() == "2"


def test_a_part_that_is_cut_ends_quietly_and_keeps_the_error() -> None:
    sent = form(("a", b"0123456789", "a", None))[:-40]
    body = PartBody(next(iter(Form(PortableBody(Cut(sent), 999), FORM, most_bytes=1000))), 100)
    assert b"0123456789".startswith(b"".join(body.chunks(100)))
    assert body.ending is Ending.DISCONNECTED
    assert isinstance(body.error, BodyCut)


def fields_of(*parts: Any) -> dict[str, str]:
    fields = Fields("post_id", "media_type", files="file")
    for part in opened(form(*parts)):
        fields.take(part)
    return fields.values


def test_fields_are_text_and_unknown_ones_are_left_alone() -> None:
    assert fields_of(("post_id", "p\u00f6st"), ("csrf", "x"), ("csrf", "y")) == {
        "post_id": "p\u00f6st"
    }


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([("post_id", "1"), ("post_id", "1")], "post_id must be there once only."),
        ([("post_id", b"1", "x", None)], "post_id must be a plain field, not a file."),
        ([("clip", b"1", "x", None)], "The field 'clip' holds a file; send files as file."),
        (
            [("images[]", b"1", "x", None)],
            "The field 'images[]' is nested; names have no brackets here.",
        ),
        ([("post[id]", "1")], "The field 'post[id]' is nested; names have no brackets here."),
        (
            [("post_id", "x" * (MOST_TEXT_BYTES + 1))],
            f"'post_id' must be at most {MOST_TEXT_BYTES} bytes long.",
        ),
    ],
)
def test_every_wrong_field_has_its_sentence(parts: list[Any], message: str) -> None:
    with pytest.raises(WrongFields) as caught:
        fields_of(*parts)
    assert caught.value.message == message


def test_a_field_that_is_no_text() -> None:
    body = form(("post_id", "XX")).replace(b"XX", b"\xff\xfe")
    fields = Fields("post_id", files="file")
    part = next(iter(opened(body)))
    with pytest.raises(WrongFields, match="'post_id' must be text in UTF-8"):
        fields.take(part)


@pytest.mark.parametrize("content", [b"", b"\r", b"\n", b"x", b"\r\n", b"\r\n--"])
def test_wherever_a_read_ends_the_parts_are_the_same(content: bytes) -> None:
    """Werkzeug's decoder adds a CR where a read ends within the last boundary."""
    body = form(("a", content, "a.bin", None), ("b", "2"))
    for first in range(1, len(body)):
        assert read(opened(body, [first, 1000])) == [("a", "a.bin", content), ("b", None, b"2")]


def test_a_large_part_costs_no_memory() -> None:
    block = bytes(range(256)) * 4096

    class Endless:
        """A form with a part of 200 MiB."""

        def __init__(self) -> None:
            self._left: Iterator[bytes] = iter(
                [form(("a", b"", "a", None)).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"]
                + [block] * 200
                + [f"\r\n--{BOUNDARY}--".encode()]
            )
            self._held = b""

        def read(self, size: int, /) -> bytes:
            self._held = self._held or next(self._left, b"")
            found, self._held = self._held[:size], self._held[size:]
            return found

    body = PartBody(next(iter(Form(PortableBody(Endless(), None), FORM, most_bytes=2**30))), 2**30)
    tracemalloc.start()
    try:
        assert sum(len(view) for view in body.chunks(2**30)) == 200 * MIB
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
