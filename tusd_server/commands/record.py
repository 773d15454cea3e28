"""What became of an upload: asked of the server until it is settled, and shown."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tusd_server.commands.connection import BadAnswer, Connection, UploadFailed
from tusd_server.commands.patience import Patience
from tusd_server.commands.words import bytes_of, printable

Record = Mapping[str, Any]

GOOD = frozenset({"ready", "registered", "published", "deleted"})
BAD = frozenset({"rejected", "failed"})
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0


class Records:
    """The media of one server."""

    def __init__(
        self,
        connection: Connection,
        patience: Patience,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`clock` gives seconds."""
        self._connection = connection
        self._patience = patience
        self._clock = clock
        self._sleep = sleep

    def get(self, media_id: str) -> Record:
        """The medium as it is now; raises UploadFailed."""
        self._patience.renew()
        while True:
            try:
                return self._ask(media_id)
            except UploadFailed as error:
                # After a power cut the record may come a minute behind its id.
                missing = isinstance(error, BadAnswer) and error.status == 404
                self._patience.bear(BadAnswer(503, str(error)) if missing else error)

    def settled(self, media_id: str, seconds: float) -> Record:
        """The medium once it is ready, registered if it has a post, or refused.

        Raises UploadFailed when that takes longer than `seconds`.
        """
        give_up_at = self._clock() + seconds
        pause = FIRST_PAUSE_SECONDS
        while not is_settled(record := self.get(media_id)):
            if self._clock() >= give_up_at:
                raise UploadFailed(
                    f"The file arrived, but after {seconds:g} s its status is still "
                    f"{record['status']}; is `tusd-server worker` running?"
                )
            self._sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
        return record

    def _ask(self, media_id: str) -> Record:
        answer = self._connection.send("GET", f"{self._connection.root}/api/v1/media/{media_id}")
        try:
            record: Record = answer.json()
            record["status"], record["post_id"]
        except (ValueError, KeyError, TypeError):
            raise UploadFailed("The server's answer is no record of a medium.") from None
        return record


def is_settled(record: Record) -> bool:
    """Whether nothing more will happen by itself."""
    status = record["status"]
    if status == "ready":
        return record["post_id"] is None
    return status in GOOD or status in BAD


def as_json(record: Record) -> str:
    """One line, as the server's API tells it."""
    return json.dumps(record, ensure_ascii=False)


def as_table(record: Record) -> str:
    """A heading of name and status, and a line for each thing that is known."""
    name = record.get("file_name") or record.get("id") or "?"
    lines = [f"{printable(str(name))}: {record['status']}"]
    lines += [f"  {label:<9}  {printable(text)}" for label, text in _facts(record)]
    return "\n".join(lines)


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    for reason in record.get("reasons") or ():
        yield "reason", f"{reason['message']} ({reason['code']})"
    for label in ("id", "post_id", "content_type"):
        if record.get(label):
            yield label.removesuffix("_id").removeprefix("content_"), str(record[label])
    if record.get("size") is not None:
        yield "size", bytes_of(record["size"])
    if record.get("width"):
        yield "pixels", f"{record['width']} x {record['height']}{_turn(record)}"
    if record.get("duration"):
        yield "duration", f"{record['duration']:.1f} s"
    if record.get("codec"):
        yield "codec", str(record["codec"])
    thumbnail = record.get("thumbnail") or {}
    if thumbnail.get("status") not in (None, "pending"):
        yield "thumbnail", _thumbnail(thumbnail)
    if record.get("url"):
        yield "url", str(record["url"])


def _turn(record: Record) -> str:
    return f", turned by {record['rotation']}°" if record.get("rotation") else ""


def _thumbnail(thumbnail: Mapping[str, Any]) -> str:
    if thumbnail["status"] == "ready":
        return f"{thumbnail['width']} x {thumbnail['height']}"
    return f"{thumbnail['status']} ({thumbnail['reason']})"
