"""Taking in a body: proofs, what counts when it ends badly, and when the content is judged."""

import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from processing.sniff import HEAD_BYTES
from tests.desk import Desk, body_of, files_desk
from tests.rooms import Cut
from tusd_server.errors import (
    BadHeader,
    BodyCut,
    ChecksumMismatch,
    OffsetMismatch,
    ReadTimedOut,
    UnknownChecksum,
    UploadInterrupted,
    UploadRefused,
    UploadTooLarge,
)
from tusd_server.hashing import Checksum
from tusd_server.uploads.body import PortableBody
from tusd_server.uploads.receiving import Proof

LONG = 3 * HEAD_BYTES
Prove = Callable[[bytes], Proof]


def sha1(data: bytes) -> Checksum:
    return Checksum("sha1", hashlib.sha1(data).digest())


def before(data: bytes) -> Proof:
    """A checksum that is known before the body comes."""
    return Proof(sha1(data))


def behind(data: bytes) -> Proof:
    """One that comes behind it."""
    return Proof(None, lambda: Checksum("crc32", zlib.crc32(data).to_bytes(4, "big")))


@pytest.mark.parametrize("prove", [before, behind])
def test_a_body_that_is_what_it_was(desk: Desk, prove: Prove) -> None:
    upload = desk.create()
    assert desk.append(upload, 0, b"hello ", proof=prove(b"hello ")).info.offset == 6
    assert desk.append(upload, 6, b"world", proof=prove(b"world")).info.finished
    assert desk.contents(upload) == b"hello world"
    assert desk.hooks.heads == [b"hello world"]


@pytest.mark.parametrize("prove", [before, behind])
def test_a_body_that_is_not(desk: Desk, prove: Prove) -> None:
    upload = desk.create()
    desk.append(upload, 0, b"hello ")
    with pytest.raises(ChecksumMismatch) as mismatch:
        desk.append(upload, 6, b"w0rld", proof=prove(b"world"))
    assert mismatch.value.offset == 6
    assert desk.info(upload).offset == 6
    assert desk.contents(upload) == b"hello "
    assert desk.hooks.finished == []
    assert desk.append(upload, 6, b"world", proof=prove(b"world")).info.finished


def test_both_checksums_must_hold(desk: Desk) -> None:
    upload = desk.create()
    for one, two in ((b"other", b"hello world"), (b"hello world", b"other")):
        proof = Proof(sha1(one), behind(two).trailing)
        with pytest.raises(ChecksumMismatch):
            desk.append(upload, 0, b"hello world", proof=proof)
        assert desk.info(upload).offset == 0


@pytest.mark.parametrize("error", [BadHeader("None came."), UnknownChecksum("Not offered.")])
def test_a_promised_checksum_that_does_not_come(
    desk: Desk, error: BadHeader | UnknownChecksum
) -> None:
    def missing() -> Checksum:
        raise error

    upload = desk.create()
    with pytest.raises(type(error)) as raised:
        desk.append(upload, 0, b"hello", proof=Proof(None, missing))
    assert raised.value.offset == 0
    assert desk.info(upload).offset == 0
    with pytest.raises(type(error)):
        desk.create(5, body_of(b"hello"), proof=Proof(None, missing))
    assert [info.id for info in desk.store.all()] == [upload]


@pytest.mark.parametrize(
    ("error", "kind"), [(None, BodyCut), (OSError(), BodyCut), (TimeoutError(), ReadTimedOut)]
)
@pytest.mark.parametrize("prove", [before, behind])
def test_a_break_within_a_proven_body(
    desk: Desk, prove: Prove, error: Exception | None, kind: type[Exception]
) -> None:
    upload = desk.create()
    desk.append(upload, 0, b"hello ")
    with pytest.raises(kind) as broken:
        desk.append(upload, 6, PortableBody(Cut(b"wor", error), 5), proof=prove(b"world"))
    assert broken.value.offset == 6  # type: ignore[attr-defined]
    assert desk.info(upload).offset == 6


def test_a_break_within_any_other_body_keeps_what_came(desk: Desk) -> None:
    upload = desk.create()
    with pytest.raises(BodyCut) as broken:
        desk.append(upload, 0, PortableBody(Cut(b"hello"), 11))
    assert broken.value.offset == 5
    assert desk.info(upload).offset == 5


def test_a_proven_body_that_is_taken_over(desk: Desk) -> None:
    """What did not come whole is not verified; the newcomer begins where the last proof ended."""
    upload = desk.create()
    body = body_of(b"hello")
    body.let_go()
    with pytest.raises(UploadInterrupted) as interrupted:
        desk.append(upload, 0, body, proof=before(b"hello"))
    assert interrupted.value.offset == 0


@pytest.mark.parametrize("proof", [Proof(), before(b"hello world!")])
def test_a_body_beyond_the_end_leaves_nothing(desk: Desk, proof: Proof) -> None:
    upload = desk.create()
    with pytest.raises(UploadTooLarge) as too_large:
        desk.append(upload, 0, body_of(b"hello world!", None), proof=proof)
    assert too_large.value.offset == 0
    assert desk.info(upload).offset == 0


def test_a_finished_upload_takes_not_a_byte_more(desk: Desk) -> None:
    upload = desk.create()
    desk.append(upload, 0, b"hello world")
    assert desk.append(upload, 11, b"").info.finished
    with pytest.raises(UploadTooLarge):
        desk.append(upload, 11, b"!")
    with pytest.raises(OffsetMismatch):
        desk.append(upload, 10, b"d")
    assert desk.contents(upload) == b"hello world"


def test_the_content_is_judged_once_and_as_soon_as_it_can_be(desk: Desk) -> None:
    upload = desk.create(LONG)
    desk.append(upload, 0, b"x" * (HEAD_BYTES - 1))
    assert desk.hooks.heads == []
    desk.append(upload, HEAD_BYTES - 1, b"x")
    assert desk.hooks.heads == [b"x" * HEAD_BYTES]
    desk.append(upload, HEAD_BYTES, b"x" * (LONG - HEAD_BYTES))
    assert len(desk.hooks.heads) == 1


def test_proven_content_is_judged_when_its_proof_holds(desk: Desk) -> None:
    upload = desk.create(LONG)
    bad = b"bad" * LONG
    with pytest.raises(ChecksumMismatch):
        desk.append(upload, 0, bad[:LONG], proof=before(b"good"))
    assert desk.hooks.heads == []
    with pytest.raises(UploadRefused):
        desk.append(upload, 0, bad[:HEAD_BYTES], proof=before(bad[:HEAD_BYTES]))
    with pytest.raises(UploadRefused):
        desk.look(upload)


def test_a_judge_who_fails_has_not_judged(desk: Desk) -> None:
    """The bytes are taken back, so that they come again and are judged then."""
    upload = desk.create(LONG)
    desk.append(upload, 0, b"x" * 100)
    desk.hooks.fails = ZeroDivisionError()
    for proof in (Proof(), before(b"x" * HEAD_BYTES)):
        with pytest.raises(ZeroDivisionError):
            desk.append(upload, 100, b"x" * HEAD_BYTES, proof=proof)
        assert desk.info(upload).offset == 100
    desk.hooks.fails = None
    assert desk.append(upload, 100, b"x" * (LONG - 100)).info.finished
    assert desk.hooks.heads[-1] == b"x" * HEAD_BYTES


def test_parts_are_not_judged(desk: Desk) -> None:
    desk.part(b"bad" * LONG)
    assert desk.hooks.heads == []


def test_an_empty_file_is_not_judged(desk: Desk) -> None:
    late = desk.create(None)
    desk.append(late, 0, b"", length=0)
    assert desk.hooks.finished == [desk.create(0), late][::-1]
    assert desk.hooks.heads == []


def test_facts_that_come_with_a_proof_wait_for_it(desk: Desk) -> None:
    upload = desk.create(None)
    with pytest.raises(ChecksumMismatch):
        desk.append(upload, 0, b"hello", length=5, proof=before(b"other"))
    assert desk.info(upload).length is None
    assert desk.append(upload, 0, b"hello", length=5, proof=before(b"hello")).info.finished
    assert desk.info(upload).length == 5


def test_facts_that_come_with_a_break_are_kept(desk: Desk) -> None:
    upload = desk.create(None)
    with pytest.raises(BodyCut):
        desk.append(upload, 0, PortableBody(Cut(b"hell"), 5), length=5)
    info = desk.info(upload)
    assert (info.offset, info.length) == (4, 5)


def test_bytes_put_the_expiry_off(desk: Desk) -> None:
    upload = desk.create()
    desk.clock.advance(3600)
    nothing = desk.append(upload, 0, b"")
    some = desk.append(upload, 0, b"hello")
    assert nothing.expires is not None
    assert some.expires is not None
    assert (some.expires - nothing.expires).total_seconds() == pytest.approx(3600, abs=30)


class Dies(BaseException):
    """The end of the process, in the middle of whatever it did."""


class DiesBehind(Cut):
    """A body behind whose bytes the process dies."""

    def read(self, size: int = -1) -> bytes:
        block = super().read(size)
        if not block:
            raise Dies
        return block


@pytest.mark.parametrize("prove", [before, behind])
def test_a_crash_takes_back_what_was_not_verified(tmp_path: Path, prove: Prove) -> None:
    content = b"x" * 200_000
    desk = files_desk(tmp_path)
    upload = desk.create(len(content))
    desk.append(upload, 0, content[:50_000])
    body = PortableBody(DiesBehind(content[50_000:150_000]), 150_000)
    with pytest.raises(Dies):
        desk.append(upload, 50_000, body, proof=prove(content[50_000:]))
    assert (tmp_path / "data" / upload).stat().st_size > 50_000

    after = files_desk(tmp_path, made=1)
    assert after.info(upload).offset == 50_000
    assert (tmp_path / "data" / upload).stat().st_size > 50_000
    assert after.append(upload, 50_000, b"y").info.offset == 50_001
    assert (tmp_path / "data" / upload).stat().st_size == 50_001
    assert after.contents(upload) == content[:50_000] + b"y"
    assert list((tmp_path / "data/.tusd-server/unverified").iterdir()) == []


def test_a_crash_keeps_what_needs_no_proof(tmp_path: Path) -> None:
    desk = files_desk(tmp_path)
    upload = desk.create(200_000)
    with pytest.raises(Dies):
        desk.append(upload, 0, PortableBody(DiesBehind(b"x" * 100_000), 200_000))
    assert files_desk(tmp_path).info(upload).offset == 100_000
