"""The installation's secret: given as a setting, or made once in the data directory."""

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from tusd_server.settings import Settings


def secret_of(settings: Settings) -> str:
    """The secret that signs tokens and media URLs; made with mode 0600 when there is none yet."""
    return settings.jwt_secret or _made_once(settings.state_dir / "secret")


def key_for(settings: Settings, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose, so that no signature serves for two."""
    return hmac.digest(secret_of(settings).encode(), purpose.encode(), hashlib.sha256)


def _made_once(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written aside and linked, so that of several processes which start together one wins and
    # none reads half a secret.
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    if not path.exists():
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return path.read_text(encoding="ascii").strip()
