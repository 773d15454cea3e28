"""The posts, their media and the calls that are still to be made: one SQLite file."""

import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS posts (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, created_at REAL NOT NULL, published_at REAL
);
-- message_id is the webhook-id: UNIQUE is what makes a repeated call harmless.
CREATE TABLE IF NOT EXISTS media (
    id TEXT PRIMARY KEY, message_id TEXT NOT NULL UNIQUE, post_id TEXT NOT NULL REFERENCES posts,
    media_type TEXT, file_name TEXT, sha256 TEXT, url TEXT
);
-- Publications that the upload server has not cleaned up for yet.
CREATE TABLE IF NOT EXISTS outbox (
    post_id TEXT PRIMARY KEY REFERENCES posts, tries INTEGER NOT NULL, due_at REAL NOT NULL
);
"""
LONGEST_PAUSE_SECONDS = 300.0
# About a day; what is still in the outbox then is for somebody to look at.
MOST_TRIES = 300


class Refusal(Exception):
    """The medium is not wanted; the sentence goes into the upload server's record."""


class Posts:
    """Every method is one transaction; may be called from several threads and processes."""

    def __init__(self, path: Path) -> None:
        """The tables are made where they are missing."""
        self._path = path
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(SCHEMA)

    def create(self, title: str) -> str:
        """A new post; its id."""
        post_id = uuid.uuid4().hex
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO posts VALUES (?, ?, ?, NULL)", (post_id, title, time.time())
            )
        return post_id

    def get(self, post_id: str) -> dict[str, Any] | None:
        """The post with its media."""
        with self._transaction() as connection:
            row = _post(connection, post_id)
            if row is None:
                return None
            found = connection.execute(
                "SELECT id, message_id AS upload_server_id, media_type, file_name, sha256, url "
                "FROM media WHERE post_id = ? ORDER BY rowid",
                (post_id,),
            )
            return {**dict(row), "media": [dict(medium) for medium in found]}

    def add(self, message_id: str, medium: Mapping[str, Any]) -> str:
        """Take a medium into its post, once for each message; our id of it. May raise Refusal."""
        with self._transaction() as connection:
            known = connection.execute(
                "SELECT id FROM media WHERE message_id = ?", (message_id,)
            ).fetchone()
            # First, because the answer to a repeated call must not depend on what came since.
            if known is not None:
                return str(known["id"])
            post = _post(connection, medium["post_id"])
            if post is None:
                raise Refusal("There is no such post; create it before its media are uploaded.")
            if post["published_at"] is not None:
                raise Refusal("The post is published already; it takes no more media.")
            medium_id = uuid.uuid4().hex
            connection.execute(
                "INSERT INTO media VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    medium_id,
                    message_id,
                    medium["post_id"],
                    medium.get("media_type"),
                    medium.get("file_name"),
                    medium.get("sha256"),
                    medium.get("url"),
                ),
            )
            return medium_id

    def publish(self, post_id: str) -> bool:
        """Mark it published and note the call that this asks for, as one; False if unknown."""
        with self._transaction() as connection:
            if _post(connection, post_id) is None:
                return False
            changed = connection.execute(
                "UPDATE posts SET published_at = ? WHERE id = ? AND published_at IS NULL",
                (time.time(), post_id),
            ).rowcount
            if changed:
                connection.execute("INSERT INTO outbox VALUES (?, 0, 0)", (post_id,))
            return True

    def due(self) -> list[str]:
        """The posts whose publication is to be told now."""
        with self._transaction() as connection:
            found = connection.execute(
                "SELECT post_id FROM outbox WHERE due_at <= ? AND tries < ?",
                (time.time(), MOST_TRIES),
            )
            return [row["post_id"] for row in found]

    def told(self, post_id: str) -> None:
        """The upload server has deleted all files of this post."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM outbox WHERE post_id = ?", (post_id,))

    def tell_later(self, post_id: str) -> None:
        """It has not, or did not answer; the pause doubles with each try."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE outbox SET tries = tries + 1, "
                "due_at = ? + min(?, 0.5 * (1 << min(tries, 20))) WHERE post_id = ?",
                (time.time(), LONGEST_PAUSE_SECONDS, post_id),
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


def _post(connection: sqlite3.Connection, post_id: object) -> sqlite3.Row | None:
    query = "SELECT id, title, created_at, published_at FROM posts WHERE id = ?"
    row: sqlite3.Row | None = connection.execute(query, (post_id,)).fetchone()
    return row
