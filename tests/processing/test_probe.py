import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from processing.declared import Declared
from processing.limits import Limits
from processing.probed import Probed, VideoTrack, clockwise
from processing.reasons import Rejected
from processing.sandbox import Sandbox, SandboxBroken, SandboxFailure
from processing.sniff import HEAD_BYTES, MP4, WEBM, sniff
from processing.steps.case import Case
from processing.steps.ffprobe import Ffprobe
from processing.steps.mediainfo import Mediainfo
from processing.steps.probe import ProbeStep
from processing.steps.thumbnail import ThumbnailStep
from processing.tools import Tools
from tests import media

FOUND = Tools.found()
NONE = Tools(None, None)


def case(path: Path) -> Case:
    kind = sniff(path.read_bytes()[:HEAD_BYTES])
    return Case(path, Declared(), path.stat().st_size, kind)


def probed(path: Path, tools: Tools, seconds: float = 20) -> Probed:
    video = ProbeStep(Limits(), tools, Sandbox(seconds))(case(path)).video
    assert video is not None
    return video


BOTH = pytest.mark.parametrize("tools", [FOUND, NONE], ids=["ffprobe", "mediainfo"])


@BOTH
@pytest.mark.parametrize(
    ("make", "codec", "seconds"),
    [
        (media.make_mp4, "h264", 2.0),
        (media.make_mov, "h264", 2.0),
        (media.make_webm, "vp8", 2.0),
        (media.make_fragmented_mp4, "h264", 2.0),
        (media.make_hdr_mp4, "hevc", 1.0),
    ],
)
def test_both_probes_agree(tmp_path, tools: Tools, make, codec: str, seconds: float) -> None:
    video = probed(make(tmp_path / "clip"), tools)
    assert [(t.codec, t.width, t.height, t.rotation) for t in video.tracks] == [
        (codec, 320, 240, 0)
    ]
    assert video.duration == pytest.approx(seconds, abs=0.1)
    assert video.tracks[0].fps in (10.0, 15.0)
    assert video.by == ("ffprobe" if tools.ffprobe else "mediainfo")


@BOTH
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_rotation_is_told_clockwise_by_both(tmp_path, tools: Tools, turn: int) -> None:
    track = probed(media.make_phone_mp4(tmp_path / "clip", turn), tools).tracks[0]
    assert track.rotation == turn
    assert track.displayed == ((240, 320) if turn in (90, 270) else (320, 240))


@BOTH
def test_a_cover_is_no_video_track(tmp_path, tools: Tools) -> None:
    assert probed(media.make_cover_art_mp4(tmp_path / "song"), tools).tracks == ()


@BOTH
def test_every_video_track_is_seen(tmp_path, tools: Tools) -> None:
    tracks = probed(media.make_two_track_mp4(tmp_path / "two"), tools).tracks
    assert [track.width for track in tracks] == [320, 1280]


@BOTH
@pytest.mark.parametrize("front", [True, False])
def test_a_truncated_file_is_told_by_its_end(tmp_path, tools: Tools, front: bool) -> None:
    with pytest.raises(Rejected) as caught:
        probed(media.make_truncated_mp4(tmp_path / "clip", front), tools)
    assert [reason.code for reason in caught.value.reasons] == ["truncated"]


def test_a_live_webm_is_measured_by_its_packets(tmp_path) -> None:
    path = media.make_webm(tmp_path / "live", live=True)
    assert FOUND.ffprobe is not None
    assert Ffprobe(FOUND.ffprobe, Sandbox(20)).probe(path, WEBM).duration == 0
    assert probed(path, FOUND).duration == pytest.approx(2.0, abs=0.1)


def test_the_coded_size_is_believed_and_not_the_stored_one(tmp_path) -> None:
    assert probed(media.make_lying_size_mp4(tmp_path / "clip"), FOUND).tracks[0].width == 4104


def test_a_header_that_says_too_much_is_believed(tmp_path) -> None:
    assert probed(media.make_lying_long_mp4(tmp_path / "clip"), FOUND).duration == 40_000


def test_frames_are_counted_when_headers_say_too_little(tmp_path) -> None:
    assert probed(media.make_lying_short_mp4(tmp_path / "clip"), FOUND).duration == 200


def test_a_prober_that_spins_is_stopped_and_the_file_refused(tmp_path) -> None:
    path = media.make_hostile_stts_mp4(tmp_path / "clip")
    with pytest.raises(Rejected) as caught:
        probed(path, NONE, seconds=1.5)
    assert [reason.code for reason in caught.value.reasons] == ["unprocessable"]
    assert isinstance(caught.value.__cause__, SandboxFailure)
    assert probed(media.make_mp4(tmp_path / "next"), NONE).tracks[0].width == 320


def test_the_same_file_is_unreadable_to_ffprobe(tmp_path) -> None:
    with pytest.raises(Rejected) as caught:
        probed(media.make_hostile_stts_mp4(tmp_path / "clip"), FOUND)
    assert [reason.code for reason in caught.value.reasons] == ["unreadable"]


def test_a_broken_installation_refuses_nobodys_file(tmp_path) -> None:
    with pytest.raises(SandboxBroken):
        probed(media.make_mp4(tmp_path / "clip"), Tools(None, "/nonexistent/ffprobe"))


@contextmanager
def listener() -> Iterator[tuple[str, list[str]]]:
    """A loopback server, and the list of what was asked of it."""
    asked: list[str] = []

    class Recorder(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Recorder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/secret.ts", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


PLAYLISTS = pytest.mark.parametrize("make", [media.make_hls, media.make_dash])


@PLAYLISTS
def test_no_probe_follows_a_playlist_even_unsniffed(tmp_path, make) -> None:
    """The sniff refuses these before; here each decoder has to withstand them by itself."""
    assert FOUND.ffprobe is not None
    sandbox = Sandbox(20)
    with listener() as (url, asked):
        path = make(tmp_path / "list.mp4", url)
        with pytest.raises(Rejected):
            Ffprobe(FOUND.ffprobe, sandbox).probe(path, MP4)
        assert all(track.width == 0 for track in Mediainfo(sandbox).probe(path, MP4).tracks)
        video = Probed("ffprobe", (VideoTrack(0, "h264", 320, 240),), 2.0)
        bad = Case(path, Declared(), 200, MP4, video=video)
        thumbnail = ThumbnailStep(Limits(), FOUND, sandbox)(bad).thumbnail
        assert thumbnail is not None
        assert thumbnail.status == "failed"
    assert asked == []


def test_the_bait_works_on_a_careless_decoder(tmp_path) -> None:
    """The control of the test above: without our measures the server is asked."""
    code = "import sys; from pymediainfo import MediaInfo; MediaInfo.parse(open(sys.argv[1], 'rb'))"
    with listener() as (url, asked):
        path = media.make_hls(tmp_path / "list.mp4", url)
        subprocess.run([sys.executable, "-c", code, path], check=True, timeout=30)
    assert asked


def test_no_program_in_the_sandbox_reaches_the_listener() -> None:
    with listener() as (url, asked):
        code = f"import urllib.request; urllib.request.urlopen({url!r})"
        assert Sandbox(20).run([sys.executable, "-c", code]).status == 1
    assert asked == []


def test_a_playlist_cannot_read_a_local_file(tmp_path) -> None:
    other = media.make_mp4(tmp_path / "others.mp4")
    path = media.make_hls(tmp_path / "list.mp4", str(other))
    assert all(track.width == 0 for track in Mediainfo(Sandbox(20)).probe(path, MP4).tracks)
    code = (
        "import sys; from pymediainfo import MediaInfo\n"
        "print(MediaInfo.parse(sys.argv[1]).to_data())"
    )
    careless = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True)
    assert b"'width': 320" in careless.stdout


@pytest.mark.parametrize(
    ("degrees", "turn"), [(0, 0), (-90, 270), (90.4, 90), (-180, 180), (450, 90), (359.9, 0)]
)
def test_turns_are_normalised(degrees: float, turn: int) -> None:
    assert clockwise(degrees) == turn


def test_the_longest_claim_counts() -> None:
    track = VideoTrack(0, "h264", 320, 240, duration=10, frames=140, fps=10)
    assert Probed("ffprobe", (track,), 11.0, (12.0,)).duration == 12.0
    more = VideoTrack(0, "h264", 320, 240, duration=10, frames=160, fps=10)
    assert Probed("ffprobe", (more,), 11.0, (12.0,)).duration == 16.0
    assert Probed("ffprobe", ()).duration == 0.0
