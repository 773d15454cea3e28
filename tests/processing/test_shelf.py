import os
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.shelf import Shelf, safe_name, user_folder
from tests.records import START


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.mark.parametrize(
    ("given_name", "extension", "name"),
    [
        ("video.mp4", ".mp4", "video.mp4"),
        ("IMG_0001.MOV", ".mov", "IMG_0001.mov"),
        ("photo.jpeg", ".jpg", "photo.jpg"),
        ("fake.png", ".jpg", "fake.jpg"),
        ("My.Holiday", ".mp4", "My.Holiday.mp4"),
        ("Ferien am See (1).mp4", ".mp4", "Ferien_am_See_1.mp4"),
        ("../../etc/passwd", ".jpg", "passwd.jpg"),
        ("C:\\Users\\me\\a.png", ".png", "a.png"),
        (".htaccess", ".png", "htaccess.png"),
        ("..", ".png", "file.png"),
        ("", ".png", "file.png"),
        (None, ".png", "file.png"),
        ("a\x00b\nc\u202egpj.mp4", ".mp4", "ab_cgpj.mp4"),
        ("Cafe\u0301.png", ".png", "Caf\u00e9.png"),
        ("写真.jpg", ".jpg", "写真.jpg"),
        ("-rf.jpg", ".jpg", "-rf.jpg"),
        ("$(reboot);.jpg", ".jpg", "reboot.jpg"),
    ],
)
def test_a_name_is_made_harmless(given_name: str | None, extension: str, name: str) -> None:
    assert safe_name(given_name, extension) == name


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_name_becomes_one_short_component(given_name: str) -> None:
    name = safe_name(given_name, ".webp")
    assert len(name.encode()) <= 100
    assert name.endswith(".webp")
    assert not re.search(r"[/\\\x00-\x1f\x7f\s]", name)
    assert not name.startswith(".")


@pytest.mark.parametrize("owner", ["alice", "a.b@example.org", "0", "_-", "x" * 64])
def test_a_plain_user_keeps_the_name(owner: str) -> None:
    assert user_folder(owner) == owner


@pytest.mark.parametrize("owner", ["", ".", "..", ".hidden", "a/b", "x" * 65, "@a", "Jörg", "a\n"])
def test_another_user_gets_a_hash(owner: str) -> None:
    assert re.fullmatch(r"~[0-9a-f]{64}", user_folder(owner))


@settings(deadline=None)
@given(st.text(max_size=80), st.text(max_size=80))
def test_two_users_never_share_a_folder(one: str, other: str) -> None:
    assert (user_folder(one) == user_folder(other)) == (one == other)
    assert user_folder(user_folder(one)) != user_folder(one) or user_folder(one) == one


def test_the_place_names_user_moment_and_file(shelf: Shelf) -> None:
    in_berlin = datetime(2025, 12, 5, 13, 5, 30, tzinfo=timezone(timedelta(hours=1)))
    first, own = shelf.destinations("alice", in_berlin, "video.MP4", ".mp4", "u1")
    assert first.path == "uploads/alice/20251205_120530_video.mp4"
    assert first.thumbnail_path == "uploads/alice/20251205_120530_video.thumb.jpg"
    assert re.fullmatch(r"uploads/alice/20251205_120530_video-[0-9a-f]{8}\.mp4", own.path)


def test_the_places_are_the_same_at_every_try(shelf: Shelf) -> None:
    upload = ("alice", START, "a.jpg", ".jpg")
    assert shelf.destinations(*upload, "u1") == shelf.destinations(*upload, "u1")
    assert shelf.destinations(*upload, "u1")[0] == shelf.destinations(*upload, "u2")[0]
    assert shelf.destinations(*upload, "u1")[1] != shelf.destinations(*upload, "u2")[1]


def test_a_name_with_an_unknown_file_is_not_free(shelf: Shelf, tmp_path: Path) -> None:
    choices = shelf.destinations("alice", START, "a.jpg", ".jpg", "u1")
    source = tmp_path / "u1"
    source.write_bytes(b"mine")
    assert shelf.free(choices, source) == choices
    shelf.prepare(choices[0].path).write_bytes(b"of somebody else")
    assert shelf.free(choices, source) == [choices[1]]


def test_the_file_itself_does_not_take_its_own_name(shelf: Shelf) -> None:
    choices = shelf.destinations("alice", START, "a.jpg", ".jpg", "u1")
    moved = shelf.prepare(choices[0].path)
    moved.write_bytes(b"moved before the power cut")
    assert shelf.free(choices, moved) == choices


def test_a_file_is_put_and_removed(shelf: Shelf, tmp_path: Path) -> None:
    source = tmp_path / "thumbnail"
    source.write_bytes(b"picture")
    shelf.put(source, "uploads/alice/a.thumb.jpg")
    assert (tmp_path / "uploads/alice/a.thumb.jpg").read_bytes() == b"picture"
    assert not source.exists()
    assert shelf.remove(["uploads/alice/a.thumb.jpg", "uploads/alice/gone.jpg"]) == 1
    assert shelf.remove(["uploads/alice/a.thumb.jpg"]) == 0


@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "uploads/../secret",
        "uploads/alice/../../secret",
        "/etc/passwd",
        ".tusd-server/catalog.db",
        "uploads",
        "uploads/link/secret",
    ],
)
def test_nothing_outside_is_touched(shelf: Shelf, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("keep")
    kept = shelf.prepare("uploads/alice/a.jpg")
    kept.write_text("keep")
    os.symlink(tmp_path, tmp_path / "uploads/link")
    with pytest.raises(ValueError, match="is not below"):
        shelf.remove(["uploads/alice/a.jpg", path])
    assert kept.exists()
    assert (tmp_path / "secret").exists()


def test_a_link_is_removed_and_not_followed(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("keep")
    shelf.prepare("uploads/alice/link").symlink_to(tmp_path / "secret")
    assert shelf.remove(["uploads/alice/link"]) == 1
    assert (tmp_path / "secret").exists()


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("a.png", "uploads/a.jpg"),
        ("teams/red team/holi day.jpg", "uploads/teams/red team/holi_day.jpg"),
        ("teams/no extension", "uploads/teams/no_extension.jpg"),
    ],
)
def test_a_wanted_place_takes_the_place_of_user_and_moment(
    shelf: Shelf, wanted: str, path: str
) -> None:
    first, own = shelf.destinations("alice", START, "IMG.JPG", ".jpg", "u1", wanted=wanted)
    assert first.path == path
    assert first.thumbnail_path == path.replace(".jpg", ".thumb.jpg")
    assert own.path.startswith(path.removesuffix(".jpg") + "-")


def test_a_folder_of_derivatives_goes_with_all_in_it(shelf: Shelf) -> None:
    for name in ("720p.mp4", "storyboard.vtt"):
        shelf.prepare(f"uploads/alice/a.more/{name}").write_text("x")
    shelf.prepare("uploads/alice/a.mp4").write_text("x")
    assert shelf.remove(["uploads/alice/a.mp4", "uploads/alice/a.more"]) == 3
    assert shelf.remove(["uploads/alice/a.mp4", "uploads/alice/a.more"]) == 0
    assert list(shelf.full("uploads/alice/a").parent.iterdir()) == []


def test_a_link_to_a_folder_is_not_followed(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "kept.more").mkdir()
    (tmp_path / "kept.more/secret").write_text("keep")
    shelf.prepare("uploads/alice/a.more").symlink_to(tmp_path / "kept.more")
    shelf.remove(["uploads/alice/a.more"])
    assert (tmp_path / "kept.more/secret").exists()


def test_no_medium_gets_into_anothers_folder_of_derivatives(shelf: Shelf) -> None:
    places = shelf.destinations("alice", START, "a", ".mp4", "u1", wanted="x/b.more/c.MORE/a.more")
    assert places[0].path == "uploads/x/b_more/c_more/a.mp4"
