import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from processing.tools import Tools
from tests.commands.conftest import Cli
from tests.live import SECRET
from tests.records import migrated
from tests.services import ServiceMissing, free_port, redis_server
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
    return Settings.from_env({f"TUSD_{name.upper()}": text for name, text in chosen.items()}, data_dir=data_dir)


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
        ("0001", "ok", "which is this version's"),
        ("0000", "ok", "the next start migrates to"),
        ("9999", "fail", "made by a newer version"),
    ],
)
def test_revisions_of_the_database(
    data_dir: Path, revision: str, level: str, words: str, engine_at: "Setter"
) -> None:
    engine_at(data_dir, revision)
    finding = doctor_data.check_database(settings(data_dir))
    assert finding.level == level
    assert words in finding.sentence
