"""The command line, run as people run it: a process with a home of its own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live import ROOT

SECONDS = 90.0


@dataclass(frozen=True)
class Cli:
    """`tusd-server` in the shell of somebody whose home is `home`."""

    home: Path

    @property
    def remembered(self) -> Path:
        return self.home / ".local/state/tusd-server/uploads.json"

    def __call__(self, *arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `environ` are variables of this run."""
        with self.started(*arguments, **environ) as process:
            stdout, stderr = process.communicate(timeout=SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    @contextlib.contextmanager
    def started(self, *arguments: object, **environ: str) -> Iterator[subprocess.Popen[str]]:
        """A command under way; killed, if it still runs, when the block is left."""
        usual = {"PATH": os.environ["PATH"], "HOME": str(self.home), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tusd_server", *map(str, arguments)]
        with subprocess.Popen(
            command,
            cwd=self.home,
            env={**usual, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    home = tmp_path / "home"
    home.mkdir()
    return Cli(home)
