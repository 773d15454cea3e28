"""Hooks of other Python packages: entry points of the group `tusd_server.hooks`."""

from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points

from hooks.base import Hooks

GROUP = "tusd_server.hooks"


class BadPlugin(Exception):
    """An entry point that is no hook; the text is one sentence for the operator."""


def load_plugins(
    found: Callable[[], Sequence[EntryPoint]] = lambda: list(entry_points(group=GROUP)),
) -> Sequence[Hooks]:
    """One hook for each entry point that is installed, in the order of their names.

    An entry point is a class that inherits from Hooks, or a function that returns such an
    object; it is called without arguments. Raises BadPlugin.
    """
    return [_made(point) for point in sorted(found(), key=lambda point: (point.name, point.value))]


def _made(point: EntryPoint) -> Hooks:
    try:
        made = point.load()()
    except Exception as error:
        raise BadPlugin(
            f"The hook {point.name!r} ({point.value}) could not be loaded: "
            f"{type(error).__name__}: {error}."
        ) from error
    if not isinstance(made, Hooks):
        raise BadPlugin(
            f"The hook {point.name!r} ({point.value}) makes a {type(made).__name__}; "
            "it must be a class that inherits from hooks.base.Hooks, or return such an object."
        )
    return made
