"""create_app: the table of contents of a web process."""

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import cast

from flask import Blueprint, Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from hooks.base import Hooks
from hooks.command import Commands
from hooks.content import ContentCheck
from hooks.deliveries import Deliveries
from hooks.dispatcher import Dispatcher
from hooks.events import HookName
from hooks.external import External
from hooks.plugins import BadPlugin, load_plugins
from hooks.post_finish import HandOver
from hooks.posts import EmbeddedPosts, Posts
from hooks.posts_http import HttpPosts
from hooks.signing import Signer
from hooks.termination import Withdrawal
from hooks.transport import Transport
from hooks.webhook import WebHook
from processing.catalog import Catalog
from processing.changes import Changes
from processing.retention import Retention
from processing.shelf import Shelf
from processing.wake import waker_for
from tusd_server import __version__
from tusd_server.auth import Auth
from tusd_server.errors import BadSetting
from tusd_server.locks import FileLocker, Locker
from tusd_server.secret import key_for
from tusd_server.server.offload import offload_here, pause_here
from tusd_server.settings import Settings, without_secrets
from tusd_server.storage.base import DataStore
from tusd_server.storage.filesystem import FilesystemStore
from tusd_server.uploads.quotas import Allowance, Quotas
from tusd_server.uploads.service import Uploads
from tusd_server.uploads.sweeper import Sweeper, Swept
from tusd_server.web.application import Application
from tusd_server.web.chunked_api import ChunkedApi, chunked_blueprint
from tusd_server.web.direct_api import DirectApi, direct_blueprint
from tusd_server.web.documents import call_document
from tusd_server.web.events import EventRooms, Events, events_blueprint
from tusd_server.web.intake import FormRooms, Intake
from tusd_server.web.links import Links
from tusd_server.web.media_api import MediaApi, media_blueprint
from tusd_server.web.mounted import mounted_blueprint
from tusd_server.web.operations import directory_check, operations_blueprint, redis_check
from tusd_server.web.override import with_method_override
from tusd_server.web.page import Page, page_blueprint
from tusd_server.web.posts_api import PostsApi, posts_blueprint
from tusd_server.web.reference_pages import reference_blueprint
from tusd_server.web.responses import register_responses
from tusd_server.web.settling import Settling
from tusd_server.web.tus import TusRooms, tus_blueprint
from tusd_server.web.upkeep_api import UpkeepApi, upkeep_blueprint
from tusd_server.web.usage_api import UsageApi, usage_blueprint

MOST_JSON_BYTES = 1024 * 1024


def create_app(
    settings: Settings | None = None,
    *,
    store: DataStore | None = None,
    locker: Locker | None = None,
) -> Flask:
    """Make the web application; without settings they come from the environment.

    Raises BadSetting. `store` and `locker` replace the local ones, for tests and other stores.
    """
    settings = settings or Settings.from_env(os.environ)
    settings.state_dir.mkdir(parents=True, exist_ok=True)

    # First, for it may refuse the settings, and nothing is open yet.
    app = Application(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_JSON_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    auth = Auth(app, settings)

    store = store or make_store(settings)
    locker = locker or make_locker(settings)
    catalog = Catalog(settings.catalog_url)
    catalog.migrate()
    shelf = Shelf(settings.data_dir)
    uploads = make_uploads(settings, store, locker, catalog, shelf)

    links = make_links(settings)
    media = MediaApi(catalog, shelf, auth, links, uploads)

    app.register_blueprint(tus_blueprint(TusRooms(uploads, auth)))
    app.register_blueprint(media_blueprint(media))
    app.register_blueprint(usage_blueprint(UsageApi(catalog, auth)))
    streams = EventRooms(
        uploads.store,
        catalog,
        Changes(catalog),
        auth,
        links,
        media,
        settings.events_lifetime_seconds,
    )
    app.register_blueprint(events_blueprint(Events(streams)))
    app.register_blueprint(page_blueprint(Page(settings)))
    upkeep = UpkeepApi(
        uploads,
        auth,
        settings.limits,
        simple_max_size=settings.simple_max_size,
        sweep=sweep_of(settings, store, locker, uploads),
        retention=Retention(catalog, shelf, settings.retention_days),
        pause=pause_here(),
    )
    app.register_blueprint(upkeep_blueprint(upkeep))
    forms = FormRooms(
        uploads=uploads,
        catalog=catalog,
        auth=auth,
        media=media,
        intake=Intake(uploads, catalog, shelf, settings.limits),
        settling=Settling(catalog, settings.answer_wait_seconds),
        simple_max_size=settings.simple_max_size,
        spool_dir=settings.state_dir / "work",
    )
    app.register_blueprint(chunked_blueprint(ChunkedApi(forms)))
    app.register_blueprint(direct_blueprint(DirectApi(forms)))
    posts = make_posts(settings, catalog, shelf)
    app.register_blueprint(posts_blueprint(PostsApi(posts, media, auth, make_signer(settings))))
    app.register_blueprint(
        operations_blueprint(
            {
                "storage": directory_check(settings.data_dir),
                "database": lambda: catalog.get("any medium"),
                **({"redis": redis_check(settings.redis_url)} if settings.redis_url else {}),
            }
        )
    )
    app.register_blueprint(reference_blueprint(__version__))
    register_responses(app, settings.cors_origins)
    app.wsgi_app = with_method_override(app.wsgi_app)  # type: ignore[assignment, method-assign]
    if settings.trust_proxy:
        hops = settings.trust_proxy
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops, x_port=hops, x_prefix=hops
        )
    return app


def create_blueprint(settings: Settings | None = None, name: str = "tusd_server") -> Blueprint:
    """Make the web application as a blueprint of another Flask application.

    It is to be registered with a `url_prefix`, and needs a worker of the same settings beside it.
    Raises BadSetting.
    """
    return mounted_blueprint(name, create_app(settings))


def make_store(settings: Settings, *, prepare: bool = True) -> FilesystemStore:
    """The local store of these settings; without `prepare` for looking alone."""
    return FilesystemStore(
        settings.data_dir,
        settings.state_dir,
        durability=settings.durability,
        offload=offload_here(),
        pause=pause_here(),
        note_owners=bool(settings.user_max_bytes or settings.user_max_unfinished),
        prepare=prepare,
    )


def make_locker(settings: Settings) -> FileLocker:
    """The locks of the local store."""
    return FileLocker(
        settings.data_dir,
        settings.state_dir / "lock-requests",
        timeout_seconds=settings.lock_timeout_seconds,
    )


def make_links(settings: Settings) -> Links:
    """The signed links of this installation; every process of it can check them."""
    return Links(key_for(settings, "media links"), settings.url_lifetime_seconds)


def make_signer(settings: Settings) -> Signer | None:
    """Signs and verifies what goes between us and the posts backend, where there is a secret."""
    return None if settings.posts_secret is None else Signer(settings.posts_secret)


def make_posts(settings: Settings, catalog: Catalog, shelf: Shelf) -> Posts:
    """The posts backend of these settings: another system's, or our own."""
    signer = make_signer(settings)
    if settings.posts_url is None or signer is None:
        return EmbeddedPosts(catalog, shelf)
    links, root = make_links(settings), settings.public_url or ""
    return HttpPosts(
        catalog,
        shelf,
        url=settings.posts_url,
        signer=signer,
        describe=lambda medium: call_document(medium, links, root),
        timeout_seconds=settings.posts_timeout_seconds,
    )


def make_uploads(
    settings: Settings, store: DataStore, locker: Locker, catalog: Catalog, shelf: Shelf
) -> Uploads:
    """What uploads may do, with the hooks and limits of these settings."""
    transports = make_transports(settings)
    waker = waker_for(settings.redis_url)
    deliveries = Deliveries(
        transports, catalog.queue, waker, keep_headers=settings.hooks_http_forward_headers
    )
    hooks = Dispatcher(
        # The client's own faults first, and nothing behind what ends a medium.
        [ContentCheck(), *map(External, transports), *make_plugins(), Withdrawal(catalog, shelf)],
        hand_over=HandOver(catalog, waker, deliveries),
    )
    allowance = Allowance(
        stored_bytes=settings.user_max_bytes,
        unfinished=settings.user_max_unfinished,
        creations_per_minute=settings.user_creations_per_minute,
    )
    return Uploads(
        store,
        locker,
        hooks,
        max_size=settings.max_size,
        expire_after=timedelta(seconds=settings.expire_unfinished_seconds),
        quotas=Quotas(allowance, store, catalog.stored_bytes, redis_url=settings.redis_url),
        announce=deliveries.announce,
        taken=lambda upload_id: catalog.by_upload(upload_id) is not None,
        progress_seconds=settings.hooks_progress_seconds,
    )


def make_transports(settings: Settings) -> Sequence[Transport]:
    """The ways to the hooks outside of this program; two URLs that are equal are one."""
    enabled = cast("tuple[HookName, ...]", settings.hooks_enabled)
    webhooks = [
        WebHook(
            url,
            enabled=enabled,
            timeout_seconds=settings.hooks_timeout_seconds,
            tries=settings.hooks_http_retry,
            pause_seconds=settings.hooks_http_backoff_seconds,
            forward_headers=settings.hooks_http_forward_headers,
            signer=Signer(settings.hooks_secret) if settings.hooks_secret else None,
        )
        for url in dict.fromkeys(settings.hooks_http)
    ]
    if settings.hooks_dir is None:
        return webhooks
    commands = Commands(
        settings.hooks_dir,
        enabled=enabled,
        timeout_seconds=settings.hooks_timeout_seconds,
        environ=without_secrets(os.environ),
    )
    return [*webhooks, commands]


def make_plugins() -> Sequence[Hooks]:
    """The hooks of installed packages; raises BadSetting."""
    try:
        return load_plugins()
    except BadPlugin as error:
        raise BadSetting(str(error)) from error


def make_sweeper(
    settings: Settings, store: FilesystemStore, locker: Locker, uploads: Uploads
) -> Sweeper:
    """The sweeper of these settings."""
    return Sweeper(
        store,
        locker,
        uploads,
        forget_gone_after=timedelta(seconds=settings.expire_rejected_seconds),
        forget_finished_after=timedelta(seconds=settings.expire_finished_seconds),
    )


def sweep_of(
    settings: Settings, store: DataStore, locker: Locker, uploads: Uploads
) -> Callable[[bool], Swept] | None:
    """One thorough round of the sweeper, dry where its argument says so; None without a disk."""
    if not isinstance(store, FilesystemStore):
        return None
    sweeper = make_sweeper(settings, store, locker, uploads)
    return lambda dry_run: sweeper.sweep(dry_run=dry_run, thoroughly=True)
