"""The local store: the contract, crashes between two steps, full disks, paths."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.rooms import timeless
from tests.storage.contract import *  # noqa: F403
from tests.storage.contract import (
    CHUNKED,
    INFO,
    REFUSAL,
    WHOLE,
    contents,
    final_of,
    missing,
    parts_of,
    put,
    write,
)
from tusd_server.errors import StorageFull, UploadGone, UploadNotFound
from tusd_server.info import now_utc
from tusd_server.settings import MIB, Durability
from tusd_server.storage.base import (
    Concatenates,
    Expires,
    KnowsOwners,
    Local,
    RemembersKeys,
    TakesChunks,
    Terminates,
)
from tusd_server.storage.filesystem import FilesystemStore

ID = INFO.id


class PowerCut(BaseException):
    """Ends the process at a chosen system call; nothing behind it happens."""


@pytest.fixture(params=["finish", "chunk", "none"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FilesystemStore:
    durability: Durability = request.param
    return FilesystemStore(tmp_path / "data", durability=durability, note_owners=True)


@pytest.fixture
def local(tmp_path: Path) -> FilesystemStore:
    """One is enough where durability does not matter."""
    return FilesystemStore(tmp_path / "data", durability="none", note_owners=True)


def names(store: FilesystemStore) -> list[str]:
    """What lies in the directory, our own folder aside."""
    return sorted(path.name for path in store.root.iterdir() if path.name != ".tusd-server")


def notes(store: FilesystemStore, kind: str) -> list[str]:
    """The store's own files of one kind."""
    folder = store.root / ".tusd-server" / kind
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def age(path: Path, days: int) -> None:
    moment = (now_utc() - timedelta(days=days)).timestamp()
    os.utime(path, (moment, moment))


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
        try:
            return real(*arguments, **named)
        finally:
            if calls == call:
                raise PowerCut

    monkeypatch.setattr(os, function, dying)


def test_its_abilities(store: FilesystemStore) -> None:
    for ability in (
        Terminates,
        Expires,
        Concatenates,
        RemembersKeys,
        KnowsOwners,
        TakesChunks,
        Local,
    ):
        assert isinstance(store, ability)


# The layout is tusd's.


def test_two_files_for_each_upload(store: FilesystemStore) -> None:
    finished(store)
    assert names(store) == [ID, f"{ID}.info"]
    assert (store.root / ID).read_bytes() == b"hello world"
    document = json.loads((store.root / f"{ID}.info").read_text())
    assert document["ID"] == ID
    assert document["Storage"]["Path"] == str(store.root / ID)
    assert store.path(store.look(ID)) == store.root / ID
    assert store.places(store.look(ID)) == (str(store.root / ID), str(store.root / f"{ID}.info"))


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
    assert timeless(again.look(ID)) == INFO.at(11)
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
    for name in ("folder", "stray"):
        with pytest.raises(UploadNotFound):
            local.look(name)


def test_facts_without_bytes_are_an_expired_upload(local: FilesystemStore) -> None:
    finished(local)
    (local.root / "lonely.info").write_text(replace(INFO, id="lonely").to_json("x"))
    with pytest.raises(UploadGone, match="has expired"):
        local.look("lonely")
    assert [info.id for info in local.all()] == [ID]
    assert {info.id for info in local.all(even_gone=True)} == {ID, "lonely"}


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
            lambda: local.places(info),  # noqa: B023
            lambda: local.path(info),  # noqa: B023
            lambda: local.update(info),  # noqa: B023
            lambda: local.expire(info),  # noqa: B023
            lambda: local.concatenate(info, []),  # noqa: B023
            lambda: local.concatenate(INFO, [info]),  # noqa: B023
            lambda: local.await_part(info, INFO),  # noqa: B023
            lambda: local.await_part(INFO, info),  # noqa: B023
            lambda: local.awaiting(info),  # noqa: B023
            lambda: local.hand_over(info, tmp_path / "taken"),  # noqa: B023
        ):
            with pytest.raises(UploadNotFound):
                call()
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert (tmp_path / "secret.info").exists()


def test_an_id_is_not_given_twice(local: FilesystemStore) -> None:
    finished(local)
    with pytest.raises(FileExistsError):
        local.create(replace(INFO, owner="mallory"))
    assert timeless(local.look(ID)) == INFO.at(11)
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
        assert timeless(local.look(ID)) == INFO
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
        assert timeless(known) == INFO.at(11)
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


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_crash_in_remove(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch, call: int, after: bool
) -> None:
    """The facts go first: without them there is no upload."""
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
@pytest.mark.parametrize(
    ("function", "call"),
    [("open", 1), ("rename", 1), ("rename", 2), ("unlink", 1)],
    ids=["archive", "archived", "moved", "tidied"],
)
def test_a_crash_in_a_hand_over(
    local: FilesystemStore,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    function: str,
    call: int,
    after: bool,
) -> None:
    """The facts with the new place, the bytes, the old facts; the file is in one place."""
    finished(local)
    place = tmp_path / "data" / "uploads" / "alice" / "a.gif"
    with monkeypatch.context() as patched:
        dies_at(patched, function, call, after=after)
        with pytest.raises(PowerCut):
            local.hand_over(local.look(ID), place)
    again = FilesystemStore(local.root)
    known = again.look(ID)
    assert known.finished
    assert again.path(known).read_bytes() == b"hello world"
    again.hand_over(known, place)
    assert place.read_bytes() == b"hello world"
    assert names(again) == ["uploads"]
    assert notes(again, "finished") == [f"{ID[:2]}/{ID}.info"]
    assert again.path(again.look(ID)) == place


def test_a_deletion_in_the_middle_of_a_hand_over_leaves_nothing(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Between the steps there are two info files, and neither may survive alone."""
    finished(local)
    with monkeypatch.context() as patched:
        dies_at(patched, "rename", 2)
        with pytest.raises(PowerCut):
            local.hand_over(local.look(ID), tmp_path / "data" / "uploads" / "a.gif")
    local.remove(local.look(ID))
    with pytest.raises(UploadNotFound):
        local.look(ID)
    assert names(local) == ["uploads"]
    assert notes(local, "finished") == []


def test_a_hand_over_leaves_the_directory_of_the_living(
    local: FilesystemStore, tmp_path: Path
) -> None:
    """So that walking through the uploads takes as long as there are unfinished ones."""
    finished(local)
    place = tmp_path / "data" / "uploads" / "a.gif"
    local.hand_over(local.look(ID), place)
    assert names(local) == ["uploads"]
    archived = f"{ID[:2]}/{ID}.info"
    assert notes(local, "finished") == [archived]
    assert list(local.all()) == []
    info = local.look(ID)
    assert (info.id, info.owner, info.offset, info.metadata_header) == (
        ID,
        "alice",
        11,
        INFO.metadata_header,
    )
    in_archive = str(local.root / ".tusd-server" / "finished" / archived)
    assert local.places(info) == (str(place), in_archive)


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
    assert notes(local, "finished") == []
    with pytest.raises(UploadNotFound):
        local.look(ID)


def test_a_refused_file_is_removed_from_its_place(local: FilesystemStore, tmp_path: Path) -> None:
    finished(local)
    place = tmp_path / "data" / "uploads" / "a.gif"
    local.hand_over(local.look(ID), place)
    for _ in range(2):
        local.refuse(local.look(ID), REFUSAL)
        assert not place.exists()
        assert local.look(ID).refusal == REFUSAL
    assert notes(local, "finished") == []


# What is long over is forgotten.


def tidy(store: FilesystemStore) -> int:
    """After 2 days what is gone, after 5 what was handed over."""
    now = now_utc()
    return store.forget(gone_since=now - timedelta(days=2), finished_since=now - timedelta(days=5))


@pytest.mark.parametrize(("days", "forgotten"), [(4, 0), (6, 1)])
def test_what_was_handed_over_is_forgotten_and_kept(
    local: FilesystemStore, tmp_path: Path, days: int, forgotten: int
) -> None:
    """The URL is forgotten; the file belongs to the medium by then."""
    finished(local)
    place = tmp_path / "data" / "uploads" / "a.gif"
    local.hand_over(local.look(ID), place)
    age(local.root / ".tusd-server" / "finished" / ID[:2] / f"{ID}.info", days)
    assert tidy(local) == forgotten
    if forgotten:
        with pytest.raises(UploadNotFound):
            local.look(ID)
    else:
        assert local.look(ID).finished
    assert place.read_bytes() == b"hello world"


def test_what_is_old_but_not_gone_is_not_forgotten(local: FilesystemStore) -> None:
    """Not even one that is complete and still waits for its hand-over."""
    finished(local)
    local.create(replace(INFO, id="begun"))
    for path in local.root.glob("*"):
        age(path, 100)
    assert tidy(local) == 0
    assert {info.id for info in local.all()} == {ID, "begun"}


def test_a_refused_or_expired_upload_answers_for_a_while(local: FilesystemStore) -> None:
    for name in ("expired", "refused"):
        local.create(replace(INFO, id=name))
        age(local.root / name, 100)
        age(local.root / f"{name}.info", 100)
    local.expire(local.look("expired"))
    local.refuse(local.look("refused"), REFUSAL)
    assert tidy(local) == 0
    with pytest.raises(UploadGone):
        local.look("expired")
    for name in ("expired", "refused"):
        age(local.root / f"{name}.info", 3)
    assert tidy(local) == 2
    assert names(local) == []


def test_keys_are_forgotten_with_the_uploads_that_they_stand_for(local: FilesystemStore) -> None:
    for key in ("old", "new"):
        local.claim_key("alice", key, key, None)
    folder = local.root / ".tusd-server" / "keys"
    for path in folder.iterdir():
        if path.read_text() == "old":
            age(path, 6)
    tidy(local)
    assert local.made_with_key("alice", "old") is None
    assert local.made_with_key("alice", "new") == "new"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("function", "call"), [("unlink", 1), ("unlink", 2), ("utime", 1)])
def test_a_crash_in_expire(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch, function: str, call: int, after: bool
) -> None:
    """The upload is as it was, or gone; the next round of the sweeper can go on."""
    finished(local)
    info = local.look(ID)
    with monkeypatch.context() as patched:
        dies_at(patched, function, call, after=after)
        with pytest.raises(PowerCut):
            local.expire(info)
    if (function, call, after) == ("unlink", 1, False):
        assert local.look(ID) == info
    else:
        with pytest.raises(UploadGone):
            local.look(ID)
    local.expire(info)
    assert names(local) == [f"{ID}.info"]


# Joining.


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("open", 1),
        ("open", 2),
        ("open", 3),
        ("copy_file_range", 1),
        ("copy_file_range", 3),
        ("rename", 1),
    ],
)
def test_a_crash_in_concatenate(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch, function: str, call: int, after: bool
) -> None:
    """All of the bytes or none of them; the parts are still there for a second try."""
    parts = parts_of(local, b"hello", b" world")
    final = final_of(local, [part.id for part in parts], 11)
    with monkeypatch.context() as patched:
        dies_at(patched, function, call, after=after)
        with pytest.raises(PowerCut):
            local.concatenate(final, parts)
    joined = (function, after) == ("rename", True)
    assert local.look(ID).offset == (11 if joined else 0)
    assert [contents(local, part.id) for part in parts] == [b"hello", b" world"]
    local.concatenate(final, parts)
    assert contents(local) == b"hello world"
    assert not [name for name in names(local) if name.startswith(".")]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_to_join(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(*_: Any) -> int:
        raise OSError(code, "full")

    parts = parts_of(local, b"hello", b" world")
    final = final_of(local, [part.id for part in parts], 11)
    with monkeypatch.context() as patched:
        patched.setattr(os, "copy_file_range", full)
        with pytest.raises(StorageFull, match="no room to join the parts"):
            local.concatenate(final, parts)
    assert local.look(ID).offset == 0
    assert not [name for name in names(local) if name.startswith(".")]


def test_joining_is_done_off_the_event_loop_and_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offloaded: list[Callable[[], None]] = []

    def offload(work: Callable[[], None]) -> None:
        offloaded.append(work)
        work()

    store = FilesystemStore(tmp_path / "data", durability="finish", offload=offload)
    parts = parts_of(store, b"hello", b" world")
    final = final_of(store, [part.id for part in parts], 11)
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    offloaded.clear()
    store.concatenate(final, parts)
    assert (len(offloaded), len(synced)) == (1, 1)


def test_nobody_waits_for_a_part_that_is_gone(local: FilesystemStore) -> None:
    one, two, three = parts_of(local, b"a", b"b", b"c")
    for part in (one, two, three):
        local.await_part(part, INFO)
    local.remove(one)
    local.expire(two)
    local.refuse(three, REFUSAL)
    assert notes(local, "awaited") == []


# Notes of owners.


def test_owners_are_noted_only_where_quotas_ask(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "data", durability="none")
    store.create(INFO)
    store.update(replace(store.look(ID), owner="bob"))
    assert notes(store, "owners") == []


def test_notes_of_owners_do_not_pile_up(local: FilesystemStore, tmp_path: Path) -> None:
    for name in ("removed", "complete", "begun"):
        local.create(replace(INFO, id=name))
    assert len(notes(local, "owners")) == 3
    local.remove(local.look("removed"))
    write(local, b"hello world", "complete")
    assert [info.id for info in local.unfinished_of("alice")] == ["begun"]
    assert [Path(note).name for note in notes(local, "owners")] == ["begun"]


def test_nobodys_name_leads_out_of_the_directory(local: FilesystemStore, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    for number, name in enumerate(("../../x", "/x", "..", "", "a" * 5000, "ü\0")):
        local.create(replace(INFO, id=f"u{number}", owner=name))
        local.claim_key(name, name, f"u{number}", None)
        assert [info.id for info in local.unfinished_of(name)] == [f"u{number}"]
        assert local.made_with_key(name, name) == f"u{number}"
    assert sorted(tmp_path.iterdir()) == before
    assert len(notes(local, "owners")) == len(notes(local, "keys")) == 6


def test_whoever_only_looks_makes_no_folder(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "data", tmp_path / "state", prepare=False)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UploadNotFound):
        store.look(ID)


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
        with pytest.raises(StorageFull, match="no room for an upload of this length"):
            local.create(INFO)
    assert not (local.root / ID).exists()
    assert list(local.all()) == []


def test_an_upload_that_the_disk_has_no_room_for(tmp_path: Path) -> None:
    """Refused at its creation, before a byte is sent."""
    facts = os.statvfs(tmp_path)
    store = FilesystemStore(tmp_path / "data", durability="none")
    with pytest.raises(StorageFull, match="no room for an upload of this length"):
        store.create(replace(INFO, length=facts.f_blocks * facts.f_frsize * 2))
    assert names(store) == []
    assert list(store.all()) == []


def test_room_that_is_reserved_does_not_count_as_bytes(local: FilesystemStore) -> None:
    """Not even after bytes were taken back, which gives the room back and reserves it again."""
    local.create(replace(INFO, length=MIB))
    assert (local.look(ID).offset, (local.root / ID).stat().st_size) == (0, 0)
    with local.writer(local.look(ID)) as writer:
        writer.write(memoryview(b"hello world"))
        writer.cut(5)
    assert (local.look(ID).offset, (local.root / ID).stat().st_size) == (5, 5)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("function", ["open", "rename"])
def test_no_room_for_changed_facts(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch, function: str, code: int
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(code, "full")

    finished(local)
    info = local.look(ID)
    with monkeypatch.context() as patched:
        patched.setattr(os, function, full)
        with pytest.raises(StorageFull, match="no room for"):
            local.update(replace(info, owner="bob"))
    assert timeless(local.look(ID)) == INFO.at(11)
    assert names(local) == [ID, f"{ID}.info"]


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


# Chunks.


def note_of(store: FilesystemStore) -> Path:
    return store.root / ".tusd-server" / "chunks" / ID


def reboot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine starts again, and has no more of the old time's memory."""
    monkeypatch.setattr("tusd_server.storage.chunks.this_boot", lambda: b"f" * 32)


def test_chunks_lie_in_the_file_of_the_upload(store: FilesystemStore) -> None:
    store.create(CHUNKED)
    put(store, 2)
    put(store, 0)
    assert names(store) == [ID, f"{ID}.info"]
    assert (store.root / ID).read_bytes() == b"hell\0\0\0\0rld"
    assert json.loads((store.root / f"{ID}.info").read_text())["ChunkSize"] == 4


@pytest.mark.parametrize("durability", ["finish", "chunk"])
def test_after_a_loss_of_power_only_what_was_synced_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability
) -> None:
    """A note may reach the disk before the bytes of which it tells."""
    store = FilesystemStore(tmp_path / "data", durability=durability)
    store.create(replace(CHUNKED, length=40))
    with store.chunk_writer(store.look(ID)) as writer:
        for index in (1, 4, 9):
            writer.write(memoryview(b"####"), 4 * index)
            assert writer.count_chunk(index)
    write(store, b"##")
    assert store.look(ID).offset == 2
    assert write(store, b"##") == 4
    assert store.look(ID).offset == 8
    reboot(monkeypatch)
    survives = durability == "chunk"
    here = (2, 3, 5, 6, 7, 8) if survives else tuple(range(10))
    assert missing(store) == here
    assert store.look(ID).offset == (8 if survives else 0)
    with store.chunk_writer(store.look(ID)) as writer:
        writer.write(memoryview(b"####"), 8)
        assert writer.count_chunk(2)
    assert missing(store) == tuple(sorted({*here} - {2}))


def test_a_complete_upload_is_complete_after_a_loss_of_power(
    store: FilesystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create(CHUNKED)
    for index in (0, 1, 2):
        put(store, index)
    store.complete(store.look(ID))
    reboot(monkeypatch)
    assert store.look(ID).finished
    assert contents(store) == WHOLE


@pytest.mark.parametrize("left", [None, 0, 10, 66])
def test_a_note_that_was_lost_is_made_again(local: FilesystemStore, left: int | None) -> None:
    local.create(CHUNKED)
    put(local, 0)
    if left is None:
        note_of(local).unlink()
    else:
        os.truncate(note_of(local), left)
    assert (missing(local), local.look(ID).offset) == ((0, 1, 2), 0)
    put(local, 2)
    assert missing(local) == (0, 1)


def test_without_the_name_of_a_boot_each_chunk_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tusd_server.storage.chunks.this_boot", lambda: b"")
    store = FilesystemStore(tmp_path / "data", durability="finish")
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    store.create(CHUNKED)
    assert put(store, 1)
    assert len(synced) == 2
    assert missing(store) == (0, 2)


def test_the_name_of_this_boot() -> None:
    from tusd_server.storage.chunks import this_boot

    assert len(this_boot()) == 32


def test_no_note_is_left_behind(local: FilesystemStore) -> None:
    for end in ("remove", "refuse", "expire", "hand over"):
        info = replace(CHUNKED, id=f"u{len(end)}")
        local.create(info)
        with local.chunk_writer(info) as writer:
            writer.write(memoryview(WHOLE), 0)
            for index in range(3):
                writer.count_chunk(index)
        if end == "remove":
            local.remove(info)
        if end == "refuse":
            local.refuse(info, REFUSAL)
        if end == "expire":
            local.expire(info)
        if end == "hand over":
            local.complete(info)
            local.hand_over(local.look(info.id), local.root / "uploads" / "a.txt")
            assert local.look(info.id).finished
            assert local.look(info.id).chunk_size == 4
    assert notes(local, "chunks") == []


def test_a_note_without_an_upload_is_swept(local: FilesystemStore) -> None:
    local.create(CHUNKED)
    (note_of(local).parent / "gone").write_bytes(b"x")
    local.forget(gone_since=now_utc(), finished_since=now_utc())
    assert notes(local, "chunks") == [ID]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_crash_while_a_chunk_is_taken_in(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch, call: int, after: bool
) -> None:
    """First the bytes, then the note; the third write would be another one's."""
    local.create(CHUNKED)
    with monkeypatch.context() as patched:
        dies_at(patched, "pwrite", call, after=after)
        if call < 3:
            with pytest.raises(PowerCut):
                put(local, 1)
        else:
            put(local, 1)
    counts = (call, after) >= (2, True)
    assert missing(local) == ((0, 2) if counts else (0, 1, 2))
    if counts:
        assert (local.root / ID).read_bytes()[4:8] == b"o wo"


@pytest.mark.parametrize("function", ["pwrite", "open"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_among_chunks(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch, code: int, function: str
) -> None:
    local.create(CHUNKED)
    put(local, 2)
    real = os.open

    def full(*arguments: Any, **_: Any) -> int:
        if function == "open" and not arguments[1] & os.O_CREAT:
            return real(*arguments)
        raise OSError(code, "full")

    with monkeypatch.context() as patched:
        patched.setattr(os, function, full)
        with pytest.raises(StorageFull):
            put(local, 0)
    assert missing(local) == (0, 1)
    assert put(local, 0)


def test_a_full_disk_under_a_run_of_bytes(
    local: FilesystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fitted is kept, and the error says where the first hole is then."""
    local.create(replace(CHUNKED, length=20))
    put(local, 1)
    real = os.pwrite

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if offset == 8:
            raise OSError(errno.ENOSPC, "full")
        return real(descriptor, data, offset)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(StorageFull) as caught:
            write(local, b"hello world")
    assert caught.value.offset == 8
    assert local.look(ID).offset == 8
