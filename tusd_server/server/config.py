"""gunicorn's configuration, made of our settings: `-c python:tusd_server.server.config`."""

import os
import sys

from tusd_server.errors import BadSetting
from tusd_server.server.supervised import die_with_supervisor
from tusd_server.settings import Settings

try:
    _settings = Settings.from_env(os.environ)
except BadSetting as _error:
    sys.exit(f"tusd-server: {_error}")

die_with_supervisor()

bind = os.environ.get("_TUSD_BIND", f"{_settings.host}:{_settings.port}")
workers = _settings.workers
worker_class = "tusd_server.server.worker.UploadWorker"
worker_connections = 20_000
backlog = 2048
# A worker that does not run its event loop for this long is stuck; slow uploads are no reason.
timeout = 60
graceful_timeout = int(_settings.shutdown_seconds) + 10
loglevel = _settings.log_level
accesslog = "-" if _settings.access_log else None
proc_name = "tusd-server"
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - heartbeat only
control_socket_disable = True
