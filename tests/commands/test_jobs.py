"""`tusd-server jobs`: what is still to be done, and another chance for what was given up."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from processing.catalog import Catalog
from processing.fates import Cause, reason_for
from processing.medium import Medium
from processing.moments import utc_now
from processing.queue import Job
from tests.records import EXAMINED, known, migrated, received
from tests.rooms import settings
from tests.shell import Cli
from tusd_server.commands.jobs import NothingToRetry, jobs, retry
from tusd_server.errors import BadSetting
from tusd_server.settings import Settings

LEASE = 600.0


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return settings(tmp_path)


@pytest.fixture
def catalog(config: Settings) -> Iterator[Catalog]:
    config.state_dir.mkdir(parents=True)
    with migrated(config.catalog_url) as catalog:
        yield catalog


def claimed(catalog: Catalog) -> Job:
    job = catalog.queue.claim(LEASE)
    assert job is not None
    return job


def failed(catalog: Catalog, upload_id: str, error: str = "disk full") -> tuple[Medium, Job]:
    """A medium whose examination was given up."""
    medium = catalog.receive(received(upload_id))
    job = claimed(catalog)
    assert catalog.failed(job, reason_for(job.kind, Cause.ERROR), error)
    return medium, job


def documents(config: Settings, out: pytest.CaptureFixture[str], **which: bool) -> list[Any]:
    assert jobs(config, failed_only=which.get("failed", False), as_json=True) == 0
    return [json.loads(line) for line in out.readouterr().out.splitlines()]


def test_each_job_is_shown_with_its_state(
    config: Settings, catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, parked = failed(catalog, "u1", "OSError: no\nspace\x1b left" + "!" * 500)
    slow = catalog.receive(received("u2"))
    running = claimed(catalog)
    assert catalog.queue.tell(running, "thumbnail", 0.75)
    later = catalog.receive(received("u3"))
    postponed = claimed(catalog)
    catalog.queue.postpone(postponed, "The scanner is away.", timedelta(minutes=9, seconds=30))
    new = catalog.receive(received("u4"))
    assert jobs(config, failed_only=False, as_json=False) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert " ".join(head.split()) == "ID KIND MEDIUM STATE TRIES AGE STEP LAST ERROR"
    found = [row.split(maxsplit=6) for row in rows]
    assert [row[2] for row in found] == [slow.id, later.id, new.id, bad.id]
    assert [row[3] for row in found] == ["running", "waiting", "waiting", "parked"]
    assert [row[4] for row in found] == ["1", "0", "0", "1"]
    assert "thumbnail 75%" in rows[0]
    assert "again in 9 min" in rows[1]
    assert rows[1].endswith("The scanner is away.")
    assert "OSError: no space? left!" in rows[3]
    assert len(rows[3]) < 320
    assert jobs(config, failed_only=True, as_json=False) == 0
    assert capsys.readouterr().out.splitlines() == [head, rows[3]]
    assert parked.id == int(found[3][0])


def test_json_is_one_document_a_line(
    config: Settings, catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    medium, job = failed(catalog, "u1")
    (document,) = documents(config, capsys, failed=True)
    assert document == {
        "id": job.id,
        "kind": "process",
        "key": f"process:{medium.id}",
        "media_id": medium.id,
        "state": "parked",
        "attempts": 1,
        "postponed": 0,
        "created_at": job.created_at.isoformat(),
        "begun_at": job.begun_at.isoformat(),
        "next_try_at": None,
        "step": None,
        "progress": None,
        "last_error": "disk full",
    }


def test_a_job_whose_worker_died_waits_for_another(catalog: Catalog) -> None:
    catalog.receive(received("u1"))
    job = claimed(catalog)
    assert job.state(utc_now()) == "running"
    assert job.state(utc_now() + timedelta(seconds=LEASE)) == "waiting"


@pytest.mark.parametrize("by", ["job", "medium", "all"])
def test_a_failed_examination_gets_another_chance(
    config: Settings, catalog: Catalog, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    medium, job = failed(catalog, "u1")
    name = {"job": str(job.id), "medium": medium.id, "all": "all"}[by]
    assert retry(config, name, as_json=True) == 0
    (document,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (document["id"], document["state"], document["attempts"]) == (job.id, "waiting", 0)
    assert (known(catalog, medium.id).status, known(catalog, medium.id).reasons) == ("received", ())
    assert claimed(catalog).id == job.id


def test_a_failed_registration_gets_another_chance(config: Settings, catalog: Catalog) -> None:
    medium = catalog.receive(received("u1", post_id="p1"))
    catalog.queue.done(claimed(catalog))
    assert catalog.processing(medium.id)
    assert catalog.ready(medium.id, EXAMINED)
    job = claimed(catalog)
    assert catalog.failed(job, reason_for(job.kind, Cause.AWAY), "away")
    assert retry(config, medium.id, as_json=False) == 0
    assert known(catalog, medium.id).status == "ready"
    assert claimed(catalog).id == job.id


def test_a_job_of_another_kind_gets_another_chance(config: Settings, catalog: Catalog) -> None:
    catalog.queue.put("hook", "hook:1", {})
    job = claimed(catalog)
    assert catalog.failed(job, None, "away")
    assert retry(config, str(job.id), as_json=False) == 0
    assert claimed(catalog).id == job.id


def test_a_parked_job_that_its_medium_has_outlived_can_end(
    config: Settings, catalog: Catalog
) -> None:
    medium, job = failed(catalog, "u1")
    assert catalog.processing(medium.id)
    assert retry(config, "all", as_json=False) == 0
    assert claimed(catalog).id == job.id
    assert known(catalog, medium.id).status == "processing"


def test_nothing_is_left_to_retry_of_a_deleted_medium(
    config: Settings, catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    medium, _ = failed(catalog, "u1")
    _, other = failed(catalog, "u2")
    assert catalog.deleted(medium.id)
    assert [each["id"] for each in documents(config, capsys)] == [other.id]


def test_the_pause_of_a_waiting_job_ends(config: Settings, catalog: Catalog) -> None:
    medium = catalog.receive(received("u1"))
    catalog.queue.postpone(claimed(catalog), "away", timedelta(hours=1))
    assert catalog.queue.claim(LEASE) is None
    assert retry(config, medium.id, as_json=False) == 0
    assert claimed(catalog).media_id == medium.id


def test_all_are_those_that_are_parked(
    config: Settings, catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [failed(catalog, f"u{number}")[1].id for number in range(3)]
    catalog.receive(received("waiting"))
    assert retry(config, "all", as_json=True) == 0
    retried = [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()]
    assert retried == ids
    assert retry(config, "all", as_json=True) == 0
    assert capsys.readouterr().out == ""


def test_a_running_job_is_left_to_its_worker(config: Settings, catalog: Catalog) -> None:
    catalog.receive(received("u1"))
    job = claimed(catalog)
    with pytest.raises(NothingToRetry, match="is running"):
        retry(config, str(job.id), as_json=False)
    assert catalog.queue.done(job)


@pytest.mark.parametrize("name", ["7", "99999999999999999999", "٣", "nothing", ""])
def test_a_job_that_is_none(config: Settings, catalog: Catalog, name: str) -> None:
    with pytest.raises(NothingToRetry) as caught:
        retry(config, name, as_json=False)
    assert str(caught.value) == (
        f"There is no job {name!r}, and no medium of that id has one; "
        "`tusd-server jobs` lists them."
    )


def test_an_older_database_is_a_sentence(config: Settings, catalog: Catalog) -> None:
    catalog.database.write(lambda c: c.exec_driver_sql("ALTER TABLE jobs DROP COLUMN postponed"))
    with pytest.raises(BadSetting, match="database cannot be read"):
        jobs(config, failed_only=False, as_json=False)


def test_by_hand(cli: Cli, tmp_path: Path, config: Settings, catalog: Catalog) -> None:
    _, job = failed(catalog, "u1")
    done = cli("jobs", "--failed", "--data-dir", config.data_dir)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].endswith("disk full")
    done = cli("jobs", "--retry", job.id, "--data-dir", config.data_dir)
    assert (done.returncode, done.stderr) == (0, "")
    assert " waiting " in done.stdout.splitlines()[1]
    done = cli("jobs", "--retry", "77", "--data-dir", config.data_dir)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("tusd-server: There is no job '77'")
    done = cli("jobs", "--failed", "--retry", "77", "--data-dir", config.data_dir)
    assert done.returncode == 2
    done = cli("jobs", "--data-dir", tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("tusd-server: There is no data directory ")


def test_nothing_is_made_in_an_empty_directory(cli: Cli, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = cli("jobs", "--data-dir", empty)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
    assert list(empty.iterdir()) == []


def test_a_hooks_delivery_shows_its_upload(
    config: Settings, catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog.queue.put("hook", "hook:post-create:u7:box", {"upload_id": "u7"})
    assert jobs(config, failed_only=False, as_json=False) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[1:3] == ["hook", "u7"]
