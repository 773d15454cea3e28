"""`tusd-server worker`: one process that examines what was uploaded."""

import logging
import signal
from types import FrameType

from tusd_server.server.supervised import die_with_supervisor
from tusd_server.settings import Settings
from tusd_server.work import make_worker


def work(settings: Settings) -> int:
    """Work until SIGINT or SIGTERM; the exit status."""
    die_with_supervisor()
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s [%(process)d] [%(levelname)s] %(message)s",
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    worker = make_worker(settings)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        worker.stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    worker.run()
    return 0
