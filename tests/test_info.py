"""The facts of one upload, and their form on disk."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.records import START
from tests.rooms import metadata
from tusd_server.errors import UploadNotFound
from tusd_server.info import Refusal, UploadInfo, check_id, is_id, now_utc

INFO = UploadInfo(
    id="24e533e02ec3bc40c387f1a0e460e216",
    length=11,
    owner="alice",
    metadata_header=metadata(filename="Füße.png", raw=b"\xff\x00", none=None),
    created_at=START,
)
# As tusd 2 writes it: one line, in this order, `Offset` never brought up to date.
OF_TUSD = (
    '{"ID":"24e533e02ec3bc40c387f1a0e460e216","Size":11,"SizeIsDeferred":false,"Offset":0,'
    '"MetaData":{"filename":"a\\u003cb.png","filetype":"image/png"},"IsPartial":false,'
    '"IsFinal":false,"PartialUploads":null,"Storage":{"InfoPath":'
    '"/srv/tusd/24e533e02ec3bc40c387f1a0e460e216.info","Path":'
    '"/srv/tusd/24e533e02ec3bc40c387f1a0e460e216","Type":"filestore"}}'
)
KEYS_OF_TUSD = [
    "ID",
    "Size",
    "SizeIsDeferred",
    "Offset",
    "MetaData",
    "IsPartial",
    "IsFinal",
    "PartialUploads",
    "Storage",
]


def test_questions() -> None:
    assert not INFO.finished
    assert INFO.at(11).finished
    assert UploadInfo(id="a", length=0).finished
    assert not UploadInfo(id="a", length=None).finished
    assert not INFO.final
    assert replace(INFO, parts=("b",)).final
    assert not INFO.in_chunks
    assert replace(INFO, chunk_size=4).in_chunks
    assert not replace(INFO, chunk_size=4, chunks_complete=True).in_chunks
    assert INFO.at(7) == replace(INFO, offset=7)
    assert INFO.metadata.text("filename") == "Füße.png"


@pytest.mark.parametrize(
    "info",
    [
        INFO,
        UploadInfo(id="a", length=2**63 - 1),
        UploadInfo(id="a", length=0, owner="ünïcode 🎉 \x00 \"'\\"),
        replace(INFO, path="/data/uploads/alice/20261122_123005_a.png"),
        replace(INFO, refusal=Refusal("type_not_allowed", "Send an image.")),
        replace(INFO, refusal=Refusal("no", "No.", 422, (("X-Why", "a"), ("X-B", "c")))),
        replace(INFO, accepted=True, place="teams/red/a.jpg"),
        replace(INFO, length=None),
        replace(INFO, owner=None, created_at=None),
        replace(INFO, concat="partial", partial=True),
        replace(INFO, concat="final;/files/b /files/c", parts=("b", "c")),
        replace(INFO, sha256="0" * 64),
        replace(INFO, chunk_size=4),
        replace(INFO, chunk_size=4, chunks_complete=True),
    ],
)
def test_what_is_written_reads_back(info: UploadInfo) -> None:
    assert UploadInfo.from_json(info.to_json("/data/a")) == info
    assert UploadInfo.from_json(info.to_json("/data/a").encode()) == info


def test_the_offset_is_not_kept_here() -> None:
    assert UploadInfo.from_json(INFO.at(7).to_json("/data/a")).offset == 0


def test_when_bytes_came_is_told_by_the_bytes() -> None:
    """It is the data file's time, which the store adds."""
    touched = replace(INFO, touched_at=START)
    assert touched.to_json("/data/a") == INFO.to_json("/data/a")


def test_our_file_is_one_that_tusd_reads() -> None:
    """Its keys come first and in its order; ours stand behind them."""
    text = INFO.to_json("/data/a")
    assert "\n" not in text
    document = json.loads(text)
    assert list(document)[: len(KEYS_OF_TUSD)] == KEYS_OF_TUSD
    assert document["Storage"] == {
        "InfoPath": "/data/a.info",
        "Path": "/data/a",
        "Type": "filestore",
    }
    assert document["MetaData"] == {"filename": "Füße.png", "raw": "\ufffd\x00", "none": ""}
    assert document["UploadMetadata"] == INFO.metadata_header


def test_a_part_and_what_is_made_of_it_are_written_as_tusd_does() -> None:
    part = json.loads(replace(INFO, partial=True, length=None).to_json("/data/a"))
    assert (part["IsPartial"], part["IsFinal"], part["PartialUploads"]) == (True, False, None)
    assert (part["Size"], part["SizeIsDeferred"]) == (0, True)
    final = json.loads(replace(INFO, parts=("b", "c")).to_json("/data/a"))
    assert (final["IsPartial"], final["IsFinal"]) == (False, True)
    assert final["PartialUploads"] == ["b", "c"]


def test_a_file_of_tusd_is_read() -> None:
    """Without an owner it belongs to whoever knows its URL."""
    info = UploadInfo.from_json(OF_TUSD)
    assert info == UploadInfo(
        id="24e533e02ec3bc40c387f1a0e460e216",
        length=11,
        owner=None,
        metadata_header=metadata(filename="a<b.png", filetype="image/png"),
    )
    assert info.path is None


def test_a_file_of_tusd_whose_length_is_deferred() -> None:
    document = json.loads(OF_TUSD) | {"Size": 0, "SizeIsDeferred": True}
    assert UploadInfo.from_json(json.dumps(document)).length is None


def test_a_file_of_tusd_that_is_made_of_others() -> None:
    document = json.loads(OF_TUSD) | {"IsFinal": True, "PartialUploads": ["b", "c"]}
    info = UploadInfo.from_json(json.dumps(document))
    assert (info.final, info.partial, info.parts) == (True, False, ("b", "c"))
    document = json.loads(OF_TUSD) | {"IsPartial": True}
    assert UploadInfo.from_json(json.dumps(document)).partial


def test_a_file_of_tusd_without_metadata() -> None:
    for values in ("{}", "null"):
        document = json.loads(OF_TUSD) | {"MetaData": json.loads(values)}
        assert UploadInfo.from_json(json.dumps(document)).metadata_header == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        '"text"',
        "{}",
        '{"ID":"a"}',
        '{"ID":"a","Size":null}',
        '{"ID":"a","Size":"many"}',
        '{"ID":"a","Size":1e999}',
        '{"ID":"a","Size":NaN}',
        '{"ID":"a","Size":1,"HandedOver":true}',
        '{"ID":"a","Size":1,"HandedOver":true,"Storage":null}',
        '{"ID":"a","Size":1,"Refused":"yes"}',
        '{"ID":"a","Size":1,"CreatedAt":"yesterday"}',
        '{"ID":"a","Size":1,"CreatedAt":7}',
        '{"ID":"a","Size":1,"MetaData":["a"]}',
        '{"ID":"a","Size":1,"MetaData":{"a":7}}',
        b"\xff\xfe\xfd",
        OF_TUSD[:-7],
    ],
)
def test_what_is_no_info_file(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        UploadInfo.from_json(text)


@settings(deadline=None)
@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=3))
def test_any_value_of_a_field_is_read_or_refused(value: object) -> None:
    document = json.loads(INFO.to_json("/data/a"))
    for name in document:
        try:
            UploadInfo.from_json(json.dumps(document | {name: value}))
        except ValueError:
            continue


@pytest.mark.parametrize("text", ["a", "0", "24e533e02ec3bc40c387f1a0e460e216", "A_b-9", "a" * 128])
def test_ids(text: str) -> None:
    assert is_id(text)
    assert check_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "../a",
        "a/b",
        "/a",
        "a\\b",
        ".tusd-server",
        "a.info",
        "-rf",
        "_a",
        "a b",
        "a\n",
        "a\x00",
        "é",
        "٣",
        "uploads",
        "a" * 129,
    ],
)
def test_what_is_no_id(text: str) -> None:
    assert not is_id(text)
    with pytest.raises(UploadNotFound, match="There is no such upload"):
        check_id(text)


def test_the_clock_is_in_utc() -> None:
    assert now_utc().tzinfo is UTC
    assert abs((now_utc() - datetime.now(UTC)).total_seconds()) < 60
