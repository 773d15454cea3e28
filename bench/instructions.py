"""python -m bench instructions: processor instructions of single requests, counted by valgrind.

Instructions, unlike seconds, are nearly the same in every run and on a busy machine, so a
change that makes a request dearer shows at once. Only the application is counted, called as a
server would call it; sockets and the event loop are not.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.servers import ROOT

FEW, MANY = 20, 70

ROWS = {
    "create": "POST without bytes",
    "upload_in_two": "4 KiB: POST, then PATCH",
    "upload_in_one": "4 KiB: one POST",
    "head": "HEAD",
    "options": "OPTIONS: Flask and little else",
}
_SUMMARY = re.compile(r"^summary: (\d+)", re.MULTILINE)


def main(arguments: Sequence[str]) -> int:
    """Count and print; 2 with a sentence where valgrind is missing or counted nothing."""
    options = _options(arguments)
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        print("valgrind is not installed; apt-get install valgrind.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="tusd-bench-") as directory:
        counted = _count(valgrind, Path(directory), options.auth)
    if counted is None:
        return 2
    print(_table(counted, options.auth))
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench instructions", description=__doc__)
    parser.add_argument("--auth", choices=("off", "jwt"), default="off", help="of the application")
    return parser.parse_args(arguments)


def _count(valgrind: str, directory: Path, auth: str) -> dict[str, int] | None:
    """Instructions of one request of each kind; None after a sentence when that failed."""
    command = [valgrind, "-q", "--tool=callgrind", "--trace-children=yes"]
    command += [f"--callgrind-out-file={directory}/%p"]
    command += [sys.executable, "-m", "bench.counted", auth, str(directory / "data")]
    # A seed of its own makes every process hash, and so order, its strings differently.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"Nothing was counted: {done.stderr.strip()[-500:]}", file=sys.stderr)
        return None
    totals: dict[str, list[int]] = {}
    for line in done.stdout.splitlines():
        kind, pid = line.split()
        totals.setdefault(kind, []).append(total(directory / pid))
    # What came before the requests is in both, so the difference is theirs alone.
    return {kind: (many - few) // (MANY - FEW) for kind, (few, many) in totals.items()}


def total(path: Path) -> int:
    """The instructions that callgrind wrote to this file; ValueError when it did not."""
    found = _SUMMARY.search(path.read_text())
    if found is None:
        raise ValueError(f"{path} is no output of callgrind.")
    return int(found[1])


def _table(counted: dict[str, int], auth: str) -> str:
    lines = [f"| request, auth {auth} | thousands of instructions |", "| --- | ---: |"]
    lines += [f"| {ROWS[kind]} | {number / 1000:,.0f} |" for kind, number in counted.items()]
    return "\n".join(lines)
