import pytest

from hooks.deliveries import HOOK, LEAVE_ALONE_SECONDS, SLOW_SECONDS, Absence, Deliverer, Deliveries
from hooks.events import HookName
from hooks.transport import Away, Call, Failed
from processing.catalog import Catalog
from processing.patience import GiveUp, NotNow
from processing.wake import PollingWaker
from tests.receivers import event


class Box:
    """A transport that keeps what is delivered, unless it fails."""

    def __init__(self, name: str, failure: Exception | None = None) -> None:
        self.name = name
        self.failure = failure
        self.calls: list[Call] = []
        self.names: tuple[HookName, ...] = ("post-create", "post-finish")

    def takes(self, name: HookName) -> bool:
        return name in self.names

    def ask(self, call: Call) -> bytes:
        raise AssertionError("Nobody is asked afterwards.")

    def deliver(self, call: Call) -> None:
        self.calls.append(call)
        if self.failure is not None:
            raise self.failure


def deliveries(catalog: Catalog, *boxes: Box, keep: tuple[str, ...] = ()) -> Deliveries:
    return Deliveries(boxes, catalog.queue, PollingWaker(), keep_headers=keep)


def deliver_all(catalog: Catalog, deliverer: Deliverer) -> None:
    while (job := catalog.queue.claim(60.0)) is not None:
        assert deliverer.run(job).startswith("delivered to ")
        assert catalog.queue.done(job)


def test_each_receiver_has_a_job_of_its_own(catalog: Catalog) -> None:
    first, second = Box("first"), Box("second")
    deliveries(catalog, first, second).announce(event("post-create"))
    assert {job.key for job in catalog.queue.waiting()} == {
        "hook:post-create:u1:first",
        "hook:post-create:u1:second",
    }
    assert {job.kind for job in catalog.queue.waiting()} == {HOOK}
    assert {job.media_id for job in catalog.queue.waiting()} == {None}
    deliver_all(catalog, Deliverer([first, second]))
    (one,), (two,) = first.calls, second.calls
    assert one == two
    assert one.document == event("post-create").to_json()
    assert one.message_id == event("post-create").message_id


def test_message_ids_are_of_one_event_alone() -> None:
    told = [event("post-create"), event("post-finish"), event("post-create", "u2")]
    assert len({each.message_id for each in told}) == 3


def test_what_nobody_takes_puts_no_job(catalog: Catalog) -> None:
    deliveries(catalog, Box("first")).announce(event("post-terminate"))
    assert catalog.queue.waiting() == []


def test_credentials_are_not_kept_unless_they_are_wanted(catalog: Catalog) -> None:
    told = event("post-create", headers={"authorization": "Bearer t", "Cookie": "c", "X-A": "b"})
    for keep, names in (((), {"X-A"}), (("Authorization",), {"Authorization", "X-A"})):
        (order,) = deliveries(catalog, Box("first"), keep=keep).orders(told)
        assert set(order.payload["event"]["Event"]["HTTPRequest"]["Header"]) == names


def test_an_event_without_a_request(catalog: Catalog) -> None:
    told = event("post-finish")
    (order,) = deliveries(catalog, Box("first")).orders(type(told)(told.name, told.upload))
    assert order.payload["event"]["Event"]["HTTPRequest"] is None


def test_a_receiver_that_is_away_is_waited_for(catalog: Catalog) -> None:
    box = Box("first", Away("It is down.", after_seconds=7.0))
    deliveries(catalog, box).announce(event("post-create"))
    job = catalog.queue.claim(60.0)
    assert job is not None
    with pytest.raises(NotNow, match="It is down") as caught:
        Deliverer([box]).run(job)
    assert caught.value.after_seconds == 7.0
    box.failure = Failed("It said 404.")
    with pytest.raises(Failed):
        Deliverer([box]).run(job)


def test_a_receiver_that_is_gone_for_good_is_said(catalog: Catalog) -> None:
    box = Box("first")
    deliveries(catalog, box).announce(event("post-create"))
    job = catalog.queue.claim(60.0)
    assert job is not None
    with pytest.raises(GiveUp, match="No hook first is configured"):
        Deliverer([]).run(job)
    box.names = ()
    with pytest.raises(GiveUp, match="does not take post-create"):
        Deliverer([box]).run(job)


def test_a_receiver_that_does_not_answer_is_left_alone_for_a_moment() -> None:
    now, tries = [0.0], []
    absence = Absence(lambda: now[0])

    def deliver(seconds: float) -> None:
        with absence.try_it():
            tries.append(now[0])
            now[0] += seconds
            raise Away("It is down.")

    for now[0] in (0.0, LEAVE_ALONE_SECONDS - 1, 60.0, 61.0):
        with pytest.raises(NotNow):
            deliver(SLOW_SECONDS)
    assert tries == [0.0, 60.0]
    now[0] = 120.0
    with absence.try_it(), pytest.raises(NotNow):
        deliver(0.0)  # one is enough to find out
    for _ in range(2):
        with pytest.raises(NotNow):
            deliver(0.1)  # that costs nobody's time
    assert len(tries) == 4
    with absence.try_it(), absence.try_it():
        assert len(tries) == 4  # it is back, for all


def test_a_failure_is_no_absence() -> None:
    absence = Absence(lambda: 0.0)
    for _ in range(2):
        with pytest.raises(Failed), absence.try_it():
            raise Failed("It said 404.")
