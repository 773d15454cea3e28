from datetime import timedelta

import pytest

from processing import turns
from processing.catalog import REGISTER, Catalog
from processing.declared import Declared
from tests.records import EXAMINED, FakeClock, received

MIB = 1024 * 1024
LEASE = 600.0


def next_upload(catalog: Catalog) -> str:
    """The upload or the kind of the job whose turn it is; it is done then."""
    job = catalog.queue.claim(LEASE)
    assert job is not None
    assert catalog.queue.done(job)
    medium = catalog.get(str(job.media_id))
    assert medium is not None
    return job.kind if job.kind == REGISTER else medium.upload_id


@pytest.mark.parametrize(
    ("name", "kind", "size", "seconds"),
    [
        ("a.jpg", "image/jpeg", 20 * MIB, 10),
        ("a.jpg", None, 1, 10),
        (None, "image/heic", 1, 10),
        ("a.mp4", "video/mp4", 10_000_000, 40),
        ("a.mp4", "video/mp4", 500 * MIB, 554.288),
        ("a.mp4", "video/mp4", 9000 * MIB, 600),
        ("a.mp4", "image/jpeg", 1_000_000, 31),
        (None, None, 1_000_000, 31),
        ("a.jpg", "application/octet-stream", 1, 10),
    ],
)
def test_a_file_waits_by_what_it_is_said_to_be(
    name: str | None, kind: str | None, size: int, seconds: float
) -> None:
    assert turns.examination(Declared(name, kind), size) == timedelta(seconds=seconds)


def test_photos_go_before_videos_and_short_ones_before_long_ones(
    catalog: Catalog, clock: FakeClock
) -> None:
    catalog.receive(received("long", size=500 * MIB))
    catalog.receive(received("short", size=2 * MIB))
    clock.advance(5)
    catalog.receive(received("photo", file_name="a.jpg", content_type="image/jpeg"))
    assert [next_upload(catalog) for _ in range(3)] == ["photo", "short", "long"]


def test_registrations_go_before_examinations(catalog: Catalog, clock: FakeClock) -> None:
    first = catalog.receive(received("first", post_id="p1"))
    assert next_upload(catalog) == "first"
    catalog.receive(received("photo", file_name="a.jpg", content_type="image/jpeg"))
    clock.advance(9)
    assert catalog.processing(first.id)
    assert catalog.ready(first.id, EXAMINED)
    assert [next_upload(catalog) for _ in range(2)] == [REGISTER, "photo"]


def test_a_long_video_does_not_starve(catalog: Catalog, clock: FakeClock) -> None:
    """Two photos come for each one that is done, for ever; the video's turn still comes."""
    catalog.receive(received("video", size=500 * MIB))
    begun, number = clock.now, 0
    while True:
        for _ in range(2):
            number += 1
            catalog.receive(
                received(f"photo{number}", file_name="a.jpg", content_type="image/jpeg")
            )
        clock.advance(10)
        if next_upload(catalog) == "video":
            break
        assert clock.now - begun < timedelta(hours=2)
    # Of the photos, only those that came within ten minutes went before it.
    assert clock.now - begun <= 2 * turns.LONGEST_VIDEO
