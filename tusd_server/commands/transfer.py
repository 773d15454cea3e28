"""One file to the server, whatever happens on the way."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from tusd_server.commands.connection import BadAnswer, Connection, NoAnswer, UploadFailed
from tusd_server.commands.paths import type_of
from tusd_server.commands.patience import Patience
from tusd_server.commands.remembered import Remembered, fingerprint
from tusd_server.commands.sender import CHANGED, Sender, unchanged
from tusd_server.commands.words import bytes_of, printable

# Not found, gone, too large, refused: nobody can go on with such an upload.
_GONE = frozenset({404, 410, 413, 415})


class Meter(Protocol):
    """Shows how far a file is."""

    def at(self, offset: int) -> None:
        """So many bytes are out."""


@dataclass(frozen=True)
class Transfer:
    """How files are sent: to whom, in chunks of how many bytes, with how much patience.

    `meter` opens the display of one file, given its name, its size and where it starts.
    """

    connection: Connection
    remembered: Remembered
    patience: Patience
    chunk_size: int
    meter: Callable[[str, int, int], AbstractContextManager[Meter]]
    say: Callable[[str], None]
    post_id: str | None = None

    def key(self, path: Path) -> str:
        """The fingerprint of this file's upload to this server; raises OSError."""
        return fingerprint(path, path.stat(), self.connection.root, self.post_id)

    def send(self, path: Path) -> str:
        """The id of the medium that the file became, once all its bytes are at the server.

        An upload that began in an earlier run goes on. Raises UploadFailed; what was sent stays
        remembered, unless the server will never go on with it.
        """
        self.patience.renew()
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            key = fingerprint(path, found, self.connection.root, self.post_id)
            sending = _Sending(self, path, file, found, key)
            try:
                sending.run()
            except BadAnswer as error:
                if error.status in _GONE:
                    self.remembered.forget(key)
                raise
        if sending.media_id is None:
            raise UploadFailed("All bytes arrived, but the server names no medium for them.")
        return sending.media_id

    def metadata(self, path: Path) -> dict[str, str]:
        """What the server is told of the file."""
        name = os.fsencode(path.name).decode("utf-8", "replace")
        told = {"filename": name}
        content_type = type_of(name)
        if content_type is not None:
            told["filetype"] = content_type
        if self.post_id is not None:
            told["post_id"] = self.post_id
        return told


class _Sending:
    """The state of one file's transfer."""

    def __init__(
        self, transfer: Transfer, path: Path, file: BinaryIO, found: os.stat_result, key: str
    ) -> None:
        self._transfer = transfer
        self._name = printable(path.name)
        self._file = file
        self._found = found
        self._key = key
        self._meter: Meter | None = None
        self._broken = False
        self._sender = Sender(
            transfer.connection, file, transfer.metadata(path), transfer.chunk_size, self._report
        )

    @property
    def media_id(self) -> str | None:
        return self._sender.media_id

    def run(self) -> None:
        """Send everything, as often as patience allows."""
        self._again(self._begin)
        start, size = self._sender.offset, self._found.st_size
        if start > 0:
            told = f"{bytes_of(start)} of {bytes_of(size)}"
            self._transfer.say(f"{self._name}: going on behind {told}.")
        with self._transfer.meter(self._name, size, start) as self._meter:
            self._report(start)
            self._again(self._rest)

    def _again(self, step: Callable[[], None]) -> None:
        while True:
            try:
                return step()
            except UploadFailed as error:
                # A server that never answered is more likely misspelt than restarting.
                if isinstance(error, NoAnswer) and not self._transfer.connection.answered:
                    raise
                self._transfer.patience.bear(error)

    def _begin(self) -> None:
        """Go on with the upload of an earlier run if the server still knows it, or create one."""
        url = self._transfer.remembered.get(self._key)
        if url is not None and self._transfer.connection.own(url) and self._resumes(url):
            return
        self._transfer.remembered.put(self._key, self._sender.begin())

    def _resumes(self, url: str) -> bool:
        try:
            self._sender.resume(url)
        except BadAnswer as error:
            if error.for_now:
                raise
            # Whatever it is, a new upload goes through, or is refused in the server's words.
            return False
        return True

    def _rest(self) -> None:
        """Everything behind the server's offset; that is asked for again after a failure."""
        if self._broken:
            self._ask_again()
        self._broken = True
        while self._sender.offset < self._found.st_size:
            if not unchanged(self._file, self._found):
                self._transfer.remembered.forget(self._key)
                raise UploadFailed(CHANGED)
            before = self._sender.offset
            self._sender.upload_chunk()  # type: ignore[no-untyped-call]
            self._report(self._sender.offset)
            if self._sender.offset > before:
                self._transfer.patience.renew()

    def _ask_again(self) -> None:
        before = self._sender.offset
        try:
            self._sender.resume(str(self._sender.url))
        except BadAnswer as error:
            if not error.for_now:
                # An answer to HEAD has no words; why it was refused is told to a GET.
                self._sender.words()
            raise
        if self._sender.offset > before:
            self._transfer.patience.renew()

    def _report(self, offset: int) -> None:
        if self._meter is not None:
            self._meter.at(offset)
