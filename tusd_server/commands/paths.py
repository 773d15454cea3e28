"""Which files the arguments of `upload` mean."""

import mimetypes
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tusd_server.commands.words import printable
from tusd_server.errors import BadSetting

_FAMILIES = ("image/", "video/")
# Python before 3.13 does not know the photos of today's phones.
_TYPES = {".heic": "image/heic", ".heif": "image/heif", ".avif": "image/avif"}


def type_of(name: str) -> str | None:
    """The type that a file's name claims."""
    return _TYPES.get(os.path.splitext(name)[1].lower()) or mimetypes.guess_type(name)[0]


def files_of(arguments: Sequence[Path]) -> tuple[list[Path], int]:
    """The files to send, each once, and how many in folders are left out.

    A folder means the photos and videos in it and below, by their names, in the order of their
    names; hidden ones and links to folders are left alone. Raises BadSetting, in one sentence,
    for what is neither or cannot be read.
    """
    found: list[Path] = []
    left_out = 0
    for argument in arguments:
        if not argument.is_dir():
            _check(argument)
            found.append(argument)
            continue
        for path in _below(argument):
            if (type_of(path.name) or "").startswith(_FAMILIES):
                _check(path)
                found.append(path)
            else:
                left_out += 1
    return list(dict.fromkeys(found)), left_out


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _check(path: Path) -> None:
    # Before it is opened: opening a pipe waits for its other end.
    if path.exists() and not path.is_file():
        raise BadSetting(f"{printable(str(path))} is neither a file nor a folder; give such.")
    try:
        path.open("rb").close()
    except OSError as error:
        _unreadable(error)


def _unreadable(error: OSError) -> None:
    name = printable(os.fsdecode(error.filename or ""))
    raise BadSetting(f"{name} cannot be read: {(error.strerror or str(error)).lower()}.") from None
