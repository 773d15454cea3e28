"""Death of a process at a chosen call to the operating system, within a test's own process."""

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest import mock

# Whatever changes files; descriptors are left out, as the kernel closes those of the dead.
CALLS = (
    "copy_file_range",
    "ftruncate",
    "link",
    "mkdir",
    "pwrite",
    "rename",
    "replace",
    "rmdir",
    "sendfile",
    "unlink",
    "utime",
    "write",
)


class Death(BaseException):
    """The process is dead; no handler of errors may catch this."""


@contextmanager
def death_after(calls: int | None, *, torn: bool = False) -> Iterator[Callable[[], bool]]:
    """Let the process die at its next changing call but `calls`; None is immortality.

    A dead process changes nothing more, whatever its `finally` blocks try. The deadly call is not
    made; with `torn`, a deadly write leaves one half of its bytes. The value tells whether it died.
    """
    left = calls
    dead = False

    def mortal(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal left, dead
            if left is not None and not dead:
                dead = left == 0
                left -= 1
                if dead and torn and call is pwrite:
                    descriptor, data, offset = args
                    pwrite(descriptor, data[: len(data) // 2], offset)
            if dead:
                raise Death
            return call(*args, **kwargs)

        return wrapped

    def opening(call: Callable[..., Any], module: ModuleType) -> Callable[..., Any]:
        changing, alike = mortal(call), call

        def wrapped(path: Any, how: Any = "r", *args: Any, **kwargs: Any) -> Any:
            writes = how & (os.O_CREAT | os.O_TRUNC) if module is os else set(how) & set("wax+")
            # A file that is opened by its descriptor was opened by os.open.
            chosen = changing if writes and not isinstance(path, int) else alike
            return chosen(path, how, *args, **kwargs)

        return wrapped

    pwrite = os.pwrite
    with (
        mock.patch.multiple(os, **{name: mortal(getattr(os, name)) for name in CALLS}),
        mock.patch.object(os, "open", opening(os.open, os)),
        mock.patch.object(io, "open", opening(io.open, io)),
        mock.patch.object(builtins, "open", opening(builtins.open, builtins)),
    ):
        yield lambda: dead
