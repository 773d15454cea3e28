"""UploadInfo: the frozen facts of one upload, and its form on disk."""

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tusd_server.errors import BadHeader, UploadNotFound
from tusd_server.metadata import Metadata

# An id becomes a file name and a path segment, so it is plain by construction. It begins with a
# letter or digit: nothing hidden, no option of a command, no `.info` of another upload.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", re.ASCII)
_RESERVED = frozenset({"uploads"})


def is_id(text: str) -> bool:
    """Tell whether an upload may have this id."""
    return _ID.fullmatch(text) is not None and text not in _RESERVED


def check_id(upload_id: str) -> str:
    """Return the id unchanged, or raise UploadNotFound when no upload can have it."""
    if not is_id(upload_id):
        raise UploadNotFound("There is no such upload.")
    return upload_id


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an upload was refused for good: a code for programs, a sentence for people.

    `status` and `headers` are set where a hook decided how that is answered.
    """

    code: str
    message: str
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Its form in an `.info` file."""
        document: dict[str, Any] = {"Code": self.code, "Message": self.message}
        if self.status is not None:
            document |= {"Status": self.status, "Headers": dict(self.headers)}
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Refusal":
        """Read it back."""
        headers = tuple(document.get("Headers", {}).items())
        return cls(document["Code"], document["Message"], document.get("Status"), headers)


@dataclass(frozen=True, slots=True)
class UploadInfo:
    """The facts of one upload at one moment.

    `length` is None while the client has not told it (creation-defer-length).
    `offset` is the number of bytes that the store holds, never a number kept elsewhere.
    `owner` is None for an upload of tusd's, which belongs to whoever knows its URL.
    `metadata_header` is the client's Upload-Metadata, letter by letter.
    `partial` is a part of a concatenation; `parts` are the ids of which this upload is made;
    `concat` is the client's Upload-Concat.
    `sha256` is what the client says the whole file's digest is, in hexadecimal.
    `chunk_size` is the length in bytes of the numbered chunks in which an upload was begun; such
    a one may have holes until `chunks_complete`, when every byte is here and was checked.
    `path` is set once the finished bytes have been handed over to their final place.
    `touched_at` is when bytes last came.
    `accepted` is set when the hooks that are asked at the end have agreed, where there are any.
    `place` is where a hook wants the finished medium.
    """

    id: str
    length: int | None
    offset: int = 0
    owner: str | None = "anonymous"
    metadata_header: str = ""
    created_at: datetime | None = None
    concat: str | None = None
    partial: bool = False
    parts: tuple[str, ...] = ()
    sha256: str | None = None
    chunk_size: int | None = None
    chunks_complete: bool = False
    path: str | None = None
    refusal: Refusal | None = None
    touched_at: datetime | None = None
    accepted: bool = False
    place: str | None = None

    @property
    def metadata(self) -> Metadata:
        """What the client said about the file."""
        return Metadata.from_header(self.metadata_header)

    @property
    def finished(self) -> bool:
        """True when every byte has arrived."""
        return self.offset == self.length

    @property
    def final(self) -> bool:
        """True for an upload that is made of others."""
        return bool(self.parts)

    @property
    def in_chunks(self) -> bool:
        """True while the bytes may have holes, so that the file's size says nothing."""
        return self.chunk_size is not None and not self.chunks_complete

    def at(self, offset: int) -> "UploadInfo":
        """The same upload with this many bytes."""
        return replace(self, offset=offset)

    def to_json(self, default_path: str) -> str:
        """The `.info` file: tusd's layout and key order, our own fields behind it.

        `Offset` is 0 as in tusd, because the truth is the size of the data file.
        """
        document: dict[str, Any] = {
            "ID": self.id,
            "Size": self.length or 0,
            "SizeIsDeferred": self.length is None,
            "Offset": 0,
            "MetaData": self.metadata.to_text(),
            "IsPartial": self.partial,
            "IsFinal": self.final,
            "PartialUploads": list(self.parts) or None,
            "Storage": {
                "InfoPath": default_path + ".info",
                "Path": self.path or default_path,
                "Type": "filestore",
            },
            "Owner": self.owner,
            "UploadMetadata": self.metadata_header,
            "CreatedAt": self.created_at.isoformat() if self.created_at else None,
        }
        if self.concat is not None:
            document["UploadConcat"] = self.concat
        if self.sha256 is not None:
            document["Sha256"] = self.sha256
        if self.chunk_size is not None:
            document["ChunkSize"] = self.chunk_size
            document["ChunksComplete"] = self.chunks_complete
        if self.path is not None:
            document["HandedOver"] = True
        if self.refusal is not None:
            document["Refused"] = self.refusal.to_json()
        if self.accepted:
            document["Accepted"] = True
        if self.place is not None:
            document["Place"] = self.place
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "UploadInfo":
        """Read an `.info` file, ours or tusd's; raises ValueError when it is neither."""
        try:
            document = json.loads(text)
            refused = document.get("Refused")
            created_at = document.get("CreatedAt")
            return cls(
                id=document["ID"],
                length=None if document.get("SizeIsDeferred") else int(document["Size"]),
                owner=document.get("Owner"),
                metadata_header=_metadata_header(document),
                created_at=datetime.fromisoformat(created_at) if created_at else None,
                concat=document.get("UploadConcat"),
                partial=bool(document.get("IsPartial")),
                parts=tuple(document.get("PartialUploads") or ()),
                sha256=document.get("Sha256"),
                chunk_size=document.get("ChunkSize"),
                chunks_complete=bool(document.get("ChunksComplete")),
                path=document["Storage"]["Path"] if document.get("HandedOver") else None,
                refusal=Refusal.from_json(refused) if refused else None,
                accepted=bool(document.get("Accepted")),
                place=document.get("Place"),
            )
        except (KeyError, TypeError, AttributeError, OverflowError, BadHeader) as error:
            raise ValueError(f"this is not an upload's info file: {error!r}") from error


def _metadata_header(document: dict[str, Any]) -> str:
    header = document.get("UploadMetadata")
    if isinstance(header, str):
        return header
    return Metadata.from_text(document.get("MetaData") or {}).to_header()


def now_utc() -> datetime:
    """The clock, where no test brings its own."""
    return datetime.now(UTC)
