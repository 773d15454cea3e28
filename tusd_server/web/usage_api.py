"""/api/v1/media/usage: how much of the disk each user has taken."""

from typing import Any

from flask import Blueprint, request

from processing.catalog import Catalog
from processing.usage import Usage
from tusd_server.auth import Auth
from tusd_server.errors import UploadForbidden


class UsageApi:
    """The view on the use of the disk; staff sees everybody's, others their own."""

    def __init__(self, catalog: Catalog, auth: Auth) -> None:
        """Wire the rooms together."""
        self._catalog = catalog
        self._auth = auth

    def many(self) -> dict[str, Any]:
        """GET /api/v1/media/usage?owner=: by owner; a user without media uses nothing."""
        user, owner = self._auth.user(), request.args.get("owner")
        if not user.staff and owner not in (None, user.id):
            raise UploadForbidden("Only staff may see what others use; leave out owner.")
        one = owner if user.staff else user.id
        found = self._catalog.usage(one) or ([] if one is None else [Usage(one, {}, 0, 0)])
        return {"items": [_document(usage) for usage in found], "next": None}


def usage_blueprint(api: UsageApi) -> Blueprint:
    """The URL of the use of the disk."""
    blueprint = Blueprint("usage", __name__, url_prefix="/api/v1/media")
    blueprint.add_url_rule("/usage", view_func=api.many, endpoint="many")
    return blueprint


def _document(usage: Usage) -> dict[str, Any]:
    return {
        "owner": usage.owner,
        "media": dict(usage.media),
        "original_bytes": usage.original_bytes,
        "derived_bytes": usage.derived_bytes,
        "stored_bytes": usage.stored_bytes,
    }
