"""What the people who run the server ask it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import redis
from flask import Blueprint, Response, json

Check = Callable[[], object]


def operations_blueprint(checks: Mapping[str, Check]) -> Blueprint:
    """/healthz: this process lives. /readyz: what it needs answers, each check by name."""
    blueprint = Blueprint("operations", __name__)

    @blueprint.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @blueprint.get("/readyz")
    def readyz() -> Response:
        results = {name: _answer(check) for name, check in checks.items()}
        ready = all(result == "ok" for result in results.values())
        return Response(
            json.dumps({"status": "ok" if ready else "unavailable", "checks": results}),
            200 if ready else 503,
            mimetype="application/json",
        )

    return blueprint


def directory_check(directory: Path) -> Check:
    """A check that a directory can be written."""

    def check() -> None:
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError

    return check


def redis_check(url: str) -> Check:
    """A check that Redis answers."""
    client = redis.Redis.from_url(url, socket_timeout=1.0, socket_connect_timeout=1.0)
    return client.ping


def _answer(check: Check) -> str:
    try:
        check()
    except Exception as error:  # a probe must answer whatever is wrong, and names no internals
        return type(error).__name__
    return "ok"
