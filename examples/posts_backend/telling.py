"""Tells the upload server that posts are published, until their files are deleted there."""

import json
import logging
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import requests
from posts import Posts
from standardwebhooks.webhooks import Webhook

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 15.0
IDLE_SECONDS = 0.2


class Telling:
    """A thread that empties the outbox; what it does may be done twice without harm."""

    def __init__(self, posts: Posts, server: str, secret: str) -> None:
        """`server` is the upload server's URL."""
        self._posts = posts
        self._server = server.rstrip("/")
        self._webhook = Webhook(secret)

    def start(self) -> None:
        """Begin, and go on for as long as the process lives."""
        threading.Thread(target=self._run, daemon=True, name="telling").start()

    def _run(self) -> None:
        while True:
            try:
                self._round()
            except Exception:
                # Such as a database that is busy for too long. Without this thread nothing would
                # be told until the next start.
                log.exception("the round was not finished")
            time.sleep(IDLE_SECONDS)

    def _round(self) -> None:
        for post_id in self._posts.due():
            if self._tell(post_id):
                self._posts.told(post_id)
            else:
                self._posts.tell_later(post_id)

    def _tell(self, post_id: str) -> bool:
        """Make the call; whether every medium of the post is deleted there."""
        post = self._posts.get(post_id)
        if post is None or not post["media"]:
            return True
        try:
            answer = self._call(post_id)
            deleted = {each["id"] for each in answer["media"] if each["status"] == "deleted"}
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            log.warning("post %s: the upload server is not told yet: %s", post_id, error)
            return False
        # A medium that we took may not be registered there yet, when its worker died between our
        # answer and its own note of it. Then the server deletes it at one of the next calls.
        return {medium["upload_server_id"] for medium in post["media"]} <= deleted

    def _call(self, post_id: str) -> dict[str, Any]:
        body = json.dumps({"post_id": post_id, "success": True})
        now, message_id = datetime.now(tz=UTC), f"msg_{uuid.uuid4().hex}"
        response = requests.post(
            f"{self._server}/api/v1/posts/{quote(post_id, safe='')}/published",
            data=body,
            headers={
                "Content-Type": "application/json",
                "webhook-id": message_id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": self._webhook.sign(message_id, now, body),
            },
            timeout=TIMEOUT_SECONDS,
        )
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer
