"""tusd-server: resumable media uploads over tus 1.0, for Python teams."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["Settings", "create_app", "create_blueprint"]

if TYPE_CHECKING:
    from tusd_server.app import create_app, create_blueprint
    from tusd_server.settings import Settings


def __getattr__(name: str) -> Any:
    # Late, because gunicorn imports this package to read its configuration before
    # gevent has patched the standard library, and Flask must be imported after that.
    if name in ("create_app", "create_blueprint"):
        from tusd_server import app

        return getattr(app, name)
    if name == "Settings":
        from tusd_server.settings import Settings

        return Settings
    raise AttributeError(f"module 'tusd_server' has no attribute {name!r}")
