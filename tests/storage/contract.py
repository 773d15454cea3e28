"""What every store promises (storage/base.py), as tests; a store's own file imports them all.

It brings the fixture `store`.
"""

import hashlib
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.records import START
from tests.rooms import metadata, timeless
from tusd_server.errors import UploadGone, UploadNotFound
from tusd_server.info import Refusal, UploadInfo, now_utc
from tusd_server.storage.base import (
    Concatenates,
    DataStore,
    Expires,
    KnowsOwners,
    RemembersKeys,
    TakesChunks,
    Terminates,
    extensions,
)

INFO = UploadInfo(
    id="24e533e02ec3bc40c387f1a0e460e216",
    length=11,
    owner="alice",
    metadata_header=metadata(filename="a.gif", raw=b"\xff\x00"),
    created_at=START,
)
REFUSAL = Refusal("type_not_allowed", "Send an image.")
DAY = timedelta(days=1)


def write(store: DataStore, data: bytes, upload_id: str = INFO.id) -> int:
    """Append bytes as a request does; where the upload stands then."""
    with store.writer(store.look(upload_id)) as writer:
        writer.write(memoryview(data))
        writer.sync()
        return writer.offset


def contents(store: DataStore, upload_id: str = INFO.id) -> bytes:
    with store.writer(store.look(upload_id)) as writer:
        return writer.read(1 << 20, 0)


def test_a_new_upload_is_empty_and_has_its_facts(store: DataStore) -> None:
    store.create(INFO)
    assert timeless(store.look(INFO.id)) == INFO


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
    assert timeless(store.look(INFO.id)) == INFO.at(6)
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


def test_the_bytes_can_be_read_at_any_time(store: DataStore) -> None:
    store.create(INFO)
    with store.writer(store.look(INFO.id)) as writer:
        assert writer.read(4, 0) == b""
        writer.write(memoryview(b"hello"))
        assert writer.read(4, 0) == b"hell"
        assert writer.read(99, 0) == b"hello"
        writer.write(memoryview(b" world"))
        assert writer.read(99, 0) == b"hello world"
        assert writer.read(3, 4) == b"o w"
        assert writer.read(99, 6) == b"world"
        assert writer.read(1, 11) == b""
    assert store.look(INFO.id).offset == 11


@pytest.mark.parametrize("offset", [0, 1, 5, 11])
def test_the_bytes_can_be_hashed_from_anywhere(store: DataStore, offset: int) -> None:
    """Those that the same request wrote as well as those before."""
    store.create(INFO)
    write(store, b"hello")
    hashed = hashlib.sha256(b"before")
    with store.writer(store.look(INFO.id)) as writer:
        writer.write(memoryview(b" world"))
        writer.hash(hashed, offset)
        assert writer.offset == 11
    assert hashed.digest() == hashlib.sha256(b"before" + b"hello world"[offset:]).digest()


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
    with store.writer(store.look(INFO.id)) as writer:
        writer.cut(0)
    assert (store.look(INFO.id).offset, contents(store)) == (0, b"")


def test_bytes_that_are_not_trusted_do_not_count(store: DataStore) -> None:
    store.create(INFO)
    write(store, b"hello")
    with store.writer(store.look(INFO.id)) as writer:
        writer.distrust()
        writer.write(memoryview(b" wor"))
        assert (writer.offset, writer.read(99, 5)) == (9, b" wor")
        assert store.look(INFO.id).offset == 5
        writer.trust()
        assert store.look(INFO.id).offset == 9
        writer.write(memoryview(b"ld"))
        assert store.look(INFO.id).offset == 11
    assert contents(store) == b"hello world"


def test_bytes_that_nobody_vouched_for_are_taken_back(store: DataStore) -> None:
    """What was written without trust is not there for the next one, whatever happened."""
    store.create(INFO)
    write(store, b"hello")

    def dies_before_its_checksum() -> None:
        with store.writer(store.look(INFO.id)) as writer:
            writer.distrust()
            writer.write(memoryview(b"XXXXXX"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        dies_before_its_checksum()
    assert (store.look(INFO.id).offset, store.look(INFO.id).finished) == (5, False)
    assert write(store, b" world") == 11
    assert store.look(INFO.id).offset == 11
    assert contents(store) == b"hello world"


def test_a_cut_ends_the_distrust(store: DataStore) -> None:
    store.create(INFO)
    write(store, b"hello")
    with store.writer(store.look(INFO.id)) as writer:
        writer.distrust()
        writer.write(memoryview(b" XXX"))
        writer.cut(5)
        writer.write(memoryview(b" world"))
        assert store.look(INFO.id).offset == 11
    assert contents(store) == b"hello world"


def test_each_body_is_distrusted_from_where_it_begins(store: DataStore) -> None:
    store.create(INFO)
    for part in (b"hello", b" world"):
        with store.writer(store.look(INFO.id)) as writer:
            offset = writer.offset
            writer.distrust()
            writer.write(memoryview(part))
            assert store.look(INFO.id).offset == offset
            writer.trust()
    assert contents(store) == b"hello world"


def test_when_bytes_came(store: DataStore) -> None:
    """A file system's clock is coarser than ours."""
    began = now_utc() - timedelta(seconds=1)
    store.create(INFO)
    created = store.look(INFO.id).touched_at
    assert created is not None
    assert began < created <= now_utc()
    write(store, b"hello")
    written = store.look(INFO.id).touched_at
    assert written is not None
    assert created <= written <= now_utc()
    store.update(replace(store.look(INFO.id), owner="bob"))
    assert store.look(INFO.id).touched_at == written


def test_changed_facts_are_kept(store: DataStore) -> None:
    """A length that was deferred, and the first user of an upload of tusd's."""
    unowned = replace(INFO, length=None, owner=None)
    store.create(unowned)
    write(store, b"hello")
    assert timeless(store.look(INFO.id)) == unowned.at(5)
    assert not store.look(INFO.id).finished
    store.update(replace(store.look(INFO.id), length=11))
    store.update(replace(store.look(INFO.id), owner="alice"))
    assert timeless(store.look(INFO.id)) == INFO.at(5)
    assert write(store, b" world") == 11
    assert store.look(INFO.id).finished
    assert contents(store) == b"hello world"


def test_facts_are_changed_while_somebody_writes(store: DataStore) -> None:
    store.create(replace(INFO, length=None))
    with store.writer(store.look(INFO.id)) as writer:
        writer.write(memoryview(b"hello"))
        store.update(INFO)
        writer.write(memoryview(b" world"))
    assert timeless(store.look(INFO.id)) == INFO.at(11)


def test_a_part_and_what_is_made_of_it_are_told_apart(store: DataStore) -> None:
    part = replace(INFO, id="a", concat="partial", partial=True)
    final = replace(INFO, id="b", length=None, concat="final;a", parts=("a",), sha256="0" * 64)
    for info in (part, final):
        store.create(info)
        assert timeless(store.look(info.id)) == info


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
    assert timeless(store.look(INFO.id)) == INFO.at(11)


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


# Expiration.


def forget(store: Expires, since: timedelta) -> int:
    """Forget what is gone since so long before (or after) now."""
    moment = now_utc() + since
    return store.forget(gone_since=moment, finished_since=moment)


def test_an_expired_upload_is_gone_and_says_so(store: DataStore) -> None:
    if not isinstance(store, Expires):
        assert "expiration" not in extensions(store)
        return
    assert "expiration" in extensions(store)
    for name in ("a", "b"):
        store.create(replace(INFO, id=name))
        write(store, b"hello", name)
    info = store.look("a")
    for _ in range(2):
        store.expire(info)
    with pytest.raises(UploadGone):
        store.look("a")
    with pytest.raises((UploadGone, UploadNotFound)), store.writer(info):
        pytest.fail("its bytes are gone")
    assert [info.id for info in store.all()] == ["b"]
    assert contents(store, "b") == b"hello"


def test_what_is_gone_is_forgotten_in_the_end(store: DataStore) -> None:
    if not isinstance(store, Expires):
        return
    for name in ("expired", "refused", "under_way", "complete"):
        store.create(replace(INFO, id=name))
    write(store, b"hello world", "complete")
    store.expire(store.look("expired"))
    store.refuse(store.look("refused"), REFUSAL)
    assert forget(store, -DAY) == 0
    with pytest.raises(UploadGone):
        store.look("expired")
    assert store.look("refused").refusal == REFUSAL
    assert forget(store, DAY) == 2
    for name in ("expired", "refused"):
        with pytest.raises(UploadNotFound):
            store.look(name)
    assert {info.id for info in store.all()} == {"under_way", "complete"}
    assert forget(store, DAY) == 0


def test_the_time_of_an_expired_upload_begins_when_it_expires(store: DataStore) -> None:
    """Or one that nobody touched for long would be forgotten at once, and never answer 410."""
    if not isinstance(store, Expires):
        return
    store.create(INFO)
    store.expire(replace(store.look(INFO.id), touched_at=START - DAY))
    assert forget(store, timedelta(hours=-1)) == 0
    with pytest.raises(UploadGone):
        store.look(INFO.id)


@pytest.mark.parametrize("gone", ["expired", "refused"])
def test_what_is_gone_can_be_removed(store: DataStore, gone: str) -> None:
    if not (isinstance(store, Expires) and isinstance(store, Terminates)):
        return
    store.create(INFO)
    info = store.look(INFO.id)
    if gone == "expired":
        store.expire(info)
    else:
        store.refuse(info, REFUSAL)
    store.remove(info)
    with pytest.raises(UploadNotFound):
        store.look(INFO.id)
    assert forget(store, DAY) == 0


# Concatenation.


def parts_of(store: DataStore, *contents: bytes) -> list[UploadInfo]:
    """Finished parts with these bytes."""
    parts = []
    for number, data in enumerate(contents):
        name = f"part{number}"
        info = replace(INFO, id=name, length=len(data), concat="partial", partial=True)
        store.create(info)
        write(store, data, name)
        parts.append(store.look(name))
    return parts


def final_of(store: DataStore, names: list[str], length: int | None = None) -> UploadInfo:
    store.create(replace(INFO, length=length, concat="final;", parts=tuple(names)))
    return store.look(INFO.id)


@pytest.mark.parametrize(
    "parts",
    [
        [b"hello", b" ", b"world"],
        [b"hello world"],
        [b"", b"hello world", b""],
        [b""],
        [b"x" * 300_000, b"y" * 300_000],
    ],
    ids=len,
)
def test_parts_are_joined_in_order(store: DataStore, parts: list[bytes]) -> None:
    if not isinstance(store, Concatenates):
        assert "concatenation" not in extensions(store)
        return
    assert {"concatenation", "concatenation-unfinished"} < set(extensions(store))
    whole = b"".join(parts)
    made = parts_of(store, *parts)
    final = final_of(store, [part.id for part in made], len(whole))
    for _ in range(2):
        store.concatenate(final, made)
        assert store.look(final.id).offset == len(whole)
        assert store.look(final.id).finished
        assert contents(store, final.id) == whole
    assert [contents(store, part.id) for part in made] == parts
    assert [timeless(store.look(part.id)) for part in made] == [timeless(part) for part in made]


def test_a_part_may_be_used_more_than_once(store: DataStore) -> None:
    if not isinstance(store, Concatenates):
        return
    one, two = parts_of(store, b"la", b"li")
    final = final_of(store, [one.id, two.id, one.id], 6)
    store.concatenate(final, [one, two, one])
    assert contents(store, final.id) == b"lalila"


def test_what_is_joined_does_not_need_its_parts(store: DataStore) -> None:
    if not (isinstance(store, Concatenates) and isinstance(store, Terminates)):
        return
    one, two = parts_of(store, b"hello", b" world")
    final = final_of(store, [one.id, two.id], 11)
    store.concatenate(final, [one, two])
    store.remove(one)
    store.remove(two)
    store.finish(store.look(final.id))
    assert contents(store, final.id) == b"hello world"


def test_who_waits_for_a_part(store: DataStore) -> None:
    if not isinstance(store, Concatenates):
        return
    one, two = parts_of(store, b"hello", b" world")
    assert list(store.awaiting(one)) == []
    first, second = replace(INFO, id="first"), replace(INFO, id="second")
    for part in (one, one, two):
        store.await_part(part, first)
    store.await_part(two, second)
    assert list(store.awaiting(one)) == ["first"]
    assert sorted(store.awaiting(two)) == ["first", "second"]


# Idempotency-Key.


def test_a_key_stands_for_the_upload_that_claimed_it_first(store: DataStore) -> None:
    if not isinstance(store, RemembersKeys):
        return
    assert store.made_with_key("alice", "k") is None
    assert store.claim_key("alice", "k", "a", None) == "a"
    assert store.claim_key("alice", "k", "b", None) == "a"
    assert store.made_with_key("alice", "k") == "a"


def test_a_key_is_its_owners_alone(store: DataStore) -> None:
    if not isinstance(store, RemembersKeys):
        return
    keys = [("alice", "k"), ("alice", "K"), ("bob", "k"), ("alice", "../k"), ("alice", " ")]
    for number, (owner, key) in enumerate(keys):
        assert store.claim_key(owner, key, f"u{number}", None) == f"u{number}"
    assert [store.made_with_key(*key) for key in keys] == [f"u{n}" for n in range(len(keys))]


def test_a_key_can_be_taken_from_what_is_gone(store: DataStore) -> None:
    if not isinstance(store, RemembersKeys):
        return
    store.claim_key("alice", "k", "a", None)
    assert store.claim_key("alice", "k", "b", "a") == "b"
    assert store.claim_key("alice", "k", "c", "a") == "b"
    assert store.made_with_key("alice", "k") == "b"
    assert store.claim_key("alice", "new", "d", "never") == "d"


@pytest.mark.parametrize("instead_of", [None, "gone"])
def test_of_many_that_claim_a_key_at_once_one_wins(
    store: DataStore, instead_of: str | None
) -> None:
    if not isinstance(store, RemembersKeys):
        return
    together = threading.Barrier(4)
    for number in range(30):
        key, seen = f"k{number}", list[str]()
        if instead_of is not None:
            store.claim_key("alice", key, instead_of, None)

        def claim(name: str, key: str = key, seen: list[str] = seen) -> None:
            assert isinstance(store, RemembersKeys)
            together.wait(10)
            seen.append(store.claim_key("alice", key, name, instead_of))

        threads = [threading.Thread(target=claim, args=(f"u{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert seen == [store.made_with_key("alice", key)] * 4


# What a user has under way.


def test_what_a_user_has_under_way(store: DataStore) -> None:
    if not isinstance(store, KnowsOwners):
        return
    assert list(store.unfinished_of("alice")) == []
    for name in ("begun", "deferred", "complete", "refused"):
        store.create(replace(INFO, id=name, length=None if name == "deferred" else 11))
    store.create(replace(INFO, id="bobs", owner="bob"))
    store.create(replace(INFO, id="tusds", owner=None))
    parts_of(store, b"hello")
    write(store, b"hello", "begun")
    write(store, b"hello world", "complete")
    store.refuse(store.look("refused"), REFUSAL)
    for _ in range(2):
        mine = {info.id: info.offset for info in store.unfinished_of("alice")}
        assert mine == {"begun": 5, "deferred": 0, "part0": 5}
    assert [info.id for info in store.unfinished_of("bob")] == ["bobs"]
    assert list(store.unfinished_of("../alice")) == []


def test_an_upload_whose_first_user_came_is_under_way(store: DataStore) -> None:
    if not isinstance(store, KnowsOwners):
        return
    store.create(replace(INFO, owner=None))
    store.update(replace(store.look(INFO.id), owner="alice"))
    assert [info.id for info in store.unfinished_of("alice")] == [INFO.id]


def test_what_has_ended_is_not_under_way(store: DataStore) -> None:
    if not (
        isinstance(store, KnowsOwners)
        and isinstance(store, Expires)
        and isinstance(store, Terminates)
    ):
        return
    for name in ("expired", "removed", "left"):
        store.create(replace(INFO, id=name))
    store.expire(store.look("expired"))
    store.remove(store.look("removed"))
    assert [info.id for info in store.unfinished_of("alice")] == ["left"]


# Chunks.

WHOLE = b"hello world"
CHUNKED = replace(INFO, chunk_size=4)


def put(store: DataStore, index: int, data: bytes | None = None, *, count: bool = True) -> bool:
    """Write a chunk of WHOLE, or these bytes, as a request does; whether it counts."""
    assert isinstance(store, TakesChunks)
    start = index * 4
    with store.chunk_writer(store.look(INFO.id)) as writer:
        writer.write(memoryview(WHOLE[start : start + 4] if data is None else data), start)
        return writer.count_chunk(index) if count else False


def missing(store: DataStore) -> tuple[int, ...]:
    assert isinstance(store, TakesChunks)
    return store.received(store.look(INFO.id)).missing


def test_chunks_come_in_any_order(store: DataStore) -> None:
    """The offset is where the first hole begins, and the last chunk completes nothing itself."""
    if not isinstance(store, TakesChunks):
        return
    store.create(CHUNKED)
    assert timeless(store.look(INFO.id)) == CHUNKED
    offsets = []
    for index in (2, 0, 0, 2):
        assert put(store, index)
        offsets.append(store.look(INFO.id).offset)
    assert offsets == [0, 4, 4, 4]
    assert missing(store) == (1,)
    assert not put(store, 1)
    assert store.look(INFO.id).offset == 4
    whole = store.complete(store.look(INFO.id))
    assert (
        timeless(whole)
        == timeless(store.look(INFO.id))
        == replace(CHUNKED, chunks_complete=True, offset=11)
    )
    assert whole.finished
    assert contents(store) == WHOLE
    store.finish(whole)
    assert store.look(INFO.id).finished


def test_a_chunk_that_is_not_counted_is_missing(store: DataStore) -> None:
    if not isinstance(store, TakesChunks):
        return
    store.create(CHUNKED)
    put(store, 0, count=False)
    put(store, 2, b"rld", count=False)
    assert store.look(INFO.id).offset == 0
    assert missing(store) == (0, 1, 2)


def test_tus_goes_on_at_the_first_hole(store: DataStore) -> None:
    """And what is here already is not written again: those bytes may prove to be damaged."""
    if not isinstance(store, TakesChunks):
        return
    store.create(CHUNKED)
    put(store, 1)
    assert write(store, b"he") == 2
    assert store.look(INFO.id).offset == 2
    assert write(store, b"ll" + b"####" + b"r") == 9
    assert store.look(INFO.id).offset == 9
    assert missing(store) == (2,)
    assert contents(store)[:9] == WHOLE[:9]
    with store.writer(store.look(INFO.id)) as writer:
        writer.write(memoryview(b"ld"))
        assert writer.offset == 11
    assert store.look(INFO.id).offset == 9, "the last byte counts when the upload is complete"


def test_tus_goes_on_behind_the_chunks_that_follow_the_hole(store: DataStore) -> None:
    if not isinstance(store, TakesChunks):
        return
    store.create(CHUNKED)
    put(store, 1)
    assert write(store, b"hell") == 4
    assert store.look(INFO.id).offset == 8


@pytest.mark.parametrize("end", ["trust", "cut", "crash"])
def test_unverified_bytes_between_chunks(store: DataStore, end: str) -> None:
    if not isinstance(store, TakesChunks):
        return
    store.create(CHUNKED)
    put(store, 1)
    with store.writer(store.look(INFO.id)) as writer:
        writer.distrust()
        writer.write(memoryview(b"hell####"))
        assert store.look(INFO.id).offset == 0
        if end == "trust":
            writer.trust()
        if end == "cut":
            writer.cut(0)
    assert store.look(INFO.id).offset == (8 if end == "trust" else 0)
    assert contents(store)[4:8] == b"o wo"


def test_of_chunks_that_come_at_once_each_counts_and_one_is_the_last(store: DataStore) -> None:
    if not isinstance(store, TakesChunks):
        return
    length = 64
    store.create(replace(CHUNKED, length=length, chunk_size=2))
    together = threading.Barrier(8)
    last: list[int] = []

    def send(first: int) -> None:
        assert isinstance(store, TakesChunks)
        together.wait(10)
        for index in range(first, 32, 8):
            with store.chunk_writer(store.look(INFO.id)) as writer:
                writer.write(memoryview(bytes([index] * 2)), 2 * index)
                if not writer.count_chunk(index):
                    last.append(index)

    threads = [threading.Thread(target=send, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(last) == 1
    assert missing(store) == tuple(last)
    store.complete(store.look(INFO.id))
    assert contents(store) == bytes(index // 2 for index in range(length))


def test_an_upload_in_chunks_that_ends_early(store: DataStore) -> None:
    if not (
        isinstance(store, TakesChunks)
        and isinstance(store, Terminates)
        and isinstance(store, Expires)
    ):
        return
    for name in ("refused", "expired", "removed"):
        store.create(replace(CHUNKED, id=name))
        info = store.look(name)
        with store.chunk_writer(info) as writer:
            writer.write(memoryview(b"o wo"), 4)
            writer.count_chunk(1)
    store.refuse(store.look("refused"), REFUSAL)
    store.expire(store.look("expired"))
    store.remove(store.look("removed"))
    assert store.look("refused").refusal == REFUSAL
    with pytest.raises(UploadGone):
        store.look("expired")
    for name in ("expired", "removed"):
        with (
            pytest.raises((UploadGone, UploadNotFound)),
            store.chunk_writer(replace(CHUNKED, id=name)),
        ):
            pytest.fail("its bytes are gone")
    assert store.received(replace(CHUNKED, id="removed")).bytes == 0
