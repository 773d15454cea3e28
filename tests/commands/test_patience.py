import pytest

from tusd_server.commands.connection import BadAnswer, NoAnswer, UploadFailed
from tusd_server.commands.patience import LONGEST_PAUSE_SECONDS, Patience


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def patience(time: Time, said: list[str] | None = None) -> Patience:
    say = ([] if said is None else said).append
    return Patience(100.0, say, clock=time.clock, sleep=time.sleep)


def test_pauses_grow_to_a_bound_and_patience_ends() -> None:
    time = Time()
    mine = patience(time)
    error = NoAnswer("It does not answer.")
    while time.now < 100.0:
        mine.bear(error)
    with pytest.raises(NoAnswer):
        mine.bear(error)
    assert time.now == pytest.approx(100.0)
    assert time.pauses[0] <= 1.0
    assert LONGEST_PAUSE_SECONDS / 2 < max(time.pauses) <= LONGEST_PAUSE_SECONDS * 1.25


def test_progress_renews_it() -> None:
    time = Time()
    mine = patience(time)
    for _ in range(200):
        mine.bear(NoAnswer("It does not answer."))
        mine.renew()
    assert time.now > 80.0
    assert max(time.pauses) < 1.0


@pytest.mark.parametrize("status", [408, 409, 423, 429, 500, 502, 503, 507])
def test_answers_for_now(status: int) -> None:
    time, said = Time(), list[str]()
    patience(time, said).bear(BadAnswer(status, "Not now."))
    assert len(time.pauses) == 1
    assert said == [f"Not now; trying again in {time.pauses[0]:.1f} s."]


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 410, 412, 413, 415, 460])
def test_final_answers(status: int) -> None:
    time = Time()
    with pytest.raises(BadAnswer):
        patience(time).bear(BadAnswer(status, "Never."))
    assert time.pauses == []


def test_other_failures_are_final() -> None:
    with pytest.raises(UploadFailed):
        patience(Time()).bear(UploadFailed("The file changed."))
