"""A restart of all processes under load: clients that try again on 503 and breaks lose nothing."""

import os
import random
import signal
import threading
from pathlib import Path

import pytest

from tests.live import Live
from tests.raw import Client, jpeg_bytes
from tests.services import wait_until
from tests.survival import persistent
from tests.survival.persistent import Persistent, path_of

SIZE = 600_000
UPLOADS = 12


@pytest.mark.slow
def test_hup_under_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One connection at a time for each upload: nobody else can be the reason of a 409 or 423.
    monkeypatch.setattr(persistent, "TRY_AGAIN", (503,))
    with Live(tmp_path / "data", workers=2, shutdown_seconds=1, durability="finish") as live:
        contents = [jpeg_bytes(SIZE, seed) for seed in range(UPLOADS)]
        clients = [Persistent(live, random.Random(seed)) for seed in range(UPLOADS)]
        paths: dict[int, str] = {}
        failures: list[Exception] = []
        first = set(live.web_pids())

        def upload(number: int) -> None:
            client = clients[number]
            # Some bodies are longer under way than the old processes are given.
            client.block_pause = 2.0 if number % 4 == 0 else 0.3
            try:
                path = path_of(client.create_surely(("Upload-Length", str(SIZE))))
                client.append_surely(path, contents[number], chunk=SIZE // 3, checksums=number > 8)
                paths[number] = path
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=upload, args=(n,), daemon=True) for n in range(UPLOADS)]
        for thread in threads:
            thread.start()
        os.kill(live.pid, signal.SIGHUP)
        wait_until(lambda: first.isdisjoint(live.web_pids()), "The renewal of the web processes")
        second = set(live.web_pids())
        os.kill(live.pid, signal.SIGHUP)
        wait_until(lambda: second.isdisjoint(live.web_pids()), "The second renewal")
        for thread in threads:
            thread.join()
        assert failures == []
        stored = [Client(live).download(paths[number]) for number in range(UPLOADS)]
        assert stored == contents
        assert sum(client.breaks + client.refusals for client in clients) > 0
