"""Run requests of the sandbox: in a child each, confined, decode, or become a program."""

import contextlib
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

CANNOT_RUN = 126
"""Exit status when the fault is the installation's, not the medium's."""


def find_package() -> None:
    """Make `processing` importable as it lies around this file, installed or checked out.

    `python -I` looks neither at the script's directory nor at PYTHONPATH; the path is taken
    away again so that nothing beside the package can shadow another module.
    """
    root = str(Path(__file__).resolve().parents[2])
    sys.path.insert(0, root)
    import processing  # noqa: F401

    sys.path.remove(root)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Carry out one request; does not return for the task `exec`."""
    from processing.child.confine import confine

    program = request["argv"][0] if request["task"] == "exec" else None
    confined = confine(request["parent"], program=program, **request.get("allowance", {}))
    if program is not None:
        os.execv(program, request["argv"])  # noqa: S606
    if request["task"] == "image":
        from processing.child.image import examine

        return examine(**request["arguments"])
    if request["task"] == "mediainfo":
        from processing.child.mediainfo import parse

        return parse(**request["arguments"])
    if request["task"] == "strip":
        from processing.child.stripping import strip

        return strip(**request["arguments"])
    from processing.child.landlock import landlock_version

    return {"seccomp": confined, "landlock": landlock_version() > 0}


def respond(request: dict[str, Any]) -> int:
    """Answer one request on the standard output; return the exit status."""
    from processing.child.refusal import Refused

    try:
        # Libraries that print must not get between the answer's bytes.
        with os.fdopen(os.dup(1), "w", encoding="utf-8") as stdout:
            if request["task"] != "exec":
                os.dup2(2, 1)
            try:
                reply = {"answer": answer(request)}
            except MemoryError:
                reply = {"refused": {"code": "unprocessable", "detail": "out of memory"}}
            except Refused as refused:
                reply = {"refused": {"code": refused.code, "detail": refused.detail}}
            with contextlib.suppress(BrokenPipeError):
                json.dump(reply, stdout)
                stdout.flush()
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return CANNOT_RUN
    return 0


def main() -> None:
    """Answer the requests that come on standard input until it is closed."""
    find_package()
    from processing.child.confine import confine_nursery
    from processing.child.nursery import Nursery, warm

    warm()
    confine_nursery()
    with socket.socket(fileno=0) as control:
        Nursery(control, respond).serve()


if __name__ == "__main__":
    main()
