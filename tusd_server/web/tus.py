"""tus 1.0 at /files/, to be read beside the specification.

https://tus.io/protocols/resumable-upload
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flask import Blueprint, Response, request
from flask.views import MethodView
from werkzeug.datastructures import Headers as WerkzeugHeaders

from hooks.events import RequestFacts
from hooks.post_finish import MEDIA_ID_HEADER
from processing.medium import media_id_for
from tusd_server.auth import Auth
from tusd_server.hashing import ALGORITHMS
from tusd_server.protocol.headers import VERSION
from tusd_server.protocol.replies import (
    expires_header,
    head_headers,
    offset_headers,
    options_headers,
)
from tusd_server.protocol.requests import (
    AppendRequest,
    CreateRequest,
    check_version,
    content_length,
    trailing_checksum,
)
from tusd_server.storage.base import Terminates, extensions
from tusd_server.uploads.body import Body, PortableBody
from tusd_server.uploads.receiving import Proof
from tusd_server.uploads.service import Outcome, Uploads, Wanted
from tusd_server.web.application import Empty
from tusd_server.web.downloads import send_upload
from tusd_server.web.responses import BODILESS, hook_response
from tusd_server.web.urls import root_url


@dataclass(frozen=True, slots=True)
class TusRooms:
    """What the views of tus need."""

    uploads: Uploads
    auth: Auth


class TusView(MethodView):
    """What both URLs share."""

    init_every_request = False

    def __init__(self, rooms: TusRooms) -> None:
        """Made once, when the application is."""
        self.uploads = rooms.uploads
        self.auth = rooms.auth

    def options(self, **_: str) -> Response:
        """Tell what the server speaks; needs no version and no token."""
        headers = options_headers(extensions(self.uploads.store), ALGORITHMS, self.uploads.max_size)
        return Empty(204, headers)


class UploadsView(TusView):
    """/files/."""

    def post(self) -> Response:
        """Create an upload (creation), perhaps with bytes (creation-with-upload)."""
        user = self.auth.user()
        check_version(request.headers)
        asked = CreateRequest.from_headers(
            request.headers, self.uploads.max_size, request.script_root + "/files/"
        )
        body = request_body() if asked.has_body else None
        wanted = Wanted(
            asked.length,
            asked.metadata_header,
            sha256=asked.sha256,
            proof=_proof(asked, body),
            concat=asked.concat.header if asked.concat else None,
            partial=asked.concat is not None and asked.concat.partial,
            parts=asked.concat.parts if asked.concat else (),
            key=asked.key,
        )
        outcome = self.uploads.create(user.id, wanted, body, request_facts())
        headers = {"Location": f"{root_url()}files/{outcome.info.id}", **outcome.headers}
        if asked.has_body:
            headers |= offset_headers(outcome.info, None)
        if outcome.info.concat is not None:
            headers["Upload-Concat"] = outcome.info.concat
        return _answer(201, headers | expires_header(outcome.expires), outcome)


class UploadView(TusView):
    """/files/<id>."""

    def head(self, upload_id: str) -> Response:
        """Tell where an upload stands."""
        user = self.auth.user()
        check_version(request.headers)
        outcome = self.uploads.look(upload_id, user.id, request_facts())
        headers = head_headers(outcome.info, outcome.expires)
        if outcome.info.finished and not outcome.info.partial:
            # For a client that missed the last answer, or resumes what is complete already.
            headers[MEDIA_ID_HEADER] = media_id_for(outcome.info.id)
        return Empty(200, headers)

    def patch(self, upload_id: str) -> Response:
        """Take in bytes."""
        user = self.auth.user()
        check_version(request.headers)
        wanted = AppendRequest.from_headers(request.headers, self.uploads.max_size)
        body = request_body()
        outcome = self.uploads.append(
            upload_id,
            user.id,
            wanted.offset,
            body,
            request_facts(),
            length=wanted.length,
            proof=_proof(wanted, body),
        )
        headers = offset_headers(outcome.info, outcome.expires)
        return _answer(204, {**outcome.headers, **headers}, outcome)

    def delete(self, upload_id: str) -> Response:
        """Forget an upload (termination)."""
        user = self.auth.user()
        check_version(request.headers)
        outcome = self.uploads.terminate(upload_id, user.id, request_body(), request_facts())
        return _answer(204, dict(outcome.headers), outcome)

    def get(self, upload_id: str) -> Response:
        """Send a finished upload to its owner; not part of tus, so no version is asked for."""
        user = self.auth.user()
        info, path = self.uploads.finished(upload_id, user.id)
        return send_upload(info, path)


def tus_blueprint(rooms: TusRooms) -> Blueprint:
    """Both URLs of tus."""
    blueprint = Blueprint("tus", __name__, url_prefix="/files")
    collection = UploadsView.as_view("uploads", rooms)
    blueprint.add_url_rule("/", view_func=collection)
    # Clients are configured with and without the last slash, and a redirect loses a POST.
    blueprint.add_url_rule("", view_func=collection, endpoint="uploads_bare")
    # What the store cannot do is no method of the URL, as it is no Tus-Extension.
    verbs = {"GET", "HEAD", "PATCH", "OPTIONS"}
    if isinstance(rooms.uploads.store, Terminates):
        verbs.add("DELETE")
    upload = UploadView.as_view("upload", rooms)
    blueprint.add_url_rule("/<upload_id>", view_func=upload, methods=verbs)
    blueprint.after_request(_speak_tus)
    return blueprint


def _proof(asked: CreateRequest | AppendRequest, body: Body | None) -> Proof:
    if asked.checksum_follows and body is not None:
        return Proof(asked.checksum, lambda: trailing_checksum(body.trailers))
    return Proof(asked.checksum)


def request_body() -> Body:
    """This request's body: our server's own, or the portable one on any other."""
    stream = request.environ["wsgi.input"]
    if hasattr(stream, "chunks"):
        body: Body = stream
        return body
    return PortableBody(stream, content_length(request.headers))


def request_facts() -> RequestFacts:
    """What hooks are told of this request."""
    return RequestFacts(
        method=request.method,
        uri=request.environ.get("RAW_URI") or request.full_path,
        remote_addr=_remote_address(),
        headers=HeaderLists(request.headers),
    )


def _remote_address() -> str:
    """`host:port`; the port is 0 where a proxy told the host."""
    host, port = request.remote_addr or "", request.environ.get("REMOTE_PORT", "0")
    told = request.environ.get("werkzeug.proxy_fix.orig", {}).get("REMOTE_ADDR", host) != host
    return f"{f'[{host}]' if ':' in host else host}:{'0' if told else port}"


class HeaderLists(Mapping[str, tuple[str, ...]]):
    """Request headers as name -> values, worked out only for a hook that looks."""

    def __init__(self, headers: WerkzeugHeaders) -> None:
        """Keep the headers of the request under way."""
        self._headers = headers

    def __getitem__(self, name: str) -> tuple[str, ...]:
        values = self._headers.getlist(name)
        if not values:
            raise KeyError(name)
        return tuple(values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers.keys())

    def __len__(self) -> int:
        return len(self._headers)


def _answer(usual: int, headers: dict[str, str], outcome: Outcome) -> Response:
    """The answer, with the status and the body that a hook chose for it."""
    status = outcome.status or usual
    if not outcome.body or status in BODILESS:
        return Empty(status, headers)
    return hook_response(status, outcome.body, headers)


def _speak_tus(response: Response) -> Response:
    response.headers["Tus-Resumable"] = VERSION
    return response
