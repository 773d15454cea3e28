"""The posts backend of somebody else, reached over HTTP: one signed call for each ready medium."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

import requests

from hooks.calling import auth_of
from hooks.posts import Post, registered_media
from hooks.posts_answer import Answer, judge, read_answer
from hooks.signing import Signer
from hooks.transport import within
from processing.catalog import Catalog
from processing.cleanup import clear
from processing.medium import Medium
from processing.moments import Clock, utc_now
from processing.patience import NotNow
from processing.shelf import Shelf

EVENT = "media.ready"

Describe = Callable[[Medium], Mapping[str, Any]]


class HttpPosts:
    """Posts that another system keeps; here, a post is its media.

    Each medium belongs to its owner alone: a post may have media of several users, and each of
    them sees and publishes what is theirs.
    """

    def __init__(
        self,
        catalog: Catalog,
        shelf: Shelf,
        *,
        url: str,
        signer: Signer,
        describe: Describe,
        timeout_seconds: float,
        clock: Clock = utc_now,
    ) -> None:
        """`describe` makes the `data` of a call; `timeout_seconds` bounds all of it."""
        self._catalog = catalog
        self._shelf = shelf
        self._url = url
        self._signer = signer
        self._describe = describe
        self._timeout_seconds = timeout_seconds
        self._clock = clock

    def register(self, medium: Medium) -> str | None:
        """Call the backend; the medium's id names the call, however often it is made."""
        body = self._body(medium)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, application/problem+json",
            # A compressed answer could be any size.
            "Accept-Encoding": "identity",
            "User-Agent": "tusd-server",
            "Idempotency-Key": medium.id,
            **self._signer.sign(medium.id, body),
        }
        return judge(self._answer(body, headers), self._clock())

    def get(self, post_id: str, owner: str | None = None) -> Post | None:
        """The media that were registered with this post."""
        media = tuple(registered_media(self._catalog, post_id, owner))
        if not media:
            return None
        owners = {medium.owner for medium in media}
        begun = min(medium.registered_at for medium in media if medium.registered_at is not None)
        published = [medium.published_at for medium in media if medium.published_at is not None]
        return Post(
            id=post_id,
            owner=owners.pop() if len(owners) == 1 else None,
            created_at=begun,
            published_at=max(published, default=None),
            media=media,
        )

    def published(self, post_id: str, owner: str | None = None) -> Post | None:
        """Of the media of `owner`, or of all."""
        clear(self._catalog, self._shelf, self._catalog.published(post_id, owner))
        return self.get(post_id, owner)

    def _body(self, medium: Medium) -> bytes:
        now = self._clock().astimezone(UTC).isoformat(timespec="milliseconds")
        message = {
            "type": EVENT,
            "timestamp": now.replace("+00:00", "Z"),
            "data": self._describe(medium),
        }
        return json.dumps(message, separators=(",", ":")).encode()

    def _answer(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        try:
            return within(self._timeout_seconds, lambda: self._post(body, headers))
        except (requests.RequestException, OSError) as error:
            raise NotNow(f"The posts backend did not answer: {type(error).__name__}.") from error

    def _post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        with requests.post(
            self._url,
            data=body,
            headers=headers,
            timeout=self._timeout_seconds,
            auth=auth_of(self._url),
            allow_redirects=False,
            stream=True,
        ) as response:
            return read_answer(response, self._timeout_seconds)
