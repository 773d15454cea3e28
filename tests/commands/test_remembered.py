import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from tusd_server.commands.remembered import Remembered, default_path, fingerprint
from tusd_server.errors import BadSetting


def test_put_get_forget(tmp_path: Path) -> None:
    path = tmp_path / "state" / "uploads.json"
    Remembered(path).put("a", "http://x/files/1")
    Remembered(path).put("a", "http://x/files/2")
    Remembered(path).put("b", "http://x/files/3")
    Remembered(path).forget("b")
    Remembered(path).forget("never")
    assert Remembered(path).get("a") == "http://x/files/2"
    assert Remembered(path).get("b") is None


def test_for_its_owner_alone_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "state" / "uploads.json"
    Remembered(path).put("a", "http://x/files/1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [found.name for found in path.parent.iterdir()] == ["uploads.json"]


def _put_many(path: Path, name: str) -> None:
    for number in range(20):
        Remembered(path).put(f"{name}{number}", "http://x/files/1")


def test_several_programs_at_once(tmp_path: Path) -> None:
    path = tmp_path / "uploads.json"
    spawning = multiprocessing.get_context("spawn")
    programs = [spawning.Process(target=_put_many, args=(path, name)) for name in "abc"]
    for program in programs:
        program.start()
    for program in programs:
        program.join()
    found = [Remembered(path).get(f"{name}{n}") for name in "abc" for n in range(20)]
    assert found == ["http://x/files/1"] * 60


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0 a photo", b"[1, 2]", b'{"half'])
def test_a_file_of_somebody_else_is_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(BadSetting, match=r"^\S+ is not a list of uploads that began; .*\.$"):
        Remembered(path)
    assert path.read_bytes() == content


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadSetting, match=r"^\S+ cannot be used \(.*\); name another place .*\.$"):
        Remembered(tmp_path / "file" / "uploads.json")


def test_fingerprints_tell_uploads_apart(tmp_path: Path) -> None:
    one, other = tmp_path / "one.mp4", tmp_path / "other.mp4"
    for path in (one, other):
        path.write_bytes(b"the same first bytes")
        os.utime(path, ns=(1, 1))
    prints = {
        fingerprint(one, one.stat(), "http://x", None),
        fingerprint(other, other.stat(), "http://x", None),
        fingerprint(one, one.stat(), "http://y", None),
        fingerprint(one, one.stat(), "http://x", "post"),
    }
    os.utime(one, ns=(2, 2))
    prints.add(fingerprint(one, one.stat(), "http://x", None))
    assert len(prints) == 5
    assert fingerprint(one, one.stat(), "a") == fingerprint(one, one.stat(), "a")


def test_fingerprint_of_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg"))
    path.touch()
    assert len(fingerprint(path, path.stat(), "http://x")) == 64


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_STATE_HOME": "/state"}, Path("/state/tusd-server/uploads.json")),
        ({"XDG_STATE_HOME": "relative"}, Path.home() / ".local/state/tusd-server/uploads.json"),
        ({}, Path.home() / ".local/state/tusd-server/uploads.json"),
    ],
)
def test_default_place(environ: dict[str, str], expected: Path) -> None:
    assert default_path(environ) == expected
