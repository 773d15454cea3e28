"""Reads the JSON that receivers of tusd's hooks (version 2) reply with."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hooks.events import NO_REPLY, POST_KEY, CreateReply, HookReply, field_name
from processing.medium import is_post_id, is_wanted_place

# "field-name = token", "field-value": visible characters, blanks and tabs between them.
# https://www.rfc-editor.org/rfc/rfc9110#section-5
_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE = re.compile(r"[\t -~\x80-\xff]*")
# These say how the answer is framed and where the upload stands, which no hook can know.
_OURS = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "tus-resumable",
        "transfer-encoding",
        "upload-media-id",
        "upload-offset",
    }
)


class BadReply(Exception):
    """The reply cannot be used; the text says what is wrong with it, for the log."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a receiver said; everything that it left out has no effect."""

    reply: HookReply = NO_REPLY
    reject_upload: bool = False
    reject_termination: bool = False
    stop_upload: bool = False
    id: str | None = None
    metadata: Mapping[str, str] | None = None
    place: str | None = None

    @property
    def change(self) -> CreateReply:
        """What an upload that is asked for becomes."""
        return CreateReply(self.id, self.metadata, self.place, self.reply)


def read_reply(text: bytes) -> Reply:
    """The reply in this JSON; an empty text replies nothing. Raises BadReply.

    Names are read in any case and unknown ones are ignored, as tusd does.
    """
    if not text.strip():
        return Reply()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise BadReply("it is no JSON") from None
    top = _Fields(document, "the reply")
    response = top.fields("HTTPResponse")
    change = top.fields("ChangeFileInfo")
    return Reply(
        reply=HookReply(
            headers=_headers(response.texts("Header")),
            status=_status(response.number("StatusCode")),
            body=response.text("Body") or "",
        ),
        reject_upload=top.flag("RejectUpload"),
        reject_termination=top.flag("RejectTermination"),
        stop_upload=top.flag("StopUpload"),
        id=change.text("ID") or None,
        metadata=_metadata(change.texts("MetaData")),
        place=_place(change.fields("Storage").text("Path") or None),
    )


class _Fields:
    """An object of the reply, its names in any case; null is an object without fields."""

    def __init__(self, document: Any, name: str) -> None:
        if not isinstance(document, dict | None):
            raise BadReply(f"{name} is no object")
        self._values = {key.lower(): value for key, value in (document or {}).items()}

    def fields(self, name: str) -> "_Fields":
        return _Fields(self._values.get(name.lower()), name)

    def text(self, name: str) -> str | None:
        value = self._values.get(name.lower())
        if not isinstance(value, str | None):
            raise BadReply(f"{name} is no text")
        return value and _whole(value, name)

    def number(self, name: str) -> int:
        value = self._values.get(name.lower()) or 0
        if not isinstance(value, int):
            raise BadReply(f"{name} is no number")
        return value

    def flag(self, name: str) -> bool:
        value = self._values.get(name.lower()) or False
        if not isinstance(value, bool):
            raise BadReply(f"{name} is neither true nor false")
        return value

    def texts(self, name: str) -> dict[str, str] | None:
        values = self._values.get(name.lower())
        if values is None:
            return None
        if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
            raise BadReply(f"{name} is no object of texts")
        return {_whole(key, name): _whole(value, name) for key, value in values.items()}


def _whole(text: str, name: str) -> str:
    # JSON can escape one half of a surrogate pair, which is no character and nothing can encode.
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadReply(f"{name} has half a surrogate pair, which is no text") from None
    return text


def _status(number: int) -> int | None:
    if number and not 200 <= number <= 599:
        raise BadReply(f"StatusCode is {number}; it must be between 200 and 599")
    return number or None


def _headers(given: dict[str, str] | None) -> dict[str, str]:
    headers = {}
    for name, value in (given or {}).items():
        if _FIELD_NAME.fullmatch(name) is None or _FIELD_VALUE.fullmatch(value) is None:
            raise BadReply(f"Header has {name!r}, which is no header of HTTP")
        if name.lower() not in _OURS:
            headers[field_name(name)] = value.strip()
    return headers


def _metadata(given: dict[str, str] | None) -> dict[str, str] | None:
    post_id = (given or {}).get(POST_KEY)
    if post_id and not is_post_id(post_id):
        raise BadReply(f"MetaData has a {POST_KEY} that no record can hold")
    return given


def _place(path: str | None) -> str | None:
    """The path, if it stays in the folder that it is relative to, and hides nowhere."""
    if path is None:
        return None
    if not is_wanted_place(path):
        raise BadReply(
            f"Storage.Path is {path[:100]!r}; it must be relative and made of plain "
            "names, none of which begins with a dot or a tilde"
        )
    return path
