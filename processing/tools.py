"""The programs of the system which the pipeline uses when they are installed."""

import shutil
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Tools:
    """Absolute paths of ffmpeg and ffprobe; None where there is none."""

    ffmpeg: str | None = None
    ffprobe: str | None = None

    @classmethod
    def found(cls, path: str | None = None) -> Self:
        """Look along `path`, a PATH-like string; None means this process's own PATH."""
        return cls(shutil.which("ffmpeg", path=path), shutil.which("ffprobe", path=path))
