"""What every store promises (storage/base.py), as tests; a store's own file imports them all.

It brings the fixture `store`.
"""

from dataclasses import replace

import pytest

from tests.records import START
from tests.rooms import metadata
from tusd_server.errors import UploadNotFound
from tusd_server.info import Refusal, UploadInfo
from tusd_server.storage.base import DataStore, Terminates, extensions

INFO = UploadInfo(
    id="24e533e02ec3bc40c387f1a0e460e216",
    length=11,
    owner="alice",
    metadata_header=metadata(filename="a.gif", raw=b"\xff\x00"),
    created_at=START,
)
REFUSAL = Refusal("type_not_allowed", "Send an image.")


def write(store: DataStore, data: bytes, upload_id: str = INFO.id) -> int:
    """Append bytes as a request does; where the upload stands then."""
    with store.writer(store.look(upload_id)) as writer:
        writer.write(memoryview(data))
        writer.sync()
        return writer.offset


def contents(store: DataStore, upload_id: str = INFO.id) -> bytes:
    with store.writer(store.look(upload_id)) as writer:
        return writer.head(1 << 20)


def test_a_new_upload_is_empty_and_has_its_facts(store: DataStore) -> None:
    store.create(INFO)
    assert store.look(INFO.id) == INFO


def test_an_upload_of_no_bytes_is_finished(store: DataStore) -> None:
    store.create(replace(INFO, length=0))
    assert store.look(INFO.id).finished


@pytest.mark.parametrize("name", ["unknown", "", "..", "../x", "a/b", ".hidden", "a.info", "a\0"])
def test_what_is_not_there_cannot_be_looked_at(store: DataStore, name: str) -> None:
    store.create(INFO)
    with pytest.raises(UploadNotFound):
        store.look(name)
    with pytest.raises(UploadNotFound), store.writer(replace(INFO, id=name)):
        pytest.fail("there is nothing to write to")


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "a.info", "uploads"])
def test_an_upload_that_could_not_be_named_is_not_created(store: DataStore, name: str) -> None:
    with pytest.raises(UploadNotFound):
        store.create(replace(INFO, id=name))
    assert list(store.all()) == []


def test_the_offset_is_what_was_written(store: DataStore) -> None:
    store.create(INFO)
    assert write(store, b"hello ") == 6
    assert store.look(INFO.id) == INFO.at(6)
    assert write(store, b"world") == 11
    assert store.look(INFO.id).finished
    assert contents(store) == b"hello world"


def test_the_offset_is_seen_while_somebody_writes(store: DataStore) -> None:
    store.create(INFO)
    with store.writer(store.look(INFO.id)) as writer:
        assert writer.offset == 0
        writer.write(memoryview(b"hello "))
        assert writer.offset == 6
        assert store.look(INFO.id).offset == 6
        writer.write(memoryview(b""))
        assert writer.offset == 6


def test_a_view_may_be_used_again_once_it_is_written(store: DataStore) -> None:
    """The server has one buffer for all of its connections."""
    store.create(INFO)
    buffer = bytearray(b"hello ")
    with store.writer(store.look(INFO.id)) as writer:
        writer.write(memoryview(buffer))
        buffer[:] = b"XXXXXX"
        writer.write(memoryview(b"world"))
    assert contents(store) == b"hello world"


def test_the_first_bytes_can_be_read_at_any_time(store: DataStore) -> None:
    store.create(INFO)
    with store.writer(store.look(INFO.id)) as writer:
        assert writer.head(4) == b""
        writer.write(memoryview(b"hello"))
        assert writer.head(4) == b"hell"
        assert writer.head(99) == b"hello"
        writer.write(memoryview(b" world"))
        assert writer.head(99) == b"hello world"


def test_bytes_can_be_cut_off(store: DataStore) -> None:
    store.create(INFO)
    write(store, b"hello")
    with store.writer(store.look(INFO.id)) as writer:
        writer.write(memoryview(b" world"))
        writer.cut(5)
        assert writer.offset == 5
        assert store.look(INFO.id).offset == 5
        writer.write(memoryview(b"!"))
    assert contents(store) == b"hello!"


def test_what_was_written_before_an_error_is_kept(store: DataStore) -> None:
    store.create(INFO)

    def fails_behind_the_first_bytes() -> None:
        with store.writer(INFO) as writer:
            writer.write(memoryview(b"hello"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails_behind_the_first_bytes()
    assert store.look(INFO.id).offset == 5


def test_a_finished_upload_stays_as_it_is(store: DataStore) -> None:
    store.create(INFO)
    write(store, b"hello world")
    for _ in range(2):
        store.finish(store.look(INFO.id))
    assert store.look(INFO.id) == INFO.at(11)


def test_a_refused_upload_has_no_bytes_and_says_why(store: DataStore) -> None:
    store.create(INFO)
    write(store, b"hello")
    for _ in range(2):
        store.refuse(store.look(INFO.id), REFUSAL)
    info = store.look(INFO.id)
    assert info.refusal == REFUSAL
    assert (info.id, info.owner, info.length) == (INFO.id, "alice", 11)
    assert not info.finished


def test_an_upload_is_refused_while_its_writer_is_open(store: DataStore) -> None:
    store.create(INFO)
    with store.writer(store.look(INFO.id)) as writer:
        writer.write(memoryview(b"hello"))
        store.refuse(INFO, REFUSAL)
    assert store.look(INFO.id).refusal == REFUSAL


def test_all_uploads(store: DataStore) -> None:
    assert list(store.all()) == []
    for name in ("a", "b", "c"):
        store.create(replace(INFO, id=name))
    write(store, b"hello", "b")
    store.refuse(store.look("c"), REFUSAL)
    found = {info.id: info for info in store.all()}
    assert set(found) == {"a", "b", "c"}
    assert found["b"].offset == 5
    assert found["c"].refusal == REFUSAL


def test_uploads_do_not_mix(store: DataStore) -> None:
    store.create(replace(INFO, id="a"))
    store.create(replace(INFO, id="b"))
    with store.writer(store.look("a")) as one, store.writer(store.look("b")) as two:
        one.write(memoryview(b"first"))
        two.write(memoryview(b"second"))
        one.write(memoryview(b"!"))
    assert (contents(store, "a"), contents(store, "b")) == (b"first!", b"second")


def test_a_removed_upload_is_gone(store: DataStore) -> None:
    if not isinstance(store, Terminates):
        assert "termination" not in extensions(store)
        return
    assert "termination" in extensions(store)
    store.create(INFO)
    write(store, b"hello")
    info = store.look(INFO.id)
    for _ in range(2):
        store.remove(info)
    with pytest.raises(UploadNotFound):
        store.look(INFO.id)
    assert list(store.all()) == []


def test_a_refused_upload_can_be_removed(store: DataStore) -> None:
    if not isinstance(store, Terminates):
        return
    store.create(INFO)
    store.refuse(INFO, REFUSAL)
    store.remove(store.look(INFO.id))
    assert list(store.all()) == []
