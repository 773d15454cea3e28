"""Our own URLs, as the client can follow them."""

from functools import lru_cache

from flask import request
from werkzeug.sansio.utils import get_current_url
from werkzeug.urls import iri_to_uri


def root_url() -> str:
    """The URL under which this application is reached, ASCII and ending with a slash.

    Only a path where the request names no host that a URL may have (`my_service:1080`): clients
    resolve it against the URL that they asked.
    """
    return _root_url(request.scheme, request.host, request.script_root)


@lru_cache(maxsize=64)
def _root_url(scheme: str, host: str, script_root: str) -> str:
    return iri_to_uri(get_current_url(scheme, host, script_root) if host else script_root + "/")
