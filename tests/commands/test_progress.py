import io
import shutil
from os import terminal_size

import pytest

from tusd_server.commands.progress import CLEAR_LINE, Progress

MIB = 1024 * 1024


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        return self.getvalue().split(CLEAR_LINE)[1:]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: terminal_size((100, 24)))


@pytest.mark.usefixtures("width")
def test_bar_bytes_rate_and_time_left() -> None:
    terminal, clock = Terminal(), Clock()
    with Progress(terminal, "a.mp4", 100 * MIB, 0, clock=clock) as progress:
        clock.now += 2
        progress.at(20 * MIB)
    shown, cleared = terminal.lines()
    bar = f"[{'#' * 6}{'.' * 24}]"
    assert shown == f"a.mp4  {bar}   20 %  20.0 MiB of 100.0 MiB  10.0 MiB/s  0:08"
    assert cleared == ""


@pytest.mark.usefixtures("width")
def test_rate_counts_what_this_run_sent() -> None:
    terminal, clock = Terminal(), Clock()
    progress = Progress(terminal, "a.mp4", 100 * MIB, 90 * MIB, clock=clock)
    clock.now += 1
    progress.at(91 * MIB)
    assert terminal.lines()[-1].endswith("1.0 MiB/s  0:09")


@pytest.mark.usefixtures("width")
def test_rate_is_that_of_the_last_seconds() -> None:
    terminal, clock = Terminal(), Clock()
    progress = Progress(terminal, "a.mp4", 1000 * MIB, 0, clock=clock)
    for second in range(1, 31):
        clock.now += 1
        progress.at((second if second < 20 else second * 10) * MIB)
    assert "  10.0 MiB/s  " in terminal.lines()[-1]


@pytest.mark.usefixtures("width")
def test_a_step_back_behind_a_break() -> None:
    terminal, clock = Terminal(), Clock()
    progress = Progress(terminal, "a.mp4", 100 * MIB, 0, clock=clock)
    for offset in (50, 40, 45):
        clock.now += 1
        progress.at(offset * MIB)
    assert terminal.lines()[-1].endswith(" 45 %  45.0 MiB of 100.0 MiB  5.0 MiB/s  0:11")


def test_ten_times_a_second_at_most_and_always_the_end() -> None:
    terminal, clock = Terminal(), Clock()
    progress = Progress(terminal, "a.mp4", 1000, 0, clock=clock)
    for offset in range(0, 1001, 10):
        clock.now += 0.01
        progress.at(offset)
    lines = terminal.lines()
    assert 10 <= len(lines) <= 12
    assert "100 %" in lines[-1]


def test_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: terminal_size((30, 24)))
    terminal = Terminal()
    Progress(terminal, "a name that is long and goes on and on.mp4", 1000, 0).at(10)
    assert max(map(len, terminal.lines())) <= 29


def test_nothing_where_nobody_watches() -> None:
    stream = io.StringIO()
    with Progress(stream, "a.mp4", 1000, 0) as progress:
        progress.at(1000)
    assert stream.getvalue() == ""
