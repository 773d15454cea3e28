"""What calls to hooks and to the posts backend have in common."""

import time
from collections.abc import Callable
from typing import Any, Final

import requests
from requests.utils import get_auth_from_url
from urllib3.exceptions import HTTPError

# "408 Request Timeout", "425 Too Early", "429 Too Many Requests": try again, they say.
TRY_AGAIN: Final = frozenset({408, 425, 429})


def auth_of(url: str) -> tuple[str, str] | Callable[[Any], Any]:
    """What the URL itself says, or nothing: requests would look into ~/.netrc.

    What it finds there takes the place of a client's Authorization.
    """
    named: tuple[str, str] = get_auth_from_url(url)
    return named if any(named) else lambda request: request


def read_at_most(response: requests.Response, most: int, give_up_at: float) -> bytes:
    """The body, or its first `most` bytes; `give_up_at` is a moment of time.monotonic().

    OSError when it breaks off or does not end in time.
    """
    body = b""
    try:
        while len(body) < most:
            # A read waits only for the next bytes: one that drips could go on for days.
            block: bytes = response.raw.read1(most - len(body))
            if not block:
                break
            body += block
            if time.monotonic() > give_up_at:
                raise TimeoutError("The body did not end in time.")
    except HTTPError as error:
        raise ConnectionError("The body broke off.") from error
    return body
