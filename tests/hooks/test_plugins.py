import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from hooks.plugins import GROUP, BadPlugin, load_plugins

MODULE = """
from hooks.base import Hooks

class Watchful(Hooks):
    pass

class Demanding(Hooks):
    def __init__(self, what): ...

def make():
    return Watchful()

def no_hook():
    return 5
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "a_plugin_of_tests.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("a_plugin_of_tests", None)


def point(name: str, attribute: str, module: str = "a_plugin_of_tests") -> EntryPoint:
    return EntryPoint(name, f"{module}:{attribute}", GROUP)


def test_classes_and_functions_in_the_order_of_their_names() -> None:
    found = load_plugins(lambda: [point("b", "make"), point("a", "Watchful")])
    assert [type(hook).__name__ for hook in found] == ["Watchful", "Watchful"]
    assert found[0] is not found[1]


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (point("x", "Missing"), "could not be loaded: AttributeError"),
        (point("x", "A", "no_such_module_here"), "could not be loaded: ModuleNotFoundError"),
        (point("x", "Demanding"), "could not be loaded: TypeError"),
        (point("x", "no_hook"), "makes a int; it must be a class that inherits"),
    ],
)
def test_what_is_no_hook_is_said_in_a_sentence(bad: EntryPoint, sentence: str) -> None:
    with pytest.raises(BadPlugin, match=f"The hook 'x' .*{sentence}"):
        load_plugins(lambda: [bad])


def test_nothing_need_be_installed() -> None:
    assert load_plugins() == []
