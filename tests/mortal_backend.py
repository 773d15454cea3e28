"""The posts backend of examples/, which stops or dies between a commit and its answer.

`python -m tests.mortal_backend <folder> ...`: while `die` lies in the folder, the process kills
itself there, and takes `die` away before; while `wait` lies there, it makes `waiting` and
waits until `wait` is gone. All else is the example's own command line.
"""

import importlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[1] / "examples/posts_backend"


def main(folder: Path) -> None:
    """Serve the example, with a weak moment."""
    sys.path.insert(0, str(EXAMPLE))
    posts: Any = importlib.import_module("posts")
    add = posts.Posts.add

    def add_and_falter(self: Any, message_id: str, medium: Any) -> str:
        added: str = add(self, message_id, medium)
        falter(folder)
        return added

    posts.Posts.add = add_and_falter
    importlib.import_module("app").main()


def falter(folder: Path) -> None:
    """What the files in the folder ask for."""
    if (folder / "die").exists():
        (folder / "die").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    if (folder / "wait").exists():
        (folder / "waiting").touch()
    while (folder / "wait").exists():
        time.sleep(0.01)


if __name__ == "__main__":
    place = Path(sys.argv.pop(1))
    main(place)
