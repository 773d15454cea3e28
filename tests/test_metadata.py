"""Upload-Metadata."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tusd_server.errors import BadHeader, UploadError
from tusd_server.metadata import Metadata

KEY_CHARACTERS = [chr(code) for code in range(0x21, 0x7F) if chr(code) != ","]
keys = st.text(st.sampled_from(KEY_CHARACTERS), min_size=1, max_size=20)
all_pairs = st.dictionaries(keys, st.none() | st.binary(max_size=50)).map(
    lambda found: tuple(found.items())
)


@pytest.mark.parametrize(
    ("header", "pairs"),
    [
        ("", ()),
        ("   ", ()),
        ("a", (("a", None),)),
        ("a ", (("a", None),)),
        ("a YQ==", (("a", b"a"),)),
        ("b AP8=,a YQ==,c", (("b", b"\x00\xff"), ("a", b"a"), ("c", None))),
        ("a YQ==, b Yg==", (("a", b"a"), ("b", b"b"))),
        ("a YQ== , b Yg==  ", (("a", b"a"), ("b", b"b"))),
        ("A YQ==,a Yg==", (("A", b"a"), ("a", b"b"))),
    ],
)
def test_headers(header: str, pairs: tuple[tuple[str, bytes | None], ...]) -> None:
    assert Metadata.from_header(header).pairs == pairs


@pytest.mark.parametrize(
    "header",
    [
        ",",
        "a,",
        ",a",
        "a,,b",
        "a,a",
        "a YQ==,a Yg==",
        "a YQ",
        "a YQ=",
        "a Y===",
        "a YQ==YQ==",
        "a YQ= =",
        "a Y Q==",
        "a  YQ==",
        "a Y-_=",
        "a YQ==\n",
        "a\tYQ==",
        "é YQ==",
        "a é",
        "a\x00b YQ==",
        "a\x7f",
    ],
)
def test_headers_that_cannot_be_read(header: str) -> None:
    with pytest.raises(BadHeader, match="Upload-Metadata") as caught:
        Metadata.from_header(header)
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()


@settings(deadline=None)
@given(all_pairs)
def test_what_is_written_reads_back(pairs: tuple[tuple[str, bytes | None], ...]) -> None:
    """Binary values and the order too; a value of no bytes is no value on the wire."""
    known = Metadata.from_header(Metadata(pairs).to_header())
    assert known.pairs == tuple((key, value or None) for key, value in pairs)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_read_or_refused(header: str) -> None:
    try:
        known = Metadata.from_header(header)
    except UploadError:
        return
    assert Metadata.from_header(known.to_header()) == known


@settings(deadline=None)
@given(st.dictionaries(keys, st.text(st.characters(exclude_categories=["Cs"]))))
def test_texts_read_back_as_texts(values: dict[str, str]) -> None:
    assert Metadata.from_text(values).to_text() == values


def test_keys_that_no_header_can_carry_are_left_out() -> None:
    assert Metadata.from_text({"a b": "x", "": "y", "é": "z", "a": "1"}).pairs == (("a", b"1"),)


def test_values_as_text() -> None:
    known = Metadata((("name", b"\xff\xfe"), ("empty", b""), ("none", None), ("type", b"image")))
    assert known.to_text() == {"name": "\ufffd\ufffd", "empty": "", "none": "", "type": "image"}
    assert known.text("empty", "none", "type") == "image"
    assert known.text("name", "type") == "\ufffd\ufffd"
    assert known.text("missing") is None


def test_pairs_in_order() -> None:
    assert list(Metadata.from_header("z YQ==,a")) == [("z", b"a"), ("a", None)]


def test_a_large_value() -> None:
    value = bytes(range(256)) * 100
    header = f"a {base64.b64encode(value).decode()}"
    assert Metadata.from_header(header).pairs == (("a", value),)
    assert Metadata.from_header(header).to_header() == header
