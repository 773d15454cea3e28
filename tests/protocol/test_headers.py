"""Numbers of the wire."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tusd_server.errors import BadHeader
from tusd_server.protocol.headers import MAX_NUMBER, number, required_number

GOOD = {"0": 0, "7": 7, "007": 7, "11": 11, str(2**63 - 1): 2**63 - 1}
BAD = [
    "",
    " ",
    "+5",
    "-1",
    "-0",
    "1_0",
    "٣",
    "３",
    "²",
    " 7",
    "7 ",
    "7\n",
    "7\t",
    "7\x00",
    "1e3",
    "0x7",
    "7.0",
    "1,1",
    "NaN",
    "inf",
    str(2**63),
    str(2**64),
    "9" * 20,
    "0" * 20,
    "9" * 100_000,
]


@pytest.mark.parametrize(("text", "value"), GOOD.items())
def test_numbers(text: str, value: int) -> None:
    assert number("Upload-Length", text) == value


@pytest.mark.parametrize("text", BAD, ids=lambda text: ascii(text[:10]))
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(BadHeader) as caught:
        number("Upload-Length", text)
    sentence = caught.value.message
    assert sentence.startswith("Upload-Length is '")
    assert sentence.endswith("; it must be one non-negative whole number below 2^63.")
    assert sentence.isascii()
    assert sentence.isprintable()
    assert len(sentence) < 300


def test_a_number_that_must_be_there() -> None:
    assert required_number({"Upload-Offset": "7"}, "Upload-Offset") == 7
    with pytest.raises(BadHeader, match="Upload-Offset is missing"):
        required_number({}, "Upload-Offset")
    with pytest.raises(BadHeader, match="Upload-Offset is ''"):
        required_number({"Upload-Offset": ""}, "Upload-Offset")


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=MAX_NUMBER))
def test_every_number_is_read_back(value: int) -> None:
    assert number("Upload-Offset", str(value)) == value


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_number_or_refused(text: str) -> None:
    headers: Mapping[str, str] = {"Upload-Offset": text}
    try:
        value = required_number(headers, "Upload-Offset")
    except BadHeader:
        return
    assert text.isascii()
    assert text.isdigit()
    assert 0 <= value <= MAX_NUMBER
