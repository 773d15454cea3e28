"""The ways to hooks that live outside of this program, and what can go wrong on them."""

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from hooks.events import HookEvent, HookName

T = TypeVar("T")

MOST_REPLY_BYTES = 64 * 1024
SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Call:
    """One event on its way; `document` is tusd's JSON, `message_id` tells repetitions apart."""

    name: HookName
    message_id: str
    document: Mapping[str, Any]

    @classmethod
    def asking(cls, event: HookEvent) -> "Call":
        """An event about which somebody is asked now; asked again, it is another message."""
        return cls(event.name, f"msg_{uuid.uuid4().hex}", event.to_json())

    @property
    def upload(self) -> Mapping[str, Any]:
        """tusd's `Upload` object."""
        upload: Mapping[str, Any] = self.document["Event"]["Upload"]
        return upload

    @property
    def headers(self) -> Mapping[str, list[str]]:
        """The headers of the request behind the event; none where there is no request."""
        request = self.document["Event"]["HTTPRequest"] or {}
        headers: Mapping[str, list[str]] = request.get("Header") or {}
        return headers


class Away(Exception):
    """The receiver is not there now; the text is for the log."""

    def __init__(self, message: str, *, after_seconds: float | None = None) -> None:
        """`after_seconds` is the pause that the receiver asks for."""
        super().__init__(message)
        self.after_seconds = after_seconds


class Failed(Exception):
    """The receiver is there and did not do what it should; the text is for the log."""


class Transport(Protocol):
    """One receiver of events."""

    @property
    def name(self) -> str:
        """Which one: the same after each start, without passwords."""

    def takes(self, name: HookName) -> bool:
        """Whether this receiver is there for such events."""

    def ask(self, call: Call) -> bytes:
        """What the receiver replies, within the deadline; raises Away or Failed.

        Tries again, as far as the transport does and the deadline allows.
        """

    def deliver(self, call: Call) -> None:
        """Tell the receiver, once; what it replies does not matter. Raises Away or Failed."""


def within(seconds: float, work: Callable[[], T]) -> T:
    """The result of `work`, or TimeoutError when that takes longer.

    A timeout of a socket bounds each single wait, and not the sum of them. What takes too
    long goes on in its thread until it meets such a timeout, and nobody waits for it.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True, name="hook")
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]


def shown(text: bytes) -> str:
    """The beginning of what a receiver said, fit for one line of the log."""
    return repr(text[:SHOWN_CHARACTERS].decode("utf-8", "replace"))
