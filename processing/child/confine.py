"""Give up, for good, what decoding a file does not need: memory, time, network, others' files."""

import ctypes
import errno
import functools
import os
import resource
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from processing.child.landlock import landlock_version, restrict

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
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp"),
    *("pidfd_open", "pidfd_getfd", "pidfd_send_signal"),
    *("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "ioprio_set"),
    *("setsid", "setpgid", "mount", "umount2", "unshare", "setns", "chroot", "pivot_root"),
    *("bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key"),
    # What is left in such memory outlives the process.
    *("shmget", "shmat", "semget", "msgget", "mq_open"),
)
CHANGING_FILES: Final = (
    *("creat", "truncate", "unlink", "unlinkat", "rename", "renameat", "renameat2"),
    *("link", "linkat", "symlink", "symlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat"),
    *("chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "openat2"),
    *("fchmodat2", "setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr"),
    *("lremovexattr", "fremovexattr", "removexattrat"),
    *("utime", "utimes", "futimesat", "utimensat"),
)
FORKING: Final = ("fork", "vfork")
EXECUTING: Final = ("execve", "execveat")
OPENING: Final = ("open", "openat", "openat2", "open_by_handle_at")

# Those of the system, and what it tells every program of itself.
SYSTEM: Final = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
    *("/etc/alternatives", "/etc/localtime"),
    *("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu"),
)

_CLONE_THREAD = 0x10000
_INSTRUCTION_BYTES = 8
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2


def confine(
    parent: int,
    *,
    program: str | None = None,
    reads: str | None = None,
    writes: str | None = None,
    cpu_seconds: int | None = None,
    file_bytes: int | None = None,
    nice: int = 0,
) -> bool:
    """Set the limits and the system call filter on this process and all that it becomes.

    Return whether the filter is in force; where seccomp is missing the limits hold alone.
    Ends the process at once when `parent`, the process that asked, is already gone. `program` is
    what this process is to become. `reads` is the one file beside programs and libraries that may
    be read, where Landlock sees to it that no other is; `writes`, likewise, may be written.
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
    read_only = writes is None or not landlock_version()
    filtered = _load_filter(*_calls(may_exec=program is not None, read_only=read_only))
    readable = [*SYSTEM, *_homes(program), *([] if reads is None else [reads])]
    if not restrict(readable, writes) and not read_only:
        _load_filter((), _TO_WRITE)
    return filtered


def _homes(program: str | None) -> Iterator[str]:
    """Where the program, or else this one, has its files and libraries."""
    if program is None:
        yield str(Path(__file__).parents[1])
        found = [sys.prefix, sys.base_prefix]
    else:
        found = [str(_home(Path(program))), str(_home(Path(program).resolve()))]
        found += os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    # The root would be everything.
    yield from (path for path in found if path.startswith("/") and path != "/")


def _home(program: Path) -> Path:
    folder = program.parent
    return folder.parent if folder.name in ("bin", "sbin") else folder


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
        _load_filter((*NETWORK, *CHANGING_FILES))


def prepare() -> None:
    """Make the filters that children will need."""
    for may_exec, read_only in ((False, True), (True, True), (True, False)):
        _program(*_calls(may_exec=may_exec, read_only=read_only))
    _program(OPENING)


def seal() -> bool:
    """Deny the opening of any further file; return whether that is in force.

    Called once everything is imported and the medium is open: a decoder that is led to another
    file, by a reference or by its own fault, cannot read it.
    """
    return _load_filter(OPENING)


Rule = tuple[str, int, tuple[int, str, int, int] | None]
"""A call, the error that it gets, and the argument with which it does: number, test, values."""

_OPENERS = (("open", 1), ("openat", 2))
_TO_WRITE: Final[tuple[Rule, ...]] = tuple(
    (name, errno.EPERM, (flags, "MASKED_EQ", flag, flag))
    for name, flags in _OPENERS
    for flag in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC)
)
# Cutting off what is opened without writing, which Landlock lets pass before Linux 6.2.
_TO_CUT: Final[tuple[Rule, ...]] = tuple(
    (name, errno.EPERM, (flags, "MASKED_EQ", os.O_ACCMODE | os.O_TRUNC, access | os.O_TRUNC))
    for name, flags in _OPENERS
    for access in (os.O_RDONLY, os.O_ACCMODE)
)
# What every program does to itself and must not do to others.
_TO_OTHERS: Final[tuple[Rule, ...]] = (
    *(
        (name, errno.EPERM, (0, "NE", 0, 0))
        for name in ("prlimit64", "sched_setaffinity", "sched_setscheduler", "sched_setattr")
    ),
    ("setpriority", errno.EPERM, (0, "NE", 0, 0)),
    ("setpriority", errno.EPERM, (1, "NE", 0, 0)),
    # A thread, yes; a process, no. The C library falls back from clone3, whose flags lie in memory.
    ("clone", errno.EPERM, (0, "MASKED_EQ", _CLONE_THREAD, 0)),
    ("clone3", errno.ENOSYS, None),
)


def _calls(*, may_exec: bool, read_only: bool) -> tuple[tuple[str, ...], tuple[Rule, ...]]:
    denied = (*NETWORK, *OTHERS, *CHANGING_FILES, *FORKING, *(() if may_exec else EXECUTING))
    return denied, (*_TO_OTHERS, *(_TO_WRITE if read_only else _TO_CUT))


def _load_filter(denied: tuple[str, ...], rules: tuple[Rule, ...] = ()) -> bool:
    """Deny system calls from now on, some always and some by rules."""
    program = _program(denied, rules)
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
def _program(denied: tuple[str, ...], rules: tuple[Rule, ...] = ()) -> bytes | None:
    """Make the filter's code, None where that is not possible.

    Making it takes longer than a fork, so the nursery makes it once for all its children.
    """
    try:
        import pyseccomp as seccomp
    except (ImportError, OSError, RuntimeError):
        return None
    found = seccomp.SyscallFilter(defaction=seccomp.ALLOW)
    read, write = os.pipe()
    with os.fdopen(read, "rb") as code, os.fdopen(write, "wb") as out:
        try:
            for name in denied:
                _deny(found, seccomp.ERRNO(errno.EPERM), name)
            for name, error, condition in rules:
                _deny(found, seccomp.ERRNO(error), name, *_arguments(seccomp, condition))
            found.export_bpf(out)
        except OSError:
            return None
        out.close()
        return code.read()


def _arguments(seccomp: Any, condition: tuple[int, str, int, int] | None) -> list[object]:
    if condition is None:
        return []
    number, test, *values = condition
    return [seccomp.Arg(number, getattr(seccomp, test), *values)]


def _deny(rules: object, refuse: int, name: str, *arguments: object) -> None:
    """Add one rule; a call which this kernel or this machine does not have needs none."""
    try:
        rules.add_rule(refuse, name, *arguments)  # type: ignore[attr-defined]
    except (OSError, ValueError):
        return
