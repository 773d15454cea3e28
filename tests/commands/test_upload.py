import contextlib
import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Start
from tests.live import ROOT, Live
from tests.media import make_jpeg, make_mp4, make_text
from tests.services import free_port, wait_until
from tests.shell import Cli

MIB = 1024 * 1024
SMALL_CHUNKS = ("--chunk-size", "4KiB")


@pytest.fixture
def upload(cli: Cli, live: Live) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`tusd-server upload` to the shared server, as alice."""

    def run(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
        usual = {"TUSD_URL": live.url, "TUSD_TOKEN": live.token()}
        return cli("upload", *arguments, **{**usual, **environ})

    return run


Upload = Callable[..., subprocess.CompletedProcess[str]]


def long_jpeg(path: Path) -> Path:
    """A photo that takes thousands of small requests; decoders read over what is behind it."""
    make_jpeg(path)
    os.truncate(path, 12 * MIB)
    return path


def remembered(cli: Cli) -> list[str]:
    """The URLs of uploads that may go on."""
    entries: dict[str, dict[str, Any]] = json.loads(cli.remembered.read_text())["_default"]
    return [entry["url"] for entry in entries.values()]


def wait_for_bytes(server: Live, cli: Cli, count: int) -> Path:
    """The data file of the upload under way, once it holds that many bytes."""
    wait_until(lambda: cli.remembered.exists() and remembered(cli), "The beginning of the upload")
    data = server.data_dir / remembered(cli)[0].rpartition("/")[2]
    wait_until(lambda: data.stat().st_size >= count, f"The arrival of {count} bytes")
    return data


def test_a_photo_becomes_ready(upload: Upload, cli: Cli, tmp_path: Path) -> None:
    done = upload(make_jpeg(tmp_path / "photo.jpg"))
    assert (done.returncode, done.stderr) == (0, "")
    shown = done.stdout.splitlines()
    assert shown[0] == "photo.jpg: ready"
    assert "  pixels     400 x 300" in shown
    assert "  thumbnail  400 x 300" in shown
    assert remembered(cli) == []


def test_json_is_the_record_one_a_line(upload: Upload, tmp_path: Path) -> None:
    photos = [make_jpeg(tmp_path / "one.jpg"), make_jpeg(tmp_path / "ü two.jpg", 300, 200)]
    done = upload("--json", "--post-id", f"post {tmp_path.name}", *photos)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    records.sort(key=lambda record: str(record["file_name"]))
    assert [record["file_name"] for record in records] == ["one.jpg", "ü two.jpg"]
    assert [record["path"] for record in records] == list(map(str, photos))
    assert {record["status"] for record in records} == {"registered"}
    assert {record["post_id"] for record in records} == {f"post {tmp_path.name}"}
    assert records[1]["size"] == photos[1].stat().st_size
    assert (done.returncode, done.stderr) == (0, "")


def test_many_chunks_are_the_same_bytes(upload: Upload, live: Live, tmp_path: Path) -> None:
    video = make_mp4(tmp_path / "clip.mp4")
    record = json.loads(upload("--json", "--chunk-size", "10000B", video).stdout)
    (stored,) = (live.data_dir / "uploads" / "alice").glob("*_clip.mp4")
    assert stored.read_bytes() == video.read_bytes()
    assert record["duration"] == pytest.approx(2.0, abs=0.2)


def test_refused_content_is_told_and_the_rest_goes_on(upload: Upload, tmp_path: Path) -> None:
    text = make_text(tmp_path / "notes.mp4")
    done = upload(text, make_jpeg(tmp_path / "photo.jpg"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"tusd-server: {text}: The first bytes are of no type that")
    assert done.stderr.count("\n") == 1
    assert done.stdout.startswith("photo.jpg: ready\n")


def test_refusal_in_the_middle_of_a_large_request(upload: Upload, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_bytes(b"no film at all\n" * 2_000_000)
    done = upload("--chunk-size", "30MiB", text)
    assert done.returncode == 1
    assert "The first bytes are of no type that is accepted" in done.stderr.splitlines()[-1]


def test_rejected_media_are_shown_with_their_reasons(
    upload: Upload, cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "empty.jpg").touch()
    done = upload(make_jpeg(tmp_path / "tiny.jpg", 50, 50), tmp_path / "empty.jpg")
    assert done.returncode == 1
    shown = done.stdout.splitlines()
    assert shown[shown.index("tiny.jpg: rejected") + 1] == (
        "  reason     The image is 50 x 50 px; a side must have at least 100 px. (image_too_small)"
    )
    assert "empty.jpg: rejected" in shown
    assert remembered(cli) == []


def test_too_large_is_told_in_the_servers_words(upload: Upload, tmp_path: Path) -> None:
    path = tmp_path / "huge.mp4"
    path.touch()
    os.truncate(path, 600 * MIB)
    done = upload(path)
    assert done.returncode == 1
    assert str(500 * MIB) in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("how", "status", "said"),
    [
        (
            signal.SIGINT,
            130,
            "tusd-server: Interrupted; run the same command again and it goes on where it was.\n",
        ),
        (signal.SIGKILL, -signal.SIGKILL, ""),
    ],
)
def test_an_interrupted_upload_goes_on(
    upload: Upload, cli: Cli, live: Live, tmp_path: Path, how: int, status: int, said: str
) -> None:
    photo = long_jpeg(tmp_path / "photo.jpg")
    environ = {"TUSD_URL": live.url, "TUSD_TOKEN": live.token()}
    with cli.started("upload", *SMALL_CHUNKS, photo, **environ) as process:
        data = wait_for_bytes(live, cli, MIB)
        process.send_signal(how)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (status, "", said)
    assert MIB <= data.stat().st_size < 12 * MIB
    assert data.name in cli("ls", "--unfinished", "--data-dir", live.data_dir).stdout

    done = upload("--json", photo)
    assert done.returncode == 0
    assert json.loads(done.stdout)["upload_id"] == data.name
    assert done.stderr.startswith("tusd-server: photo.jpg: going on behind ")
    assert done.stderr.endswith(" of 12.0 MiB.\n")
    assert remembered(cli) == []


def test_a_file_that_changed_meanwhile_begins_anew(
    upload: Upload, cli: Cli, live: Live, tmp_path: Path
) -> None:
    photo = long_jpeg(tmp_path / "photo.jpg")
    with cli.started(
        "upload", *SMALL_CHUNKS, photo, TUSD_URL=live.url, TUSD_TOKEN=live.token()
    ) as process:
        data = wait_for_bytes(live, cli, MIB)
        os.utime(photo, (1, 1))
        stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 75
    assert "The file changed while it was sent" in stderr

    done = upload("--json", photo)
    assert json.loads(done.stdout)["upload_id"] != data.name
    assert (done.returncode, done.stderr) == (0, "")


def test_an_upload_that_the_server_forgot_begins_anew(
    upload: Upload, cli: Cli, live: Live, tmp_path: Path
) -> None:
    photo = long_jpeg(tmp_path / "photo.jpg")
    with cli.started(
        "upload", *SMALL_CHUNKS, photo, TUSD_URL=live.url, TUSD_TOKEN=live.token()
    ) as process:
        data = wait_for_bytes(live, cli, 1)
        process.kill()
    data.with_name(f"{data.name}.info").unlink()
    done = upload("--json", photo)
    assert json.loads(done.stdout)["upload_id"] != data.name
    assert (done.returncode, done.stderr) == (0, "")


def test_all_bytes_are_there_and_only_the_record_is_waited_for(
    cli: Cli, start_server: Start, tmp_path: Path
) -> None:
    photo = make_jpeg(tmp_path / "photo.jpg")
    server = start_server(auth="off", worker=False)
    first = cli("upload", photo, "--wait-seconds", "0.3", "--url", server.url)
    assert first.returncode == 75
    assert first.stderr == (
        f"tusd-server: {photo}: The file arrived, but after 0.3 s its status is still "
        "received; is `tusd-server worker` running?\n"
    )
    (url,) = remembered(cli)
    with cli.started("worker", TUSD_DATA_DIR=str(server.data_dir)):
        second = cli("upload", photo, "--json", "--url", server.url)
    assert json.loads(second.stdout)["upload_id"] == url.rpartition("/")[2]
    assert second.returncode == 0


def test_no_wait(cli: Cli, start_server: Start, tmp_path: Path) -> None:
    server = start_server(auth="off", worker=False)
    photo = make_jpeg(tmp_path / "photo.jpg")
    mine = tmp_path / "mine" / "began.json"
    done = cli("upload", "--no-wait", "--url", server.url, "--resume-file", mine, photo)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("photo.jpg: received\n")
    assert mine.exists()
    assert not cli.remembered.exists()


def test_a_web_process_that_dies_does_not_end_the_upload(
    cli: Cli, start_server: Start, tmp_path: Path
) -> None:
    server = start_server(auth="off", worker=True, workers=1)
    photo = long_jpeg(tmp_path / "photo.jpg")
    with cli.started("upload", "--json", *SMALL_CHUNKS, photo, "--url", server.url) as process:
        data = wait_for_bytes(server, cli, MIB)
        server.kill_child(server.web_pids()[0])
        stdout, stderr = process.communicate(timeout=90)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["upload_id"] == data.name


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ([], "Authorization is missing; send `Authorization: Bearer <token>`."),
        (["--token", "nonsense"], "The token does not hold; get a new one."),
    ],
)
def test_without_a_token_that_holds(
    cli: Cli, live: Live, tmp_path: Path, token: list[str], said: str
) -> None:
    photos = [make_jpeg(tmp_path / "one.jpg"), make_jpeg(tmp_path / "two.jpg")]
    done = cli("upload", *token, *photos, "--parallel", "1", "--url", f"{live.url}/files/")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"tusd-server: {photos[0]}: {said} `tusd-server token --user NAME` on the server's "
        "machine prints a token; give it as --token or in TUSD_TOKEN.\n"
    )


def test_a_server_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    photo = make_jpeg(tmp_path / "photo.jpg")
    url = f"http://127.0.0.1:{free_port()}"
    done = cli("upload", photo, photo, "--url", url)
    assert (done.returncode, done.stdout) == (75, "")
    said = f"tusd-server: {photo}: {url} does not answer: connection refused.\n"
    assert done.stderr == said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing.jpg", "missing.jpg cannot be read: no such file or directory."),
        ("pipe", "pipe is neither a file nor a folder; give such."),
    ],
)
def test_files_that_are_none(cli: Cli, name: str, said: str) -> None:
    os.mkfifo(cli.home / "pipe")
    make_jpeg(cli.home / "photo.jpg")
    done = cli("upload", "photo.jpg", name, "--url", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"tusd-server: {said}\n")


def test_a_folder_with_nothing_to_send(cli: Cli) -> None:
    (cli.home / "texts").mkdir()
    make_text(cli.home / "texts" / "notes.txt")
    done = cli("upload", "texts", "--url", "http://127.0.0.1:9")
    said = "tusd-server: There is no photo or video in the folders; give others, or files.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_folders_with_all_that_is_in_them(upload: Upload, live: Live, tmp_path: Path) -> None:
    trip = tmp_path / "trip"
    (trip / "day 1").mkdir(parents=True)
    wanted = [make_jpeg(trip / f"day 1/{number}.jpg", 300 + number, 200) for number in range(7)]
    wanted.append(make_mp4(trip / "clip.MP4"))
    make_text(trip / "notes.txt")
    done = upload("--json", "--parallel", "4", trip, wanted[0])
    records = {record["path"]: record for record in map(json.loads, done.stdout.splitlines())}
    assert sorted(records) == sorted(map(str, wanted))
    assert {record["status"] for record in records.values()} == {"ready"}
    for path in wanted:
        assert records[str(path)]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert done.stderr == "tusd-server: 1 other files in the folders are left out.\n"
    assert done.returncode == 0


def test_what_did_not_arrive_is_told_in_json_too(
    upload: Upload, live: Live, tmp_path: Path
) -> None:
    text = make_text(tmp_path / "notes.mp4")
    done = upload("--json", text)
    (line,) = map(json.loads, done.stdout.splitlines())
    assert line["path"] == str(text)
    assert line["error"] in done.stderr
    assert done.returncode == 1


def test_a_terminal_sees_bars_and_a_picture(cli: Cli, live: Live, tmp_path: Path) -> None:
    photo = long_jpeg(tmp_path / "photo.jpg")
    shown, status = in_terminal(
        cli, "upload", *SMALL_CHUNKS, photo, make_jpeg(tmp_path / "b.jpg"), url=live
    )
    assert status == 0
    assert "photo.jpg" in shown
    assert "12.0/12.0 MiB" in shown
    assert "\x1b[38;2;" in shown
    assert "photo.jpg: ready\r\n" in shown


def test_a_terminal_without_pictures(cli: Cli, live: Live, tmp_path: Path) -> None:
    photo = make_jpeg(tmp_path / "photo.jpg")
    shown, status = in_terminal(cli, "upload", "--no-picture", photo, url=live)
    assert status == 0
    assert "photo.jpg: ready\r\n" in shown
    assert "▀" not in shown


def in_terminal(cli: Cli, *arguments: object, url: Live) -> tuple[str, int]:
    """What the command writes to a terminal that has all colours, and its exit status."""
    main, end = pty.openpty()
    termios.tcsetwinsize(end, (40, 120))
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(cli.home),
        "PYTHONPATH": str(ROOT),
        "TUSD_URL": url.url,
        "TUSD_TOKEN": url.token(),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
    }
    command = [sys.executable, "-m", "tusd_server", *map(str, arguments)]
    process = subprocess.Popen(
        command, cwd=cli.home, env=environ, stdin=end, stdout=end, stderr=end
    )
    os.close(end)
    shown = b""
    # Linux tells the end of the last writer by an error.
    with contextlib.suppress(OSError):
        while block := os.read(main, 65536):
            shown += block
    os.close(main)
    return shown.decode(errors="replace"), process.wait(timeout=60)


def test_a_post_id_that_no_post_can_have(cli: Cli) -> None:
    make_jpeg(cli.home / "photo.jpg")
    done = cli("upload", "photo.jpg", "--post-id", "a\nb")
    said = "tusd-server: --post-id must be 1 to 255 printable characters.\n"
    assert (done.returncode, done.stderr) == (2, said)
