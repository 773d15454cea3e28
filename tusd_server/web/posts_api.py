"""/api/v1/posts: posts, whichever backend keeps them."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, json, request

from hooks.posts import Post, Posts
from hooks.signing import SIGNATURE, NotSigned, Signer
from tusd_server.auth import Auth
from tusd_server.errors import AccessDenied, BadHeader, UploadNotFound
from tusd_server.web.documents import rfc3339
from tusd_server.web.media_api import MediaApi

MOST_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Publication:
    """What a caller says of a publication."""

    success: bool = True
    post_id: str | None = None

    @classmethod
    def from_body(cls, body: bytes) -> "Publication":
        """No body is a success; BadHeader for what is not the JSON that we expect."""
        if not body.strip():
            return cls()
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise BadHeader("The body is not JSON; send an object, or nothing.") from None
        if not isinstance(document, dict):
            raise BadHeader('The body must be a JSON object, such as {"success": true}.')
        success = document.get("success", True)
        if not isinstance(success, bool):
            raise BadHeader("success must be true or false.")
        post_id = document.get("post_id")
        return cls(success, post_id if isinstance(post_id, str) else None)


class PostsApi:
    """The views on posts; staff and the posts backend see everybody's, others their own."""

    def __init__(self, posts: Posts, media: MediaApi, auth: Auth, signer: Signer | None) -> None:
        """Wire the rooms together; `signer` knows the posts backend by its signature."""
        self._posts = posts
        self._media = media
        self._auth = auth
        self._signer = signer

    def one(self, post_id: str) -> dict[str, Any]:
        """GET /api/v1/posts/<post_id>: the post and its registered media."""
        return self._document(self._posts.get(post_id, self._owner()))

    def published(self, post_id: str) -> dict[str, Any]:
        """POST /api/v1/posts/<post_id>/published: delete its files, keep its records.

        Called after a successful publish, again and again without harm. After a failed one it
        changes nothing.
        """
        request.max_content_length = MOST_BODY_BYTES
        signer = self._signer if SIGNATURE in request.headers else None
        owner = self._owner() if signer is None else None
        publication = _publication() if signer is None else _signed_publication(signer, post_id)
        act = self._posts.published if publication.success else self._posts.get
        return self._document(act(post_id, owner))

    def _owner(self) -> str | None:
        """Whose media this request may reach; None is everybody's."""
        user = self._auth.user()
        return None if user.staff else user.id

    def _document(self, post: Post | None) -> dict[str, Any]:
        if post is None:
            raise UploadNotFound("There is no such post.")
        return {
            "id": post.id,
            "owner": post.owner,
            "created_at": rfc3339(post.created_at),
            "published_at": rfc3339(post.published_at),
            "media": [self._media.document(medium) for medium in post.media],
        }


def _publication() -> Publication:
    return Publication.from_body(request.get_data())


def _signed_publication(signer: Signer, post_id: str) -> Publication:
    try:
        signer.verify(dict(request.headers), request.get_data())
    except NotSigned as error:
        raise AccessDenied(str(error)) from None
    publication = _publication()
    # The signature is not over the URL: a call for one post must be no call for another.
    if publication.post_id != post_id:
        raise AccessDenied("A signed call must name the URL's post in its body, as post_id.")
    return publication


def posts_blueprint(api: PostsApi) -> Blueprint:
    """The URLs of posts."""
    blueprint = Blueprint("posts", __name__, url_prefix="/api/v1/posts")
    blueprint.add_url_rule("/<post_id>", view_func=api.one, endpoint="one")
    blueprint.add_url_rule(
        "/<post_id>/published", view_func=api.published, endpoint="published", methods=["POST"]
    )
    return blueprint
