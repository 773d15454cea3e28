"""One writer for each upload: between threads, between processes, and over the dead."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tusd_server.errors import UploadLocked, UploadNotFound
from tusd_server.locks import (
    LISTEN_SECONDS,
    SETTLE_SECONDS,
    STALE_SECONDS,
    FileLocker,
    Holder,
    Locker,
    MemoryLocker,
)

LONG = 20.0


class Polite:
    """Lets go when it is asked to."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.is_closing = False

    def let_go(self) -> None:
        self.asked.set()

    def closing(self) -> bool:
        return self.is_closing


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with two uploads."""
    for name in ("u1", "u2"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def file_locker(data: Path, timeout_seconds: float = LONG) -> FileLocker:
    return FileLocker(data, data / "lock-requests", timeout_seconds=timeout_seconds)


@pytest.fixture(params=["file", "memory"])
def make(request: pytest.FixtureRequest, data: Path) -> Callable[[float], Locker]:
    if request.param == "file":
        return lambda seconds: file_locker(data, seconds)
    return lambda seconds: MemoryLocker(timeout_seconds=seconds)


@contextmanager
def held_elsewhere(
    locker: Locker, holder: Polite, upload_id: str = "u1", *, shared: bool = False
) -> Iterator[None]:
    """Another thread holds the lock until its holder is asked to let go."""
    holding = threading.Event()

    def hold() -> None:
        with (locker.share if shared else locker.hold)(upload_id, holder):
            holding.set()
            holder.asked.wait(LONG)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert holding.wait(LONG)
        yield
    finally:
        holder.asked.set()
        thread.join(LONG)


def test_a_free_lock_is_had_at_once(make: Callable[[float], Locker]) -> None:
    locker = make(0.0)
    for _ in range(3):
        with locker.hold("u1", Polite()), locker.hold("u2", Polite()):
            pass


def test_an_error_frees_the_lock(make: Callable[[float], Locker]) -> None:
    locker = make(0.0)
    with pytest.raises(ZeroDivisionError), locker.hold("u1", Polite()):
        raise ZeroDivisionError
    with locker.hold("u1", Polite()):
        pass


def test_a_newcomer_asks_the_holder_to_let_go(make: Callable[[float], Locker]) -> None:
    locker, holder = make(LONG), Polite()
    with held_elsewhere(locker, holder), locker.hold("u1", Polite()):
        assert holder.asked.is_set()


def test_a_holder_that_does_not_let_go(make: Callable[[float], Locker]) -> None:
    locker, holder = make(0.1), Polite()
    with locker.hold("u1", holder):
        with pytest.raises(UploadLocked, match="try again"), locker.hold("u1", Polite()):
            pytest.fail("two hold one lock")
        assert holder.asked.is_set()
    with locker.hold("u1", Polite()):
        pass


def test_uploads_do_not_wait_for_each_other(make: Callable[[float], Locker]) -> None:
    locker, holder = make(0.0), Polite()
    with held_elsewhere(locker, holder, "u1"), locker.hold("u2", Polite()):
        assert not holder.asked.is_set()


def test_one_at_a_time(make: Callable[[float], Locker]) -> None:
    """Each newcomer takes over from whoever was first, and never two write at once."""
    locker = make(LONG)
    inside, most, done = 0, 0, []

    def write(number: int) -> None:
        nonlocal inside, most
        holder = Polite()
        with locker.hold("u1", holder):
            inside += 1
            most = max(most, inside)
            holder.asked.wait(0.05)
            inside -= 1
            done.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert (most, sorted(done)) == (1, list(range(6)))


def test_settling_never_disturbs_a_healthy_holder(make: Callable[[float], Locker]) -> None:
    locker, holder = make(LONG), Polite()
    with held_elsewhere(locker, holder):
        started = time.monotonic()
        locker.settle("u1")
        locker.settle("unknown")
        assert time.monotonic() - started < SETTLE_SECONDS / 2
        assert not holder.asked.is_set()


def test_settling_waits_for_a_holder_whose_client_has_left(data: Path) -> None:
    locker, holder = file_locker(data), Polite()
    holder.is_closing = True
    timer = threading.Timer(0.1, holder.asked.set)
    with held_elsewhere(locker, holder):
        timer.start()
        locker.settle("u1")
        assert holder.asked.is_set()
    timer.join()


def test_settling_has_an_end(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tusd_server.locks.SETTLE_SECONDS", 0.05)
    locker, holder = file_locker(data), Polite()
    holder.is_closing = True
    with held_elsewhere(locker, holder):
        locker.settle("u1")
        assert not holder.asked.is_set()


# Sharing.


def test_many_share_a_lock(make: Callable[[float], Locker]) -> None:
    locker, holders = make(0.0), [Polite() for _ in range(3)]
    with locker.share("u1", holders[0]), locker.share("u1", holders[1]):
        with locker.share("u1", holders[2]):
            pass
        with pytest.raises(UploadLocked), locker.hold("u1", Polite()):
            pytest.fail("it is shared")
    assert [holder.asked.is_set() for holder in holders] == [True, True, False]
    with locker.hold("u1", Polite()):
        pass


def test_an_error_frees_a_shared_lock(make: Callable[[float], Locker]) -> None:
    locker = make(0.0)
    with pytest.raises(ZeroDivisionError), locker.share("u1", Polite()):
        raise ZeroDivisionError
    with locker.hold("u1", Polite()):
        pass


def test_one_who_wants_it_alone_asks_all_who_share(make: Callable[[float], Locker]) -> None:
    locker, one, other = make(LONG), Polite(), Polite()
    with (
        held_elsewhere(locker, one, shared=True),
        held_elsewhere(locker, other, shared=True),
        locker.hold("u1", Polite()),
    ):
        assert one.asked.is_set()
        assert other.asked.is_set()


def test_one_who_would_share_asks_the_one_who_has_it_alone(
    make: Callable[[float], Locker],
) -> None:
    locker, holder = make(LONG), Polite()
    with held_elsewhere(locker, holder), locker.share("u1", Polite()):
        assert holder.asked.is_set()


def test_those_who_share_do_not_ask_each_other(make: Callable[[float], Locker]) -> None:
    locker, one, other = make(LONG), Polite(), Polite()
    with held_elsewhere(locker, one, shared=True), locker.share("u1", other):
        assert not one.asked.is_set()
    assert not other.asked.is_set()


def test_chunks_without_a_pause_keep_nobody_out(make: Callable[[float], Locker]) -> None:
    """One who wants the lock alone comes before those who begin to share it meanwhile."""
    locker, stopped = make(LONG), threading.Event()
    began = threading.Barrier(5)

    def share() -> None:
        began.wait(LONG)
        while not stopped.is_set():
            with locker.share("u1", Polite()):
                stopped.wait(0.01)

    threads = [threading.Thread(target=share) for _ in range(4)]
    for thread in threads:
        thread.start()
    began.wait(LONG)
    started = time.monotonic()
    for _ in range(5):
        with locker.hold("u1", Polite()):
            pass
    took = time.monotonic() - started
    stopped.set()
    for thread in threads:
        thread.join(LONG)
    assert took < 5


def test_settling_waits_for_any_of_those_who_share(data: Path) -> None:
    locker, holder = file_locker(data), Polite()
    holder.is_closing = True
    timer = threading.Timer(0.1, holder.asked.set)
    with locker.share("u1", Polite()), held_elsewhere(locker, holder, shared=True):
        timer.start()
        assert locker.settle("u1")
        assert holder.asked.is_set()
    timer.join()


def test_what_is_shared_is_held(data: Path) -> None:
    locker = file_locker(data)
    with locker.share("u1", Polite()):
        assert locker.held("u1")
    assert not locker.held("u1")


def test_a_request_of_the_dead_keeps_nobody_out(data: Path) -> None:
    """One was killed while it waited; what it asked for is forgotten soon."""
    locker, holder = file_locker(data, 0.0), Polite()
    request = data / "lock-requests" / "u1"
    request.touch()
    with pytest.raises(UploadLocked), locker.share("u1", holder):
        pytest.fail("somebody seems to wait")
    request.touch()
    os.utime(request, (time.time() - STALE_SECONDS - 1,) * 2)
    with locker.share("u1", holder):
        time.sleep(3 * LISTEN_SECONDS)
    assert not holder.asked.is_set()
    assert not request.exists()


# Files.


def test_a_lock_is_free_again_when_the_machine_has_no_more_threads(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    locker = file_locker(data, 0.1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError), locker.hold("u1", Polite()):
            pass
    assert not locker.held("u1")
    with locker.hold("u1", Polite()):
        pass


@pytest.mark.parametrize("name", ["unknown", "..", "../x", "", "a/b", "u1.info"])
def test_what_is_not_there_cannot_be_held(data: Path, name: str) -> None:
    with pytest.raises(UploadNotFound), file_locker(data).hold(name, Polite()):
        pytest.fail("there is nothing to hold")
    assert sorted(path.name for path in data.iterdir()) == ["lock-requests", "u1", "u2"]


def test_an_upload_that_is_deleted_while_somebody_waits(data: Path) -> None:
    holder, newcomer = Polite(), file_locker(data)
    with held_elsewhere(file_locker(data), holder):
        os.unlink(data / "u1")
        with pytest.raises(UploadNotFound), newcomer.hold("u1", Polite()):
            pytest.fail("it is gone")


def test_an_upload_that_is_deleted_between_open_and_lock(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    real = fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        os.unlink(data / "u1")
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(UploadNotFound), file_locker(data).hold("u1", Polite()):
        pytest.fail("it is gone")


def test_no_descriptor_and_no_request_is_left(data: Path) -> None:
    locker = file_locker(data, 0.05)
    before = len(os.listdir("/proc/self/fd"))
    with file_locker(data).hold("u1", Deaf()):
        for _ in range(5):
            with pytest.raises(UploadLocked), locker.hold("u1", Polite()):
                pytest.fail("two hold one lock")
    for _ in range(5):
        with locker.hold("u1", Polite()):
            pass
    assert len(os.listdir("/proc/self/fd")) == before
    assert list((data / "lock-requests").iterdir()) == []


class Deaf(Polite):
    """Does not let go."""

    def let_go(self) -> None:
        """Hear nothing."""


_HOLDS = """
import sys, threading
from pathlib import Path
from tusd_server.locks import FileLocker

class Holder:
    def __init__(self):
        self.asked = threading.Event()
    def let_go(self):
        if sys.argv[2] == "polite":
            self.asked.set()
    def closing(self):
        return False

data = Path(sys.argv[1])
holder = Holder()
locker = FileLocker(data, data / "lock-requests", timeout_seconds=20.0)
with (locker.share if "share" in sys.argv else locker.hold)("u1", holder):
    print("held", flush=True)
    holder.asked.wait(60)
print("free", flush=True)
"""


@contextmanager
def held_by_a_process(data: Path, manner: str, how: str = "") -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(data), manner, how], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    with child:
        try:
            assert child.stdout.readline() == "held\n"
            yield child
        finally:
            child.kill()


def test_a_holder_in_another_process_lets_go(data: Path) -> None:
    with held_by_a_process(data, "polite") as child, file_locker(data).hold("u1", Polite()):
        assert child.stdout is not None
        assert child.stdout.readline() == "free\n"
    assert list((data / "lock-requests").iterdir()) == []


def test_a_lock_dies_with_its_process(data: Path) -> None:
    """By the kernel's hand; nobody guesses whether a PID is still the right one."""
    with held_by_a_process(data, "deaf") as child:
        with pytest.raises(UploadLocked), file_locker(data, 0.1).hold("u1", Polite()):
            pytest.fail("two processes hold one lock")
        child.send_signal(signal.SIGKILL)
        with file_locker(data).hold("u1", Polite()):
            assert child.wait(LONG) == -signal.SIGKILL


def test_a_process_holds_for_nobody_else(data: Path) -> None:
    holder: Holder = Polite()
    with held_by_a_process(data, "deaf"), file_locker(data, 0.0).hold("u2", holder):
        pass


def test_those_who_share_let_go_in_all_processes(data: Path) -> None:
    here = Polite()
    with (
        held_by_a_process(data, "polite", "share") as one,
        held_by_a_process(data, "polite", "share") as two,
        held_elsewhere(locker := file_locker(data), here, shared=True),
        locker.hold("u1", Polite()),
    ):
        assert here.asked.is_set()
        for child in (one, two):
            assert child.stdout is not None
            assert child.stdout.readline() == "free\n"
    assert list((data / "lock-requests").iterdir()) == []


def test_one_who_has_it_alone_lets_others_share_it(data: Path) -> None:
    with held_by_a_process(data, "polite") as child, file_locker(data).share("u1", Polite()):
        assert child.stdout is not None
        assert child.stdout.readline() == "free\n"
    assert list((data / "lock-requests").iterdir()) == []


def test_a_process_that_shares_is_not_sent_away_by_another(data: Path) -> None:
    with (
        held_by_a_process(data, "polite", "share") as child,
        file_locker(data, 0.0).share("u1", Polite()),
    ):
        time.sleep(3 * LISTEN_SECONDS)
        child.kill()
        assert child.stdout is not None
        assert child.stdout.read() == ""
