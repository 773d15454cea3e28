"""Whole journeys: real media in, registered post media with thumbnails out, then published."""

import hashlib
import io
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

from tests import media
from tests.conftest import Start
from tests.live import Live
from tests.raw import OCTETS, Answer, Client, Wire, chunked, request_head
from tests.services import wait_until

ENDS = ("registered", "ready", "rejected", "failed")
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Good:
    """A medium that passes: how it is made, what is known of it, its thumbnail's size."""

    make: Callable[[Path], Path]
    name: str
    content_type: str
    size: tuple[int, int]
    thumbnail: tuple[int, int]
    codec: str | None = None

    @property
    def is_video(self) -> bool:
        return self.codec is not None


GOOD = [
    Good(
        lambda path: media.make_phone_jpeg(path, width=1600, height=1200),
        "IMG_0001.JPG",
        "image/jpeg",
        (1200, 1600),
        (480, 640),
    ),
    Good(media.make_heic, "IMG_0002.HEIC", "image/heic", (400, 300), (400, 300)),
    Good(media.make_avif, "a.avif", "image/avif", (400, 300), (400, 300)),
    Good(media.make_animated_gif, "a.gif", "image/gif", (400, 300), (400, 300)),
    Good(
        lambda path: media.make_png(path, 1280, 960), "a.png", "image/png", (1280, 960), (640, 480)
    ),
    Good(media.make_webp, "a.webp", "image/webp", (400, 300), (400, 300)),
    Good(media.make_phone_mp4, "VID.mp4", "video/mp4", (240, 320), (240, 320), "h264"),
    Good(media.make_mov, "IMG_0003.MOV", "video/quicktime", (320, 240), (320, 240), "h264"),
    Good(media.make_webm, "a.webm", "video/webm", (320, 240), (320, 240), "vp8"),
]


def push(server: Live, file: Path, *, user: str = "alice", **metadata: str) -> str:
    """Upload by tuspy; the path of the upload."""
    tus = TusClient(
        f"{server.url}/files/", headers={"Authorization": f"Bearer {server.token(user)}"}
    )
    with file.open("rb") as stream:
        facts = {"filename": file.name, **metadata}
        uploader = tus.uploader(file_stream=stream, chunk_size=100_000, metadata=facts)
        uploader.upload()
    assert uploader.url is not None
    return "/files/" + uploader.url.rpartition("/")[2]


def medium_of(client: Client, upload: str) -> dict[str, Any]:
    media_id = client.ask("HEAD", upload).get("upload-media-id")
    if media_id is None:  # a rejected upload's URL tells why, not what became of it
        items = client.ask("GET", "/api/v1/media?limit=200").json()["items"]
        return next(item for item in items if item["upload_id"] == upload.rpartition("/")[2])
    return document(client, media_id)


def document(client: Client, media_id: str) -> dict[str, Any]:
    answer = client.ask("GET", f"/api/v1/media/{media_id}")
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json()
    return found


def examined(client: Client, upload: str) -> dict[str, Any]:
    """The medium once its examination has ended."""
    medium = medium_of(client, upload)
    until = ("registered", "rejected", "failed") if medium["post_id"] else ENDS

    def ended() -> bool:
        nonlocal medium
        medium = document(client, medium["id"])
        return medium["status"] in until

    wait_until(ended, f"The examination of {medium['file_name']}", PATIENCE_SECONDS)
    return medium


def fetch(url: str) -> Answer:
    """GET without any header of ours, as an `<img>` does."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    target = f"{parts.path}?{parts.query}"
    with Wire(parts.hostname, parts.port) as wire:
        wire.send(request_head("GET", target, [("Host", parts.netloc)]))
        return wire.answer()


def stored_files(server: Live, user: str) -> set[Path]:
    return set((server.data_dir / "uploads" / user).glob("*"))


@pytest.fixture
def made(tmp_path: Path) -> Callable[[Good], Path]:
    def make(good: Good) -> Path:
        return good.make(tmp_path / good.name)

    return make


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good.name)
def test_from_the_first_byte_to_the_published_post(
    live: Live, made: Callable[[Good], Path], good: Good
) -> None:
    user, post = f"user-{good.name}", f"post-{good.name}"
    client, file = Client(live, user), made(good)
    upload = push(live, file, user=user, post_id=post, filetype=good.content_type)
    medium = examined(client, upload)

    assert medium["status"] == "registered", medium["reasons"]
    assert medium["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (medium["file_name"], medium["content_type"]) == (good.name, good.content_type)
    assert (medium["width"], medium["height"]) == good.size
    assert (medium["size"], medium["post_id"]) == (file.stat().st_size, post)
    assert medium["codec"] == good.codec
    if good.is_video:
        assert medium["duration"] == pytest.approx(2, abs=0.2)
    assert medium["media_type"] == ("video" if good.is_video else "image")

    original = fetch(medium["url"])
    assert original.body == file.read_bytes()
    assert original["content-type"] == good.content_type
    thumbnail = fetch(medium["thumbnail_url"])
    with Image.open(io.BytesIO(thumbnail.body)) as image:
        image.load()
        assert (image.format, image.size) == ("JPEG", good.thumbnail)
        assert not image.getexif()
    assert (medium["thumbnail"]["width"], medium["thumbnail"]["height"]) == good.thumbnail
    assert len(stored_files(live, user)) == 2

    answer = client.ask("POST", f"/api/v1/posts/{post}/published")
    assert answer.status == 200
    assert [item["id"] for item in answer.json()["media"]] == [medium["id"]]
    wait_until(lambda: document(client, medium["id"])["status"] == "deleted", "The deletion")
    gone = document(client, medium["id"])
    assert (gone["sha256"], gone["url"], gone["thumbnail_url"]) == (medium["sha256"], None, None)
    assert gone["registered_at"] <= gone["published_at"] <= gone["deleted_at"]
    assert stored_files(live, user) == set()
    assert client.ask("GET", upload).status == 410
    assert client.ask("HEAD", upload).status == 410
    assert fetch(medium["url"]).status == 410
    assert fetch(medium["thumbnail_url"]).status == 410


def test_turned_pictures_stand_upright_in_their_thumbnails(live: Live, tmp_path: Path) -> None:
    """The test picture is red above, blue below; so is what a person sees."""
    client = Client(live)
    for make, name in ((media.make_phone_jpeg, "a.jpg"), (media.make_phone_mp4, "a.mp4")):
        medium = examined(client, push(live, make(tmp_path / name)))
        with Image.open(io.BytesIO(fetch(medium["thumbnail_url"]).body)) as image:
            # Turned by 90 degrees to the right: what was below is at the left.
            left, right = (
                image.convert("RGB").getpixel((x, image.height * 3 // 4))
                for x in (10, image.width - 10)
            )
        assert left[2] > 150 > left[0]
        assert right[0] > 150 > right[2]


BAD_IN_THE_PIPELINE = [
    (media.make_truncated_mp4, "a.mp4", {"truncated", "unreadable"}),
    (media.make_truncated_webm, "a.webm", {"truncated", "unreadable"}),
    (media.make_half_jpeg, "a.jpg", {"truncated", "unreadable"}),
    (media.make_long_mp4, "a.mp4", {"video_too_long"}),
    (lambda path: media.make_png(path, 99, 200), "a.png", {"image_too_small"}),
    (media.make_flat_png, "a.png", {"image_too_large_dimensions"}),
    (media.make_bomb_webp, "a.webp", {"image_too_large_dimensions"}),
    (media.make_empty, "a.jpg", {"empty_file"}),
    (media.make_mpeg2_mp4, "a.mp4", {"codec_not_allowed"}),
    (media.make_audio_mp4, "a.mp4", {"no_video_track"}),
    (
        media.make_hostile_stts_mp4,
        "a.mp4",
        {"unprocessable", "unreadable", "truncated", "duration_unknown"},
    ),
]


@pytest.mark.parametrize(
    ("make", "name", "codes"),
    BAD_IN_THE_PIPELINE,
    ids=[getattr(make, "__name__", "make") for make, _, _ in BAD_IN_THE_PIPELINE],
)
def test_bad_media_are_rejected_with_their_reason(
    live: Live, tmp_path: Path, make: Callable[[Path], Path], name: str, codes: set[str]
) -> None:
    user = f"bad-{make.__name__}-{name}".replace("<lambda>", "small")
    client = Client(live, user)
    upload = push(live, make(tmp_path / name), user=user, post_id=f"post-{user}")
    medium = examined(client, upload)
    assert medium["status"] == "rejected", medium
    found = {reason["code"] for reason in medium["reasons"]}
    assert found <= codes
    assert all(reason["message"].endswith(".") for reason in medium["reasons"])
    assert (medium["url"], medium["thumbnail_url"]) == (None, None)
    # Clients take offset == length for a success, so HEAD must not say that.
    wait_until(lambda: client.ask("HEAD", upload).status == 415, "The end of the upload")
    assert stored_files(live, user) == set()
    wait_until(lambda: upload.rpartition("/")[2] not in live.files(), "The removal of the bytes")
    assert client.ask("GET", f"/api/v1/posts/post-{user}").status == 404


def test_the_worker_is_well_after_all_that(live: Live, tmp_path: Path) -> None:
    client, worker = Client(live), live.supervised("worker")
    push(live, media.make_hostile_stts_mp4(tmp_path / "bad.mp4"))
    medium = examined(client, push(live, media.make_jpeg(tmp_path / "good.jpg")))
    assert medium["status"] == "ready"
    assert live.supervised("worker") == worker


@pytest.mark.parametrize("make", [media.make_text, media.make_eps, media.make_matroska])
def test_content_of_another_type_is_refused_with_its_first_4_kib(
    live: Live, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    file = make(tmp_path / "made")
    content = file.read_bytes()
    client = Client(live)
    path = client.create(len(content), filename="a.mp4", filetype="video/mp4")
    with client.wire() as wire:
        wire.send(client.patch_head(path, 0, len(content)) + content[:4096])
        answer = wire.answer()
    assert (answer.status, answer.text.count("\n")) == (415, 1)
    assert client.ask("HEAD", path).status == 415
    assert client.patch(path, 4096, content[4096:]).status == 415
    assert path.rpartition("/")[2] not in live.files()


@contextmanager
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """A server that only notes who asks it: its URL, and the first bytes of every visit."""
    visits: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def listen() -> None:
            while not done.is_set():
                try:
                    visitor = server.accept()[0]
                except TimeoutError:
                    continue
                with visitor:
                    visitor.settimeout(1)
                    visits.append(visitor.recv(1000))

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/segment.ts", visits
        finally:
            done.set()
            thread.join()


@pytest.mark.parametrize("make", [media.make_hls, media.make_dash])
def test_playlists_make_nobody_ask_elsewhere(
    live: Live, tmp_path: Path, make: Callable[[Path, str], Path]
) -> None:
    with listener() as (url, visits):
        playlist = make(tmp_path / "a.mp4", url)
        with pytest.raises(TusUploadFailed) as failure:
            push(live, playlist)
        assert failure.value.status_code == 415
        # Behind a head that passes, the playlist reaches the decoders.
        smuggled = tmp_path / "b.mp4"
        smuggled.write_bytes(
            b"\0\0\0\x18ftypisom\0\0\0\1isommp41" + bytes(8) + playlist.read_bytes() * 50
        )
        assert examined(Client(live), push(live, smuggled))["status"] == "rejected"
    assert visits == []


@pytest.mark.parametrize("make", [media.make_hls, media.make_dash])
def test_playlists_show_nobody_the_files_of_others(
    live: Live, tmp_path: Path, make: Callable[[Path, str], Path]
) -> None:
    """By absolute paths, bare and behind a head that passes."""
    client = Client(live)
    theirs = examined(client, push(live, media.make_mp4(tmp_path / "others.mp4")))
    [stored] = [path for path in stored_files(live, "alice") if "others" in path.name][:1]
    assert theirs["status"] == "ready"
    playlist = make(tmp_path / "a.mp4", str(stored.absolute()))
    with pytest.raises(TusUploadFailed):
        push(live, playlist)
    smuggled = tmp_path / "b.mp4"
    head = media.make_ftyp_only(smuggled).read_bytes()
    smuggled.write_bytes(head + bytes(8) + playlist.read_bytes() * 20)
    medium = examined(client, push(live, smuggled))
    assert (medium["status"], medium["width"]) == ("rejected", None)


POLYGLOTS = {
    "a.jpg": (media.make_script_jpeg, "image/jpeg"),
    "a.gif": (media.make_zip_gif, "image/gif"),
    "a.png": (media.make_pdf_png, "image/png"),
    "a.mp4": (media.make_page_mp4, "video/mp4"),
}


@pytest.mark.parametrize("name", POLYGLOTS)
def test_polyglots_are_shown_as_what_they_were_taken_for(
    live: Live, tmp_path: Path, name: str
) -> None:
    """Nothing makes a browser take them for a page, under whatever name they were sent."""
    make, content_type = POLYGLOTS[name]
    client = Client(live)
    upload = push(live, make(tmp_path / name), filename="page.html")
    medium = examined(client, upload)
    assert medium["status"] == "ready", medium["reasons"]
    for answer in (fetch(medium["url"]), client.ask("GET", upload)):
        assert answer["content-type"] == content_type
        assert answer["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer["content-security-policy"]
        assert "default-src 'none'" in answer["content-security-policy"]
    thumbnail = fetch(medium["thumbnail_url"])
    assert b"<script>" not in thumbnail.body


def test_without_ffmpeg(start_server: Start, tmp_path: Path) -> None:
    """No thumbnails of videos then; everything else works."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python3", "sh", "env"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    server = start_server(worker=True, environ={"PATH": str(programs)})
    assert shutil.which("ffmpeg", path=str(programs)) is None
    client = Client(server)
    picture = push(server, media.make_phone_jpeg(tmp_path / "a.jpg"))
    video = push(server, media.make_phone_mp4(tmp_path / "a.mp4"))
    medium = examined(client, video)
    assert (medium["status"], medium["codec"]) == ("ready", "h264")
    assert (medium["width"], medium["height"], medium["rotation"]) == (240, 320, 90)
    assert medium["thumbnail"]["status"] == "skipped"
    assert medium["thumbnail"]["reason"] == "ffmpeg_missing"
    assert medium["thumbnail_url"] is None
    assert examined(client, picture)["thumbnail"]["status"] == "ready"
    assert fetch(medium["url"]).status == 200
    bad = examined(client, push(server, media.make_truncated_mp4(tmp_path / "b.mp4", front=False)))
    assert bad["status"] == "rejected"


def test_others_see_nothing(live: Live, tmp_path: Path) -> None:
    alice, bob, staff = Client(live), Client(live, "bob"), Client(live, "root")
    staff.token = live.token("root", staff=True)
    upload = push(live, media.make_jpeg(tmp_path / "a.jpg"), post_id="hers")
    medium = examined(alice, upload)
    targets = [
        ("GET", f"/api/v1/media/{medium['id']}"),
        ("GET", f"/api/v1/media/{medium['id']}/file"),
        ("GET", f"/api/v1/media/{medium['id']}/thumbnail"),
        ("GET", "/api/v1/posts/hers"),
        ("POST", "/api/v1/posts/hers/published"),
        ("GET", upload),
        ("HEAD", upload),
        ("DELETE", upload),
    ]
    for method, target in targets:
        answer = bob.ask(method, target)
        assert answer.status == 404, target
        unknown = target.replace(medium["id"], "0" * 36).replace("hers", "nobodys")
        unknown = unknown.replace(upload, "/files/" + "0" * 32)
        # Not even by the words can a stranger tell what is there from what is not.
        assert bob.ask(method, unknown).body == answer.body
    assert bob.patch(upload, 0, b"x").status == 404
    assert bob.ask("GET", "/api/v1/media?post_id=hers").json()["items"] == []
    assert staff.ask("GET", f"/api/v1/media/{medium['id']}").status == 200
    assert document(alice, medium["id"])["status"] == "registered"
    assert alice.ask("GET", upload).status == 200


def test_a_post_takes_no_media_of_others(live: Live, tmp_path: Path) -> None:
    alice, bob = Client(live), Client(live, "bob")
    mine = push(live, media.make_jpeg(tmp_path / "a.jpg"), post_id="first-come")
    assert examined(alice, mine)["status"] == "registered"
    theirs = push(live, media.make_jpeg(tmp_path / "b.jpg"), user="bob", post_id="first-come")
    assert examined(bob, theirs)["status"] == "rejected"


def test_links_hold_for_their_path_alone(live: Live, tmp_path: Path) -> None:
    medium = examined(Client(live), push(live, media.make_jpeg(tmp_path / "a.jpg")))
    url: str = medium["url"]
    assert fetch(url).status == 200
    assert fetch(url.replace("/file?", "/thumbnail?")).status == 401
    assert fetch(url[:-1] + ("0" if url[-1] != "0" else "1")).status == 401
    assert fetch(url.replace("expires=", "expires=9")).status == 401
    assert fetch(url.partition("?")[0] + "?").status == 401


@pytest.mark.parametrize("token", ["", "garbled", "expired"])
def test_without_a_token_that_holds_no_byte_is_read(live: Live, tmp_path: Path, token: str) -> None:
    alice = Client(live)
    path = alice.create(500 * 1024 * 1024)
    stranger = Client(live)
    stranger.token = live.token(hours=-1) if token == "expired" else token
    with stranger.wire() as wire:
        wire.send(stranger.patch_head(path, 0, 500 * 1024 * 1024, ("Expect", "100-continue")))
        answer = wire.answer()
        assert (answer.status, answer["www-authenticate"]) == (401, "Bearer")
        assert wire.ended()
    assert alice.offset(path) == 0
    tus = TusClient(f"{live.url}/files/", headers={"Authorization": f"Bearer {stranger.token}"})
    with pytest.raises(TusCommunicationError) as failure:
        tus.uploader(file_stream=io.BytesIO(b"x")).upload()
    assert failure.value.status_code == 401


def test_bytes_beyond_the_end_do_not_touch_what_was_handed_over(live: Live, tmp_path: Path) -> None:
    """All bytes came in chunks, a second request finished the upload, then came one byte more."""
    client, content = Client(live), media.make_jpeg(tmp_path / "a.jpg").read_bytes()
    path = client.create(len(content))
    head = client.head(
        "PATCH",
        path,
        ("Content-Type", OCTETS),
        ("Upload-Offset", "0"),
        ("Transfer-Encoding", "chunked"),
    )
    with client.wire() as wire:
        wire.send(head + chunked(content, end=False))
        wait_until(lambda: client.offset(path) == len(content), "The arrival of all bytes")
        assert client.patch(path, len(content), b"").status == 204
        assert examined(client, path)["status"] == "ready"
        wire.send_until_refused([b"1\r\nx\r\n"])
        assert wire.answer().status in (204, 400, 413)
    medium = examined(client, path)
    assert hashlib.sha256(fetch(medium["url"]).body).hexdigest() == medium["sha256"]


def test_killed_worker_finishes_its_jobs(start_server: Start, tmp_path: Path) -> None:
    """SIGKILL in the middle of jobs; another worker takes them over when their lease is out."""
    server = start_server(worker=True, job_lease_seconds=2)
    client = Client(server)
    files = [media.make_phone_mp4(tmp_path / f"{number}.mp4") for number in range(3)]
    worker = server.supervised("worker")
    uploads = [push(server, file) for file in files]
    server.kill_child(worker)
    assert [examined(client, upload)["status"] for upload in uploads] == ["ready"] * 3
    assert server.supervised("worker") != worker
