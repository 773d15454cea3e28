"""`tusd-server ls`: what lies in a data directory, for whoever operates the machine."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hooks.events import NAME_KEYS
from processing.medium import Medium, Status
from tusd_server.app import make_store
from tusd_server.commands.catalog import existing_catalog
from tusd_server.commands.directory import require_data_dir
from tusd_server.commands.words import bytes_of, printable, span
from tusd_server.info import UploadInfo, now_utc
from tusd_server.settings import Settings

UPLOADING = "uploading"
PAGE = 500
_NEVER = datetime.min.replace(tzinfo=UTC)
_ROW = "{:<36}  {:<10}  {:>21}  {:>6}  {:<16}  {}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What to list; `owner` and `status` of None are all."""

    owner: str | None = None
    status: Status | None = None
    unfinished_only: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """An upload that still misses bytes, and how many are here, behind holes too."""

    info: UploadInfo
    received_bytes: int


def ls(settings: Settings, choice: Choice, *, as_json: bool) -> int:
    """Print unfinished uploads, oldest first, then media, newest first; the exit status.

    Changes nothing. Raises BadSetting when there is no such directory or no usable database.
    """
    require_data_dir(settings)
    if not as_json:
        print(_ROW.format("ID", "STATUS", "SIZE", "AGE", "OWNER", "NAME"))
    if choice.status is None:
        for begun in unfinished(settings, choice.owner):
            print(json.dumps(_upload_document(begun)) if as_json else _upload_row(begun, now_utc()))
    if not choice.unfinished_only:
        for medium in media(settings, choice):
            print(_medium_json(medium) if as_json else _medium_row(medium, now_utc()))
    return 0


def ls_orphans(settings: Settings) -> int:
    """Print the files that belong to no upload, one path a line; the exit status."""
    require_data_dir(settings)
    for path in sorted(make_store(settings, prepare=False).orphans()):
        print(path)
    return 0


def unfinished(settings: Settings, owner: str | None) -> list[Begun]:
    """The uploads that still miss bytes, oldest first."""
    store = make_store(settings, prepare=False)
    found = [
        Begun(info, store.received(info).bytes if info.in_chunks else info.offset)
        for info in store.all()
        if not info.finished and info.refusal is None and owner in (None, info.owner)
    ]
    return sorted(found, key=lambda begun: begun.info.created_at or _NEVER)


def media(settings: Settings, choice: Choice) -> Iterator[Medium]:
    """The records that match, newest first."""
    with existing_catalog(settings) as catalog:
        if catalog is None:
            return
        cursor = None
        while True:
            found, cursor = catalog.find(
                owner=choice.owner, status=choice.status, after=cursor, limit=PAGE
            )
            yield from found
            if cursor is None:
                return


def _length(length: int | None) -> str:
    return "?" if length is None else bytes_of(length)


def _upload_row(begun: Begun, now: datetime) -> str:
    info = begun.info
    size = f"{bytes_of(begun.received_bytes)}/{_length(info.length)}"
    name = info.metadata.text(*NAME_KEYS) or info.id
    return _row(info.id, UPLOADING, size, info.created_at, info.owner or "-", name, now)


def _medium_row(medium: Medium, now: datetime) -> str:
    name = medium.file_name or medium.upload_id
    size = bytes_of(medium.size)
    return _row(medium.id, medium.status, size, medium.created_at, medium.owner, name, now)


def _row(
    row_id: str,
    status: str,
    size: str,
    created_at: datetime | None,
    owner: str,
    name: str,
    now: datetime,
) -> str:
    age = span((now - created_at).total_seconds()) if created_at else "?"
    return _ROW.format(row_id, status, size, age, printable(owner), printable(name))


def _upload_document(begun: Begun) -> dict[str, Any]:
    info = begun.info
    return {
        "id": None,
        "upload_id": info.id,
        "owner": info.owner,
        "status": UPLOADING,
        "file_name": info.metadata.text(*NAME_KEYS),
        "offset": info.offset,
        "received_bytes": begun.received_bytes,
        "size": info.length,
        "metadata": info.metadata.to_text(),
        "created_at": info.created_at.isoformat() if info.created_at else None,
    }


def _medium_json(medium: Medium) -> str:
    def written(value: object) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    return json.dumps(dataclasses.asdict(medium), default=written)
