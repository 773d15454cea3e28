"""A real worker that dies by its own SIGKILL when it comes to a chosen point of a job.

`python -m tests.survival.condemned <point> <effects>`, with its settings in `TUSD_*`. A point is
`step <name>` (a step is told), `amid <name>` (a part of it is done), `before <call>` or
`after <call>` of CALLS, `poison` (a medium whose file is called so is taken up), or `never`. What
became of media is noted in the file `effects`.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from hooks.posts import EmbeddedPosts
from processing import worker
from processing.catalog import Catalog
from processing.medium import Medium
from processing.queue import Queue
from processing.shelf import Shelf
from processing.tasks import Tasks
from tusd_server.commands.worker import work
from tusd_server.settings import Settings
from tusd_server.uploads.files import FinishedUploads

CALLS: dict[str, tuple[type, str]] = {
    "processing": (Catalog, "processing"),
    "place": (Catalog, "place"),
    "put": (Shelf, "put"),
    "hand over": (FinishedUploads, "hand_over"),
    "ready": (Catalog, "ready"),
    "register": (EmbeddedPosts, "register"),
    "registered": (Catalog, "registered"),
    "done": (Queue, "done"),
}
EFFECTS = ("ready", "registered")
STEPS = ("sniff", "probe", "validate", "digest", "thumbnail", "place", "register")


def main(point: str, effects: Path) -> None:
    """Work until death or SIGTERM."""
    for name in EFFECTS:
        _note(name, effects)
    when, _, name = point.partition(" ")
    if when == "step":
        _die_at_step(name)
    elif when == "amid":
        _die_amid(name)
    elif when in ("before", "after"):
        _die_at_call(when, *CALLS[name])
    elif when == "poison":
        _die_of_poison()
    sys.exit(work(Settings.from_env(os.environ)))


def _die(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL has no handler.")


def _die_at_step(name: str) -> None:
    def hear(running: object, step: str, progress: float | None) -> None:
        if step == name:
            _die()

    worker._Running.hear = hear  # type: ignore[method-assign,assignment]


def _die_amid(name: str) -> None:
    def hear(running: object, step: str, progress: float | None) -> None:
        if step == name and progress is not None and 0 < progress < 1:
            _die()

    worker._Running.hear = hear  # type: ignore[method-assign,assignment]


def _die_at_call(when: str, kind: type, name: str) -> None:
    call: Callable[..., Any] = getattr(kind, name)

    @functools.wraps(call)
    def deadly(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            call(*args, **kwargs)
        _die()

    setattr(kind, name, deadly)


def _die_of_poison() -> None:
    process = Tasks._process

    def taste(tasks: Tasks, medium: Medium) -> None:
        if (medium.file_name or "").startswith("poison"):
            _die()
        process(tasks, medium)

    Tasks._process = taste  # type: ignore[method-assign]


def _note(name: str, effects: Path) -> None:
    call: Callable[..., bool] = getattr(Catalog, name)

    @functools.wraps(call)
    def noted(catalog: Catalog, media_id: str, *args: Any, **kwargs: Any) -> bool:
        changed = call(catalog, media_id, *args, **kwargs)
        if changed:
            with effects.open("a") as file:
                file.write(f"{name} {media_id}\n")
        return changed

    setattr(Catalog, name, noted)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
