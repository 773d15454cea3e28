"""tuspy's uploader, taught what a bad network asks for."""

import os
from collections.abc import Callable, Mapping
from typing import BinaryIO
from urllib.parse import urljoin

import requests
from tusclient.client import TusClient
from tusclient.request import TusRequest
from tusclient.uploader.uploader import Uploader

from tusd_server.commands.connection import Connection, UploadFailed
from tusd_server.commands.words import printable

MEDIA_ID = "Upload-Media-Id"
BLOCK_BYTES = 64 * 1024
CHANGED = "The file changed while it was sent; run the command again when it is complete."

Report = Callable[[int], None]


class Sender(Uploader):
    """One file on its way.

    Requests go over our own connection and raise its errors; a chunk is read from the file while
    it is sent, and `report` is told the offset as the bytes go out. `media_id` is what the
    server has told of the medium, once every byte is there.
    """

    def __init__(
        self,
        connection: Connection,
        file: BinaryIO,
        metadata: Mapping[str, str],
        chunk_size: int,
        report: Report,
    ) -> None:
        """Send nothing yet; `chunk_size` in bytes."""
        self.connection = connection
        self.report = report
        self.media_id: str | None = None
        super().__init__(
            client=TusClient(connection.files_url),
            file_stream=file,
            metadata=dict(metadata),
            chunk_size=chunk_size,
        )

    def begin(self) -> str:
        """Create the upload; its URL."""
        url = self.create_url()
        self.set_url(url)
        self.offset = 0
        return url

    def resume(self, url: str) -> None:
        """Go on with an upload where the server has it."""
        self.set_url(url)
        self.offset = self.get_offset()

    def create_url(self) -> str:
        """See tuspy."""
        headers = self.get_url_creation_headers()  # type: ignore[no-untyped-call]
        answer = self.connection.send("POST", self.connection.files_url, headers=headers)
        self._note(answer)
        url = urljoin(self.connection.files_url, answer.headers.get("Location", ""))
        if url == self.connection.files_url:
            raise UploadFailed("The server did not say where the upload is; is it a tus server?")
        if not self.connection.own(url):
            raise UploadFailed(
                f"The server put the upload at {printable(url)}, which is not below --url; "
                "behind a proxy, the server needs TUSD_TRUST_PROXY."
            )
        return url

    def get_offset(self) -> int:
        """See tuspy."""
        answer = self.connection.send("HEAD", str(self.url), headers=self._headers())
        self._note(answer)
        return offset_of(answer, self.stop_at)

    def words(self) -> None:
        """Ask for the upload in a way that may be answered in words; raises what HEAD raised."""
        self.connection.send("GET", str(self.url), headers=self._headers(), stream=True).close()

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = self.get_headers()  # type: ignore[no-untyped-call]
        return headers

    def _do_request(self) -> None:
        request = _Patch(self)
        request.perform()
        self.request = request  # type: ignore[assignment]

    def _note(self, answer: requests.Response) -> None:
        self.media_id = answer.headers.get(MEDIA_ID, self.media_id)


class _Patch(TusRequest):
    """tuspy's PATCH, read from the file block by block."""

    def __init__(self, sender: Sender) -> None:
        super().__init__(sender)  # type: ignore[no-untyped-call]
        self._sender = sender

    def perform(self) -> None:
        """See tuspy."""
        sender = self._sender
        body = _Slice(self.file, sender.offset, self._content_length, sender.report)
        answer = sender.connection.send(
            "PATCH", self._url, data=body, headers=self._request_headers
        )
        sender._note(answer)
        self.status_code = answer.status_code
        offset = offset_of(answer, sender.stop_at)
        self.response_headers = {"upload-offset": str(offset)}


class _Slice:
    """A part of a file as a request's body; tells where it stands as it is read."""

    def __init__(self, file: BinaryIO, start: int, length: int, report: Report) -> None:
        self._file = file
        self._at = start
        self._end = start + length
        self._report = report
        file.seek(start)

    def __len__(self) -> int:
        return self._end - self._at

    def read(self, size: int = -1) -> bytes:
        self._report(self._at)
        wanted = min(self._end - self._at, BLOCK_BYTES if size < 0 else size)
        block = self._file.read(wanted)
        if wanted and not block:
            raise UploadFailed(CHANGED)
        self._at += len(block)
        return block


def offset_of(answer: requests.Response, length: int) -> int:
    """Upload-Offset of an answer; raises UploadFailed when it cannot be one of this upload."""
    text = answer.headers.get("Upload-Offset", "")
    if not (text.isascii() and text.isdigit()) or not 0 <= int(text) <= length:
        raise UploadFailed("The server did not say how much it has; is it a tus server?")
    return int(text)


def unchanged(file: BinaryIO, found: os.stat_result) -> bool:
    """Whether an open file is what it was."""
    now = os.fstat(file.fileno())
    return (now.st_size, now.st_mtime_ns) == (found.st_size, found.st_mtime_ns)
