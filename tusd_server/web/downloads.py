"""Bytes that go back to a browser: never run as a page, never cached for others."""

import re
from pathlib import Path
from urllib.parse import quote

from flask import Response, send_file

from processing.sniff import HEAD_BYTES, sniff
from tusd_server.errors import UploadGone
from tusd_server.info import UploadInfo

BLOCK_BYTES = 256 * 1024

_UNSAFE = re.compile(r"[^ !#$&+\-.0-9A-Z^_`a-z{}~()]")


def send_upload(info: UploadInfo, path: Path) -> Response:
    """A finished upload, under the client's own file name; its type is what the bytes show."""
    try:
        with path.open("rb") as file:
            kind = sniff(file.read(HEAD_BYTES))
    except FileNotFoundError:
        raise UploadGone("The upload is complete and its bytes have been deleted.") from None
    content_type = kind.content_type if kind else "application/octet-stream"
    name = info.metadata.text("filename", "name") or info.id
    return send_media(path, content_type, name)


def send_media(path: Path, content_type: str, name: str) -> Response:
    """A file with Range, ETag and Last-Modified; shown inline when it is an image or a video.

    The type is ours, not the client's, and a browser must not guess another one; a sandbox
    without scripts is the second wall.
    """
    try:
        response = send_file(path, mimetype=content_type, conditional=True, etag=True, max_age=0)
    except FileNotFoundError:
        raise UploadGone("The file has been deleted.") from None
    inline = content_type.startswith(("image/", "video/"))
    response.headers["Content-Disposition"] = content_disposition(name, inline=inline)
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.cache_control.private = True
    return response


def send_times(path: Path, named: str, url: str) -> Response:
    """A WebVTT file, the picture that it calls `named` under a URL that a player can fetch."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UploadGone("The file has been deleted.") from None
    response = Response(text.replace(f"{named}#", f"{url}#"), mimetype="text/vtt")
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.cache_control.private = True
    return response


def content_disposition(name: str, *, inline: bool) -> str:
    """The header of RFC 6266: a plain name for old clients, the exact one for all others."""
    kind = "inline" if inline else "attachment"
    plain = _UNSAFE.sub("_", name.replace("/", "_").replace("\\", "_"))[:150] or "file"
    exact = quote(name[:150], safe="", errors="replace")
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{exact}"
