"""What a posts backend's answer means: its name for the medium, a refusal, or \"not now\"."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import requests

from hooks.calling import TRY_AGAIN, read_at_most
from processing.patience import NotNow
from processing.posting import Refused
from processing.reasons import Reason

MOST_BYTES = 64 * 1024
ID_LENGTH = 255
SENTENCE_LENGTH = 300
LONGEST_PAUSE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, and as much of the body as anybody needs."""

    status: int
    retry_after: str | None
    body: bytes


def read_answer(response: requests.Response, seconds: float) -> Answer:
    """At most 64 KiB of the body, read for at most so long; OSError when it breaks off."""
    body = read_at_most(response, MOST_BYTES, time.monotonic() + seconds)
    return Answer(response.status_code, response.headers.get("Retry-After"), body)


def judge(answer: Answer, now: datetime) -> str | None:
    """The backend's name for the medium, if it told one; NotNow or Refused otherwise."""
    if 200 <= answer.status < 300:
        return _name(_document(answer.body))
    told = f"The posts backend answered {answer.status} {_phrase(answer.status)}".rstrip()
    # A redirect is a wrong setting. It is not followed: the signature is for the URL's owner.
    if answer.status in TRY_AGAIN or not 400 <= answer.status < 500:
        raise NotNow(f"{told}.", after_seconds=_pause(answer.retry_after, now))
    sentence = _sentence(_document(answer.body))
    refusal = sentence or "The posts backend refused the medium without a reason."
    raise Refused(Reason("refused_by_backend", refusal), f"{told}: {refusal}")


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _name(document: Mapping[str, Any]) -> str | None:
    data = document.get("data")
    for holder in (document, data if isinstance(data, dict) else {}):
        found = holder.get("id")
        text = str(found) if isinstance(found, str | int) else ""
        if 0 < len(text) <= ID_LENGTH and text.isprintable() and not isinstance(found, bool):
            return text
    return None


def _sentence(document: Mapping[str, Any]) -> str:
    """Where problem details have it, and where others do."""
    error = document.get("error")
    nested = error if isinstance(error, dict) else {}
    holders = [(document, ("detail", "title")), (nested, ("detail", "message"))]
    for holder, names in [*holders, (document, ("error", "message"))]:
        for name in names:
            text = holder.get(name)
            line = _line(text) if isinstance(text, str) else ""
            if line:
                return line
    return ""


def _line(text: str) -> str:
    """One line without control characters and half surrogate pairs, cut."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    line = " ".join(shown.split())
    return line if len(line) <= SENTENCE_LENGTH else line[: SENTENCE_LENGTH - 3] + "..."


def _pause(text: str | None, now: datetime) -> float | None:
    """Retry-After, in seconds or as a date; an hour at most."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_PAUSE_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return min(max(0.0, (aware - now).total_seconds()), LONGEST_PAUSE_SECONDS)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
