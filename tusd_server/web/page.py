"""The page at `/`: built files from this package, the server's own facts put into them."""

import gzip
import html
import json
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from tusd_server.settings import Settings

BUILT = Path(__file__).with_name("page")
FOREVER_SECONDS = 31_536_000

_PLACE = '<meta name="tusd-server" content="{}"'
# The coding as HTTP names it, and the ending of the file that has it; the smallest first.
_CODINGS = {"br": ".br", "gzip": ".gz"}
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

MISSING = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>tusd-server</title>
<h1>tusd-server runs, its page is not built</h1>
<p>Run <code>make ui</code> where the source is (it needs Node 20.19 or newer, or fetches one),
then start the server again. Uploads work without the page: the tus endpoint is
<code>files/</code>, and <a href="healthz">healthz</a> tells that the server lives.</p>
</html>
"""


@dataclass(frozen=True, slots=True)
class Asset:
    """One built file; `coded` holds the same bytes by coding."""

    content_type: str
    plain: bytes
    coded: Mapping[str, bytes]


class Page:
    """The built page in memory; without a build it says how to get one."""

    def __init__(self, settings: Settings, folder: Path = BUILT) -> None:
        """Read `folder` once."""
        index = folder / "index.html"
        self._embed_origins = settings.embed_origins
        self._index = (
            _index(index.read_text(encoding="utf-8"), settings) if index.is_file() else None
        )
        names = sorted((folder / "assets").glob("*")) if self._index else []
        self._assets = {
            path.name: _asset(path) for path in names if path.suffix not in _CODINGS.values()
        }

    def index(self) -> Response:
        """GET /: asked for anew at every visit, since it names the assets."""
        if self._index is None:
            return self._guarded(Response(MISSING, 404, mimetype="text/html"))
        response = self._guarded(_negotiated(self._index))
        response.headers["Cache-Control"] = "no-cache"
        response.make_conditional(request)
        return response

    def asset(self, name: str) -> Response:
        """GET /assets/<name>: what it is called changes with what it holds."""
        asset = self._assets.get(name)
        if asset is None:
            raise NotFound
        response = _negotiated(asset)
        response.headers["Cache-Control"] = f"public, max-age={FOREVER_SECONDS}, immutable"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.make_conditional(request)
        return response

    def _guarded(self, response: Response) -> Response:
        """The page runs its own scripts and styles, and speaks to its own server, alone."""
        embedders = " ".join(("'self'", *self._embed_origins))
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
            # Previews of chosen files and recordings are blobs; Uppy's icons are data.
            "img-src 'self' blob: data:; media-src 'self' blob:; "
            f"base-uri 'none'; form-action 'none'; frame-ancestors {embedders}"
        )
        response.headers["Content-Security-Policy"] = policy
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Permissions-Policy"] = "camera=(self), microphone=(self), geolocation=()"
        return response


def page_blueprint(page: Page) -> Blueprint:
    """The URLs of the page."""
    blueprint = Blueprint("page", __name__)
    blueprint.add_url_rule("/", view_func=page.index, endpoint="index")
    blueprint.add_url_rule("/assets/<name>", view_func=page.asset, endpoint="asset")
    return blueprint


def _index(text: str, settings: Settings) -> Asset:
    facts = {
        "auth": settings.auth,
        "maxSize": settings.max_size,
        "embedOrigins": list(settings.embed_origins),
    }
    told = html.escape(json.dumps(facts), quote=True)
    plain = text.replace(_PLACE, _PLACE.replace("{}", told)).encode()
    return Asset("text/html", plain, {"gzip": gzip.compress(plain, mtime=0)})


def _asset(path: Path) -> Asset:
    coded = {
        coding: beside.read_bytes()
        for coding, ending in _CODINGS.items()
        if (beside := path.with_name(path.name + ending)).is_file()
    }
    content_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    return Asset(content_type or "application/octet-stream", path.read_bytes(), coded)


def _negotiated(asset: Asset) -> Response:
    wanted = (coding for coding in asset.coded if request.accept_encodings.quality(coding) > 0)
    coding = next(wanted, None)
    response = Response(asset.coded[coding] if coding else asset.plain, mimetype=asset.content_type)
    if coding:
        response.headers["Content-Encoding"] = coding
    response.headers["Vary"] = "Accept-Encoding"
    response.add_etag()
    return response
