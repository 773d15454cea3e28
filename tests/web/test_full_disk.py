"""A real disk that is full: refused at the creation, or 507 with the true offset; and going on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disks import MIB, fill, free, small_disk
from tests.rooms import GIF, OCTETS, Tus, Untouched, make_app, settings, upload_id
from tests.web.test_checksum import checksum, patch
from tests.web.test_concatenation import final, part
from tests.web.test_core import TUS

NO_ROOM = "507\nLocation: (absent)\nUpload-Offset: (absent)"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Eight MiB; the catalog lies elsewhere."""
    with small_disk(tmp_path / "data") as folder:
        yield folder


@pytest.fixture
def tus(disk: Path, tmp_path: Path) -> Iterator[Tus]:
    with make_app(settings(tmp_path, database_url=f"sqlite:///{tmp_path}/catalog.db")) as app:
        yield Tus(app)


def begin(length: object) -> str:
    return f"POST /files/\n{TUS}\nUpload-Length: {length}"


def names(disk: Path) -> set[str]:
    return {path.name for path in disk.iterdir() if path.is_file()}


def test_what_can_never_fit(tus: Tus, disk: Path) -> None:
    body = Untouched()
    tus.talk(begin(9 * MIB), f"{NO_ROOM}\n\nThe disk has no room for an upload of this length.")
    tus.talk(
        f"{begin(9 * MIB)}\nContent-Type: {OCTETS}",
        NO_ROOM,
        wsgi_input=body,
        CONTENT_LENGTH=str(9 * MIB),
    )
    assert body.read_calls == 0
    assert names(disk) == set()


def test_two_that_do_not_fit_together(tus: Tus, disk: Path) -> None:
    """Unfinished uploads count: the first one is never stopped by the second."""
    first = tus.create(5 * MIB)
    tus.talk(begin(5 * MIB), NO_ROOM)
    assert names(disk) == {first, f"{first}.info"}
    content = GIF + bytes(5 * MIB - len(GIF))
    assert tus.append(first, 0, content[: 2 * MIB]).status_code == 204
    tus.talk(begin(5 * MIB), NO_ROOM)
    assert tus.append(first, 2 * MIB, content[2 * MIB :]).status_code == 204
    tus.talk(begin(5 * MIB), NO_ROOM)
    assert tus.delete(first).status_code == 204
    tus.talk(begin(5 * MIB), "201")


def test_a_reserved_upload_is_completed_on_a_full_disk(tus: Tus, disk: Path) -> None:
    upload = tus.create(MIB)
    fill(disk)
    assert tus.append(upload, 0, GIF + bytes(MIB - len(GIF))).status_code == 204
    assert tus.offset(upload) == MIB


def test_a_damaged_chunk_does_not_cost_the_reservation(tus: Tus, disk: Path) -> None:
    upload = tus.create(4 * MIB)
    content = GIF + bytes(4 * MIB - len(GIF))
    damaged = content[:-1] + b"?"
    tus.talk(patch(upload, 0, checksum(content)), "460\nUpload-Offset: 0", body=damaged)
    fill(disk, leave=65_536)
    tus.talk(patch(upload, 0, checksum(content)), "204", body=content)


def test_a_disk_that_fills_up_in_mid_body(tus: Tus, disk: Path) -> None:
    """The Server SHOULD always attempt to store as much of the received data as possible."""
    upload = upload_id(tus.talk(f"POST /files/\n{TUS}\nUpload-Defer-Length: 1", "201"))
    content = GIF + bytes(range(256)) * 8192
    filler = fill(disk, leave=MIB)
    response = tus.append(upload, 0, content)
    assert response.status_code == 507
    offset = int(response.headers["Upload-Offset"])
    assert 0 < offset <= MIB
    assert tus.offset(upload) == offset == (disk / upload).stat().st_size
    assert tus.append(upload, offset, content[offset:]).status_code == 507
    filler.unlink()
    assert tus.append(upload, offset, content[offset:]).status_code == 204
    tus.talk(
        f"PATCH /files/{upload}\n{TUS}\nContent-Type: {OCTETS}\n"
        f"Upload-Offset: {len(content)}\nUpload-Length: {len(content)}",
        "204\nUpload-Media-Id: (anything)",
    )
    assert tus.get(f"/files/{upload}").data == content


def test_a_checksummed_chunk_that_does_not_fit(tus: Tus, disk: Path) -> None:
    """None of it is verified, so none of it is kept."""
    upload = upload_id(tus.talk(f"POST /files/\n{TUS}\nUpload-Defer-Length: 1", "201"))
    content = GIF + bytes(2 * MIB)
    tus.append(upload, 0, content[:5000])
    filler = fill(disk, leave=MIB)
    rest = content[5000:]
    tus.talk(patch(upload, 5000, checksum(rest)), "507\nUpload-Offset: 5000", body=rest)
    assert tus.offset(upload) == 5000
    filler.unlink()
    tus.talk(patch(upload, 5000, checksum(rest)), "204", body=rest)


def test_not_even_room_for_a_note(tus: Tus, disk: Path) -> None:
    upload = upload_id(tus.talk(f"POST /files/\n{TUS}\nUpload-Defer-Length: 1", "201"))
    tus.append(upload, 0, GIF)
    filler = fill(disk)
    tus.talk(patch(upload, 11, checksum(b"-")), "507\nUpload-Offset: 11", body=b"-")
    tus.talk(
        f"PATCH /files/{upload}\n{TUS}\nContent-Type: {OCTETS}\nUpload-Offset: 11\n"
        "Upload-Length: 12",
        "507",
        body=b"-",
    )
    filler.unlink()
    tus.talk(patch(upload, 11, checksum(b"-"), "Upload-Length: 12"), "204", body=b"-")


def test_no_room_to_join(tus: Tus, disk: Path) -> None:
    """The parts are kept, and a later look joins them."""
    parts = [part(tus, GIF + bytes(2 * MIB)), part(tus, bytes(MIB))]
    filler = fill(disk, leave=2 * MIB)
    tus.talk(f"{final(parts)}\nIdempotency-Key: k", "507\nLocation: (absent)")
    assert [tus.offset(each) for each in parts] == [2 * MIB + 11, MIB]
    assert not list(disk.glob(".*.joined"))
    filler.unlink()
    whole = upload_id(tus.talk(f"{final(parts)}\nIdempotency-Key: k", "201"))
    assert tus.offset(whole) == 3 * MIB + 11
    assert free(disk) > 4 * MIB


def test_a_length_that_is_told_late_is_reserved_then(tus: Tus, disk: Path) -> None:
    created = tus.talk(f"POST /files/\n{TUS}\nUpload-Defer-Length: 1", "201")
    upload = upload_id(created)
    tus.talk(
        f"PATCH /files/{upload}\n{TUS}\nContent-Type: {OCTETS}\nUpload-Offset: 0\n"
        f"Upload-Length: {9 * MIB}",
        "507",
        body=GIF,
    )
    assert tus.offset(upload) == 0
