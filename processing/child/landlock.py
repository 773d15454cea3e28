"""Keep this process to the files that it needs, by Landlock (Linux 5.13 and newer)."""

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterable
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1

_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_TRUNCATE: Final = 1 << 14
# Removing and making entries of every kind, from REMOVE_DIR to MAKE_SYM.
_CHANGE_FOLDERS: Final = sum(1 << bit for bit in range(4, 13))
# TCP, both ways; sockets and signals of others.
_NETWORK: Final = 0b11
_OTHERS: Final = 0b11


def landlock_version() -> int:
    """The version of the kernel's interface; 0 where there is none."""
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, _VERSION)))


def restrict(reads: Iterable[str], writes: str | None = None) -> bool:
    """Deny what lies neither at nor below `reads`, and every change; whether that is in force.

    `writes` is one file, which is there, that may be changed. Of `reads`, those that are not there
    are left out. It holds for all that this process becomes, which must not gain privileges any
    more; what is open already stays so.
    """
    version = landlock_version()
    if not version:
        return False
    to_file = _WRITE_FILE | (_TRUNCATE if version >= 3 else 0)
    handled = _READ_FILE | _READ_DIR | _CHANGE_FOLDERS | to_file
    attributes = struct.pack("=QQQ", handled, _NETWORK, _OTHERS)
    known = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _libc().syscall(_CREATE_RULESET, attributes, known, 0)
    if ruleset < 0:
        return False
    try:
        for path in reads:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                _allow(ruleset, path, _READ_FILE | _READ_DIR)
        if writes is not None and not _allow(ruleset, writes, _READ_FILE | to_file):
            return False
        return bool(_libc().syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> bool:
    file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):
            # A file has no entries, and the kernel refuses a rule about them.
            access &= ~_READ_DIR
        rule = struct.pack("=Qi", access, file)
        return bool(_libc().syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0) == 0)
    finally:
        os.close(file)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
