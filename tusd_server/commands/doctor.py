"""`tusd-server doctor`: will the server work here, and with all it can do?"""

from collections.abc import Callable, Iterable, Iterator

from processing.tools import Tools
from tusd_server.commands import doctor_data, doctor_tools
from tusd_server.commands.finding import Finding, fail, ok
from tusd_server.errors import BadSetting
from tusd_server.settings import Settings


def doctor(read_settings: Callable[[], Settings]) -> int:
    """Print one line for each check; the exit status, 1 if any failed.

    `read_settings` may raise BadSetting; then only what needs no settings is checked. Nothing is
    made or changed.
    """
    findings = _print_each(_findings(read_settings))
    return 1 if any(finding.level == "fail" for finding in findings) else 0


def _findings(read_settings: Callable[[], Settings]) -> Iterator[Finding]:
    try:
        settings = read_settings()
    except BadSetting as error:
        yield fail("settings", str(error))
    else:
        yield ok("settings", "All can be read.")
        yield from about_data(settings)
    yield from about_tools(Tools.found())


def about_data(settings: Settings) -> Iterator[Finding]:
    """What the settings point to."""
    for name, check in doctor_data.CHECKS.items():
        try:
            finding = check(settings)
        except OSError as error:
            finding = fail(name, f"It cannot be looked at: {str(error).lower()}.")
        if finding is not None:
            yield finding


def about_tools(tools: Tools) -> Iterator[Finding]:
    """What looks at media."""
    yield doctor_tools.check_ffmpeg(tools)
    yield doctor_tools.check_ffprobe(tools)
    yield doctor_tools.check_mediainfo(tools)
    yield doctor_tools.check_pillow()
    yield doctor_tools.check_pillow_heif()
    yield from doctor_tools.check_sandbox()


def _print_each(findings: Iterable[Finding]) -> list[Finding]:
    seen = []
    for finding in findings:
        print(finding, flush=True)
        seen.append(finding)
    return seen
