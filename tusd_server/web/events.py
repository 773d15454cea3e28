"""Server-sent events: what becomes of an upload, and of one's media, while it happens.

A stream is a greenlet that sleeps. It ends by itself after TUSD_EVENTS_LIFETIME_SECONDS, and the
client that connects again proves anew who it is.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, Response, request, stream_with_context

from processing.catalog import Catalog
from processing.changes import OVERLAP, Changes, Stopping, never
from tusd_server.auth import Auth
from tusd_server.errors import UploadGone, UploadNotFound
from tusd_server.server import STOPPING
from tusd_server.storage.base import DataStore
from tusd_server.uploads.standing import UPLOADING, Standing, standing_of
from tusd_server.web.links import Links
from tusd_server.web.media_api import MediaApi

# Proxies end connections that are silent for a minute, and only a write finds a dead client.
HEARTBEAT_SECONDS = 15.0
# How often the bytes of an upload are looked at: as they move, and when they stand still.
QUICK_SECONDS, SLOW_SECONDS = 0.25, 2.0
RETRY_MILLISECONDS = 1000
MOST_MISSED = 500

_MOMENT = re.compile(r"[0-9]{1,17}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class EventRooms:
    """What the streams need; a stream lives for `lifetime_seconds` at most."""

    store: DataStore
    catalog: Catalog
    changes: Changes
    auth: Auth
    links: Links
    media: MediaApi
    lifetime_seconds: float


class Events:
    """The two streams; staff sees everybody's, others their own."""

    def __init__(self, rooms: EventRooms) -> None:
        """Wire the rooms together."""
        self._rooms = rooms

    def upload(self, upload_id: str) -> Response:
        """GET /api/v1/media/upload/<id>/events: one upload, by token or by signed link."""
        owner = self._owner_or_link()
        standing = standing_of(upload_id, self._rooms.store, self._rooms.catalog)
        if owner is not None and standing.owner not in (owner, None):
            raise UploadNotFound("There is no such upload.")
        seen = request.headers.get("Last-Event-ID", "")
        if standing.final and seen == standing.mark:
            # "Clients will reconnect if the connection is closed; a client can be told to stop
            # reconnecting using the HTTP 204 No Content response code."
            return _no_more()
        return _streamed(self._upload_events(upload_id, seen, _stopping()))

    def all_media(self) -> Response:
        """GET /api/v1/media/events: every medium whose record changes."""
        user = self._rooms.auth.user()
        since = _moment(request.headers.get("Last-Event-ID", ""))
        return _streamed(self._media_events(None if user.staff else user.id, since, _stopping()))

    def _owner_or_link(self) -> str | None:
        """Whose uploads may be seen; None for staff, and for whoever brings a signed link."""
        if "signature" in request.args:
            self._rooms.links.check(
                request.path, request.args.get("expires", ""), request.args["signature"]
            )
            return None
        user = self._rooms.auth.user()
        return None if user.staff else user.id

    def _upload_events(self, upload_id: str, seen: str, stopping: Stopping) -> Iterator[str]:
        clock = _Clock(self._rooms.lifetime_seconds)
        pause = QUICK_SECONDS
        with self._rooms.changes.listen(lambda c: c.upload_id == upload_id, stopping) as listener:
            yield f"retry: {RETRY_MILLISECONDS}\n\n"
            while True:
                standing = self._standing(upload_id)
                if standing.mark != seen:
                    yield self._upload_event(standing)
                    seen, pause = standing.mark, QUICK_SECONDS
                    clock.wrote()
                if standing.final or listener.ended or clock.over:
                    return
                # A record's change is told; bytes that arrive are not, one has to look.
                listener.wait(clock.next_wait(pause if standing.medium is None else None))
                pause = min(pause * 1.5, SLOW_SECONDS)
                if clock.heartbeat_due:
                    yield ":\n\n"
                    clock.wrote()

    def _standing(self, upload_id: str) -> Standing:
        try:
            return standing_of(upload_id, self._rooms.store, self._rooms.catalog)
        except (UploadNotFound, UploadGone):
            return Standing(upload_id, None, "deleted", 0, None)

    def _upload_event(self, standing: Standing) -> str:
        document = {
            "upload_id": standing.upload_id,
            "media_id": standing.media_id,
            "state": standing.state,
            "final": standing.final,
            "offset": standing.offset,
            "received_bytes": standing.received_bytes,
            "length": standing.length,
            "reasons": [{"code": r.code, "message": r.message} for r in standing.reasons],
            "medium": self._rooms.media.document(standing.medium) if standing.medium else None,
        }
        name = "progress" if standing.state == UPLOADING else "state"
        return _event(name, standing.mark, document)

    def _media_events(
        self, owner: str | None, since: datetime | None, stopping: Stopping
    ) -> Iterator[str]:
        clock = _Clock(self._rooms.lifetime_seconds)
        sent: dict[str, datetime] = {}
        with self._rooms.changes.listen(lambda c: owner in (None, c.owner), stopping) as listener:
            yield f"retry: {RETRY_MILLISECONDS}\n\n"
            if since is None:
                since = datetime.now(UTC)
                yield _event("reset", _mark(since), {})
            while True:
                changed = self._rooms.catalog.changed_since(
                    since - OVERLAP, owner=owner, limit=MOST_MISSED
                )
                if len(changed) == MOST_MISSED:
                    since = datetime.now(UTC)
                    changed = []
                    yield _event("reset", _mark(since), {})
                for medium in changed:
                    if sent.get(medium.id) != medium.changed_at:
                        since = max(since, medium.changed_at)
                        yield _event("medium", _mark(since), self._rooms.media.document(medium))
                        clock.wrote()
                sent = {medium.id: medium.changed_at for medium in changed}
                if listener.ended or clock.over:
                    return
                listener.wait(clock.next_wait(None))
                if clock.heartbeat_due:
                    yield ":\n\n"
                    clock.wrote()


class _Clock:
    """When a stream has to write something, and when it has to end."""

    def __init__(self, lifetime_seconds: float) -> None:
        self._ends = time.monotonic() + lifetime_seconds
        self.wrote()

    def wrote(self) -> None:
        self._heartbeat = time.monotonic() + HEARTBEAT_SECONDS

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._ends

    @property
    def heartbeat_due(self) -> bool:
        return time.monotonic() >= self._heartbeat

    def next_wait(self, pause: float | None) -> float:
        """Seconds until the next of heartbeat, end, and `pause`."""
        left = min(self._ends, self._heartbeat) - time.monotonic()
        return left if pause is None else min(left, pause)


def events_blueprint(events: Events) -> Blueprint:
    """The URLs of both streams."""
    blueprint = Blueprint("events", __name__, url_prefix="/api/v1/media")
    blueprint.add_url_rule("/upload/<upload_id>/events", view_func=events.upload, endpoint="upload")
    blueprint.add_url_rule("/events", view_func=events.all_media, endpoint="all_media")
    return blueprint


def _streamed(events: Iterator[str]) -> Response:
    # A HEAD, or a browser's prefetch by it, must not hold a stream open for minutes.
    body = () if request.method == "HEAD" else stream_with_context(events)
    response = Response(body, mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    # nginx would keep the events until its buffer is full.
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _no_more() -> Response:
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def _stopping() -> Stopping:
    stopping: Stopping = request.environ.get(STOPPING, never)
    return stopping


def _event(name: str, mark: str, document: dict[str, Any]) -> str:
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return f"id: {mark}\nevent: {name}\ndata: {data}\n\n"


def _mark(moment: datetime) -> str:
    """A moment as the id of an event: microseconds since 1970."""
    return str((moment - _EPOCH) // _MICROSECOND)


def _moment(mark: str) -> datetime | None:
    """The moment of such an id; None for what is none."""
    return _EPOCH + int(mark) * _MICROSECOND if _MOMENT.fullmatch(mark) else None
