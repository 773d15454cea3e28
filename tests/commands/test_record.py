from typing import Any

import pytest

from tusd_server.commands.record import as_table, is_settled

RECORD: dict[str, Any] = {
    "id": "m1",
    "post_id": "p1",
    "file_name": "Holiday.MP4",
    "content_type": "video/mp4",
    "size": 2048,
    "status": "registered",
    "reasons": [],
    "width": 1080,
    "height": 1920,
    "duration": 12.5,
    "codec": "h264",
    "rotation": 90,
    "url": "http://x/file",
    "thumbnail": {"status": "ready", "reason": None, "width": 360, "height": 640},
}


def test_table_of_a_video() -> None:
    assert as_table(RECORD).splitlines() == [
        "Holiday.MP4: registered",
        "  id         m1",
        "  post       p1",
        "  type       video/mp4",
        "  size       2.0 KiB",
        "  pixels     1080 x 1920, turned by 90°",
        "  duration   12.5 s",
        "  codec      h264",
        "  thumbnail  360 x 640",
        "  url        http://x/file",
    ]


def test_table_of_what_was_rejected_shows_only_what_is_known() -> None:
    reason = {"code": "image_too_small", "message": "The image is 50 x 50 px."}
    record = {"status": "rejected", "file_name": "a\x1b.jpg", "reasons": [reason], "size": 9}
    assert as_table(record).splitlines() == [
        "a?.jpg: rejected",
        "  reason     The image is 50 x 50 px. (image_too_small)",
        "  size       9 B",
    ]


def test_table_without_a_thumbnail() -> None:
    thumbnail = {"status": "skipped", "reason": "ffmpeg_missing", "width": None, "height": None}
    assert "  thumbnail  skipped (ffmpeg_missing)" in as_table({**RECORD, "thumbnail": thumbnail})


@pytest.mark.parametrize(
    ("status", "post_id", "settled"),
    [
        ("received", None, False),
        ("processing", None, False),
        ("ready", None, True),
        ("ready", "p1", False),
        ("registered", "p1", True),
        ("published", "p1", True),
        ("rejected", "p1", True),
        ("failed", None, True),
    ],
)
def test_settled(status: str, post_id: str | None, settled: bool) -> None:
    assert is_settled({"status": status, "post_id": post_id}) is settled
