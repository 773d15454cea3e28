from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from processing.telling import heard_by, tell


def test_nobody_has_to_listen() -> None:
    tell("probe", 0.5)


def test_a_listener_hears_its_own_block_alone() -> None:
    outer: list[str] = []
    inner: list[str] = []
    with heard_by(lambda step, progress: outer.append(step)):
        with heard_by(lambda step, progress: inner.append(step)), suppress(OSError):
            tell("probe")
            raise OSError("away")
        tell("thumbnail")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(tell, "elsewhere").result()
    tell("later")
    assert (outer, inner) == (["thumbnail"], ["probe"])
