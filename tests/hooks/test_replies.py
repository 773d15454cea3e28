import json
from typing import Any

import pytest

from hooks.events import HookReply
from hooks.replies import BadReply, Reply, read_reply


def read(document: Any) -> Reply:
    return read_reply(json.dumps(document).encode())


@pytest.mark.parametrize("text", [b"", b" \n", b"{}", b"null", b'{"Later": [1]}'])
def test_nothing_said_is_nothing_done(text: bytes) -> None:
    assert read_reply(text) == Reply()


def test_all_that_can_be_said() -> None:
    said = read(
        {
            "HTTPResponse": {"StatusCode": 418, "Body": "tea", "Header": {"X-Pot": " brown "}},
            "RejectUpload": True,
            "RejectTermination": True,
            "StopUpload": True,
            "ChangeFileInfo": {
                "ID": "abc",
                "MetaData": {"k": "v"},
                "Storage": {"Path": "proj/a.png", "Type": "filestore"},
            },
        }
    )
    assert said == Reply(
        HookReply({"X-Pot": "brown"}, 418, "tea"), True, True, True, "abc", {"k": "v"}, "proj/a.png"
    )


def test_names_are_read_in_any_case_and_null_is_nothing() -> None:
    said = read({"httpresponse": {"STATUSCODE": 201, "header": None}, "changefileinfo": None})
    assert said == Reply(HookReply(status=201))


def test_no_metadata_is_not_empty_metadata() -> None:
    assert read({"ChangeFileInfo": {"MetaData": {}}}).metadata == {}
    assert read({"ChangeFileInfo": {}}).metadata is None


def test_headers_that_frame_the_answer_are_left_out() -> None:
    headers = {
        "Content-Length": "3",
        "Upload-Offset": "9",
        "transfer-encoding": "x",
        "Location": "/a",
    }
    assert read({"HTTPResponse": {"Header": headers}}).reply.headers == {"Location": "/a"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "is no object"),
        ("yes", "is no object"),
        ({"HTTPResponse": 3}, "HTTPResponse is no object"),
        ({"HTTPResponse": {"StatusCode": "400"}}, "StatusCode is no number"),
        ({"HTTPResponse": {"StatusCode": 100}}, "between 200 and 599"),
        ({"HTTPResponse": {"StatusCode": 600}}, "between 200 and 599"),
        ({"HTTPResponse": {"Body": {}}}, "Body is no text"),
        ({"HTTPResponse": {"Body": "\ud800"}}, "Body has half a surrogate pair"),
        ({"ChangeFileInfo": {"MetaData": {"a": "\ud800"}}}, "MetaData has half a surrogate pair"),
        ({"ChangeFileInfo": {"MetaData": {"\udfff": "a"}}}, "MetaData has half a surrogate pair"),
        ({"HTTPResponse": {"Header": {"A": ["b"]}}}, "Header is no object of texts"),
        ({"HTTPResponse": {"Header": {"A b": "c"}}}, "no header of HTTP"),
        ({"HTTPResponse": {"Header": {"A": "b\r\nSet-Cookie: c"}}}, "no header of HTTP"),
        ({"HTTPResponse": {"Header": {"A": "☃"}}}, "no header of HTTP"),
        ({"RejectUpload": "no"}, "neither true nor false"),
        ({"ChangeFileInfo": {"MetaData": {"a": 1}}}, "MetaData is no object of texts"),
        ({"ChangeFileInfo": {"MetaData": {"post_id": "\n"}}}, "post_id that no record"),
        ({"ChangeFileInfo": {"ID": 5}}, "ID is no text"),
    ],
)
def test_what_cannot_be_used(document: Any, message: str) -> None:
    with pytest.raises(BadReply, match=message):
        read(document)


@pytest.mark.parametrize("text", [b"<html>", b"{", b"\xff", b"[" * 100_000, b"not today"])
def test_what_is_no_json(text: bytes) -> None:
    with pytest.raises(BadReply, match="no JSON"):
        read_reply(text)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../a",
        "a/../../b",
        "a//b",
        "a/",
        "./a",
        ".hidden/a",
        "a/.b",
        "~x/a",
        "a\\b",
        "a\x00b",
        "a\nb",
        "n" * 101,
        "/".join(["abcdefghij"] * 100),
    ],
)
def test_a_place_outside_or_hidden_is_refused(path: str) -> None:
    with pytest.raises(BadReply, match=r"Storage\.Path"):
        read({"ChangeFileInfo": {"Storage": {"Path": path}}})


@pytest.mark.parametrize("path", ["a", "a/b c/ä.png", "n" * 100])
def test_places_that_are_fine(path: str) -> None:
    assert read({"ChangeFileInfo": {"Storage": {"Path": path}}}).place == path
