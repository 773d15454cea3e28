"""Keeps what blocks the disk or takes long away from the event loop."""

import sys

from tusd_server.storage.files import Offload, Pause, directly, without_pause

# Not 0: the loop is to look at its connections as well, not only at greenlets that could run.
PAUSE_SECONDS = 0.001


def offload_here() -> Offload:
    """The right way for this process: gevent's thread pool where gevent runs, else directly."""
    if not _on_gevent():
        return directly
    from gevent import get_hub

    return lambda work: get_hub().threadpool.apply(work)


def pause_here() -> Pause:
    """Lets the other connections run where gevent runs, else does nothing."""
    if not _on_gevent():
        return without_pause
    import gevent

    return lambda: gevent.sleep(PAUSE_SECONDS)


def _on_gevent() -> bool:
    if "gevent.monkey" not in sys.modules:
        return False
    from gevent import monkey

    return bool(monkey.is_module_patched("socket"))
