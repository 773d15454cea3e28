from dataclasses import replace
from pathlib import Path

import pytest

from hooks.content import ContentCheck
from hooks.events import HookEvent, HookRejected, UploadFacts
from processing.declared import Declared
from processing.reasons import Reason, Rejected
from processing.steps.case import Case
from processing.steps.sniff import sniff_step
from tests.records import START

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF"
MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42"


def event(**metadata: str) -> HookEvent:
    return HookEvent("first-bytes", UploadFacts("u1", 99, 0, "alice", START, metadata=metadata))


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"filename": "a.jpg", "filetype": "image/jpeg"},
        {"filename": "a.png"},
        {"filetype": "application/octet-stream"},
    ],
)
def test_an_image_that_is_one_passes(metadata: dict[str, str]) -> None:
    ContentCheck().first_bytes(event(**metadata), JPEG)


@pytest.mark.parametrize("head", [b"hello, I am a text", b"#EXTM3U\n", b"%PDF-1.7", b"\0" * 99])
def test_other_types_are_refused_whatever_they_are_called(head: bytes) -> None:
    with pytest.raises(HookRejected) as refused:
        ContentCheck().first_bytes(event(filename="a.mp4", filetype="video/mp4"), head)
    assert (refused.value.code, refused.value.kind) == ("type_not_allowed", "content")
    assert "send JPG, PNG, " in refused.value.message


def test_no_bytes_at_all_are_no_medium() -> None:
    with pytest.raises(HookRejected) as refused:
        ContentCheck().first_bytes(event(filename="a.mp4"), b"")
    assert refused.value.code == "empty_file"


@pytest.mark.parametrize("head", [b"", b"a text", JPEG])
def test_the_pipeline_says_the_same_in_the_same_words(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "file").write_bytes(head)
    said = Declared("a.mp4", "video/mp4")
    with pytest.raises(HookRejected) as early:
        ContentCheck().first_bytes(event(filename="a.mp4", filetype="video/mp4"), head)
    with pytest.raises(Rejected) as late:
        sniff_step(Case(tmp_path / "file", said, len(head)))
    assert late.value.reasons == (Reason(early.value.code, early.value.message),)


@pytest.mark.parametrize(
    ("metadata", "head"),
    [
        ({"filetype": "video/mp4"}, JPEG),
        ({"filename": "a.mp4"}, JPEG),
        ({"type": "image/png"}, MP4),
        ({"name": "a.heic"}, MP4),
    ],
)
def test_a_family_that_was_not_declared_is_refused(metadata: dict[str, str], head: bytes) -> None:
    with pytest.raises(HookRejected) as refused:
        ContentCheck().first_bytes(event(**metadata), head)
    assert refused.value.code == "type_mismatch"


def test_a_part_of_a_concatenation_is_not_judged() -> None:
    whole = event()
    part = replace(whole, upload=replace(whole.upload, is_partial=True))
    ContentCheck().first_bytes(part, b"from the middle of a video")


@pytest.mark.parametrize("post_id", ["p1", "пост 1", "", "p" * 255])
def test_a_usable_post_id_passes(post_id: str) -> None:
    ContentCheck().pre_create(event(post_id=post_id))


@pytest.mark.parametrize("post_id", ["p" * 256, "p\x00", "p\nq"])
def test_an_unusable_post_id_is_refused_at_creation(post_id: str) -> None:
    with pytest.raises(HookRejected) as refused:
        ContentCheck().pre_create(event(post_id=post_id))
    assert (refused.value.code, refused.value.kind) == ("bad_post_id", "invalid")
