"""Posts, and the backend that comes with the server: posts are rows beside the media."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection, select

from processing.catalog import Catalog
from processing.cleanup import clear
from processing.medium import Medium
from processing.moments import Clock, utc_now
from processing.posting import PostsBackend
from processing.reasons import Reason, Rejected
from processing.shelf import Shelf
from processing.tables import posts

PAGE = 500


@dataclass(frozen=True, slots=True)
class Post:
    """A post with the media that were registered with it, oldest first, deleted ones too.

    `owner` is None where the media belong to several users.
    """

    id: str
    owner: str | None
    created_at: datetime
    published_at: datetime | None
    media: tuple[Medium, ...]


class Posts(PostsBackend, Protocol):
    """A posts backend, as the worker and the API see it.

    A medium that is registered after the publication stays registered, files and all, until
    `published` is called again: what was not published is never deleted.
    """

    def get(self, post_id: str, owner: str | None = None) -> Post | None:
        """The post and its registered media; None if unknown, or not this owner's."""

    def published(self, post_id: str, owner: str | None = None) -> Post | None:
        """Mark the post's registered media published, delete their files; None as in `get`.

        May be repeated. The marks are one transaction and come first, so after a crash before
        the last file is gone, the reconciler deletes the rest.
        """


class EmbeddedPosts:
    """Posts in the catalog's own database.

    A post comes into being, and gets its owner, with the first medium that names it.
    """

    def __init__(self, catalog: Catalog, shelf: Shelf, *, clock: Clock = utc_now) -> None:
        """`shelf` is where the files of published media are deleted from."""
        self._catalog = catalog
        self._shelf = shelf
        self._clock = clock
        self._insert = catalog.database.insert_if_new(posts)

    def register(self, medium: Medium) -> None:
        """Make the medium's post if it is new; `Rejected` when the post is another user's.

        That the medium is part of it is the record's own state, so registering twice is once.
        """
        fresh = {
            "id": medium.post_id,
            "owner": medium.owner,
            "created_at": self._clock(),
            "published_at": None,
        }

        def work(connection: Connection) -> str | None:
            self._insert(connection, fresh)
            return connection.scalar(select(posts.c.owner).where(posts.c.id == medium.post_id))

        if self._catalog.database.write(work) != medium.owner:
            message = "The post belongs to another user; name a post of your own."
            raise Rejected(Reason("post_of_another_user", message))

    def get(self, post_id: str, owner: str | None = None) -> Post | None:
        """The post and its media."""
        query = select(posts).where(posts.c.id == post_id)
        row = self._catalog.database.read(lambda c: c.execute(query).one_or_none())
        if row is None or owner not in (None, row.owner):
            return None
        media = tuple(registered_media(self._catalog, post_id))
        return Post(row.id, row.owner, row.created_at, row.published_at, media)

    def published(self, post_id: str, owner: str | None = None) -> Post | None:
        """Mark the post too."""
        if self.get(post_id, owner) is None:
            return None
        clear(self._catalog, self._shelf, self._catalog.published(post_id))
        return self.get(post_id)


def registered_media(catalog: Catalog, post_id: str, owner: str | None = None) -> Sequence[Medium]:
    """The media that were ever registered with this post, oldest first."""
    media: list[Medium] = []
    cursor: str | None = None
    while True:
        page, cursor = catalog.find(post_id=post_id, owner=owner, after=cursor, limit=PAGE)
        media.extend(medium for medium in page if medium.registered_at is not None)
        if cursor is None:
            return media[::-1]
