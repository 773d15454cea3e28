import logging
import threading
import time

import pytest

from processing.wake import WAKE_KEY, PollingWaker, RedisWaker, Waker, waker_for
from tests.services import free_port, redis_server


def seconds_until_woken(waker: Waker, timeout: float) -> float:
    started = time.monotonic()
    waker.wait(timeout)
    return time.monotonic() - started


def test_the_setting_chooses_the_waker() -> None:
    assert isinstance(waker_for(None), PollingWaker)
    assert isinstance(waker_for("redis://127.0.0.1:1/0"), RedisWaker)


def test_polling_looks_again_after_its_interval() -> None:
    assert 0.05 <= seconds_until_woken(PollingWaker(0.05), 60) < 30


def test_polling_never_waits_past_the_timeout() -> None:
    assert seconds_until_woken(PollingWaker(60), 0.05) < 30


def test_a_worker_of_the_same_process_is_woken_at_once() -> None:
    waker = PollingWaker(60)
    waker.wake()
    assert seconds_until_woken(waker, 60) < 30


def test_redis_wakes_a_sleeping_worker() -> None:
    with redis_server() as url:
        worker_side, web_side = RedisWaker(url), RedisWaker(url)
        assert seconds_until_woken(worker_side, 0.05) >= 0.04
        threading.Timer(0.1, web_side.wake).start()
        assert seconds_until_woken(worker_side, 2.0) < 1.9


def test_wakes_that_nobody_hears_do_not_pile_up() -> None:
    with redis_server() as url:
        waker = RedisWaker(url)
        for _ in range(200):
            waker.wake()
        assert waker._bell.llen(WAKE_KEY) == 64


def test_without_redis_nothing_fails_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    waker = RedisWaker(f"redis://127.0.0.1:{free_port()}/0")
    with caplog.at_level(logging.INFO, "processing.wake"):
        for _ in range(3):
            waker.wake()
            waker.wait(0.01)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Redis does not answer" in caplog.text


def test_redis_is_used_again_when_it_is_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processing.wake.LEAVE_ALONE_SECONDS", 0.01)
    port = free_port()
    waker = RedisWaker(f"redis://127.0.0.1:{port}/0")
    with caplog.at_level(logging.INFO, "processing.wake"):
        waker.wake()
        with redis_server(port):
            time.sleep(0.02)
            waker.wake()
            assert waker._bell.llen(WAKE_KEY) == 1
        waker.wait(0.01)
    said = [record.getMessage().split(";")[0] for record in caplog.records]
    away, back = "Redis does not answer", "Redis answers again"
    assert [line[: len(back)] if line.startswith(back) else line for line in said] == [
        away,
        back,
        away,
    ]
