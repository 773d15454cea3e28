"""Keeps calls that block on the disk away from the event loop."""

import sys

from tusd_server.storage.files import Offload, directly


def offload_here() -> Offload:
    """The right way for this process: gevent's thread pool where gevent runs, else directly."""
    if "gevent.monkey" not in sys.modules:
        return directly
    from gevent import get_hub, monkey

    if not monkey.is_module_patched("socket"):
        return directly
    return lambda work: get_hub().threadpool.apply(work)
