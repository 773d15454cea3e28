import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hooks.command import Commands
from hooks.events import HookName
from hooks.transport import MOST_REPLY_BYTES, Failed
from tests.receivers import call, event
from tests.services import wait_until

ALL: tuple[HookName, ...] = ("pre-create", "post-receive", "post-finish")


def program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def commands(folder: Path, seconds: float = 10.0) -> Commands:
    environ = {"PATH": os.environ["PATH"], "OURS": "here"}
    return Commands(folder, enabled=ALL, timeout_seconds=seconds, environ=environ)


def test_a_program_gets_the_event_and_its_output_is_the_reply(tmp_path: Path) -> None:
    program(tmp_path, "pre-create", 'cat > event.json; echo "$TUS_ID $TUS_SIZE $TUS_OFFSET $OURS"')
    assert commands(tmp_path).ask(call()) == b"u1 9 4 here\n"
    assert json.loads((tmp_path / "event.json").read_text()) == event().to_json()


def test_a_program_need_not_read(tmp_path: Path) -> None:
    program(tmp_path, "post-finish", "exit 0")
    commands(tmp_path).deliver(call("post-finish"))


def test_what_is_missing_or_not_enabled_is_no_hook(tmp_path: Path) -> None:
    program(tmp_path, "pre-finish", "exit 1")
    room = commands(tmp_path)
    assert not room.takes("pre-create")
    assert not room.takes("pre-finish")
    program(tmp_path, "pre-create", "exit 0")
    assert room.takes("pre-create")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo sorry; exit 3", r"ended with 3: 'sorry\\n'"),
        ("kill -9 $$", "ended with -9"),
        (f"head -c {MOST_REPLY_BYTES + 1} /dev/zero", "wrote more than"),
        ("yes", "wrote more than"),
    ],
)
def test_failures(tmp_path: Path, script: str, message: str) -> None:
    program(tmp_path, "pre-create", script)
    with pytest.raises(Failed, match=message):
        commands(tmp_path).ask(call())


def test_a_file_that_is_no_program_is_a_failure(tmp_path: Path) -> None:
    program(tmp_path, "pre-create", "exit 0").chmod(0o644)
    with pytest.raises(Failed, match="cannot be run"):
        commands(tmp_path).ask(call())


@pytest.mark.parametrize("script", ["sleep 60", "sleep 60 & wait", "exec >&- 2>&-; sleep 60"])
def test_the_deadline_ends_the_program_and_its_children(tmp_path: Path, script: str) -> None:
    program(tmp_path, "pre-create", f"echo $$ > group\n{script}")
    started = time.monotonic()
    with pytest.raises(Failed, match=r"did not end in 0.5 s"):
        commands(tmp_path, 0.5).ask(call())
    assert time.monotonic() - started < 10
    group = int((tmp_path / "group").read_text())
    wait_until(lambda: group not in groups(), "the end of the children", 10)


def groups() -> Iterator[int]:
    return map(group_of, Path("/proc").glob("[0-9]*/stat"))


def group_of(stat: Path) -> int:
    try:
        state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return 0
    return 0 if state in "ZX" else int(group)


def test_a_child_that_keeps_the_output_open_does_not_spoil_the_reply(tmp_path: Path) -> None:
    program(tmp_path, "pre-create", "echo '{}'; sleep 60 &")
    assert commands(tmp_path, 0.5).ask(call()) == b"{}\n"


def test_a_daemon_that_left_the_group_does_not_hold_the_reply(tmp_path: Path) -> None:
    (tmp_path / "end").touch()
    wait = "while [ -e end ]; do sleep 0.1; done"
    program(tmp_path, "pre-create", f"echo '{{}}'; setsid sh -c '{wait}' &")
    try:
        started = time.monotonic()
        assert commands(tmp_path, 0.5).ask(call()) == b"{}\n"
        assert time.monotonic() - started < 10
    finally:
        (tmp_path / "end").unlink()


def test_long_and_many_lines_are_logged_in_parts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program(
        tmp_path, "pre-create", "head -c 20500 /dev/zero | tr '\\0' x >&2; echo >&2; echo y >&2"
    )
    with caplog.at_level(logging.INFO):
        commands(tmp_path).ask(call())
    told = [record.getMessage().partition("u1: ")[2] for record in caplog.records]
    assert (sum(map(len, told)), max(map(len, told)), told[-1]) == (20501, 1000, "y")


def test_what_a_program_complains_about_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program(tmp_path, "pre-create", "echo 'the disk is odd' >&2")
    with caplog.at_level(logging.INFO):
        commands(tmp_path).ask(call())
    assert "hook pre-create, upload u1: the disk is odd" in caplog.text
