"""What a server's whole process tree has spent and holds, read from /proc."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

PROC = Path("/proc")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PARENT, _USER_TIME, _REAPED_SYSTEM_TIME = 1, 11, 14

MemoryKind = Literal["PSS", "RSS"]


def tree(roots: Iterable[int], proc: Path = PROC) -> frozenset[int]:
    """The given processes that live, and all their living descendants."""
    children = defaultdict(list)
    alive = set()
    for pid in _all_pids(proc):
        fields = _stat_fields(pid, proc)
        if fields:
            alive.add(pid)
            children[int(fields[_PARENT])].append(pid)
    found: set[int] = set()
    waiting = [pid for pid in roots if pid in alive]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting.extend(children[pid])
    return frozenset(found)


def cpu_seconds(roots: Iterable[int], proc: Path = PROC) -> float:
    """User and system time of the tree so far, with the time of the children it has reaped."""
    return sum(_cpu_ticks(pid, proc) for pid in tree(roots, proc)) / _TICKS_PER_SECOND


def memory_bytes(roots: Iterable[int], kind: MemoryKind, proc: Path = PROC) -> int:
    """What the tree holds: of a page shared by n processes PSS counts 1/n for each, RSS all."""
    read = _pss_bytes if kind == "PSS" else _rss_bytes
    return sum(read(pid, proc) for pid in tree(roots, proc))


def memory_kind(roots: Iterable[int], proc: Path = PROC) -> MemoryKind:
    """PSS where the kernel lets us read it of every process in the tree, RSS elsewhere."""
    try:
        for pid in tree(roots, proc):
            (proc / str(pid) / "smaps_rollup").read_bytes()
    except OSError:
        return "RSS"
    return "PSS"


def _all_pids(proc: Path) -> list[int]:
    return [int(name) for name in os.listdir(proc) if name.isdigit()]


def _stat_fields(pid: int, proc: Path) -> list[bytes]:
    try:
        stat = (proc / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The second field is the program's name and may itself hold blanks and brackets.
    return stat[stat.rindex(b")") + 2 :].split()


def _cpu_ticks(pid: int, proc: Path) -> int:
    return sum(map(int, _stat_fields(pid, proc)[_USER_TIME : _REAPED_SYSTEM_TIME + 1]))


def _pss_bytes(pid: int, proc: Path) -> int:
    try:
        rollup = (proc / str(pid) / "smaps_rollup").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    for line in rollup.splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _rss_bytes(pid: int, proc: Path) -> int:
    try:
        statm = (proc / str(pid) / "statm").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(statm.split()[1]) * _PAGE_BYTES
