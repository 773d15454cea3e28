"""Give up, for good, what decoding a file does not need: memory, time, network, writing."""

import ctypes
import errno
import functools
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from processing.child.landlock import landlock_version, write_only

MIB: Final = 1024 * 1024

LIMITS: Final = {
    # The most that honest media need is 640 MiB: ffmpeg on 4K HEVC with two threads.
    "RLIMIT_AS": 1024 * MIB,
    "RLIMIT_CPU": 20,
    # Results leave through the pipe; only the log of errors is a file.
    "RLIMIT_FSIZE": 64 * MIB,
    "RLIMIT_NOFILE": 64,
    "RLIMIT_CORE": 0,
}

NETWORK: Final = (
    *("socket", "socketpair", "connect", "bind", "listen", "accept", "accept4"),
    *("sendto", "sendmsg", "sendmmsg"),
    # io_uring opens sockets and files without the calls that are denied here.
    *("io_uring_setup", "io_uring_enter", "io_uring_register"),
)
OTHERS: Final = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kill", "pidfd_open"),
    *("setsid", "setpgid", "mount", "umount2", "unshare", "setns", "chroot", "pivot_root"),
    *("bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key"),
)
CHANGING_FILES: Final = (
    *("creat", "truncate", "unlink", "unlinkat", "rename", "renameat", "renameat2"),
    *("link", "linkat", "symlink", "symlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat"),
    *("chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "openat2"),
    *("setxattr", "lsetxattr", "fsetxattr", "removexattr", "utimensat"),
)
EXECUTING: Final = ("execve", "execveat", "fork", "vfork")
OPENING: Final = ("open", "openat", "openat2", "open_by_handle_at")

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_INSTRUCTION_BYTES = 8


def confine(
    parent: int,
    *,
    may_exec: bool,
    cpu_seconds: int | None = None,
    file_bytes: int | None = None,
    writes: str | None = None,
    nice: int = 0,
) -> bool:
    """Set the limits and the system call filter on this process and all that it becomes.

    Return whether the filter is in force; where seccomp is missing the limits hold alone.
    Ends the process at once when `parent`, the process that asked, is already gone. `writes` is
    the one file that may be written, where Landlock sees to it that no other is.
    """
    wanted = {"RLIMIT_CPU": cpu_seconds, "RLIMIT_FSIZE": file_bytes}
    _limit_resources(LIMITS | {name: most for name, most in wanted.items() if most})
    os.nice(nice)
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    landlock = writes is not None and landlock_version() > 0
    # Landlock comes second, for it would keep the filter's library from being found.
    filtered = _filter_calls(may_exec, read_only=not landlock)
    if landlock and not write_only(str(writes)):
        _load_filter((), read_only=True)
    return filtered


def _limit_resources(limits: Mapping[str, int]) -> None:
    for name, wanted in limits.items():
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(number, (limit, limit))


def confine_nursery() -> None:
    """Deny the network, and making, renaming and deleting files, to this process and its children.

    Writing is denied by each child to itself.
    """
    if sys.platform.startswith("linux"):
        _load_filter((*NETWORK, *CHANGING_FILES), read_only=False)


def prepare() -> None:
    """Make the filters that children will need."""
    for may_exec in (False, True):
        _program(_denied(may_exec), True)
    _program(OPENING, False)


def seal() -> bool:
    """Deny the opening of any further file; return whether that is in force.

    Called once everything is imported and the medium is open: a decoder that is led to another
    file, by a reference or by its own fault, cannot read it.
    """
    return _load_filter(OPENING, read_only=False)


def _filter_calls(may_exec: bool, read_only: bool) -> bool:
    return _load_filter(_denied(may_exec), read_only=read_only)


def _denied(may_exec: bool) -> tuple[str, ...]:
    return (*NETWORK, *OTHERS, *CHANGING_FILES, *(() if may_exec else EXECUTING))


def _load_filter(denied: Sequence[str], *, read_only: bool) -> bool:
    """Deny system calls from now on, and opening for writing when `read_only`."""
    program = _program(tuple(denied), read_only)
    if program is None:
        return False
    code = ctypes.create_string_buffer(program)
    filter_ = _Filter(len(program) // _INSTRUCTION_BYTES, ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    done: int = libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filter_), 0, 0)
    return done == 0


class _Filter(ctypes.Structure):
    """`struct sock_fprog` of the kernel."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


@functools.cache
def _program(denied: tuple[str, ...], read_only: bool) -> bytes | None:
    """Make the filter's code, None where that is not possible.

    Making it takes longer than a fork, so the nursery makes it once for all its children.
    """
    try:
        import pyseccomp as seccomp
    except (ImportError, OSError, RuntimeError):
        return None
    refuse = seccomp.ERRNO(errno.EPERM)
    rules = seccomp.SyscallFilter(defaction=seccomp.ALLOW)
    read, write = os.pipe()
    with os.fdopen(read, "rb") as code, os.fdopen(write, "wb") as out:
        try:
            for name in denied:
                _deny(rules, refuse, name)
            for name, flags in (("open", 1), ("openat", 2)) if read_only else ():
                for access in (os.O_WRONLY, os.O_RDWR):
                    mode = seccomp.Arg(flags, seccomp.MASKED_EQ, os.O_ACCMODE, access)
                    _deny(rules, refuse, name, mode)
            rules.export_bpf(out)
        except OSError:
            return None
        out.close()
        return code.read()


def _deny(rules: object, refuse: int, name: str, *arguments: object) -> None:
    """Add one rule; a call which this kernel or this machine does not have needs none."""
    try:
        rules.add_rule(refuse, name, *arguments)  # type: ignore[attr-defined]
    except (OSError, ValueError):
        return
