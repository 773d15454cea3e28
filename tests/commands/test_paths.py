import os
from pathlib import Path

import pytest

from tusd_server.commands.paths import files_of, type_of
from tusd_server.errors import BadSetting


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "b.jpg",
        "a.HEIC",
        "notes.txt",
        ".hidden.jpg",
        ".trash/old.jpg",
        "sub/c.mov",
        "sub/deep/d.webm",
        "sub/no extension",
    ):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "folder"


def test_a_folder_is_its_photos_and_videos_in_order(folder: Path) -> None:
    found, left_out = files_of([folder])
    names = [str(path.relative_to(folder)) for path in found]
    assert names == ["a.HEIC", "b.jpg", "sub/c.mov", "sub/deep/d.webm"]
    assert left_out == 2


def test_a_file_that_is_named_is_sent_whatever_it_is(folder: Path) -> None:
    assert files_of([folder / "notes.txt"]) == ([folder / "notes.txt"], 0)


def test_nothing_is_sent_twice(folder: Path) -> None:
    found, _ = files_of([folder / "b.jpg", folder, folder / "b.jpg"])
    assert found.count(folder / "b.jpg") == 1


def test_links_in_a_circle_end(folder: Path) -> None:
    (folder / "sub" / "up").symlink_to(folder)
    found, _ = files_of([folder])
    assert len(found) == 4


def test_a_pipe_in_a_folder_is_not_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe.jpg")
    found, left_out = files_of([folder])
    assert (len(found), left_out) == (4, 2)


def test_what_is_not_there(folder: Path) -> None:
    with pytest.raises(BadSetting, match=r"none\.jpg cannot be read: no such file or directory\."):
        files_of([folder / "none.jpg"])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.jpg", "image/jpeg"), ("a.HEIC", "image/heic"), ("a.avif", "image/avif"), ("a", None)],
)
def test_types_by_name(name: str, kind: str | None) -> None:
    assert type_of(name) == kind
