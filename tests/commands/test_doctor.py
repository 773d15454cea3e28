import os
import sqlite3
from pathlib import Path

import PIL
import pillow_heif
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import features
from pymediainfo import MediaInfo

from processing.migrations import HEAD
from processing.sandbox import Confinement, Sandbox, SandboxBroken
from processing.tools import Tools
from tests.live import SECRET
from tests.receiver import Receiver, Reply
from tests.records import migrated
from tests.services import ServiceMissing, clamd, free_port, redis_server
from tests.shell import Cli
from tusd_server.commands import doctor_data, doctor_tools
from tusd_server.commands.finding import Finding
from tusd_server.settings import Settings


def lines(output: str) -> dict[str, tuple[str, str]]:
    """What was said by name: level and sentence."""
    found = {}
    for line in output.splitlines():
        level, name, sentence = line.split(" ", 2)
        assert level in ("ok", "warn", "fail")
        assert sentence.endswith(".")
        found[name.removesuffix(":")] = (level, sentence)
    return found


def settings(data_dir: Path, **chosen: str) -> Settings:
    return Settings.from_env(
        {f"TUSD_{name.upper()}": text for name, text in chosen.items()}, data_dir=data_dir
    )


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    state = tmp_path / "data" / ".tusd-server"
    state.mkdir(parents=True)
    with migrated(f"sqlite:///{state / 'catalog.db'}"):
        return tmp_path / "data"


def test_a_fresh_machine_is_fine_and_stays_fresh(cli: Cli) -> None:
    done = cli("doctor", "--data-dir", "new")
    found = lines(done.stdout)
    assert done.returncode == 0
    assert list(found)[:7] == [
        "settings",
        "data",
        "disk",
        "filesystem",
        "database",
        "secret",
        "auth",
    ]
    for name in ("data", "database", "secret"):
        assert found[name][0] == "ok"
        assert found[name][1].endswith("is not there yet; the first start makes it.")
    assert found["pillow"][0] == found["pillow-heif"][0] == "ok"
    assert list(cli.home.iterdir()) == []


def test_without_ffmpeg_it_works_with_less(cli: Cli) -> None:
    done = cli("doctor", PATH="/nowhere")
    found = lines(done.stdout)
    assert found["ffmpeg"] == ("warn", "It is not installed; videos get no thumbnails.")
    assert found["ffprobe"][0] == "warn"
    assert done.returncode == 0


def test_a_setting_that_is_none_fails_and_the_tools_are_checked(cli: Cli) -> None:
    done = cli("doctor", TUSD_DATADIR="d")
    found = lines(done.stdout)
    assert done.returncode == 1
    assert found["settings"][0] == "fail"
    assert found["settings"][1].startswith("TUSD_DATADIR is not a setting")
    assert "data" not in found
    assert "pillow" in found


def test_variables_of_the_client_are_no_settings_and_no_mistakes(cli: Cli) -> None:
    done = cli("doctor", TUSD_URL="http://example.org", TUSD_TOKEN="t")
    assert lines(done.stdout)["settings"][0] == "ok"


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    finding = doctor_data.check_data_dir(settings(tmp_path / "file"))
    assert (finding.level, finding.name) == ("fail", "data")
    assert finding.sentence == f"{tmp_path / 'file'} cannot be written: not a directory."


def test_a_directory_that_even_root_cannot_write() -> None:
    assert doctor_data.check_data_dir(settings(Path("/proc"))).level == "fail"


def test_a_full_disk(data_dir: Path) -> None:
    assert doctor_data.check_disk(settings(data_dir, max_size="1")).level == "ok"
    assert doctor_data.check_disk(settings(data_dir, max_size="9999TiB")).level == "warn"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="There is no second filesystem.")
def test_media_on_another_filesystem(data_dir: Path) -> None:
    if os.stat("/dev/shm").st_dev == data_dir.stat().st_dev:
        pytest.skip("The temporary directory lies in /dev/shm.")
    assert doctor_data.check_one_filesystem(settings(data_dir)).level == "ok"
    (data_dir / "uploads").symlink_to("/dev/shm")
    finding = doctor_data.check_one_filesystem(settings(data_dir))
    assert finding.level == "fail"
    assert finding.sentence.startswith(f"{data_dir / 'uploads'} is on another filesystem")


@pytest.mark.parametrize(
    ("revision", "level", "words"),
    [
        (HEAD, "ok", "which is this version's"),
        ("0000", "ok", "the next start migrates to"),
        ("9999", "fail", "made by a newer version"),
    ],
)
def test_revisions_of_the_database(data_dir: Path, revision: str, level: str, words: str) -> None:
    with sqlite3.connect(data_dir / ".tusd-server" / "catalog.db") as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    database.close()
    finding = doctor_data.check_database(settings(data_dir))
    assert finding.level == level
    assert words in finding.sentence


def test_a_database_without_tables(data_dir: Path) -> None:
    url = f"sqlite:///{data_dir / 'other.db'}"
    (data_dir / "other.db").touch()
    finding = doctor_data.check_database(settings(data_dir, database_url=url))
    assert (finding.level, finding.sentence[:28]) == ("ok", "sqlite, still without tables")


@pytest.mark.parametrize("url", ["nonsense", "mysql://x", "sqlite:///{}"])
def test_databases_that_cannot_be_used(data_dir: Path, url: str) -> None:
    other = data_dir / "other.db"
    other.write_bytes(b"no database" * 1000)
    finding = doctor_data.check_database(settings(data_dir, database_url=url.format(other)))
    assert finding.level == "fail"
    assert finding.sentence.startswith("TUSD_DATABASE_URL cannot be used: ")


def test_a_database_that_does_not_answer(data_dir: Path) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed; it is the extra 'postgres'.")
    url = f"postgresql+psycopg://127.0.0.1:{free_port()}/x"
    finding = doctor_data.check_database(settings(data_dir, database_url=url))
    assert finding.level == "fail"
    assert "onnection refused" in finding.sentence


@pytest.mark.parametrize(
    ("content", "mode", "level"),
    [("0" * 64, 0o600, "ok"), ("0" * 64, 0o640, "fail"), ("short", 0o600, "fail")],
)
def test_secret(data_dir: Path, content: str, mode: int, level: str) -> None:
    path = data_dir / ".tusd-server" / "secret"
    path.write_text(content)
    path.chmod(mode)
    assert doctor_data.check_secret(settings(data_dir)).level == level
    assert doctor_data.check_secret(settings(data_dir, jwt_secret=SECRET)).level == "ok"


def test_auth(data_dir: Path) -> None:
    levels = [
        doctor_data.check_auth(each).level
        for each in (
            settings(data_dir),
            settings(data_dir, auth="off"),
            settings(data_dir, jwt_public_key="/no/such.pem"),
            settings(data_dir, jwt_public_key=public_key()),
        )
    ]
    assert levels == ["ok", "warn", "fail", "ok"]


def public_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def test_no_redis_is_no_line(data_dir: Path) -> None:
    assert doctor_data.check_redis(settings(data_dir)) is None


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{}/0", "http://127.0.0.1:{}"])
def test_redis_that_does_not_answer(data_dir: Path, url: str) -> None:
    finding = doctor_data.check_redis(settings(data_dir, redis_url=url.format(free_port())))
    assert finding is not None
    assert finding.level == "fail"


def test_redis(data_dir: Path) -> None:
    try:
        with redis_server() as url:
            finding = doctor_data.check_redis(settings(data_dir, redis_url=url))
    except ServiceMissing as missing:
        pytest.skip(str(missing))
    assert finding == Finding("ok", "redis", "It answers.")


def test_no_virus_scanner_is_no_line(data_dir: Path) -> None:
    assert doctor_data.check_clamav(settings(data_dir)) is None


def test_a_virus_scanner_that_does_not_answer(data_dir: Path) -> None:
    finding = doctor_data.check_clamav(settings(data_dir, clamav=f"127.0.0.1:{free_port()}"))
    assert finding is not None
    assert finding.level == "fail"
    assert finding.sentence.startswith("TUSD_CLAMAV does not answer, so no medium passes: ")


def test_a_virus_scanner(data_dir: Path) -> None:
    try:
        with clamd({"Tusd.Test": b"a signature"}) as place:
            finding = doctor_data.check_clamav(settings(data_dir, clamav=place))
    except ServiceMissing as missing:
        pytest.skip(str(missing))
    assert finding is not None
    assert finding.level == "ok"
    assert finding.sentence.startswith("ClamAV ")


def test_a_program_that_does_not_run(tmp_path: Path) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    assert doctor_tools.check_ffmpeg(Tools(ffmpeg=str(broken))).level == "fail"


def test_versions_of_programs(tmp_path: Path) -> None:
    program = tmp_path / "ffprobe"
    program.write_text("#!/bin/sh\necho ffprobe version 9.1-custom Copyright\n")
    program.chmod(0o755)
    finding = doctor_tools.check_ffprobe(Tools(ffprobe=str(program)))
    assert finding == Finding("ok", "ffprobe", f"{program}, version 9.1-custom.")


@pytest.mark.parametrize(
    ("ffprobe", "loads", "level"),
    [("/usr/bin/ffprobe", False, "warn"), (None, False, "fail"), (None, True, "ok")],
)
def test_something_reads_videos(
    monkeypatch: pytest.MonkeyPatch, ffprobe: str | None, loads: bool, level: str
) -> None:
    monkeypatch.setattr(MediaInfo, "can_parse", lambda: loads)
    assert doctor_tools.check_mediainfo(Tools(ffprobe=ffprobe)).level == level


@pytest.mark.parametrize(
    ("version", "level"), [("12.9.1", "fail"), ("13.0.0", "ok"), ("13.1", "ok"), ("9.9", "fail")]
)
def test_pillow_has_a_floor(monkeypatch: pytest.MonkeyPatch, version: str, level: str) -> None:
    monkeypatch.setattr(PIL, "__version__", version)
    monkeypatch.setattr(features, "check", lambda _: True)
    assert doctor_tools.check_pillow().level == level


def test_pillow_without_avif(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda _: False)
    assert doctor_tools.check_pillow().level == "warn"


def test_pillow_heif_has_a_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow_heif, "__version__", "1.6.0")
    assert doctor_tools.check_pillow_heif().level == "fail"


@pytest.mark.parametrize(
    ("seccomp", "landlock", "levels", "renditions"),
    [
        (True, True, ["ok", "ok"], True),
        (False, True, ["warn", "ok"], True),
        (True, False, ["ok", "warn"], False),
        (False, False, ["warn", "warn"], True),
    ],
)
def test_the_sandbox(
    monkeypatch: pytest.MonkeyPatch,
    seccomp: bool,
    landlock: bool,
    levels: list[str],
    renditions: bool,
) -> None:
    monkeypatch.setattr(Sandbox, "confinement", lambda _: Confinement(seccomp, landlock))
    found = list(doctor_tools.check_sandbox())
    assert [each.name for each in found] == ["seccomp", "landlock"]
    assert [each.level for each in found] == levels
    assert ("renditions are not made" in found[1].sentence) is not renditions


def test_a_sandbox_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Sandbox) -> Confinement:
        raise SandboxBroken("no Python")

    monkeypatch.setattr(Sandbox, "confinement", broken)
    (found,) = doctor_tools.check_sandbox()
    assert (found.level, "no Python" in found.sentence) == ("fail", True)


def test_no_posts_backend_is_no_line(data_dir: Path) -> None:
    assert doctor_data.check_posts(settings(data_dir)) is None


def test_a_posts_backend_that_does_not_answer(data_dir: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/media"
    finding = doctor_data.check_posts(settings(data_dir, posts_url=url, posts_secret="s" * 32))
    assert finding is not None
    assert finding.level == "warn"
    assert "TUSD_POSTS_URL does not answer (ConnectionError)" in finding.sentence


def test_a_posts_backend_is_reached_and_told_nothing(data_dir: Path) -> None:
    with Receiver(Reply(405)) as receiver:
        chosen = {"posts_url": receiver.url, "posts_secret": "s" * 32}
        finding = doctor_data.check_posts(settings(data_dir, **chosen))
        assert finding is not None
        assert (finding.level, "TUSD_PUBLIC_URL" in finding.sentence) == ("warn", True)
        chosen["public_url"] = "https://media.example"
        assert doctor_data.check_posts(settings(data_dir, **chosen)) == Finding(
            "ok", "posts", "It answers."
        )
    assert [got.method for got in receiver.got] == ["HEAD", "HEAD"]
