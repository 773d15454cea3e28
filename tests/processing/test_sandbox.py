import os
import platform
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from processing.child.confine import LIMITS
from processing.sandbox import (
    Allowance,
    Confinement,
    Sandbox,
    SandboxBroken,
    SandboxFailure,
    SandboxRefusal,
)

ROOT = Path(__file__).resolve().parents[2]


def python(sandbox: Sandbox, code: str):
    return sandbox.run([sys.executable, "-c", code])


def running(marker: str) -> bool:
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (directory / "cmdline").read_bytes().decode().split("\0"):
                return True
        except OSError:
            continue
    return False


def wait_until(condition) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_program_runs_and_its_output_comes_back() -> None:
    done = Sandbox(20).run(["/bin/sh", "-c", "echo out; echo log >&2; exit 3"])
    assert (done.status, done.stdout) == (3, b"out\n")
    assert done.log.endswith("log")


def test_the_limits_hold_in_the_program() -> None:
    names = {name: f"resource.getrlimit(resource.{name})" for name in LIMITS}
    code = f"import resource; print({{{', '.join(f'{n!r}: {c}' for n, c in names.items())}}})"
    found = eval(python(Sandbox(20), code).stdout)
    assert found == {name: (limit, limit) for name, limit in LIMITS.items()}


def test_memory_beyond_the_limit_is_refused() -> None:
    done = python(Sandbox(20), "bytearray(2 << 30)")
    assert done.status == 1
    assert "MemoryError" in done.log


FORBIDDEN = {
    "socket": "import socket; socket.socket()",
    "socketpair": "import socket; socket.socketpair()",
    "create": "open('new', 'w')",
    "append": "open('/dev/null', 'ab')",
    "unlink": "import os; os.unlink('/nonexistent')",
    "rename": "import os; os.rename('/nonexistent', '/other')",
    "mkdir": "import os; os.mkdir('new')",
    "kill": "import os; os.kill(os.getppid(), 0)",
    "setsid": "import os; os.setsid()",
    "create without writing": "import os; os.open('/dev/new', os.O_RDONLY | os.O_CREAT)",
    "another's limits": "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_CPU)",
    "another's turn": "import os; os.setpriority(os.PRIO_PROCESS, os.getppid(), 5)",
    "another's cores": "import os; os.sched_setaffinity(os.getppid(), {0})",
    "fork": "import os; os.fork()",
    "spawn": "import subprocess; subprocess.run(['/bin/true'])",
}
CALLS = {
    "tgkill": "os.getppid(), os.getppid(), 0",
    "rt_sigqueueinfo": "os.getppid(), 0, bytes(128)",
    "pidfd_open": "os.getppid(), 0",
    "utimes": "b'/dev/null', None",
    "shmget": "0, 4096, 0o600",
}
NUMBERS = {
    "x86_64": {
        "tgkill": 234,
        "rt_sigqueueinfo": 129,
        "pidfd_open": 434,
        "utimes": 235,
        "shmget": 29,
    },
    "aarch64": {"tgkill": 131, "rt_sigqueueinfo": 138, "pidfd_open": 434, "shmget": 194},
}.get(platform.machine(), {})


@pytest.mark.parametrize("name", FORBIDDEN)
def test_network_and_writing_are_denied(name: str) -> None:
    done = python(Sandbox(20), FORBIDDEN[name])
    assert done.status == 1
    assert "PermissionError" in done.log


@pytest.mark.parametrize("name", NUMBERS)
def test_other_processes_and_what_outlives_this_one_are_out_of_reach(name: str) -> None:
    code = (
        "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True)\n"
        f"print(libc.syscall({NUMBERS[name]}, {CALLS[name]}), ctypes.get_errno())"
    )
    assert python(Sandbox(20), code).stdout == b"-1 1\n"


def test_threads_may_begin() -> None:
    code = "import threading; threading.Thread(target=print, args=('here',)).start()"
    assert python(Sandbox(20), code).stdout == b"here\n"


@pytest.mark.parametrize("access", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_ACCMODE])
@pytest.mark.parametrize("may_write", [False, True])
def test_no_other_file_can_be_cut(tmp_path: Path, access: int, may_write: bool) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for path in (mine, other):
        path.write_text("before")
    code = f"import os; os.open({str(other)!r}, {access} | os.O_TRUNC)"
    allowance = Allowance(reads=other, writes=mine if may_write else None)
    done = Sandbox(20).run([sys.executable, "-c", code], allowance=allowance)
    assert "PermissionError" in done.log
    assert other.read_text() == "before"


def test_no_other_file_can_be_read(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for path in (mine, other):
        path.write_text("secret")
    code = f"""
import os
for path in ({str(mine)!r}, {str(other)!r}, f"/proc/{{os.getppid()}}/environ", {__file__!r}):
    try:
        print(len(open(path, "rb").read()))
    except PermissionError:
        print("denied")
"""
    done = Sandbox(20).run([sys.executable, "-c", code], allowance=Allowance(reads=mine))
    assert done.stdout == b"6\ndenied\ndenied\ndenied\n"


def test_an_own_task_reads_its_source_alone(tmp_path: Path) -> None:
    """The name of the source may be a link, as that of a data directory may be."""
    (tmp_path / "medium").write_bytes(bytes(100))
    (tmp_path / "link").symlink_to("medium")
    with pytest.raises(SandboxRefusal, match="metadata_not_removable"):
        Sandbox(20).ask("strip", source=tmp_path / "link", content_type="video/webm")
    arguments = {"source": str(tmp_path / "medium"), "content_type": "video/webm"}
    done = Sandbox(20)._start({"task": "strip", "arguments": arguments}, 1000)
    assert done.status == 126
    assert "PermissionError" in done.log


def test_the_filter_is_in_force_where_the_tests_run() -> None:
    assert Sandbox(20).confinement() == Confinement(seccomp=True, landlock=True)


def test_privileges_cannot_be_gained() -> None:
    done = python(Sandbox(20), "print(open('/proc/self/status').read())")
    assert b"NoNewPrivs:\t1" in done.stdout


def test_the_environment_is_clean_and_no_folder_is_left(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TUSD_JWT_SECRET", "hush")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sandbox = Sandbox(20)
    assert b"hush" not in sandbox.run(["/usr/bin/env"]).stdout
    seen = sandbox.run([sys.executable, "-c", "import os; print(os.getcwd())"]).stdout
    assert seen == b"/\n"
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_takes_too_long_is_killed() -> None:
    started = time.monotonic()
    with pytest.raises(SandboxFailure) as caught:
        Sandbox(1.0).run(["/bin/sleep", "61.5371"])
    assert caught.value.kind == "timeout"
    assert time.monotonic() - started < 20
    assert wait_until(lambda: not running("61.5371"))


def test_a_child_does_not_outlive_the_worker_that_asked() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from processing.sandbox import Sandbox\n"
        "Sandbox(60).run(['/bin/sleep', '62.5372'])\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", code])
    try:
        assert wait_until(lambda: running("62.5372"))
    finally:
        worker.kill()
        worker.wait()
    assert wait_until(lambda: not running("62.5372"))


def test_a_crash_is_named_by_its_signal() -> None:
    with pytest.raises(SandboxFailure, match=r"SIG(ABRT|SEGV)") as caught:
        python(Sandbox(20), "import os; os.abort()")
    assert caught.value.kind == "crashed"


def test_endless_output_is_cut_off() -> None:
    with pytest.raises(SandboxFailure) as caught:
        Sandbox(20).run(["/bin/cat", "/dev/zero"], most_output=1000)
    assert caught.value.kind == "output"


def test_output_of_exactly_the_allowed_length_is_kept() -> None:
    done = Sandbox(20).run(["/usr/bin/head", "-c", "1000", "/dev/zero"], most_output=1000)
    assert len(done.stdout) == 1000


def test_a_missing_program_is_the_machines_fault() -> None:
    with pytest.raises(SandboxBroken, match="/nonexistent"):
        Sandbox(20).run(["/nonexistent"])


def test_a_missing_source_is_the_machines_fault(tmp_path) -> None:
    with pytest.raises(SandboxBroken, match="FileNotFoundError"):
        Sandbox(20).ask(
            "image",
            source=tmp_path / "none",
            content_type="image/png",
            min_side=1,
            max_side=100,
            sides=[10],
        )


def test_bytes_at_fault_come_back_as_a_refusal(tmp_path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    with pytest.raises(SandboxRefusal) as caught:
        Sandbox(20).ask(
            "image",
            source=tmp_path / "bad.png",
            content_type="image/png",
            min_side=1,
            max_side=100,
            sides=[10],
        )
    assert caught.value.code == "unreadable"


def test_threads_get_their_own_answers() -> None:
    sandbox = Sandbox(30)
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda n: sandbox.run(["/bin/echo", str(n)]).stdout, range(12))
    assert list(answers) == [b"%d\n" % number for number in range(12)]


def test_no_more_children_than_slots_run_at_once() -> None:
    sandbox = Sandbox(30, threading.Semaphore(1))
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: sandbox.run(["/bin/sleep", "0.4"]), range(2)))
    assert time.monotonic() - started >= 0.8


def test_a_child_whose_parent_is_already_gone_ends() -> None:
    code = "from processing.child.confine import confine; confine(1); print('on')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


def test_one_file_may_be_written_and_no_other(tmp_path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for path in (mine, other):
        path.write_text("before")
    code = f"""
mine, other = {str(mine)!r}, {str(other)!r}
for path, mode in ((mine, "w"), (other, "r+"), (other, "w"), (other + "s", "w")):
    try:
        open(path, mode).write("after")
    except OSError as error:
        print(error.errno)
"""
    done = Sandbox(20).run([sys.executable, "-c", code], allowance=Allowance(writes=mine))
    assert (mine.read_text(), other.read_text()) == ("after", "before")
    assert done.stdout == b"13\n13\n13\n"


@pytest.mark.parametrize("name", [name for name in FORBIDDEN if name not in ("create", "append")])
def test_a_file_to_write_opens_no_other_door(tmp_path, name: str) -> None:
    (tmp_path / "mine").touch()
    allowance = Allowance(writes=tmp_path / "mine")
    done = Sandbox(20).run([sys.executable, "-c", FORBIDDEN[name]], allowance=allowance)
    assert done.status == 1
    assert "PermissionError" in done.log


def test_time_and_size_may_be_others() -> None:
    code = (
        "import resource, os\n"
        "print([resource.getrlimit(each)[0] for each in (resource.RLIMIT_CPU,"
        " resource.RLIMIT_FSIZE, resource.RLIMIT_AS)], os.getpriority(os.PRIO_PROCESS, 0))"
    )
    allowance = Allowance(cpu_seconds=77, file_bytes=5000, nice=10)
    done = Sandbox(20).run([sys.executable, "-c", code], allowance=allowance)
    nice = min(os.nice(0) + 10, 19)
    assert done.stdout == f"[77, 5000, {LIMITS['RLIMIT_AS']}] {nice}\n".encode()


def test_output_is_heard_while_it_comes() -> None:
    heard: list[bytes] = []
    code = "import time; print('one', flush=True); time.sleep(0.3); print('two')"
    done = Sandbox(20).run([sys.executable, "-c", code], hear=heard.append)
    assert heard == [b"one\n", b"two\n"]
    assert done.stdout == b"one\ntwo\n"
    with pytest.raises(SandboxFailure):
        Sandbox(20).run(["/bin/cat", "/dev/zero"], most_output=1000, hear=heard.append)


def nursery() -> int:
    """The process that forks our children."""
    parents = f"/proc/self/task/{os.getpid()}/children"
    children = [int(pid) for pid in Path(parents).read_text().split()]
    own = [pid for pid in children if b"child/__main__.py" in cmdline(pid)]
    assert len(own) == 1
    return own[0]


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_all_children_come_from_one_process_that_stays() -> None:
    sandbox = Sandbox(20)
    sandbox.run(["/bin/true"])
    before = nursery()
    parents = {sandbox.run(["/bin/sh", "-c", "echo $PPID"]).stdout for _ in range(3)}
    assert parents == {b"%d\n" % before}
    assert Sandbox(20).confinement().seccomp
    assert nursery() == before


def test_that_process_is_confined_itself() -> None:
    Sandbox(20).run(["/bin/true"])
    status = Path(f"/proc/{nursery()}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status


def test_children_inherit_nothing_but_their_standard_files() -> None:
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(Sandbox(20).run, ["/bin/sleep", "0.5"])
        listed = Sandbox(20).run(["/bin/ls", "/proc/self/fd"]).stdout.split()
        slow.result()
    # The fourth is the directory that is listed.
    assert listed == [b"0", b"1", b"2", b"3"]


def test_nothing_is_left_open_by_children_that_have_ended() -> None:
    sandbox = Sandbox(20)
    sandbox.run(["/bin/true"])
    places = (Path("/proc/self/fd"), Path(f"/proc/{nursery()}/fd"))
    before = [len(list(place.iterdir())) for place in places]
    for _ in range(20):
        sandbox.run(["/bin/true"])
    assert [len(list(place.iterdir())) for place in places] == before


def test_a_killed_nursery_is_the_machines_fault_and_is_started_anew() -> None:
    with ThreadPoolExecutor(1) as pool:
        running_child = pool.submit(Sandbox(20).run, ["/bin/sleep", "63.5373"])
        assert wait_until(lambda: running("63.5373"))
        before = nursery()
        os.kill(before, signal.SIGKILL)
        with pytest.raises(OSError, match="has ended"):
            running_child.result(10)
    assert wait_until(lambda: not running("63.5373"))
    assert Sandbox(20).run(["/bin/echo", "again"]).stdout == b"again\n"
    assert nursery() != before


def test_a_forked_worker_gets_a_nursery_of_its_own() -> None:
    Sandbox(20).run(["/bin/true"])
    code = (
        "import os; from processing.sandbox import Sandbox\n"
        "ask = lambda: Sandbox(20).run(['/bin/sh', '-c', 'echo $PPID']).stdout\n"
        "first = ask(); pid = os.fork()\n"
        "if not pid: os._exit(ask() == first)\n"
        "print(os.waitpid(pid, 0)[1], ask() == first)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout == b"0 True\n"
