"""Which bytes of an upload in chunks are here, against a set of their numbers."""

from hypothesis import given
from hypothesis import strategies as st

from tusd_server.storage.received import Received, chunks_of


@given(length=st.integers(0, 60), chunk_size=st.integers(1, 70), data=st.data())
def test_it_is_what_a_set_of_bytes_would_say(
    length: int, chunk_size: int, data: st.DataObject
) -> None:
    received = Received.nothing(length, chunk_size)
    run = data.draw(st.integers(0, length))
    received = received.with_run(run)
    here = set(range(run))
    total = chunks_of(length, chunk_size)
    for index in data.draw(st.lists(st.integers(0, total - 1), max_size=8)) if total else []:
        received = received.with_chunk(index)
        here |= set(range(*received.bounds(index)))
    holes = sorted(set(range(length)) - here)
    assert received.total == total
    assert received.bytes == len(here)
    assert received.offset == (holes[0] if holes else length)
    assert received.complete == (not holes)
    missing = tuple(i for i in range(total) if not set(range(*received.bounds(i))) <= here)
    assert received.missing == missing
    assert [i for i in range(total) if not received.has(i)] == list(missing)


def test_the_chunks_are_the_whole() -> None:
    received = Received.nothing(10, 4)
    assert [received.bounds(index) for index in range(received.total)] == [(0, 4), (4, 8), (8, 10)]
