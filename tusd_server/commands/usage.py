"""`tusd-server ls --usage`: how much of the disk each user has taken."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from processing.usage import Usage
from tusd_server.commands.catalog import existing_catalog
from tusd_server.commands.directory import require_data_dir
from tusd_server.commands.ls import unfinished
from tusd_server.commands.words import bytes_of, printable
from tusd_server.settings import Settings

_ROW = "{:<16}  {:>10}  {:>10}  {:>11}  {:>10}  {}"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Uploads that still miss bytes: how many, and the bytes that are there."""

    number: int = 0
    received_bytes: int = 0


def ls_usage(settings: Settings, owner: str | None, *, as_json: bool) -> int:
    """Print each user's media and bytes, by name, or those of one; the exit status.

    Changes nothing. Raises BadSetting when there is no such directory or no usable database.
    """
    require_data_dir(settings)
    with existing_catalog(settings) as catalog:
        stored = {each.owner: each for each in catalog.usage(owner)} if catalog else {}
    under_way = _unfinished(settings, owner)
    if not as_json:
        print(_ROW.format("OWNER", "STORED", "ORIGINALS", "DERIVATIVES", "UNFINISHED", "MEDIA"))
    for name in sorted({*stored, *under_way}):
        usage = stored.get(name, Usage(name, {}, 0, 0))
        begun = under_way.get(name, Unfinished())
        print(json.dumps(_document(usage, begun)) if as_json else _row(usage, begun))
    return 0


def _unfinished(settings: Settings, owner: str | None) -> dict[str, Unfinished]:
    found: defaultdict[str, Unfinished] = defaultdict(Unfinished)
    for begun in unfinished(settings, owner):
        name = begun.info.owner or ""
        before = found[name]
        found[name] = Unfinished(before.number + 1, before.received_bytes + begun.received_bytes)
    return dict(found)


def _row(usage: Usage, begun: Unfinished) -> str:
    return _ROW.format(
        printable(usage.owner) or "-",
        bytes_of(usage.stored_bytes),
        bytes_of(usage.original_bytes),
        bytes_of(usage.derived_bytes),
        bytes_of(begun.received_bytes),
        ", ".join(_counts(usage, begun)),
    )


def _counts(usage: Usage, begun: Unfinished) -> Iterator[str]:
    if begun.number:
        yield f"{begun.number} uploading"
    for status, number in sorted(usage.media.items()):
        yield f"{number} {status}"


def _document(usage: Usage, begun: Unfinished) -> dict[str, Any]:
    return {
        "owner": usage.owner,
        "media": dict(usage.media),
        "original_bytes": usage.original_bytes,
        "derived_bytes": usage.derived_bytes,
        "stored_bytes": usage.stored_bytes,
        "unfinished": begun.number,
        "unfinished_bytes": begun.received_bytes,
    }
