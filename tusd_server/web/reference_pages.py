"""/api/v1/openapi.json, and /api/v1/docs: the same as a page without a script."""

import base64
import functools
import hashlib
import re
from typing import Any

from flask import Blueprint, Response, json, render_template, request

from tusd_server.web.openapi import document
from tusd_server.web.reference import OPERATIONS

_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def reference_blueprint(version: str) -> Blueprint:
    """The URLs of the reference; they ask for no token and show nothing of anybody's."""
    blueprint = Blueprint("reference", __name__, url_prefix="/api/v1", template_folder="templates")

    @functools.lru_cache(maxsize=1)
    def found(root: str) -> dict[str, Any]:
        return document(OPERATIONS, version, root)

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        text = json.dumps(found(request.script_root or "/"))
        return Response(text, mimetype="application/json")

    @blueprint.get("/docs")
    def docs() -> Response:
        api = found(request.script_root or "/")
        page = render_template("api_docs.html", api=api, pretty=_pretty)
        response = Response(page, mimetype="text/html")
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; style-src {' '.join(_hashes(page))}; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'"
        )
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return blueprint


def _hashes(page: str) -> list[str]:
    """What a Content-Security-Policy has to know of the page's own styles."""
    digests = [hashlib.sha256(style.encode()).digest() for style in _STYLE.findall(page)]
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


def _pretty(example: object) -> str:
    return json.dumps(example, indent=2)
