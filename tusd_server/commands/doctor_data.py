"""Checks of what the settings point to: directory, disk, database, secret, redis, scanner."""

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import redis
import requests
from alembic.runtime.migration import MigrationContext
from flask import Flask
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from processing.clamd import Address, Clamd
from processing.database import Database
from processing.migrations import HEAD
from processing.patience import NotNow
from processing.shelf import UPLOADS
from tusd_server.app import make_store
from tusd_server.auth import Auth
from tusd_server.commands.finding import Finding, fail, ok, warn
from tusd_server.commands.words import bytes_of
from tusd_server.errors import BadSetting
from tusd_server.settings import Settings

SECRET_BYTES = 32
REDIS_SECONDS = 3.0
POSTS_SECONDS = 5.0


def check_data_dir(settings: Settings) -> Finding:
    """The directory can be written, or can be made."""
    directory = settings.data_dir.absolute()
    place = _existing(directory)
    try:
        # By trying, because permission bits tell nothing about read-only mounts or root.
        with tempfile.NamedTemporaryFile(dir=place, prefix=".tusd-server-doctor-"):
            pass
    except OSError as error:
        return fail("data", f"{place} cannot be written: {_lowered(error)}.")
    if place != directory:
        return ok("data", f"{directory} is not there yet; the first start makes it.")
    return ok("data", f"{directory} can be written.")


def check_disk(settings: Settings) -> Finding:
    """There is room for a few uploads of the largest size."""
    free = shutil.disk_usage(_existing(settings.data_dir.absolute())).free
    largest = settings.max_size
    if free < largest:
        return warn("disk", f"{bytes_of(free)} are free; one upload may take {bytes_of(largest)}.")
    return ok("disk", f"{bytes_of(free)} are free.")


def check_uploads(settings: Settings) -> Finding | None:
    """What lies in the directory: uploads of ours and of tusd's, and files that are neither."""
    if not settings.data_dir.is_dir():
        return None
    store = make_store(settings, prepare=False)
    uploads = list(store.all())
    unfinished = [info for info in uploads if not info.finished and info.refusal is None]
    tusds = [info for info in uploads if info.owner is None]
    orphans = sum(1 for _ in store.orphans())
    sentence = (
        f"{len(unfinished)} unfinished, {len(tusds)} of tusd's (whoever resumes one owns it), "
        f"{orphans} files that belong to no upload"
    )
    if orphans:
        return warn("uploads", f"{sentence}; `tusd-server ls --orphans` lists them.")
    return ok("uploads", f"{sentence}.")


def check_one_filesystem(settings: Settings) -> Finding:
    """Finished files can be renamed into place."""
    home = _existing(settings.data_dir.absolute())
    folders = (settings.data_dir / UPLOADS, settings.state_dir)
    for folder in folders:
        if folder.exists() and folder.stat().st_dev != home.stat().st_dev:
            return fail(
                "filesystem",
                f"{folder} is on another filesystem than {home}; finished files are renamed, "
                "so both must be on one.",
            )
    return ok("filesystem", "Uploads and finished media are on one filesystem.")


def check_database(settings: Settings) -> Finding:
    """The catalog opens, and this version can work with its tables."""
    try:
        url = make_url(settings.catalog_url)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
            return ok("database", f"{url.database} is not there yet; the first start makes it.")
        database = Database(settings.catalog_url)
        try:
            found = database.read(lambda c: MigrationContext.configure(c).get_current_revision())
        finally:
            database.close()
    except (SQLAlchemyError, ImportError, ValueError) as error:
        cause = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        return fail("database", f"TUSD_DATABASE_URL cannot be used: {cause.rstrip('.')}.")
    return _migration_state(url.get_backend_name(), found)


def _migration_state(kind: str, found: str | None) -> Finding:
    if found == HEAD:
        return ok("database", f"{kind}, at revision {found}, which is this version's.")
    if found is None:
        return ok("database", f"{kind}, still without tables; the first start makes them.")
    if found < HEAD:
        return ok("database", f"{kind}, at revision {found}; the next start migrates to {HEAD}.")
    return fail("database", f"{kind}, at revision {found}, made by a newer version than this.")


def check_secret(settings: Settings) -> Finding:
    """Nobody else can sign tokens and links."""
    if settings.jwt_secret is not None:
        return ok("secret", "TUSD_JWT_SECRET is set.")
    path = settings.state_dir.absolute() / "secret"
    try:
        found = path.stat()
        text = path.read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ok("secret", f"{path} is not there yet; the first start makes it.")
    except (OSError, ValueError):
        return fail("secret", f"{path} cannot be read by this user.")
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(found.st_mode)
        return fail("secret", f"{path} has mode {mode:04o}, so others can read it; chmod 600 it.")
    if len(text) < SECRET_BYTES:
        return fail("secret", f"{path} is too short to be safe; delete it, and a new one is made.")
    return ok("secret", f"{path} is for its owner alone.")


def check_auth(settings: Settings) -> Finding:
    """It is known who may upload."""
    if settings.auth == "off":
        return warn("auth", "It is off: whoever reaches the port may upload, read and delete.")
    if settings.jwt_public_key is None:
        return ok("auth", "Tokens are signed with the secret.")
    try:
        Auth(Flask(__name__), settings)
    except BadSetting as error:
        return fail("auth", str(error))
    return ok("auth", "Tokens are verified with TUSD_JWT_PUBLIC_KEY.")


def check_redis(settings: Settings) -> Finding | None:
    """Redis answers, where there is to be one."""
    if settings.redis_url is None:
        return None
    try:
        client = redis.Redis.from_url(
            settings.redis_url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
        )
        with client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        return fail("redis", f"TUSD_REDIS_URL does not answer: {str(error).rstrip('.')}.")
    return ok("redis", "It answers.")


def check_clamav(settings: Settings) -> Finding | None:
    """The virus scanner answers, where there is to be one."""
    if settings.clamav is None:
        return None
    try:
        version = Clamd(Address.from_text(settings.clamav)).version()
    except NotNow as error:
        return fail("clamav", f"TUSD_CLAMAV does not answer, so no medium passes: {error}")
    return ok("clamav", f"{version.partition('/')[0]} answers.")


def check_posts(settings: Settings) -> Finding | None:
    """The posts backend's server answers, where there is to be one; it is told nothing."""
    if settings.posts_url is None:
        return None
    try:
        # Any status will do: the URL takes a POST, which would be a registration.
        with requests.head(settings.posts_url, timeout=POSTS_SECONDS, allow_redirects=False):
            pass
    except (requests.RequestException, OSError) as error:
        name = type(error).__name__
        return warn("posts", f"TUSD_POSTS_URL does not answer ({name}); media wait as ready.")
    if settings.public_url is None:
        return warn("posts", "It answers; without TUSD_PUBLIC_URL it gets paths instead of links.")
    return ok("posts", "It answers.")


def _existing(directory: Path) -> Path:
    """The directory, or the nearest one above that is there."""
    return next(place for place in (directory, *directory.parents) if os.path.lexists(place))


def _lowered(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


CHECKS: Mapping[str, Callable[[Settings], Finding | None]] = {
    "data": check_data_dir,
    "disk": check_disk,
    "filesystem": check_one_filesystem,
    "uploads": check_uploads,
    "database": check_database,
    "secret": check_secret,
    "auth": check_auth,
    "redis": check_redis,
    "clamav": check_clamav,
    "posts": check_posts,
}
"""The checks by the names on their lines, in the order of those; None is no line."""
