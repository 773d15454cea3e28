from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from processing.catalog import Catalog
from processing.reasons import Reason
from tests.records import EXAMINED, migrated, received
from tusd_server.errors import UploadNotFound
from tusd_server.info import Refusal, UploadInfo
from tusd_server.storage.memory import MemoryStore
from tusd_server.uploads.standing import Standing, standing_of


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with migrated(f"sqlite:///{tmp_path / 'catalog.db'}") as catalog:
        yield catalog


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def make(store: MemoryStore, content: bytes, length: int | None, **facts: object) -> UploadInfo:
    info = replace(UploadInfo("u1", length, owner="alice"), **facts)  # type: ignore[arg-type]
    store.create(info)
    with store.writer(info) as writer:
        writer.write(memoryview(content))
    return store.look("u1")


def test_an_upload_under_way(store: MemoryStore, catalog: Catalog) -> None:
    make(store, b"12345", 9)
    standing = standing_of("u1", store, catalog)
    assert standing == Standing("u1", "alice", "uploading", 5, 9)
    assert (standing.final, standing.mark) == (False, "uploading.5")


def test_an_upload_whose_length_is_deferred(store: MemoryStore, catalog: Catalog) -> None:
    make(store, b"12345", None)
    assert standing_of("u1", store, catalog) == Standing("u1", "alice", "uploading", 5, None)


def test_an_upload_in_chunks_moves_behind_its_first_hole_too(
    store: MemoryStore, catalog: Catalog
) -> None:
    info = UploadInfo("u1", 9, owner="alice", chunk_size=4)
    store.create(info)
    marks = [standing_of("u1", store, catalog).mark]
    for index in (2, 1):
        with store.chunk_writer(info) as writer:
            writer.write(memoryview(b"1234"[: 9 - 4 * index]), 4 * index)
            assert writer.count_chunk(index)
        marks.append(standing_of("u1", store, catalog).mark)
    assert marks == ["uploading.0", "uploading.1", "uploading.5"]
    standing = standing_of("u1", store, catalog)
    assert (standing.offset, standing.received_bytes) == (0, 5)


def test_a_finished_upload_before_its_record(store: MemoryStore, catalog: Catalog) -> None:
    make(store, b"123456789", 9)
    standing = standing_of("u1", store, catalog)
    assert (standing.state, standing.medium, standing.final) == ("received", None, False)


def test_a_finished_part_is_complete(store: MemoryStore, catalog: Catalog) -> None:
    make(store, b"123", 3, partial=True, concat="partial")
    standing = standing_of("u1", store, catalog)
    assert (standing.state, standing.final) == ("complete", True)


def test_content_that_was_refused(store: MemoryStore, catalog: Catalog) -> None:
    store.refuse(make(store, b"bad", 9), Refusal("type_not_allowed", "Not this type."))
    standing = standing_of("u1", store, catalog)
    assert (standing.state, standing.final) == ("rejected", True)
    assert standing.reasons == (Reason("type_not_allowed", "Not this type."),)


def test_a_record_tells_more_than_its_upload(store: MemoryStore, catalog: Catalog) -> None:
    make(store, b"123456789", 9)
    medium = catalog.receive(received("u1"))
    standing = standing_of("u1", store, catalog)
    assert (standing.state, standing.media_id, standing.final) == ("received", medium.id, False)
    catalog.processing(medium.id)
    catalog.rejected(medium.id, [Reason("video_too_long", "Too long.")])
    standing = standing_of("u1", store, catalog)
    assert (standing.state, standing.final) == ("rejected", True)
    assert standing.reasons == (Reason("video_too_long", "Too long."),)


@pytest.mark.parametrize(("post_id", "final"), [(None, True), ("p1", False)])
def test_ready_is_the_end_only_without_a_post(
    store: MemoryStore, catalog: Catalog, post_id: str | None, final: bool
) -> None:
    medium = catalog.receive(received("u1", post_id=post_id))
    catalog.processing(medium.id)
    catalog.ready(medium.id, EXAMINED)
    # The upload itself may be forgotten by now.
    standing = standing_of("u1", store, catalog)
    assert (standing.state, standing.offset, standing.final) == ("ready", 9, final)


def test_an_upload_that_there_is_not(store: MemoryStore, catalog: Catalog) -> None:
    with pytest.raises(UploadNotFound):
        standing_of("u1", store, catalog)
