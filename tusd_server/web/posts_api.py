"""/api/v1/posts: the embedded posts backend."""

from typing import Any

from flask import Blueprint

from hooks.posts import EmbeddedPosts, Post
from tusd_server.auth import Auth, User
from tusd_server.errors import UploadNotFound
from tusd_server.web.documents import rfc3339
from tusd_server.web.media_api import MediaApi


class PostsApi:
    """The views on posts; staff sees everybody's, others their own."""

    def __init__(self, posts: EmbeddedPosts, media: MediaApi, auth: Auth) -> None:
        """Wire the rooms together."""
        self._posts = posts
        self._media = media
        self._auth = auth

    def one(self, post_id: str) -> dict[str, Any]:
        """GET /api/v1/posts/<post_id>: the post and its registered media."""
        return self._document(self._mine(post_id, self._auth.user()))

    def published(self, post_id: str) -> dict[str, Any]:
        """POST /api/v1/posts/<post_id>/published: delete its files, keep its records.

        Called after a successful publish, again and again without harm.
        """
        post = self._mine(post_id, self._auth.user())
        return self._document(self._posts.published(post.id) or post)

    def _mine(self, post_id: str, user: User) -> Post:
        post = self._posts.get(post_id)
        if post is None or not (user.staff or post.owner == user.id):
            raise UploadNotFound("There is no such post.")
        return post

    def _document(self, post: Post) -> dict[str, Any]:
        return {
            "id": post.id,
            "owner": post.owner,
            "created_at": rfc3339(post.created_at),
            "published_at": rfc3339(post.published_at),
            "media": [self._media.document(medium) for medium in post.media],
        }


def posts_blueprint(api: PostsApi) -> Blueprint:
    """The URLs of posts."""
    blueprint = Blueprint("posts", __name__, url_prefix="/api/v1/posts")
    blueprint.add_url_rule("/<post_id>", view_func=api.one, endpoint="one")
    blueprint.add_url_rule(
        "/<post_id>/published", view_func=api.published, endpoint="published", methods=["POST"]
    )
    return blueprint
