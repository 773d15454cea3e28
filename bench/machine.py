"""What a reader must know of the machine to judge the figures."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path


def facts(command: Sequence[str], directory: Path) -> list[str]:
    """Date, machine, place of the data and the exact command, one line each."""
    cores = os.cpu_count() or 1
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    return [
        f"Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
        f"Machine: {cores} cores of {_processor()}, {system}, Python {platform.python_version()}.",
        f"Data: {directory} ({_filesystem(directory)}).",
        f"Command: python -m bench {shlex.join(command)}".rstrip(),
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or sys.platform


def _filesystem(directory: Path) -> str:
    command = ["stat", "-f", "-c", "%T", str(directory)]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown file system"
    return found.stdout.strip()
