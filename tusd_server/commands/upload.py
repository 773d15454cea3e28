"""`tusd-server upload PATH...`: files to a server, and what became of them."""

import os
import queue
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from processing.medium import is_post_id
from tusd_server.commands.connection import BadAnswer, Connection, NoAnswer, UploadFailed
from tusd_server.commands.display import Display
from tusd_server.commands.paths import files_of
from tusd_server.commands.patience import Patience
from tusd_server.commands.picture import drawing, picture_of
from tusd_server.commands.record import GOOD, Record, Records, as_json, as_table
from tusd_server.commands.remembered import Remembered, default_path
from tusd_server.commands.transfer import Transfer
from tusd_server.commands.words import printable
from tusd_server.errors import BadSetting

REFUSED = 1
NOT_ARRIVED = 75  # EX_TEMPFAIL of sysexits.h: the same command may succeed later
INTERRUPTED = 130
HINT = (
    "`tusd-server token --user NAME` on the server's machine prints a token; "
    "give it as --token or in TUSD_TOKEN."
)
_POLL_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the command line asks for; sizes in bytes, times in seconds."""

    paths: Sequence[Path]
    url: str
    token: str | None
    post_id: str | None
    chunk_size: int
    parallel: int
    as_json: bool
    picture: bool
    wait: bool
    wait_seconds: float
    give_up_seconds: float
    resume_file: Path | None


def upload(wishes: Wishes) -> int:
    """Send all files, some at a time; the exit status.

    0: all are ready; 1: at least one was refused; 75: none was refused, but at least one did not
    arrive or was not examined in time; 130: interrupted. Raises BadSetting, before anything is
    sent, for a file or a place that cannot be used.
    """
    if wishes.post_id is not None and not is_post_id(wishes.post_id):
        raise BadSetting("--post-id must be 1 to 255 printable characters.")
    files, left_out = files_of(wishes.paths)
    if not files:
        raise BadSetting("There is no photo or video in the folders; give others, or files.")
    run = _Run(wishes, files)
    if left_out:
        run.display.say(f"{left_out} other files in the folders are left out.")
    try:
        return run.all()
    except KeyboardInterrupt:
        run.display.say("Interrupted; run the same command again and it goes on where it was.")
        return INTERRUPTED


class _Run:
    """One run of the command: a few threads that take file after file."""

    def __init__(self, wishes: Wishes, files: Sequence[Path]) -> None:
        self.wishes = wishes
        self.remembered = Remembered(wishes.resume_file or default_path(os.environ))
        self.display = Display(len(files), sum(path.stat().st_size for path in files))
        self.draw = drawing(os.environ) if wishes.picture and sys.stdout.isatty() else None
        self._files: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for path in files:
            self._files.put(path)
        self._count = min(wishes.parallel, len(files))
        self._statuses: set[int] = set()
        self._hopeless = threading.Event()
        self._error: BaseException | None = None

    def all(self) -> int:
        """Send all files; the exit status."""
        # Daemons: after Ctrl-C nobody waits for an answer that may take minutes.
        threads = [threading.Thread(target=self._take, daemon=True) for _ in range(self._count)]
        with self.display.shown():
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(_POLL_SECONDS)
        if self._error is not None:
            raise self._error
        return next((code for code in (REFUSED, NOT_ARRIVED) if code in self._statuses), 0)

    def _take(self) -> None:
        try:
            with closing(Connection(self.wishes.url, self.wishes.token)) as connection:
                one = _One(self, connection)
                while not self._hopeless.is_set():
                    self._send(one, self._files.get_nowait())
        except queue.Empty:
            pass
        except Exception as error:
            # Nothing that concerns one file alone: a place that can no longer be written.
            self._error = error
            self._hopeless.set()

    def _send(self, one: "_One", path: Path) -> None:
        size = path.stat().st_size if path.exists() else 0
        try:
            self._statuses.add(one.send(path))
        except UploadFailed as error:
            self._tell(path, error)
        finally:
            self.display.over(size)

    def _tell(self, path: Path, error: UploadFailed) -> None:
        final = isinstance(error, BadAnswer) and not error.for_now
        self._statuses.add(REFUSED if final else NOT_ARRIVED)
        # No other file would fare better, and one sentence about it is enough.
        hopeless = isinstance(error, NoAnswer) or _is_denied(error)
        if hopeless and self._hopeless.is_set():
            return
        if hopeless:
            self._hopeless.set()
        self.display.say(f"{printable(str(path))}: {error}{_hint(error)}")
        if self.wishes.as_json:
            self.display.result(as_json({"path": str(path), "error": str(error)}))


class _One:
    """Sends one file at a time over a connection of its own."""

    def __init__(self, run: _Run, connection: Connection) -> None:
        self._run = run
        self._connection = connection
        patience = Patience(run.wishes.give_up_seconds, run.display.say)
        self._records = Records(connection, patience)
        self._transfer = Transfer(
            connection=connection,
            remembered=run.remembered,
            patience=patience,
            chunk_size=run.wishes.chunk_size,
            meter=run.display.meter,
            say=run.display.say,
            post_id=run.wishes.post_id,
        )

    def send(self, path: Path) -> int:
        """Send a file and show what became of it; raises UploadFailed."""
        try:
            key = self._transfer.key(path)
            media_id = self._transfer.send(path)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UploadFailed(f"It cannot be read: {reason}.") from None
        record = self._settled(path, media_id)
        self._run.remembered.forget(key)
        self._show(path, record)
        accepted = GOOD if self._run.wishes.wait else {*GOOD, "received", "processing"}
        return 0 if record["status"] in accepted else REFUSED

    def _settled(self, path: Path, media_id: str) -> Record:
        if not self._run.wishes.wait:
            return self._records.get(media_id)
        with self._run.display.examining(printable(path.name)):
            return self._records.settled(media_id, self._run.wishes.wait_seconds)

    def _show(self, path: Path, record: Record) -> None:
        if self._run.wishes.as_json:
            self._run.display.result(as_json({**record, "path": str(path)}))
            return
        picture = self._picture(record)
        self._run.display.result(f"{as_table(record)}\n{picture}" if picture else as_table(record))

    def _picture(self, record: Record) -> str | None:
        url = record.get("thumbnail_url")
        if self._run.draw is None or not url or not self._connection.own(str(url)):
            return None
        try:
            image = picture_of(self._connection.send("GET", str(url)).content)
        except UploadFailed:
            # The upload is done; its picture is a courtesy.
            return None
        return None if image is None else self._run.draw(image)


def _is_denied(error: UploadFailed) -> bool:
    return isinstance(error, BadAnswer) and error.status == 401


def _hint(error: UploadFailed) -> str:
    return f" {HINT}" if _is_denied(error) else ""
