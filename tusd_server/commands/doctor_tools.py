"""Checks of the programs and libraries that look at media."""

import re
import subprocess
from collections.abc import Iterator

import PIL
import pillow_heif
from PIL import features

from processing.sandbox import Confinement, Sandbox, SandboxBroken, SandboxFailure
from processing.tools import Tools
from tusd_server.commands.finding import Finding, fail, ok, warn

PROGRAM_SECONDS = 15.0
# The oldest versions without a known hole that a hostile photo can use.
PILLOW_FLOOR = (13, 0)
PILLOW_HEIF_FLOOR = (1, 8, 1)


def check_ffmpeg(tools: Tools) -> Finding:
    """ffmpeg runs."""
    if tools.ffmpeg is None:
        return warn("ffmpeg", "It is not installed; videos get no thumbnails.")
    return _runs("ffmpeg", tools.ffmpeg)


def check_ffprobe(tools: Tools) -> Finding:
    """ffprobe runs."""
    if tools.ffprobe is None:
        return warn("ffprobe", "It is not installed; videos are read with libmediainfo instead.")
    return _runs("ffprobe", tools.ffprobe)


def check_mediainfo(tools: Tools) -> Finding:
    """libmediainfo can be loaded, which matters where there is no ffprobe."""
    from pymediainfo import MediaInfo

    if MediaInfo.can_parse():
        return ok("libmediainfo", "It can be loaded.")
    if tools.ffprobe is None:
        return fail("libmediainfo", "It cannot be loaded, nor is there ffprobe to read videos.")
    return warn("libmediainfo", "It cannot be loaded; videos are read with ffprobe alone.")


def check_pillow() -> Finding:
    """Pillow has no known hole, and reads what phones send."""
    finding = _new_enough("pillow", PIL.__version__, PILLOW_FLOOR)
    if finding.level == "ok" and not features.check("avif"):
        return warn("pillow", f"Version {PIL.__version__} was built without AVIF.")
    return finding


def check_pillow_heif() -> Finding:
    """pillow-heif has no known hole."""
    return _new_enough("pillow-heif", pillow_heif.__version__, PILLOW_HEIF_FLOOR)


def check_sandbox() -> Iterator[Finding]:
    """Decoders are kept from what they do not need."""
    try:
        found = Sandbox(PROGRAM_SECONDS).confinement()
    except (SandboxBroken, SandboxFailure, OSError) as error:
        yield fail("seccomp", f"The child process that decodes media cannot run: {error}.")
        return
    yield _about_seccomp(found)
    yield _about_landlock(found)


def _about_seccomp(found: Confinement) -> Finding:
    if not found.seccomp:
        return warn(
            "seccomp", "It is not available; decoders have limits but could use the network."
        )
    return ok("seccomp", "Decoders are kept from the network and from writing files.")


def _about_landlock(found: Confinement) -> Finding:
    if found.landlock:
        return ok("landlock", "Decoders are kept from all files but the one that they examine.")
    less = "decoders could read other files of this user"
    if not found.one_file:
        less += ", and renditions are not made"
    return warn("landlock", f"It is not available (Linux 5.13 has it); {less}.")


def _runs(name: str, path: str) -> Finding:
    try:
        done = subprocess.run(
            [path, "-hide_banner", "-version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROGRAM_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return fail(name, f"{path} does not run; install it again, or take it away from PATH.")
    found = re.match(rf"{name} version (\S+)", done.stdout)
    return ok(name, f"{path}, version {found[1] if found else 'unknown'}.")


def _new_enough(name: str, version: str, floor: tuple[int, ...]) -> Finding:
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[: len(floor)])
    if numbers < floor:
        wanted = ".".join(map(str, floor))
        return fail(name, f"Version {version} has known holes; {wanted} or newer is needed.")
    return ok(name, f"Version {version}.")
