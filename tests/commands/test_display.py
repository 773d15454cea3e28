import io

import pytest
from rich.console import Console

from tusd_server.commands.display import Display

MIB = 1024 * 1024


def watched() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_bar_for_each_file_and_one_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    console = watched()
    display = Display(2, 4 * MIB, console=console)
    with display.shown(), display.meter("a [red] b.jpg", 2 * MIB, MIB) as bar:
        bar.at(2 * MIB)
        display.result("a.jpg: ready")
    shown = written(console)
    assert "a [red] b.jpg" in shown
    assert "2.0/2.0 MiB" in shown
    assert "2.0/4.0 MiB" in shown
    assert capsys.readouterr().out == "a.jpg: ready\n"


def test_the_bar_for_all_counts_what_is_over_once() -> None:
    console = watched()
    display = Display(2, 4 * MIB, console=console)
    with display.shown():
        with display.meter("a.jpg", 3 * MIB, 0) as bar:
            bar.at(3 * MIB)
        display.over(3 * MIB)
        with display.examining("b.jpg"):
            display.over(MIB)
            display.result("")
    shown = written(console)
    assert "4.0/4.0 MiB" in shown
    assert "5.0/4.0" not in shown
    assert "b.jpg: examined" in shown


def test_one_file_has_no_bar_for_all() -> None:
    console = watched()
    display = Display(1, MIB, console=console)
    with display.shown(), display.meter("a.jpg", MIB, 0):
        display.result("")
    assert "all" not in written(console)


def test_a_long_name_leaves_room_for_the_bar() -> None:
    console = watched()
    display = Display(1, MIB, console=console)
    with display.shown(), display.meter("x" * 300, MIB, 0):
        display.result("")
    assert "x" * 29 + "…" in written(console)
    assert "x" * 30 not in written(console)


def test_where_nobody_watches_there_are_sentences_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=20)
    display = Display(3, 3 * MIB, console=console)
    with display.shown(), display.meter("a.jpg", MIB, 0) as bar:
        bar.at(MIB)
        display.say("A sentence that is longer than the line, with [brackets] in it.")
        display.result("done")
    said = "tusd-server: A sentence that is longer than the line, with [brackets] in it.\n"
    assert written(console) == said
    assert capsys.readouterr().out == "done\n"
