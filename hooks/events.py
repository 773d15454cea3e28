"""What hooks are told, and what they may answer.

The JSON form is that of tusd's hooks (version 2): receivers written for tusd work unchanged.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

HookName = Literal[
    "pre-create",
    "post-create",
    "first-bytes",
    "post-receive",
    "pre-finish",
    "post-finish",
    "pre-terminate",
    "post-terminate",
]
RejectionKind = Literal["content", "forbidden", "invalid"]

NAME_KEYS = ("filename", "name")
TYPE_KEYS = ("filetype", "type", "contentType", "content_type")
POST_KEY = "post_id"


@dataclass(frozen=True, slots=True)
class StorageFacts:
    """Where an upload's bytes and its info file lie."""

    type: str
    path: str
    info_path: str


@dataclass(frozen=True, slots=True)
class UploadFacts:
    """One upload at the moment of the event; sizes in bytes.

    `id` is empty and `storage` None before the upload is created; `size` is None while the
    client has not told it. `metadata` is what the client sent, decoded.
    """

    id: str
    size: int | None
    offset: int
    owner: str
    created_at: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)
    is_partial: bool = False
    is_final: bool = False
    partial_uploads: tuple[str, ...] = ()
    storage: StorageFacts | None = None

    @property
    def size_is_deferred(self) -> bool:
        """Whether the client has yet to tell the size."""
        return self.size is None

    @property
    def file_name(self) -> str | None:
        """The name the client gave, under any of the keys in use (`filename`, `name`)."""
        return self._first(NAME_KEYS)

    @property
    def content_type(self) -> str | None:
        """The type the client claims, under any of the keys in use (`filetype`, `type`, ...)."""
        return self._first(TYPE_KEYS)

    @property
    def post_id(self) -> str | None:
        """The post the client wants the medium to belong to."""
        return self._first((POST_KEY,))

    def to_json(self) -> dict[str, Any]:
        """tusd's `Upload` object, and who the upload belongs to.

        A size that is not known yet is 0 there.
        """
        return {
            "ID": self.id,
            "Size": self.size or 0,
            "SizeIsDeferred": self.size_is_deferred,
            "Offset": self.offset,
            "MetaData": dict(self.metadata),
            "IsPartial": self.is_partial,
            "IsFinal": self.is_final,
            "PartialUploads": list(self.partial_uploads) or None,
            "Storage": self._storage_json(),
            "Owner": self.owner,
        }

    def _storage_json(self) -> dict[str, str] | None:
        if self.storage is None:
            return None
        return {
            "InfoPath": self.storage.info_path,
            "Path": self.storage.path,
            "Type": self.storage.type,
        }

    def _first(self, keys: tuple[str, ...]) -> str | None:
        return next((self.metadata[key] for key in keys if self.metadata.get(key)), None)


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """The request behind an event; `uri` as sent, `remote_addr` of the peer, `host:port`."""

    method: str
    uri: str
    remote_addr: str
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """tusd's `HTTPRequest` object; header names are written as Go writes them."""
        return {
            "Method": self.method,
            "URI": self.uri,
            "RemoteAddr": self.remote_addr,
            "Header": {field_name(name): list(values) for name, values in self.headers.items()},
        }


@dataclass(frozen=True, slots=True)
class HookEvent:
    """Something that is about to happen to an upload (`pre-`), or that has happened."""

    name: HookName
    upload: UploadFacts
    request: RequestFacts | None = None

    def to_json(self) -> dict[str, Any]:
        """The body of tusd's hook request (version 2).

        `{"Type": name, "Event": {"Upload": {...}, "HTTPRequest": {...} or null}}`
        """
        request = None if self.request is None else self.request.to_json()
        return {
            "Type": self.name,
            "Event": {"Upload": self.upload.to_json(), "HTTPRequest": request},
        }

    @property
    def message_id(self) -> str:
        """The same for each repetition of this event, and for no other event."""
        told = (self.name, self.upload.id, self.upload.created_at.isoformat())
        return "msg_" + hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class HookReply:
    """What a hook puts into the answer that the client gets; tusd's `HTTPResponse`.

    Without `status` or `body` the answer keeps its own; headers come beside it.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None
    body: str = ""

    def under(self, other: "HookReply") -> "HookReply":
        """Both replies in one; where they differ the other one's word counts."""
        return HookReply(
            {**self.headers, **other.headers}, other.status or self.status, other.body or self.body
        )


NO_REPLY = HookReply()


@dataclass(frozen=True, slots=True)
class CreateReply:
    """What a hook changes of an upload that is asked for; None leaves a thing as it is.

    `id` is the upload's id. `metadata` replaces all that the client sent. `place` is where the
    finished medium is to lie, relative to the folder of all finished media. `reply` goes into
    the answer.
    """

    id: str | None = None
    metadata: Mapping[str, str] | None = None
    place: str | None = None
    reply: HookReply = NO_REPLY


@dataclass(frozen=True, slots=True)
class Stop:
    """The wish to end an upload for good; `reply` goes into the answer."""

    reply: HookReply = NO_REPLY


class HookRejected(Exception):
    """A hook's veto; final for the client.

    `code` is stable and for programs, `message` is one sentence for people. `kind` says what was
    wrong with the request: its `content`, its right to do this (`forbidden`), or its form
    (`invalid`). `reply`, where there is one, decides how the veto is answered.
    """

    def __init__(
        self,
        code: str,
        message: str,
        kind: RejectionKind = "invalid",
        *,
        reply: HookReply | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.kind: RejectionKind = kind
        self.reply = reply


class HookUnavailable(Exception):
    """A hook could not be asked, or its answer not be used; no veto, and no fault of the client.

    The text is one sentence for the log. `reply` is how the hook itself wants that answered.
    """

    def __init__(self, message: str, *, reply: HookReply = NO_REPLY) -> None:
        super().__init__(message)
        self.reply = reply


def field_name(name: str) -> str:
    """The name of a header as Go writes it, which is one way for all ways to write it."""
    return "-".join(part.capitalize() for part in name.split("-"))
