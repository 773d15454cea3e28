"""Hashes of whole files, worked out while their bytes arrive."""

import hashlib

import pytest

from tests.desk import Desk, body_of
from tusd_server.errors import ChecksumMismatch, UploadRefused
from tusd_server.hashing import Hash
from tusd_server.info import UploadInfo
from tusd_server.storage.writer import FileWriter
from tusd_server.uploads import digests
from tusd_server.uploads.digests import DIGEST_MISMATCH, Digests

HELLO = b"hello world"
SHA256 = hashlib.sha256(HELLO).hexdigest()
INFO = UploadInfo("u1", 11, sha256=SHA256)


class Counting:
    """Bytes that count how often they are read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.hashed = 0

    def read(self, size: int, offset: int) -> bytes:
        return self.data[offset : offset + size]

    def hash(self, hashed: Hash, offset: int) -> None:
        self.hashed += len(self.data) - offset
        hashed.update(self.data[offset:])


def started(data: bytes) -> Hash:
    hashed = hashlib.sha256()
    hashed.update(data)
    return hashed


def test_a_hash_goes_on_where_it_was() -> None:
    kept, bytes_here = Digests(), Counting(HELLO)
    running = kept.resume(INFO)
    assert running is not None
    running.update(HELLO[:6])
    kept.keep(INFO.at(6), running)
    again = kept.resume(INFO.at(6))
    assert again is running
    again.update(HELLO[6:])
    kept.check(INFO.at(11), again, bytes_here)
    assert bytes_here.hashed == 0


def test_a_hash_of_other_bytes_is_not_used() -> None:
    kept, bytes_here = Digests(), Counting(HELLO)
    kept.keep(INFO.at(5), started(b"other"))
    assert kept.resume(INFO.at(6)) is None
    assert kept.resume(INFO.at(5)) is None
    kept.check(INFO.at(11), None, bytes_here)
    assert bytes_here.hashed == 11


def test_the_last_bytes_may_still_be_missing() -> None:
    Digests().check(INFO, None, Counting(HELLO[:6]), last=HELLO[6:])
    with pytest.raises(UploadRefused):
        Digests().check(INFO, None, Counting(HELLO[:6]), last=b"w0rld")


def test_without_a_declared_digest_nothing_is_hashed() -> None:
    kept, bytes_here = Digests(), Counting(b"other")
    plain = UploadInfo("u1", 11)
    assert kept.resume(plain) is None
    kept.check(plain.at(11), None, bytes_here)
    assert bytes_here.hashed == 0


def test_another_digest_is_refused() -> None:
    for running in (None, started(b"other")):
        with pytest.raises(UploadRefused, match=SHA256) as refused:
            Digests().check(INFO.at(11), running, Counting(b"other"))
        assert refused.value.code == DIGEST_MISMATCH


def test_the_oldest_is_given_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MOST_RUNNING", 2)
    kept = Digests()
    infos = [UploadInfo(f"u{n}", 11, offset=1, sha256=SHA256) for n in range(3)]
    for info in infos:
        kept.keep(info, started(b"h"))
    assert [kept.resume(info) is None for info in infos] == [True, False, False]


@pytest.fixture
def readings(files: Desk, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From where the local store's bytes were read for a hash."""
    found: list[int] = []
    real = FileWriter.hash

    def hash_(self: FileWriter, hashed: Hash, offset: int) -> None:
        found.append(offset)
        real(self, hashed, offset)

    monkeypatch.setattr(FileWriter, "hash", hash_)
    return found


def test_bytes_are_read_again_only_where_they_must_be(files: Desk, readings: list[int]) -> None:
    one = files.create(sha256=SHA256)
    files.append(one, 0, HELLO[:6])
    files.append(one, 6, HELLO[6:])
    assert readings == []
    two = files.create(sha256=SHA256)
    files.append(two, 0, HELLO[:6])
    files.open()
    files.append(two, 6, HELLO[6:])
    assert readings == [0]
    assert files.hooks.finished == [one, two]


def test_a_file_that_is_not_what_was_declared(desk: Desk) -> None:
    upload = desk.create(sha256=SHA256)
    desk.append(upload, 0, HELLO[:6])
    for _ in range(2):
        with pytest.raises(ChecksumMismatch):
            desk.append(upload, 6, b"w0rld")
    with pytest.raises(ChecksumMismatch):
        desk.look(upload)
    assert desk.store.look(upload).offset == 0
    with pytest.raises(ChecksumMismatch):
        desk.create(11, body_of(b"hello w0rld"), sha256=SHA256)
    assert [info.id for info in desk.store.all()] == [upload]
    assert desk.hooks.finished == []


def test_a_file_is_never_shown_complete_before_its_digest_is_right(
    files: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HEAD takes no lock: a client that saw all bytes there would report success."""
    upload = files.create(sha256=SHA256)
    files.append(upload, 0, HELLO[:6])
    files.open()
    seen = []
    real = Digests.check

    def check(self: Digests, *arguments: object, **named: object) -> None:
        seen.append(files.store.look(upload).finished)
        real(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Digests, "check", check)
    with pytest.raises(ChecksumMismatch):
        files.append(upload, 6, b"w0rld")
    assert seen
    assert not any(seen)
