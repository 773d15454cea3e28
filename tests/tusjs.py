"""tus-js-client from npm, at the version of tests/clients/js/package-lock.json."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.live import ROOT

FOLDER = ROOT / "tests/clients/js"
BUNDLE = FOLDER / "node_modules/tus-js-client/dist/tus.min.js"
SECONDS = 40.0

Event = dict[str, Any]


def installed() -> Path:
    """The folder whose node_modules has it; fetched by npm where it is not up to date."""
    lock, seen = FOLDER / "package-lock.json", FOLDER / "node_modules/.fetched"
    if not (seen.exists() and seen.read_bytes() == lock.read_bytes()):
        subprocess.run(["npm", "ci", "--silent"], cwd=FOLDER, check=True, timeout=SECONDS)
        seen.write_bytes(lock.read_bytes())
    return FOLDER


@dataclass(frozen=True)
class Node:
    """Runs plans (see tests/clients/js/run.mjs) in processes of Node."""

    program: Path
    packages: Path

    def run(self, file: Path, plan: Event) -> Event:
        """Its last word: `state`, `url`, `requests`; `message`, `status`, `body` of an error."""
        with self.started(file, plan) as events:
            # Behind an abort come the answers to what was under way.
            [result] = [event for event in events if "state" in event]
        return result

    @contextmanager
    def started(self, file: Path, plan: Event) -> Iterator[Iterator[Event]]:
        """What it tells while it runs, an event for each answer that it gets."""
        command = [self.program, FOLDER / "node.mjs", self.packages, file, json.dumps(plan)]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                yield map(json.loads, process.stdout)
                _, errors = process.communicate(timeout=SECONDS)
                assert process.returncode == 0, errors.decode()
            finally:
                process.kill()


def plan(url: str, token: str, *, resume: bool = False, **options: Any) -> Event:
    """A plan with options of tus.Upload; names with underscores become camel case."""
    chosen = {_camel(name): value for name, value in options.items()}
    return {
        "resume": resume,
        "options": {
            "endpoint": f"{url}/files/",
            "headers": {"Authorization": f"Bearer {token}"},
            "metadata": {"filename": "Ferien am Müggelsee.jpg", "filetype": "image/jpeg"},
            "retryDelays": [0, 100, 300, 1000],
            **chosen,
        },
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))
