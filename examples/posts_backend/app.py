"""A posts backend beside tusd-server: create a post, receive its media, publish it.

POSTS_SECRET=whsec_... python app.py [--port 5000] [--database posts.db]
                                     [--tusd http://127.0.0.1:1080]
"""

import argparse
import logging
import os
from pathlib import Path
from typing import Any

from flask import Flask, Response, json, request
from posts import Posts, Refusal
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from telling import Telling

MOST_BODY_BYTES = 1024 * 1024


def create_app(posts: Posts, secret: str) -> Flask:
    """The application; `secret` is shared with tusd-server, as TUSD_POSTS_SECRET."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY_BYTES
    webhook = Webhook(secret)

    @app.post("/posts")
    def create() -> tuple[dict[str, Any], int]:
        document = request.get_json(silent=True)
        title = document.get("title", "") if isinstance(document, dict) else ""
        return {"id": posts.create(str(title))}, 201

    @app.get("/posts/<post_id>")
    def show(post_id: str) -> Response | dict[str, Any]:
        return posts.get(post_id) or problem(404, "There is no such post.")

    @app.post("/posts/<post_id>/publish")
    def publish(post_id: str) -> Response | dict[str, Any]:
        # Here a real backend sends the post's files to wherever it is published.
        if not posts.publish(post_id):
            return problem(404, "There is no such post.")
        return posts.get(post_id) or {}

    @app.post("/media")
    def receive() -> Response | tuple[dict[str, Any], int]:
        """tusd-server calls this for each ready medium, again until it gets an answer."""
        try:
            message = webhook.verify(request.get_data(), dict(request.headers))
        except (WebhookVerificationError, ValueError):
            return problem(401, "The signature does not hold.")
        if message.get("type") != "media.ready":
            return {}, 200
        try:
            return {"id": posts.add(request.headers["webhook-id"], message["data"])}, 200
        except Refusal as refusal:
            return problem(422, str(refusal))

    return app


def problem(status: int, detail: str) -> Response:
    """An error as RFC 9457 has it; tusd-server keeps `detail` in the medium's record."""
    document = json.dumps({"status": status, "detail": detail})
    return Response(document, status, mimetype="application/problem+json")


def main() -> None:
    """Serve until the process is stopped."""
    parser = argparse.ArgumentParser(description="A posts backend beside tusd-server.")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--database", type=Path, default=Path("posts.db"))
    parser.add_argument("--tusd", default="http://127.0.0.1:1080", help="URL of tusd-server")
    options = parser.parse_args()
    secret = os.environ.get("POSTS_SECRET")
    if not secret:
        parser.error("POSTS_SECRET is not set; give the value of TUSD_POSTS_SECRET.")
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    posts = Posts(options.database)
    Telling(posts, options.tusd, secret).start()
    create_app(posts, secret).run(port=options.port, threaded=True)


if __name__ == "__main__":
    main()
