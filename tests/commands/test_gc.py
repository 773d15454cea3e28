"""`tusd-server gc`: one thorough round of the sweeper."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from processing.moments import utc_now
from tests.records import known, migrated, ready_medium
from tests.rooms import GIF, Tus, make_app, settings
from tests.shell import Cli
from tusd_server.commands.gc import gc
from tusd_server.settings import Settings

DAY = 86_400
ORPHAN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return settings(tmp_path)


@pytest.fixture
def alice(config: Settings) -> Iterator[Tus]:
    with make_app(config) as app:
        yield Tus(app)


def age(config: Settings, name: str, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(config.data_dir / name, (moment, moment))


def everything(folder: Path) -> dict[str, bytes]:
    """All files below; not SQLite's, which may be rewritten by whoever reads them."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("catalog.db")
    }


def lie_about(config: Settings, alice: Tus) -> tuple[str, str, str]:
    """An expired upload, a living one and a finished one, all with their files; and an orphan."""
    expired, living, finished = alice.create(), alice.create(), alice.create(body=GIF)
    alice.append(expired, 0, b"GIF89a")
    age(config, expired, DAY + 60)
    age(config, finished, 100 * DAY)
    (config.data_dir / ORPHAN).write_bytes(b"x")
    age(config, ORPHAN, 3700)
    return expired, living, finished


def test_it_deletes_and_tells(
    config: Settings, alice: Tus, capsys: pytest.CaptureFixture[str]
) -> None:
    expired, living, finished = lie_about(config, alice)
    assert gc(config, dry_run=False) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"deleted expired upload {expired} (6 bytes)",
        f"deleted orphan {config.data_dir.absolute() / ORPHAN}",
        "forgot 0 uploads that are long over",
    ]
    assert alice.head(expired).status_code == 410
    assert alice.offset(living) == 0
    assert alice.get(f"/files/{finished}").data == GIF
    assert not (config.data_dir / ORPHAN).exists()
    assert gc(config, dry_run=False) == 0
    assert capsys.readouterr().out == "forgot 0 uploads that are long over\n"


def test_it_forgets_what_is_long_over(
    config: Settings, alice: Tus, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = alice.create()
    assert alice.append(refused, 0, b"hello world").status_code == 415
    age(config, f"{refused}.info", DAY + 60)
    assert gc(config, dry_run=False) == 0
    assert capsys.readouterr().out == "forgot 1 uploads that are long over\n"
    assert alice.head(refused).status_code == 404


def test_a_dry_run_tells_and_changes_nothing(
    config: Settings, alice: Tus, capsys: pytest.CaptureFixture[str]
) -> None:
    expired, _, _ = lie_about(config, alice)
    before = everything(config.data_dir)
    assert gc(config, dry_run=True) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"would delete expired upload {expired} (6 bytes)",
        f"would delete orphan {config.data_dir.absolute() / ORPHAN}",
    ]
    assert everything(config.data_dir) == before


def test_media_that_were_not_published_in_time_go(
    config: Settings, alice: Tus, capsys: pytest.CaptureFixture[str]
) -> None:
    with migrated(config.catalog_url, lambda: utc_now() - timedelta(days=8)) as catalog:
        old = ready_medium(catalog, "old", size=9).id
    with migrated(config.catalog_url, lambda: utc_now() - timedelta(days=6)) as catalog:
        young = ready_medium(catalog, "young").id
    weekly = replace(config, retention_days=7)
    for dry_run, status, line in (
        (True, "ready", f"would delete medium {old} (9 bytes, not published in time)"),
        (False, "deleted", f"deleted medium {old} (9 bytes, not published in time)"),
    ):
        assert gc(weekly, dry_run=dry_run) == 0
        assert line in capsys.readouterr().out.splitlines()
        with migrated(config.catalog_url) as catalog:
            assert known(catalog, old).status == status
            assert known(catalog, young).status == "ready"
    assert gc(weekly, dry_run=False) == 0
    assert "medium" not in capsys.readouterr().out


def test_a_dry_run_leaves_a_directory_of_tusd_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing expires that nobody was told would, and nothing is written, not even a folder."""
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    upload = "24e533e02ec3bc40c387f1a0e460e216"
    document = {
        "ID": upload,
        "Size": 11,
        "SizeIsDeferred": False,
        "Offset": 0,
        "MetaData": {},
        "IsPartial": False,
        "IsFinal": False,
        "PartialUploads": None,
        "Storage": {"InfoPath": "", "Path": "", "Type": "filestore"},
    }
    (data_dir / f"{upload}.info").write_text(json.dumps(document))
    (data_dir / upload).write_bytes(b"GIF89a")
    config = settings(tmp_path, retention_days=7)
    age(config, upload, DAY + 60)
    assert gc(config, dry_run=True) == 0
    assert capsys.readouterr().out == ""
    assert {path.name for path in data_dir.iterdir()} == {upload, f"{upload}.info"}


def test_an_upload_that_goes_on_meanwhile(config: Settings, alice: Tus) -> None:
    upload = alice.create()
    age(config, upload, DAY - 60)
    assert gc(config, dry_run=False) == 0
    assert alice.append(upload, 0, GIF).status_code == 204


def test_by_hand(cli: Cli, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    done = cli("gc", "--data-dir", data_dir)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"tusd-server: There is no data directory {data_dir}; "
        "give the server's own with --data-dir or TUSD_DATA_DIR.\n"
    )
    data_dir.mkdir()
    (data_dir / ORPHAN).write_bytes(b"x")
    moment = time.time() - 3700
    os.utime(data_dir / ORPHAN, (moment, moment))
    done = cli("gc", "--dry-run", "--data-dir", data_dir)
    assert (done.returncode, done.stdout) == (0, f"would delete orphan {data_dir / ORPHAN}\n")
    assert (data_dir / ORPHAN).exists()
    done = cli("gc", "--data-dir", data_dir)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"deleted orphan {data_dir / ORPHAN}"
    assert not (data_dir / ORPHAN).exists()
