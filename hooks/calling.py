"""What calls to hooks and to the posts backend have in common."""

from collections.abc import Callable
from typing import Any, Final

from requests.utils import get_auth_from_url

# "408 Request Timeout", "425 Too Early", "429 Too Many Requests": try again, they say.
TRY_AGAIN: Final = frozenset({408, 425, 429})


def auth_of(url: str) -> tuple[str, str] | Callable[[Any], Any]:
    """What the URL itself says, or nothing: requests would look into ~/.netrc.

    What it finds there takes the place of a client's Authorization.
    """
    named: tuple[str, str] = get_auth_from_url(url)
    return named if any(named) else lambda request: request
