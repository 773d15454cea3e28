"""Our own URLs, as the client can follow them."""

from flask import request


def root_url() -> str:
    """The URL under which this application is reached, ending with a slash.

    Only a path where the request names no host that a URL may have (`my_service:1080`): clients
    resolve it against the URL that they asked.
    """
    return request.url_root if request.host else request.script_root + "/"
