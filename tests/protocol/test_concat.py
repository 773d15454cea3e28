"""Upload-Concat, as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusd_server.errors import BadHeader
from tusd_server.info import is_id
from tusd_server.protocol.concat import MOST_PARTS, Concat


def read(text: str, base_path: str = "/files/") -> Concat:
    return Concat.from_header(text, base_path)


def test_a_part() -> None:
    """If the upload is a partial one, the header value MUST be partial."""
    part = read("partial")
    assert part == Concat("partial")
    assert part.partial


@pytest.mark.parametrize(
    "text",
    [
        "final;/files/a /files/b",
        "final; /files/a /files/b",
        "final;http://media.example/files/a https://media.example:8443/files/b",
        "final;/files/a http://media.example/files/b?x=1#y",
        "final;a b",
        "final;/files/%61 /files/b",
        "final;//media.example/files/a b",
    ],
)
def test_the_whole(text: str) -> None:
    """In the case of a final upload, its value MUST be final followed by a semicolon and a
    space-separated list of partial upload URLs. The partial uploads URLs MAY be absolute or
    relative."""
    whole = read(text)
    assert whole == Concat(text, ("a", "b"))
    assert not whole.partial


def test_the_order_is_that_of_the_list_and_a_part_may_come_again() -> None:
    """The partial uploads MUST be concatenated as per the order specified in the list. The same
    partial upload MAY be present multiple times."""
    assert read("final;/files/b /files/a /files/b").parts == ("b", "a", "b")


def test_below_another_path() -> None:
    assert read("final;/media/files/a", "/media/files/").parts == ("a",)
    with pytest.raises(BadHeader):
        read("final;/files/a", "/media/files/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Partial",
        "partial ",
        "partial;",
        "partial,partial",
        "final",
        "final;",
        "final; ",
        "final;  /files/a",
        "final;/files/a  /files/b",
        "final;/files/a ",
        "final;/files/a\t/files/b",
        "final /files/a",
        "FINAL;/files/a",
        "final;/files/ä",
    ],
)
def test_what_is_neither(text: str) -> None:
    with pytest.raises(BadHeader, match=r"^Upload-Concat must be .+\.$"):
        read(text)


@pytest.mark.parametrize(
    "url",
    [
        "/files/",
        "/files",
        "/other/a",
        "/files/../a",
        "/files/a/b",
        "/files/a/",
        "/files/%2e%2e%2fa",
        "/files/.hidden",
        "/files/a.info",
        "/files/uploads",
        "http://[::1/files/a",
        "http://media.example",
    ],
)
def test_a_url_that_is_no_upload(url: str) -> None:
    with pytest.raises(BadHeader, match="no upload of this server"):
        read(f"final;/files/b {url}")


def test_the_number_of_parts_has_a_bound() -> None:
    assert len(read("final;" + " ".join(["a"] * MOST_PARTS)).parts) == MOST_PARTS
    with pytest.raises(BadHeader, match=f"at most {MOST_PARTS}"):
        read("final;" + " ".join(["a"] * (MOST_PARTS + 1)))


@given(st.text(max_size=60) | st.text(alphabet="final; /es:ab%.", max_size=60))
def test_whatever_comes(text: str) -> None:
    for said in (text, f"final;{text}", f"final;/files/{text}"):
        try:
            concat = read(said)
        except BadHeader:
            continue
        assert concat.header == said
        assert all(map(is_id, concat.parts))
