"""`tusd-server serve`: everything at once, and a first upload to paste."""

import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType

from flask import Flask

from tusd_server.app import make_plugins
from tusd_server.auth import Auth, User, make_token
from tusd_server.secret import secret_of
from tusd_server.settings import EVENTS, Settings
from tusd_server.supervisor import Supervisor, listen, programs

READY_SECONDS = 60.0


def serve(settings: Settings, *, with_worker: bool) -> int:
    """Run web and worker until SIGINT or SIGTERM; the exit status. SIGHUP renews them.

    Raises BadSetting when the address cannot be used, or a hook of another package not be loaded.
    """
    make_plugins()
    _name_idle_hooks(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    listener = listen(settings.host, settings.port)
    port = listener.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}"
    if settings.auth == "jwt":
        _ensure_secret(settings)
    supervisor = Supervisor(
        programs(settings, listener, with_worker=with_worker),
        shutdown_seconds=settings.shutdown_seconds,
        say=_say,
    )

    def stop(_signal: int, _frame: FrameType | None) -> None:
        supervisor.stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, lambda _signal, _frame: supervisor.reload())
    threading.Thread(target=_welcome, args=(settings, url), daemon=True).start()
    supervisor.run()
    _say("Stopped.")
    return 0


def _name_idle_hooks(settings: Settings) -> None:
    """Say which programs will not be run, since that looks like an error of theirs."""
    for name in EVENTS:
        idle = settings.hooks_dir is not None and name not in settings.hooks_enabled
        if idle and (Path(str(settings.hooks_dir)) / name).exists():
            _say(f"The hook {name} is not run, because TUSD_HOOKS_ENABLED does not name it.")


def _ensure_secret(settings: Settings) -> None:
    if settings.jwt_public_key is not None or settings.jwt_secret is not None:
        return
    path = settings.state_dir / "secret"
    if not path.exists():
        secret_of(settings)
        _say(f"TUSD_JWT_SECRET is not set; a secret was made in {path}.")


def _welcome(settings: Settings, url: str) -> None:
    """Say where everything is, once it answers."""
    if not _answers(url):
        return
    _say(f"Listening on {url} (tus at {url}/files/)")
    _say(f"Data lies in {settings.data_dir.absolute()}")
    authorization = ""
    if settings.auth == "jwt" and settings.jwt_public_key is None:
        app = Flask(__name__)
        Auth(app, settings)
        token = make_token(app, User("alice"), hours=24)
        _say(f"A token of user alice for 24 hours:\n\n  {token}\n")
        authorization = f"-H 'Authorization: Bearer {token}' "
    _say(
        "Upload photo.jpg with one request:\n\n"
        f"  curl -i {authorization}-H 'Tus-Resumable: 1.0.0' \\\n"
        '    -H "Upload-Length: $(wc -c < photo.jpg)" '
        "-H 'Content-Type: application/offset+octet-stream' \\\n"
        f"    --data-binary @photo.jpg {url}/files/\n"
    )


def _answers(url: str) -> bool:
    give_up = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5):  # noqa: S310 - our own URL
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
