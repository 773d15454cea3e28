"""The local store: the contract, crashes between two steps, full disks, paths."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.storage.contract import *  # noqa: F403
from tests.storage.contract import INFO, REFUSAL, contents, write
from tusd_server.errors import StorageFull, UploadGone, UploadNotFound
from tusd_server.settings import Durability
from tusd_server.storage.base import Local, Terminates
from tusd_server.storage.filesystem import FilesystemStore

ID = INFO.id


class PowerCut(BaseException):
    """Ends the process at a chosen system call; nothing behind it happens."""


@pytest.fixture(params=["finish", "chunk", "none"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FilesystemStore:
    durability: Durability = request.param
    return FilesystemStore(tmp_path / "data", durability=durability)


@pytest.fixture
def local(tmp_path: Path) -> FilesystemStore:
    """One is enough where durability does not matter."""
    return FilesystemStore(tmp_path / "data", durability="none")


def names(store: FilesystemStore) -> list[str]:
    return sorted(path.name for path in store.root.iterdir())


def finished(store: FilesystemStore) -> None:
    store.create(INFO)
    write(store, b"hello world")


def dies_at(
    monkeypatch: pytest.MonkeyPatch, function: str, call: int = 1, *, after: bool = False
) -> None:
    """Let the process die at a call of an `os` function: before its effect, or right after."""
    real: Callable[..., Any] = getattr(os, function)
    calls = 0

    def dying(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and not after:
            raise PowerCut
        result = real(*arguments, **named)
        if calls == call:
            raise PowerCut
        return result

    monkeypatch.setattr(os, function, dying)


def test_its_abilities(store: FilesystemStore) -> None:
    assert isinstance(store, Terminates)
    assert isinstance(store, Local)


# The layout is tusd's.


def test_two_files_for_each_upload(store: FilesystemStore) -> None:
    finished(store)
    assert names(store) == [ID, f"{ID}.info"]
    assert (store.root / ID).read_bytes() == b"hello world"
    document = json.loads((store.root / f"{ID}.info").read_text())
    assert document["ID"] == ID
    assert document["Storage"]["Path"] == str(store.root / ID)
    assert store.path(store.look(ID)) == store.root / ID
    assert store.info_path(store.look(ID)) == store.root / f"{ID}.info"


def test_an_upload_of_tusd_goes_on_here(local: FilesystemStore) -> None:
    """Its Offset is stale by design, and its directory may have been moved."""
    (local.root / "abc").write_bytes(b"hello ")
    info = {
        "ID": "abc",
        "Size": 11,
        "SizeIsDeferred": False,
        "Offset": 0,
        "MetaData": {"filename": "a.gif"},
        "IsPartial": False,
        "IsFinal": False,
        "PartialUploads": None,
        "Storage": {"InfoPath": "/old/abc.info", "Path": "/old/abc", "Type": "filestore"},
    }
    (local.root / "abc.info").write_text(json.dumps(info))
    assert local.look("abc").offset == 6
    write(local, b"world", "abc")
    assert (local.root / "abc").read_bytes() == b"hello world"


def test_the_facts_survive_a_restart(store: FilesystemStore) -> None:
    finished(store)
    again = FilesystemStore(store.root)
    assert again.look(ID) == INFO.at(11)
    assert [info.id for info in again.all()] == [ID]


def test_the_size_is_the_offset_whatever_an_info_file_says(local: FilesystemStore) -> None:
    local.create(INFO)
    write(local, b"hello")
    os.truncate(local.root / ID, 3)
    assert local.look(ID).offset == 3


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"ID": 7}', "\0" * 400, '{"ID":"x","Size":1e999}']
)
def test_an_info_file_that_cannot_be_read_is_no_upload(local: FilesystemStore, text: str) -> None:
    finished(local)
    (local.root / "broken").write_bytes(b"")
    (local.root / "broken.info").write_text(text)
    with pytest.raises(UploadNotFound):
        local.look("broken")
    assert [info.id for info in local.all()] == [ID]


def test_what_else_lies_there_is_no_upload(local: FilesystemStore) -> None:
    finished(local)
    (local.root / ".hidden.info").write_text(INFO.to_json("x"))
    (local.root / "no id.info").write_text(INFO.to_json("x"))
    (local.root / "folder.info").mkdir()
    (local.root / "stray").write_bytes(b"bytes")
    (local.root / "lonely.info").write_text(replace(INFO, id="lonely").to_json("x"))
    assert [info.id for info in local.all()] == [ID]
    for name in ("folder", "stray", "lonely"):
        with pytest.raises(UploadNotFound):
            local.look(name)


def test_ids_never_lead_out_of_the_directory(local: FilesystemStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "secret.info").write_text(INFO.to_json("x"))
    (local.root / "sub").mkdir()
    for name in ("../secret", "sub/../../secret", str(tmp_path / "secret"), "./x", "sub/x", "a\0b"):
        info = replace(INFO, id=name)
        for call in (
            lambda: local.look(name),  # noqa: B023 (called at once)
            lambda: local.create(info),  # noqa: B023
            lambda: local.remove(info),  # noqa: B023
            lambda: local.refuse(info, REFUSAL),  # noqa: B023
            lambda: local.info_path(info),  # noqa: B023
        ):
            with pytest.raises(UploadNotFound):
                call()
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert (tmp_path / "secret.info").exists()


def test_an_id_is_not_given_twice(local: FilesystemStore) -> None:
    finished(local)
    with pytest.raises(FileExistsError):
        local.create(replace(INFO, owner="mallory"))
    assert local.look(ID) == INFO.at(11)
    assert contents(local) == b"hello world"


# A crash at every system call of a change leaves the old state or the new one.


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("function", "call"), [("open", 1), ("open", 2), ("rename", 1)])
def test_a_crash_in_create(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch, function: str, call: int, after: bool
) -> None:
    """There is the whole upload or none that can be looked at."""
    with monkeypatch.context() as patched:
        dies_at(patched, function, call, after=after)
        with pytest.raises(PowerCut):
            local.create(INFO)
    if (function, after) == ("rename", True):
        assert local.look(ID) == INFO
    else:
        with pytest.raises(UploadNotFound):
            local.look(ID)
        assert list(local.all()) == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("function", ["open", "rename"])
def test_an_info_file_is_old_or_new_and_never_half(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch, function: str, after: bool
) -> None:
    finished(local)
    with monkeypatch.context() as patched:
        dies_at(patched, function, after=after)
        with pytest.raises(PowerCut):
            local.refuse(local.look(ID), REFUSAL)
    known = local.look(ID)
    if (function, after) == ("rename", True):
        assert known.refusal == REFUSAL
    else:
        assert known == INFO.at(11)
    local.refuse(known, REFUSAL)
    assert names(local) == [f"{ID}.info"]


def test_a_crash_while_a_refused_upload_loses_its_bytes(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused already: no crash makes it resumable."""
    finished(local)
    with monkeypatch.context() as patched:
        dies_at(patched, "unlink")
        with pytest.raises(PowerCut):
            local.refuse(local.look(ID), REFUSAL)
    assert local.look(ID).refusal == REFUSAL
    local.refuse(local.look(ID), REFUSAL)
    assert names(local) == [f"{ID}.info"]


@pytest.mark.parametrize(("call", "after"), [(1, False), (1, True), (2, False), (2, True)])
def test_a_crash_in_remove(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch, call: int, after: bool
) -> None:
    finished(local)
    info = local.look(ID)
    with monkeypatch.context() as patched:
        dies_at(patched, "unlink", call, after=after)
        with pytest.raises(PowerCut):
            local.remove(info)
    if (call, after) == (1, False):
        assert local.look(ID) == info
    else:
        with pytest.raises(UploadNotFound):
            local.look(ID)
    local.remove(info)
    assert names(local) == []


# The hand-over moves the bytes to their final place.


def test_a_hand_over(store: FilesystemStore, tmp_path: Path) -> None:
    finished(store)
    place = tmp_path / "data" / "uploads" / "alice" / "a.gif"
    for _ in range(2):
        store.hand_over(store.look(ID), place)
    assert place.read_bytes() == b"hello world"
    assert not (store.root / ID).exists()
    info = store.look(ID)
    assert info.finished
    assert store.path(info) == place
    place.unlink()
    with pytest.raises(UploadGone):
        store.look(ID)
    assert list(store.all()) == []
    with pytest.raises(UploadNotFound), store.writer(info):
        pytest.fail("its bytes are gone")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", [1, 2])
def test_a_crash_in_a_hand_over(
    local: FilesystemStore,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    call: int,
    after: bool,
) -> None:
    """The first rename is the info file's, the second the bytes'; the file is in one place."""
    finished(local)
    place = tmp_path / "data" / "uploads" / "alice" / "a.gif"
    with monkeypatch.context() as patched:
        dies_at(patched, "rename", call, after=after)
        with pytest.raises(PowerCut):
            local.hand_over(local.look(ID), place)
    again = FilesystemStore(local.root)
    known = again.look(ID)
    assert known.finished
    assert again.path(known).read_bytes() == b"hello world"
    again.hand_over(known, place)
    assert place.read_bytes() == b"hello world"
    assert names(again) == [f"{ID}.info", "uploads"]
    assert again.path(again.look(ID)) == place


def test_a_hand_over_to_another_place_than_last_time(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    finished(local)
    first, second = (tmp_path / "data" / "uploads" / name for name in ("one", "two"))
    with monkeypatch.context() as patched:
        dies_at(patched, "rename", 2)
        with pytest.raises(PowerCut):
            local.hand_over(local.look(ID), first)
    local.hand_over(local.look(ID), second)
    assert second.read_bytes() == b"hello world"
    assert local.path(local.look(ID)) == second
    assert not first.exists()


def test_an_upload_that_was_deleted_meanwhile_is_not_handed_over(
    local: FilesystemStore, tmp_path: Path
) -> None:
    finished(local)
    info = local.look(ID)
    local.remove(info)
    with pytest.raises(UploadNotFound, match="deleted before its bytes could be moved"):
        local.hand_over(info, tmp_path / "data" / "uploads" / "a.gif")
    assert names(local) == ["uploads"]


def test_a_finished_file_can_be_removed_after_its_hand_over(
    local: FilesystemStore, tmp_path: Path
) -> None:
    finished(local)
    place = tmp_path / "data" / "uploads" / "a.gif"
    local.hand_over(local.look(ID), place)
    local.remove(local.look(ID))
    assert not place.exists()
    assert names(local) == ["uploads"]


def test_a_refused_file_is_removed_from_its_place(local: FilesystemStore, tmp_path: Path) -> None:
    finished(local)
    place = tmp_path / "data" / "uploads" / "a.gif"
    local.hand_over(local.look(ID), place)
    local.refuse(local.look(ID), REFUSAL)
    assert not place.exists()
    assert local.look(ID).refusal == REFUSAL


# When bytes are synced.


@pytest.mark.parametrize(
    ("durability", "by_sync", "by_finish"),
    [("none", 0, 0), ("finish", 0, 3), ("chunk", 1, 3)],
)
def test_what_is_synced_when(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    durability: Durability,
    by_sync: int,
    by_finish: int,
) -> None:
    """`finish` syncs the bytes, the facts and the directory; all of it off the event loop."""
    offloaded = 0

    def offload(work: Callable[[], None]) -> None:
        nonlocal offloaded
        offloaded += 1
        work()

    store = FilesystemStore(tmp_path / "data", durability=durability, offload=offload)
    store.create(INFO)
    synced: list[str] = []
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda descriptor, name=name: synced.append(name))
    offloaded = 0
    write(store, b"hello world")
    assert len(synced) == offloaded == by_sync
    store.finish(store.look(ID))
    assert len(synced) == by_sync + by_finish
    assert offloaded == by_sync + bool(by_finish)


def test_finish_after_the_hand_over_has_nothing_to_do(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "data", durability="finish")
    finished(store)
    store.hand_over(store.look(ID), tmp_path / "data" / "uploads" / "a.gif")
    store.finish(store.look(ID))
    assert store.look(ID).finished


# Full disks.

_WRITES_TOO_MUCH = """
import resource, signal, sys
from pathlib import Path
from tests.storage.contract import INFO
from tusd_server.errors import StorageFull
from tusd_server.storage.filesystem import FilesystemStore

store = FilesystemStore(Path(sys.argv[1]), durability="none")
store.create(INFO)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (7, 7))
with store.writer(INFO) as writer:
    try:
        writer.write(memoryview(b"hello world"))
    except StorageFull as full:
        print(full.offset, writer.offset, store.look(INFO.id).offset, full)
"""


def test_a_disk_that_fills_up_keeps_what_fitted(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", _WRITES_TOO_MUCH, str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert child.stdout == "7 7 7 The disk is full; the bytes up to Upload-Offset are kept.\n"
    assert (tmp_path / "data" / ID).read_bytes() == b"hello w"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("function", ["open", "rename"])
def test_no_room_for_a_new_upload(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch, function: str, code: int
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(code, "full")

    with monkeypatch.context() as patched:
        patched.setattr(os, function, full)
        with pytest.raises(StorageFull, match="no room for a new upload"):
            local.create(INFO)
    assert not (local.root / ID).exists()
    assert list(local.all()) == []


def test_another_error_of_the_disk_is_not_called_a_full_one(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> int:
        raise OSError(errno.EIO, "broken")

    local.create(INFO)
    with local.writer(INFO) as writer:
        monkeypatch.setattr(os, "pwrite", broken)
        with pytest.raises(OSError, match="broken"):
            writer.write(memoryview(b"hello"))
    assert local.look(ID).offset == 0


def test_a_write_that_takes_only_a_part_goes_on(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    local.create(INFO)
    with local.writer(INFO) as writer:
        monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[:3], at))
        writer.write(memoryview(b"hello world"))
        assert writer.offset == 11
    assert contents(local) == b"hello world"
