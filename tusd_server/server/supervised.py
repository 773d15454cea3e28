"""The bond between a supervised child and `serve`."""

import ctypes
import os
import signal

ENVIRONMENT = "_TUSD_SUPERVISOR"
_PR_SET_PDEATHSIG = 1


def die_with_supervisor() -> None:
    """End this process with SIGTERM when the `serve` that started it is killed.

    So no web process goes on serving without its worker. Does nothing in a process that was
    started in another way, and on systems other than Linux.
    """
    supervisor = os.environ.get(ENVIRONMENT)
    if supervisor is None:
        return
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    except (OSError, AttributeError):
        return
    if os.getppid() != int(supervisor):  # it died before the call
        os.kill(os.getpid(), signal.SIGTERM)
