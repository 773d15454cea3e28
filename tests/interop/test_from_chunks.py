"""docs/from-chunks.md: its client against a live server."""

from pathlib import Path
from typing import Any

from tests.live import Live
from tests.media import make_mp4
from tests.pages import snippet


def test_the_client_of_the_page_uploads_a_video(tmp_path: Path) -> None:
    clip = make_mp4(tmp_path / "clip.mp4", seconds=20, size="1280x720")
    names: dict[str, Any] = {}
    with Live(tmp_path / "data", worker=True, answer_wait_seconds=60) as server:
        code = snippet("from-chunks.md", "python", "def upload_video")
        exec(code.replace("http://127.0.0.1:1080", server.url), names)
        medium = names["upload_video"](str(clip), server.token(), "post-456")
    assert medium["post_id"] == "post-456"
    assert medium["status"] in ("ready", "registered")
    assert medium["size"] == clip.stat().st_size > 1024 * 1024
