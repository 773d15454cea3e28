"""Writes the parts of docs/ that are made from the code; `--check` only compares.

Between the two marker lines of a page everything is made: the settings in configuration.md, the
statuses and reasons in errors.md, the operations and objects in api-reference.md.
"""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

from api_page import api_page

from processing.reasons import REASONS
from tusd_server import __version__
from tusd_server.protocol.status import STATUS
from tusd_server.settings import PREFIX, Settings
from tusd_server.web.openapi import document
from tusd_server.web.reference import OPERATIONS

DOCS = Path(__file__).parent
BEGIN = "<!-- made by docs/generate.py: begin -->"
END = "<!-- made by docs/generate.py: end -->"


GROUPS = {
    "data_dir": "The program",
    "auth": "Who may",
    "max_size": "Uploads",
    "expire_unfinished_seconds": "How long things stay",
    "user_max_bytes": "Quotas",
    "trust_proxy": "Proxies and origins",
    "hooks_http": "Hooks",
    "embed_origins": "The page and events",
    "database_url": "Database, Redis and workers",
    "media_timeout_seconds": "Examination",
    "url_lifetime_seconds": "Links and posts",
    "video_min_seconds": "What is accepted",
    "thumbnail_side": "Thumbnails and other derivatives",
}
"""The first setting of each group, and the group's heading."""


def settings_table() -> Iterator[str]:
    """A heading for each setting, in groups, with its default and meaning."""
    for field in dataclasses.fields(Settings):
        if field.name in GROUPS:
            yield f"## {GROUPS[field.name]}"
            yield ""
        yield f"### `{PREFIX}{field.name.upper()}`"
        yield ""
        yield f"{field.metadata['doc']} Default: {_default(field)}."
        yield ""


def errors_table() -> Iterator[str]:
    """A heading for each error of an upload, then each reason of a rejection."""
    yield "## Statuses of uploads"
    yield ""
    for kind, row in STATUS.items():
        yield f"### {row.status} `{kind.__name__}`"
        yield ""
        yield (kind.__doc__ or "").strip().split("\n")[0]
        yield ""
        yield f"> {row.why}"
        yield ""
        if row.retry:
            yield "Clients are meant to try again by themselves."
            yield ""
    yield "## Reasons of a rejected medium"
    yield ""
    yield "| code | meaning |"
    yield "| --- | --- |"
    for code, meaning in REASONS.items():
        yield f"| `{code}` | {meaning} |"
    yield ""


def api_tables() -> Iterator[str]:
    """A heading for each operation of the JSON API, then one for each object."""
    return api_page(document(OPERATIONS, __version__, "/"))


def made(page: Path, lines: Iterator[str]) -> str:
    """The page with its made part renewed."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n\n" + "\n".join(lines) + END + after


def _default(field: "dataclasses.Field[object]") -> str:
    if field.default_factory is not dataclasses.MISSING:
        return {
            "data_dir": "`data`",
            "workers": "one a core, at most 4",
            "worker_concurrency": "one a core",
        }[field.name]
    if field.default is None:
        return "not set"
    if field.default == ():
        return "none"
    if isinstance(field.default, tuple):
        return f"`{','.join(field.default)}`"
    if isinstance(field.default, bool):
        return "`1`" if field.default else "`0`"
    return f"`{field.default}`"


PAGES = {
    "configuration.md": settings_table,
    "errors.md": errors_table,
    "api-reference.md": api_tables,
}


def main() -> None:
    """Write the pages, or with `--check` exit with status 1 when one is out of date."""
    for name, lines in PAGES.items():
        page = DOCS / name
        text = made(page, lines())
        if "--check" not in sys.argv:
            page.write_text(text, encoding="utf-8")
        elif text != page.read_text(encoding="utf-8"):
            sys.exit(f"docs/{name} is out of date; run `make docs`.")


if __name__ == "__main__":
    main()
