"""What a check of `tusd-server doctor` finds."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `warn` where the server works with less, `fail` where it does not work."""

    level: Level
    name: str
    sentence: str

    def __str__(self) -> str:
        """The line, as other programs may read it."""
        return f"{self.level} {self.name}: {self.sentence}"


def ok(name: str, sentence: str) -> Finding:
    """Everything is as it should be."""
    return Finding("ok", name, sentence)


def warn(name: str, sentence: str) -> Finding:
    """The server works with less."""
    return Finding("warn", name, sentence)


def fail(name: str, sentence: str) -> Finding:
    """The server does not work, or not safely."""
    return Finding("fail", name, sentence)
