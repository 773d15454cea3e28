"""Signed, expiring links to files, for an `<img>` that cannot send a token."""

import hashlib
import hmac
import time
from collections.abc import Callable
from urllib.parse import urlencode

from tusd_server.errors import AccessDenied

# Lifetimes are rounded up to this, so that a page that asks again gets the same URL and the
# browser's cache can use it.
ROUND_SECONDS = 300


class Links:
    """Makes links and checks them; each is good for one path until one moment."""

    def __init__(
        self, key: bytes, lifetime_seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        """`key` is secret; `clock` gives seconds since 1970."""
        self._key = key
        self._lifetime_seconds = lifetime_seconds
        self._clock = clock

    def sign(self, root: str, path: str) -> str:
        """An absolute URL for `path` (which begins with a slash) below `root`."""
        moment = self._clock() + self._lifetime_seconds
        expires = str(int(-(-moment // ROUND_SECONDS) * ROUND_SECONDS))
        query = urlencode({"expires": expires, "signature": self._signature(path, expires)})
        return f"{root.rstrip('/')}{path}?{query}"

    def check(self, path: str, expires: str, signature: str) -> None:
        """Raise AccessDenied unless this server signed the link and its time has not passed."""
        if not hmac.compare_digest(self._signature(path, expires).encode(), signature.encode()):
            raise AccessDenied("The link's signature does not hold; ask for the medium again.")
        if int(expires) < self._clock():
            raise AccessDenied("The link has expired; ask for the medium again.")

    def _signature(self, path: str, expires: str) -> str:
        text = f"{path}\n{expires}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()
