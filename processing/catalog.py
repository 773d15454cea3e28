"""The records of all media, kept for ever, and the only ways in which they change.

    received -> processing -> ready -> registered -> published -> deleted
                     \\-> rejected (with reasons)     \\-> failed (can be tried again)

Every change is a compare-and-set on the status: it names the states it may start from, and says
whether it was the one that made the change. So steps may be repeated, and two workers
that hold the same job do no harm.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from processing import turns
from processing.database import Database
from processing.declared import Declared
from processing.examined import GAVE_UP, Derivative, Examined, Thumbnail
from processing.medium import Change, Medium, Place, Received, Status, media_id_for
from processing.migrations import migrate
from processing.moments import Clock, utc_now
from processing.queue import Job, Order, Queue
from processing.reasons import Reason
from processing.tables import media, posts
from processing.together import Together
from processing.usage import Usage, usage_within

PROCESS = "process"
REGISTER = "register"
DERIVE = "derive"
CLEAR = "clear"
ALL_BUT_DELETED: tuple[Status, ...] = (
    "received",
    "processing",
    "ready",
    "registered",
    "published",
    "rejected",
    "failed",
)

Arrival = tuple[Mapping[str, Any], Sequence[Order]]

WITH_FILES: tuple[Status, ...] = ("ready", "registered", "failed")
"""States in which the files lie on the shelf and are to stay there."""

_BATCH = 500
_SINCE = func.coalesce(media.c.registered_at, media.c.received_at)
_PLACING = 0x7475_7300
_COLUMNS = tuple(column.name for column in media.c)
_THUMBNAIL_COLUMNS = (
    "thumbnail_status",
    "thumbnail_reason",
    "thumbnail_width",
    "thumbnail_height",
    "thumbnail_type",
)


class Catalog:
    """The media records of one installation, with the queue of the jobs that they need."""

    def __init__(self, url: str, *, clock: Clock = utc_now) -> None:
        """Open nothing yet; `url` is `sqlite:///<path>` or `postgresql+psycopg://...`."""
        self.database = Database(url)
        self.queue = Queue(self.database, clock=clock)
        self._clock = clock
        self._insert = self.database.insert_if_new(media)
        self._receive_together = Together(self._receive_all)
        self._changes = select(media.c.id, media.c.upload_id, media.c.owner, media.c.changed_at)
        self._by_id = select(media).where(media.c.id == bindparam("media_id"))
        self._by_upload = select(media).where(media.c.upload_id == bindparam("of_upload"))

    def migrate(self) -> None:
        """Bring the tables to this version; quick when they are, safe when several start."""
        migrate(self.database)

    def close(self) -> None:
        """Give back the database connections."""
        self.database.close()

    def receive(self, received: Received, orders: Sequence[Order] = ()) -> Medium:
        """Record a finished upload and put the job that examines it, both or neither.

        An upload that has its record already keeps it, and gets no second job. `orders` are
        further jobs, put with the first.
        """
        return self._receive_together((_fresh_values(received, self._clock()), orders))

    def _receive_all(self, arrivals: Sequence[Arrival]) -> Sequence[Medium]:
        return self.database.write(lambda c: [self._receive(c, *each) for each in arrivals])

    def _receive(
        self, connection: Connection, fresh: Mapping[str, Any], orders: Sequence[Order]
    ) -> Medium:
        if not self._insert(connection, fresh):
            known = connection.execute(self._by_upload, {"of_upload": fresh["upload_id"]})
            return _medium(known.one()._asdict())
        said = Declared(fresh["file_name"], fresh["content_type"])
        handicap = turns.examination(said, fresh["size"])
        self._put_job(connection, PROCESS, fresh["id"], handicap)
        for order in orders:
            self.queue.put_within(connection, order.kind, order.key, order.payload)
        return _medium(fresh)

    def get(self, media_id: str) -> Medium | None:
        """The medium with this id."""
        return self._one(self._by_id, {"media_id": media_id})

    def by_upload(self, upload_id: str) -> Medium | None:
        """The medium that came from this upload."""
        return self._one(self._by_upload, {"of_upload": upload_id})

    def find(
        self,
        *,
        owner: str | None = None,
        post_id: str | None = None,
        status: Status | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> tuple[Sequence[Medium], str | None]:
        """The media that match, newest upload first, and the cursor of the next page.

        `after` is such a cursor; anything else is a ValueError. The cursor is None on the last
        page. A medium that arrives while somebody turns pages is never shown twice.
        """
        query = select(media).order_by(media.c.created_at.desc(), media.c.id.desc())
        wanted = {"owner": owner, "post_id": post_id, "status": status}
        for name, value in wanted.items():
            if value is not None:
                query = query.where(media.c[name] == value)
        if after is not None:
            query = query.where(tuple_(media.c.created_at, media.c.id) < _parse_cursor(after))
        rows = self.database.read(lambda c: c.execute(query.limit(limit + 1)).all())
        found = [_medium(row._asdict()) for row in rows[:limit]]
        return found, _cursor(found[-1]) if len(rows) > limit and found else None

    def changed_since(
        self, moment: datetime, *, owner: str | None = None, limit: int = 1000
    ) -> Sequence[Medium]:
        """The media whose record was written at `moment` or later, the oldest change first."""
        query = select(media).where(media.c.changed_at >= moment)
        if owner is not None:
            query = query.where(media.c.owner == owner)
        ordered = query.order_by(media.c.changed_at, media.c.id).limit(limit)
        rows = self.database.read(lambda c: c.execute(ordered).all())
        return [_medium(row._asdict()) for row in rows]

    def changes_since(self, moment: datetime) -> Sequence[Change]:
        """What was written at `moment` or later, by whomever; cheap when that is little."""
        query = self._changes.where(media.c.changed_at >= moment)
        rows = self.database.read(lambda c: c.execute(query).all())
        return [Change(*row) for row in rows]

    def unrecorded(self, upload_ids: Iterable[str]) -> set[str]:
        """Those of the uploads that have no record."""
        asked = list(dict.fromkeys(upload_ids))
        batches = [asked[start : start + _BATCH] for start in range(0, len(asked), _BATCH)]

        def known(connection: Connection) -> set[str]:
            in_batches = [media.c.upload_id.in_(batch) for batch in batches]
            queries = [select(media.c.upload_id).where(condition) for condition in in_batches]
            return {found for query in queries for found in connection.scalars(query)}

        return set(asked) - self.database.read(known)

    def stored_bytes(self, owner: str) -> int:
        """The bytes of all files that this owner has here, thumbnails not counted."""
        query = select(func.coalesce(func.sum(media.c.size), 0)).where(
            media.c.owner == owner, media.c.status.not_in(("rejected", "deleted"))
        )
        return int(self.database.read(lambda c: c.scalar(query)) or 0)

    def processing(self, media_id: str) -> bool:
        """Received, processing (again) or failed -> processing."""
        return self._change(media_id, ("received", "processing", "failed"), status="processing")

    def place(self, media_id: str, choices: Sequence[Place]) -> Place:
        """Reserve the first of `choices` that no other medium has; the same one ever after.

        The reservation is committed before any file moves, so a job that runs again finds the
        files of its earlier run, and two uploads never meet in one name. The extension of the
        thumbnail alone is always that of `choices`. The last
        choice must be one that only this medium can have. LookupError for an unknown medium.
        """
        return self.database.write(lambda connection: self._place(connection, media_id, choices))

    def _place(self, connection: Connection, media_id: str, choices: Sequence[Place]) -> Place:
        self.database.only_one_at_a_time(connection, _PLACING)
        row = connection.execute(self._by_id, {"media_id": media_id}).one_or_none()
        if row is None:
            raise LookupError(f"There is no medium {media_id}; its record must come first.")
        if row.path is not None and row.thumbnail_path is not None:
            place = Place(row.path, row.thumbnail_path).in_format_of(choices[0])
        else:
            place = next((c for c in choices[:-1] if not _is_taken(connection, c)), choices[-1])
        connection.execute(
            update(media)
            .where(media.c.id == media_id)
            .values(path=place.path, thumbnail_path=place.thumbnail_path)
        )
        return place

    def ready(self, media_id: str, examined: Examined) -> bool:
        """Processing -> ready, with all that was found; a medium of a post gets its next job."""
        values = _examined_values(examined)

        def work(connection: Connection) -> bool:
            if not self._change_within(connection, media_id, ("processing",), values):
                return False
            of_post = select(media.c.post_id).where(media.c.id == media_id)
            if connection.scalar(of_post) is not None:
                self._put_job(connection, REGISTER, media_id)
            if any(each.status == "pending" for each in examined.derivatives):
                self._put_job(connection, DERIVE, media_id, turns.LAST)
            return True

        return self.database.write(work)

    def assign_post(self, media_id: str, post_id: str) -> bool:
        """Let a medium belong to a post; whether it does afterwards.

        False, and nothing is changed, for a medium of another post, and for one that is rejected
        or deleted without a post. A ready medium gets the job that registers it in the same
        transaction, any other one when it is ready.
        """
        return self.assign_post_to_all([media_id], post_id)

    def assign_post_to_all(self, media_ids: Iterable[str], post_id: str) -> bool:
        """`assign_post` for several media at once: a crash leaves all of them with it, or none.

        Whether all of them belong to the post afterwards.
        """
        asked = list(media_ids)

        def work(connection: Connection) -> bool:
            belong = [self._assign(connection, each, post_id) for each in asked]
            return all(belong)

        return self.database.write(work)

    def _assign(self, connection: Connection, media_id: str, post_id: str) -> bool:
        free = media.c.post_id.is_(None) & media.c.status.not_in(("rejected", "deleted"))
        assigned = connection.scalar(
            update(media)
            .where(media.c.id == media_id, free)
            .values(post_id=post_id)
            .returning(media.c.status)
        )
        if assigned == "ready":
            self._put_job(connection, REGISTER, media_id)
        of_post = select(media.c.post_id).where(media.c.id == media_id)
        return bool(connection.scalar(of_post) == post_id)

    def derived(self, media_id: str, made: Iterable[Derivative]) -> bool:
        """Put these in the place of those with the same names.

        False, and nothing is changed, for a medium whose files are gone or about to go.
        """
        by_name = {each.name: each for each in made}
        return self.database.write(
            lambda connection: self._derived(
                connection, media_id, lambda each: by_name.get(each.name, each)
            )
        )

    def _derived(
        self, connection: Connection, media_id: str, change: Callable[[Derivative], Derivative]
    ) -> bool:
        query = select(media.c.derivatives).where(
            media.c.id == media_id, media.c.status.in_(WITH_FILES)
        )
        # PostgreSQL would else let two workers overwrite each other's list.
        row = connection.execute(query.with_for_update()).one_or_none()
        if row is None:
            return False
        changed = [change(Derivative(**each)) for each in row.derivatives or ()]
        values = {"derivatives": _derivatives_json(changed)}
        return self._change_within(connection, media_id, WITH_FILES, values)

    def registered(self, media_id: str, backend_id: str | None = None) -> bool:
        """Ready (or failed at the registration) -> registered, under the backend's own name."""
        return self._change(
            media_id,
            ("ready", "failed"),
            status="registered",
            reasons=[],
            registered_at=self._clock(),
            backend_id=backend_id,
        )

    def published(self, post_id: str, owner: str | None = None) -> Sequence[Medium]:
        """Registered -> published for every medium of the post, and the post itself if we have it.

        With `owner`, only for the media of that user. The answer holds all of these published
        media whose files may still lie on the disk.
        """
        now = self._clock()

        def work(connection: Connection) -> Sequence[Medium]:
            unpublished = (posts.c.id == post_id) & posts.c.published_at.is_(None)
            connection.execute(update(posts).where(unpublished).values(published_at=now))
            of_post = media.c.post_id == post_id
            if owner is not None:
                of_post &= media.c.owner == owner
            connection.execute(
                update(media)
                .where(of_post, media.c.status == "registered")
                .values(status="published", published_at=now)
            )
            waiting = select(media).where(of_post, media.c.status == "published")
            return [_medium(row._asdict()) for row in connection.execute(waiting)]

        return self.database.write(work)

    def deleted(self, media_id: str) -> bool:
        """Any other state -> deleted, for a caller that has removed the files before.

        Why follows from the state: files go because they were published, or because somebody asked.
        A job that was given up is forgotten: there is nothing left to retry.
        """
        values = {
            "status": "deleted",
            "deleted_at": self._clock(),
            "deleted_because": case((media.c.status == "published", "published"), else_="asked"),
        }

        def work(connection: Connection) -> bool:
            if not self._change_within(connection, media_id, ALL_BUT_DELETED, values):
                return False
            self._forget_parked(connection, media_id)
            return True

        return self.database.write(work)

    def overdue(self, before: datetime, *, after: Medium | None, limit: int) -> Sequence[Medium]:
        """Media that were neither published nor are on their way to a post, oldest first.

        Their registration, or their arrival if they belong to no post, was before `before`.
        `after` is the last one of the page before.
        """
        query = select(media).where(_overdue(before)).order_by(_SINCE, media.c.id).limit(limit)
        if after is not None:
            since = after.registered_at or after.received_at
            query = query.where(tuple_(_SINCE, media.c.id) > tuple_(literal(since), after.id))
        rows = self.database.read(lambda c: c.execute(query).all())
        return [_medium(row._asdict()) for row in rows]

    def retire(self, media_id: str, before: datetime) -> bool:
        """Overdue -> deleted, with a job that deletes the files; False if it is not overdue."""
        values = {
            "status": "deleted",
            "deleted_at": self._clock(),
            "deleted_because": "retention",
        }

        def work(connection: Connection) -> bool:
            statement = update(media).where(media.c.id == media_id, _overdue(before))
            if connection.execute(statement.values(**values)).rowcount != 1:
                return False
            self._put_job(connection, CLEAR, media_id, turns.LAST)
            self._forget_parked(connection, media_id)
            return True

        return self.database.write(work)

    def _forget_parked(self, connection: Connection, media_id: str) -> None:
        for kind in (PROCESS, REGISTER, DERIVE):
            self.queue.drop_parked_within(connection, _job_key(kind, media_id))

    def usage(self, owner: str | None = None) -> Sequence[Usage]:
        """The disk use of every owner of a medium, or of one, by name."""
        kind = self.database.kind
        return self.database.read(lambda connection: usage_within(connection, kind, owner))

    def rejected(self, media_id: str, reasons: Iterable[Reason]) -> bool:
        """Processing -> rejected: the file breaks the rules."""
        return self._change(
            media_id, ("processing",), status="rejected", reasons=_reasons_json(reasons)
        )

    def refused(self, media_id: str, reasons: Iterable[Reason]) -> bool:
        """Ready (or failed at the registration) -> rejected: the posts backend does not want it."""
        return self._change(
            media_id, ("ready", "failed"), status="rejected", reasons=_reasons_json(reasons)
        )

    def failed(self, job: Job, reason: Reason | None, error: str) -> bool:
        """Received, processing, ready or failed -> failed, its job parked with `error`, as one.

        Without a reason only the job is parked: the medium does not depend on it, and its
        pending derivatives are given up. False, and
        nothing is changed, when the job has another worker by now.
        """

        def work(connection: Connection) -> bool:
            if not self.queue.park_within(connection, job, error):
                return False
            if reason is not None:
                values = {"status": "failed", "reasons": _reasons_json([reason])}
                allowed: Sequence[Status] = ("received", "processing", "ready", "failed")
                self._change_within(connection, str(job.media_id), allowed, values)
            if job.kind == DERIVE:
                self._derived(connection, str(job.media_id), _given_up)
            return True

        return self.database.write(work)

    def retry(self, media_id: str) -> bool:
        """Failed -> received, or ready when only the registration failed; its job starts afresh."""

        def work(connection: Connection) -> bool:
            row = connection.execute(self._by_id, {"media_id": media_id}).one_or_none()
            if row is None or row.status != "failed":
                return False
            examined = row.sha256 is not None
            values: dict[str, Any] = {"status": "ready" if examined else "received", "reasons": []}
            self._change_within(connection, media_id, ("failed",), values)
            kind = REGISTER if examined else PROCESS
            if not self.queue.replay_within(connection, _job_key(kind, media_id)):
                self._put_job(connection, kind, media_id)
            return True

        return self.database.write(work)

    def _one(self, query: Any, values: Mapping[str, str]) -> Medium | None:
        row = self.database.read(lambda c: c.execute(query, values).one_or_none())
        return None if row is None else _medium(row._asdict())

    def _change(self, media_id: str, allowed: Sequence[Status], **values: Any) -> bool:
        return self.database.write(
            lambda connection: self._change_within(connection, media_id, allowed, values)
        )

    def _change_within(
        self,
        connection: Connection,
        media_id: str,
        allowed: Sequence[Status],
        values: Mapping[str, Any],
    ) -> bool:
        statement = (
            update(media)
            .where(media.c.id == media_id, media.c.status.in_(allowed))
            .values(**values)
        )
        return connection.execute(statement).rowcount == 1

    def _put_job(
        self,
        connection: Connection,
        kind: str,
        media_id: str,
        handicap: timedelta = turns.AT_ONCE,
    ) -> None:
        key, payload = _job_key(kind, media_id), {"media_id": media_id}
        self.queue.put_within(connection, kind, key, payload, handicap=handicap)


# The condition is one of the row alone: PostgreSQL checks it anew when another transaction, such
# as one that gives the medium a post, has changed the row meanwhile.
def _overdue(before: datetime) -> ColumnElement[bool]:
    without_post = (media.c.status == "ready") & media.c.post_id.is_(None)
    return (before > _SINCE) & (without_post | (media.c.status == "registered"))


def _job_key(kind: str, media_id: str) -> str:
    return f"{kind}:{media_id}"


def _is_taken(connection: Connection, place: Place) -> bool:
    # Both columns against all names: "a.jpg" of one upload may be what another one's
    # thumbnail is called.
    names = place.names
    taken = select(media.c.id).where(
        or_(media.c.path.in_(names), media.c.thumbnail_path.in_(names))
    )
    return connection.scalar(taken.limit(1)) is not None


def _fresh_values(received: Received, now: datetime) -> dict[str, Any]:
    values: dict[str, Any] = dict.fromkeys(_COLUMNS)
    values.update(
        id=media_id_for(received.upload_id),
        upload_id=received.upload_id,
        owner=received.owner,
        post_id=received.post_id,
        status="received",
        reasons=[],
        file_name=_storable(received.file_name),
        content_type=_storable(received.content_type),
        size=received.size,
        metadata={_storable(k): _storable(v) for k, v in received.metadata.items()},
        created_at=received.created_at,
        received_at=now,
        changed_at=now,
    )
    return values


def _storable(text: str | None) -> str | None:
    # PostgreSQL refuses NUL in text, and neither database takes half a surrogate pair; a
    # client's odd file name must not cost it the upload.
    if text is None:
        return None
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


def _examined_values(examined: Examined) -> dict[str, Any]:
    return {
        "status": "ready",
        "reasons": [],
        "media_type": examined.media_type,
        "content_type": examined.content_type,
        "width": examined.width,
        "height": examined.height,
        "duration": examined.duration,
        "codec": examined.codec,
        "bitrate": examined.bitrate,
        "fps": examined.fps,
        "rotation": examined.rotation,
        "size": examined.size,
        "sha256": examined.sha256,
        "probe": examined.probe,
        "thumbnail_status": examined.thumbnail.status,
        "thumbnail_reason": examined.thumbnail.reason,
        "thumbnail_width": examined.thumbnail.width,
        "thumbnail_height": examined.thumbnail.height,
        "thumbnail_type": examined.thumbnail.content_type,
        "thumbhash": examined.thumbhash,
        "derivatives": _derivatives_json(examined.derivatives),
    }


def _derivatives_json(derivatives: Iterable[Derivative]) -> list[dict[str, Any]]:
    return [asdict(derivative) for derivative in derivatives]


def _given_up(derivative: Derivative) -> Derivative:
    if derivative.status != "pending":
        return derivative
    return replace(derivative, status="failed", reason=GAVE_UP)


def _reasons_json(reasons: Iterable[Reason]) -> list[dict[str, str]]:
    return [{"code": reason.code, "message": reason.message} for reason in reasons]


def _medium(row: Mapping[str, Any]) -> Medium:
    values = {name: row[name] for name in _COLUMNS if name not in _THUMBNAIL_COLUMNS}
    values["reasons"] = tuple(Reason(**reason) for reason in row["reasons"])
    values["thumbnail"] = _thumbnail(row)
    values["derivatives"] = tuple(Derivative(**each) for each in row["derivatives"] or ())
    return Medium(**values)


def _thumbnail(row: Mapping[str, Any]) -> Thumbnail | None:
    if row["thumbnail_status"] is None:
        return None
    status, reason, width, height, kind = (row[name] for name in _THUMBNAIL_COLUMNS)
    return Thumbnail(status, reason, width, height, kind or "image/jpeg")


def _cursor(medium: Medium) -> str:
    text = f"{medium.created_at.isoformat()}|{medium.id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _parse_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        moment, _, media_id = base64.b64decode(padded, b"-_", validate=True).decode().partition("|")
        created_at = datetime.fromisoformat(moment)
    except (binascii.Error, ValueError) as error:
        raise ValueError("The cursor is not one of ours; give back 'next' unchanged.") from error
    if created_at.tzinfo is None:
        raise ValueError("The cursor is not one of ours; give back 'next' unchanged.")
    return created_at, media_id
