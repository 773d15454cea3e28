"""Let this process write one file and nothing else, by Landlock (Linux 5.13 and newer)."""

import ctypes
import os
import struct
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1

_WRITE_FILE: Final = 1 << 1
_TRUNCATE: Final = 1 << 14
# Removing and making entries of every kind, from REMOVE_DIR to MAKE_SYM.
_CHANGE_FOLDERS: Final = sum(1 << bit for bit in range(4, 13))


def landlock_version() -> int:
    """The version of the kernel's interface; 0 where there is none."""
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, _VERSION)))


def write_only(path: str) -> bool:
    """Deny every change to a file but those to `path`, which is there; whether that is in force.

    It holds for all that this process becomes, which must not gain privileges any more.
    """
    version = landlock_version()
    if not version:
        return False
    to_file = _WRITE_FILE | (_TRUNCATE if version >= 3 else 0)
    libc = _libc()
    handled = struct.pack("=Q", to_file | _CHANGE_FOLDERS)
    ruleset = libc.syscall(_CREATE_RULESET, handled, len(handled), 0)
    if ruleset < 0:
        return False
    file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", to_file, file)
        added = libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0) == 0
        return bool(added and libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(file)
        os.close(ruleset)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
