import json
import os
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from processing.catalog import Catalog
from processing.reasons import Reason
from tests.records import START, migrated, ready_medium, received
from tests.shell import Cli
from tusd_server.info import UploadInfo
from tusd_server.metadata import Metadata
from tusd_server.storage.filesystem import FilesystemStore

UPLOADS = (("half", "alice", 1024), ("new", "bob", 0), ("all", "bob", 2048))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Two unfinished uploads, one that is complete, one ready and one rejected medium."""
    data_dir = tmp_path / "data"
    store = FilesystemStore(data_dir, durability="none")
    for upload_id, owner, size in (
        ("half", "alice", 1024),
        ("new", "bob", 0),
        ("all", "bob", 2048),
    ):
        name = Metadata.from_text({"filename": f"{upload_id}\x1b.mp4"}).to_header()
        info = UploadInfo(id=upload_id, length=2048, owner=owner, metadata_header=name)
        created_at = START - timedelta(days=size)
        store.create(replace(info, created_at=created_at))
        (data_dir / upload_id).write_bytes(bytes(size))
    with _catalog(data_dir) as catalog:
        ready_medium(catalog, "u1")
        bad = catalog.receive(received("u2", owner="bob", file_name="bad.jpg"))
        assert catalog.processing(bad.id)
        catalog.rejected(bad.id, [Reason("empty_file", "The file is empty.")])
    return data_dir


def _catalog(data_dir: Path) -> AbstractContextManager[Catalog]:
    state = data_dir / ".tusd-server"
    state.mkdir(exist_ok=True)
    return migrated(f"sqlite:///{state / 'catalog.db'}")


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()[1:]]


def test_everything(cli: Cli, data_dir: Path) -> None:
    done = cli("ls", "--data-dir", data_dir)
    found = rows(done.stdout)
    assert done.returncode == 0
    assert [row[0] for row in found[:2]] == ["half", "new"]
    assert found[0][1:5] == ["uploading", "1.0", "KiB/2.0", "KiB"]
    assert found[0][-2:] == ["alice", "half?.mp4"]
    assert {(row[1], row[-2], row[-1]) for row in found[2:]} == {
        ("ready", "alice", "Holiday.MP4"),
        ("rejected", "bob", "bad.jpg"),
    }


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--unfinished"], ["half?.mp4", "new?.mp4"]),
        (["--unfinished", "--owner", "bob"], ["new?.mp4"]),
        (["--status", "rejected"], ["bad.jpg"]),
        (["--status", "failed"], []),
        (["--owner", "alice"], ["half?.mp4", "Holiday.MP4"]),
        (["--owner", "nobody"], []),
    ],
)
def test_a_choice(cli: Cli, data_dir: Path, options: list[str], names: list[str]) -> None:
    done = cli("ls", "--data-dir", data_dir, *options)
    assert [row[-1] for row in rows(done.stdout)] == names


def test_json_is_one_document_a_line(cli: Cli, data_dir: Path) -> None:
    done = cli("ls", "--json", TUSD_DATA_DIR=str(data_dir))
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert documents[0] == {
        "id": None,
        "upload_id": "half",
        "owner": "alice",
        "status": "uploading",
        "file_name": "half\x1b.mp4",
        "offset": 1024,
        "received_bytes": 1024,
        "size": 2048,
        "metadata": {"filename": "half\x1b.mp4"},
        "created_at": (START - timedelta(days=1024)).isoformat(),
    }
    rejected = next(each for each in documents if each["status"] == "rejected")
    assert rejected["reasons"] == [{"code": "empty_file", "message": "The file is empty."}]
    assert rejected["created_at"] == START.isoformat()


def test_of_an_upload_in_chunks_all_bytes_are_told(cli: Cli, data_dir: Path) -> None:
    """Not those up to its first hole."""
    store = FilesystemStore(data_dir, durability="none")
    info = UploadInfo(id="holes", length=2500, owner="carol", chunk_size=1024)
    store.create(info)
    with store.chunk_writer(info) as writer:
        writer.write(memoryview(bytes(452)), 2048)
        writer.count_chunk(2)
    done = cli("ls", "--unfinished", "--json", "--owner", "carol", "--data-dir", data_dir)
    found = json.loads(done.stdout)
    assert (found["offset"], found["received_bytes"], found["size"]) == (0, 452, 2500)
    done = cli("ls", "--unfinished", "--owner", "carol", "--data-dir", data_dir)
    assert rows(done.stdout)[0][2:6] == ["452", "B/2.4", "KiB", "?"]
    done = cli("ls", "--usage", "--json", "--owner", "carol", "--data-dir", data_dir)
    assert json.loads(done.stdout)["unfinished_bytes"] == 452


def test_the_use_of_the_disk(cli: Cli, data_dir: Path) -> None:
    done = cli("ls", "--usage", "--data-dir", data_dir)
    assert done.returncode == 0, done.stderr
    assert [" ".join(line.split()) for line in done.stdout.splitlines()] == [
        "OWNER STORED ORIGINALS DERIVATIVES UNFINISHED MEDIA",
        "alice 9 B 9 B 0 B 1.0 KiB 1 uploading, 1 ready",
        "bob 0 B 0 B 0 B 0 B 1 uploading, 1 rejected",
    ]
    done = cli("ls", "--usage", "--json", "--owner", "alice", "--data-dir", data_dir)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {
            "owner": "alice",
            "media": {"ready": 1},
            "original_bytes": 9,
            "derived_bytes": 0,
            "stored_bytes": 9,
            "unfinished": 1,
            "unfinished_bytes": 1024,
        }
    ]


def test_nobody_uses_an_empty_directory(cli: Cli, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = cli("ls", "--usage", "--data-dir", empty)
    assert (done.returncode, len(done.stdout.splitlines()), os.listdir(empty)) == (0, 1, [])


def test_more_media_than_one_page(cli: Cli, tmp_path: Path) -> None:
    data_dir = tmp_path / "many"
    data_dir.mkdir()
    with _catalog(data_dir) as catalog:
        for number in range(501):
            catalog.receive(received(f"u{number}"))
    assert len(rows(cli("ls", "--data-dir", data_dir).stdout)) == 501


def test_no_directory(cli: Cli) -> None:
    done = cli("ls", "--data-dir", "nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("tusd-server: There is no data directory ")
    assert list(cli.home.iterdir()) == []


def test_nothing_is_made_in_an_empty_directory(cli: Cli, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = cli("ls", "--data-dir", empty)
    assert (done.returncode, rows(done.stdout), os.listdir(empty)) == (0, [], [])


def test_a_database_that_is_none(cli: Cli, data_dir: Path) -> None:
    (data_dir / ".tusd-server" / "catalog.db").write_bytes(b"no database" * 1000)
    done = cli("ls", "--data-dir", data_dir)
    assert done.returncode == 2
    assert done.stderr == (
        "tusd-server: The database cannot be read; "
        "`tusd-server doctor` tells what is wrong with it.\n"
    )


def test_a_reader_that_leaves(cli: Cli, data_dir: Path) -> None:
    with cli.started("ls", "--data-dir", data_dir) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
