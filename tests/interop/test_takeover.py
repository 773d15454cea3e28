"""Two requests for one upload: a dead one gives way to a new one, and no bytes are mixed."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import Start
from tests.live import Live
from tests.raw import Answer, Client, Wire, eventually, jpeg_bytes

SIZE = 400_000


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Two web processes, which get connections in turns as the kernel likes."""
    with Live(tmp_path_factory.mktemp("pair") / "data", workers=2) as server:
        yield server


def stall(client: Client, path: str, content: bytes, offset: int, size: int) -> Wire:
    """A PATCH for the whole rest which sends `size` bytes and then nothing more."""
    with ExitStack() as stack:
        wire = stack.enter_context(client.wire())
        head = client.patch_head(path, offset, len(content) - offset)
        wire.send(head + content[offset : offset + size])
        eventually(lambda: client.offset(path), offset + size)
        stack.pop_all()
    return wire


def take_over(client: Client) -> float:
    """A second PATCH ends a silent first one; the seconds that it took."""
    content = jpeg_bytes(SIZE)
    path = client.create(SIZE)
    with stall(client, path, content, 0, 150_000) as first:
        started = time.monotonic()
        answer = client.patch(path, 150_000, content[150_000:])
        seconds = time.monotonic() - started
        assert (answer.status, answer.offset) == (204, SIZE)
        old = first.answer()
        assert (old.status, old.offset) == (400, 150_000)
        assert first.ended()
    assert client.download(path) == content
    return seconds


def test_take_over_within_a_process(client: Client) -> None:
    assert min(take_over(client) for _ in range(3)) < 1


def test_take_over_across_processes(pair: Live) -> None:
    # Each try meets the same process or the other one; in eight, both.
    times = sorted(take_over(Client(pair)) for _ in range(8))
    assert times[4] < 1
    assert times[-1] < 3


def test_take_over_many_times(pair: Live) -> None:
    client, content = Client(pair), jpeg_bytes(SIZE)
    path = client.create(SIZE)
    wires = [stall(client, path, content, offset, 40_000) for offset in range(0, SIZE, 40_000)]
    statuses = [wire.answer().status for wire in wires]
    for wire in wires:
        wire.close()
    assert statuses == [400] * 9 + [204]
    assert client.download(path) == content


@pytest.mark.parametrize("server", ["web", "pair"])
def test_who_looks_disturbs_nobody(server: str, request: pytest.FixtureRequest) -> None:
    client, content = Client(request.getfixturevalue(server)), jpeg_bytes(SIZE)
    path = client.create(SIZE)
    with stall(client, path, content, 0, 10_000) as wire:
        for sent in range(10_000, SIZE, 30_000):
            started = time.monotonic()
            assert client.ask("HEAD", path).status == 200
            assert client.ask("GET", path).status == 409
            assert time.monotonic() - started < 5
            wire.send(content[sent : sent + 30_000])
        assert wire.answer().status == 204
    assert client.download(path) == content


def test_wrong_offset_of_a_newcomer_costs_the_holder_no_byte(client: Client) -> None:
    content = jpeg_bytes(SIZE)
    path = client.create(SIZE)
    with stall(client, path, content, 0, 100_000):
        answer = client.patch(path, 5, content[5:])
        assert (answer.status, answer.offset) == (409, 100_000)
    assert client.patch(path, 100_000, content[100_000:]).status == 204
    assert client.download(path) == content


def test_delete_ends_a_silent_patch(pair: Live) -> None:
    client, content = Client(pair), jpeg_bytes(SIZE)
    for _ in range(4):
        path = client.create(SIZE)
        with stall(client, path, content, 0, 1000) as wire:
            assert client.ask("DELETE", path).status == 204
            assert wire.answer().status in (400, 404)
        assert client.ask("HEAD", path).status == 404
        assert not {name for name in pair.files() if path.rpartition("/")[2] in name}


def test_head_behind_a_fin_tells_the_settled_offset(client: Client) -> None:
    content = jpeg_bytes(8_000_000)
    for _ in range(5):
        path = client.create(len(content))
        with client.wire() as wire:
            wire.send(client.patch_head(path, 0, len(content)) + content[:-1])
            wire.flush()
        offset = client.offset(path)
        answer = client.patch(path, offset, content[offset:])
        assert (offset, answer.status) == (len(content) - 1, 204)


def test_head_behind_a_fin_in_another_process_is_settled_soon(pair: Live) -> None:
    client, content = Client(pair), jpeg_bytes(8_000_000)
    for _ in range(5):
        path = client.create(len(content))
        with client.wire() as wire:
            wire.send(client.patch_head(path, 0, len(content)) + content[:-1])
            wire.flush()
        eventually(lambda path=path: client.offset(path), len(content) - 1, 2)
        assert client.patch(path, len(content) - 1, content[-1:]).status == 204


@pytest.mark.parametrize("server", ["web", "pair"])
def test_of_many_writers_at_one_offset_one_wins(
    server: str, request: pytest.FixtureRequest
) -> None:
    live: Live = request.getfixturevalue(server)
    client = Client(live)
    for size in (5000, SIZE):
        contents = [jpeg_bytes(size, seed) for seed in range(8)]
        path = client.create(size)
        answers = together(client, path, contents)
        winners = [index for index, answer in enumerate(answers) if answer.status == 204]
        stored = (live.data_dir / path.rpartition("/")[2]).read_bytes()
        assert len(winners) <= 1
        assert {answer.status for answer in answers} <= {204, 400, 409, 413}
        assert sum(content.startswith(stored) for content in contents) == 1
        if winners:
            assert stored == contents[winners[0]]
        else:
            # The first one was asked to stop while its bytes came; nobody else's fit behind them.
            assert client.offset(path) == len(stored) < size


def together(client: Client, path: str, contents: list[bytes]) -> list[Answer]:
    """Send all contents at offset 0 at once; the answers."""
    gate = threading.Barrier(len(contents))
    answers: dict[int, Answer] = {}

    def write(index: int) -> None:
        body = contents[index]
        with client.wire() as wire:
            wire.send(client.patch_head(path, 0, len(body)))
            gate.wait(10)
            wire.send_until_refused([body])
            answers[index] = wire.answer()

    threads = [threading.Thread(target=write, args=(index,)) for index in range(len(contents))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return [answers[index] for index in range(len(contents))]


def test_a_holder_of_another_process_that_does_not_let_go_is_423(start_server: Start) -> None:
    """A process that is stopped cannot let go; its lock stands until it goes on or dies."""
    server = start_server(workers=1, lock_timeout_seconds=1)
    client, content = Client(server), jpeg_bytes(9000)
    path = client.create(len(content))
    with stall(client, path, content, 0, 5000):
        # Another process on the same data directory, as behind a load balancer.
        other = Client(start_server(server.data_dir, workers=1, lock_timeout_seconds=1))
        with server.frozen():
            answer = other.patch(path, 5000, content[5000:])
            assert answer.status == 423
        assert other.offset(path) == 5000
    eventually(lambda: other.patch(path, 5000, content[5000:]).status, 204)
