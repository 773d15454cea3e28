"""`tusd-server upload FILE...`: files to a server, and what became of them."""

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from processing.medium import is_post_id
from tusd_server.commands.connection import BadAnswer, Connection, NoAnswer, UploadFailed
from tusd_server.commands.patience import Patience
from tusd_server.commands.progress import CLEAR_LINE, Progress
from tusd_server.commands.record import GOOD, Record, Records, as_json, as_table
from tusd_server.commands.remembered import Remembered, default_path
from tusd_server.commands.transfer import Transfer
from tusd_server.commands.words import printable
from tusd_server.errors import BadSetting

INTERRUPTED = 130
HINT = (
    "`tusd-server token --user NAME` on the server's machine prints a token; "
    "give it as --token or in TUSD_TOKEN."
)


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the command line asks for; sizes in bytes, times in seconds."""

    files: Sequence[Path]
    url: str
    token: str | None
    post_id: str | None
    chunk_size: int
    as_json: bool
    wait: bool
    wait_seconds: float
    give_up_seconds: float
    resume_file: Path | None


def upload(wishes: Wishes) -> int:
    """Send all files, one after the other; the exit status.

    0: all are ready; 1: at least one was refused or did not arrive; 130: interrupted. Raises
    BadSetting, before anything is sent, for a file or a place that cannot be used.
    """
    _check(wishes)
    try:
        with contextlib.closing(Connection(wishes.url, wishes.token)) as connection:
            return _Upload(wishes, connection).run()
    except KeyboardInterrupt:
        _say("Interrupted; run the same command again and it goes on where it was.")
        return INTERRUPTED


class _Upload:
    """One run of the command."""

    def __init__(self, wishes: Wishes, connection: Connection) -> None:
        self._wishes = wishes
        self._remembered = Remembered(wishes.resume_file or default_path(os.environ))
        patience = Patience(wishes.give_up_seconds, _say)
        self._records = Records(connection, patience)
        self._transfer = Transfer(
            connection=connection,
            remembered=self._remembered,
            patience=patience,
            chunk_size=wishes.chunk_size,
            meter=lambda name, size, start: Progress(sys.stderr, name, size, start),
            say=_say,
            post_id=wishes.post_id,
        )

    def run(self) -> int:
        status = 0
        for path in self._wishes.files:
            try:
                record = self._one(path)
            except UploadFailed as error:
                status = 1
                _say(f"{printable(str(path))}: {error}{_hint(error)}")
                # No other file would fare better.
                if isinstance(error, NoAnswer) or _is_denied(error):
                    return status
            else:
                print(as_json(record) if self._wishes.as_json else as_table(record), flush=True)
                accepted = GOOD if self._wishes.wait else {*GOOD, "received", "processing"}
                status = status if record["status"] in accepted else 1
        return status

    def _one(self, path: Path) -> Record:
        try:
            key = self._transfer.key(path)
            media_id = self._transfer.send(path)
        except OSError as error:
            raise UploadFailed(f"It cannot be read: {_lowered(error)}.") from None
        if self._wishes.wait:
            record = self._records.settled(media_id, self._wishes.wait_seconds)
        else:
            record = self._records.get(media_id)
        self._remembered.forget(key)
        return record


def _check(wishes: Wishes) -> None:
    for path in wishes.files:
        name = printable(str(path))
        # Before it is opened: opening a pipe waits for its other end.
        if path.exists() and not path.is_file():
            raise BadSetting(f"{name} is not a file; give files one by one.")
        try:
            path.open("rb").close()
        except OSError as error:
            raise BadSetting(f"{name} cannot be read: {_lowered(error)}.") from None
    if wishes.post_id is not None and not is_post_id(wishes.post_id):
        raise BadSetting("--post-id must be 1 to 255 printable characters.")


def _is_denied(error: UploadFailed) -> bool:
    return isinstance(error, BadAnswer) and error.status == 401


def _hint(error: UploadFailed) -> str:
    return f" {HINT}" if _is_denied(error) else ""


def _lowered(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _say(sentence: str) -> None:
    over_progress = CLEAR_LINE if sys.stderr.isatty() else ""
    print(f"{over_progress}tusd-server: {sentence}", file=sys.stderr, flush=True)
