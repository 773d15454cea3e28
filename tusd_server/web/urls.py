"""Our own URLs, as the client can follow them."""

from functools import lru_cache
from urllib.parse import quote

from flask import request

# What a path may hold besides letters and digits (RFC 3986), and what is quoted already.
_PLAIN = "!$&'()*+,/:;=@%"


def root_url() -> str:
    """The URL under which this application is reached, ASCII and ending with a slash.

    Only a path where the request names no host that a URL may have (`my_service:1080`): clients
    resolve it against the URL that they asked.
    """
    return _root_url(request.scheme, request.host, request.script_root)


@lru_cache(maxsize=64)
def _root_url(scheme: str, host: str, script_root: str) -> str:
    path = quote(script_root, safe=_PLAIN) + "/"
    return f"{scheme}://{host}{path}" if host else path
