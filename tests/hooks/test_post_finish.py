import pytest
from sqlalchemy.exc import OperationalError

from hooks.deliveries import HOOK, Deliveries
from hooks.events import HookEvent, HookName, UploadFacts
from hooks.post_finish import HandOver, received_from
from hooks.transport import Call
from processing.catalog import Catalog
from processing.medium import media_id_for
from tests.records import START, known


class Bell:
    """A waker that counts."""

    def __init__(self) -> None:
        self.rung = 0

    def wake(self) -> None:
        self.rung += 1

    def wait(self, timeout_seconds: float) -> None:
        raise AssertionError("The web side never waits.")


def nobody(catalog: Catalog) -> Deliveries:
    """No receiver outside."""
    return Deliveries([], catalog.queue, Bell())


def upload(upload_id: str = "u1", *, is_partial: bool = False, post_id: str = "p1") -> UploadFacts:
    metadata = {"name": "a.mp4", "type": "video/mp4", "post_id": post_id}
    return UploadFacts(upload_id, 9, 9, "alice", START, metadata, is_partial=is_partial)


def test_a_finished_upload_has_a_record_and_its_answer_the_id(catalog: Catalog) -> None:
    bell = Bell()
    reply = HandOver(catalog, bell, nobody(catalog))(HookEvent("post-finish", upload()))
    assert reply.headers == {"Upload-Media-Id": media_id_for("u1")}
    medium = known(catalog, media_id_for("u1"))
    assert (medium.owner, medium.post_id, medium.size) == ("alice", "p1", 9)
    assert (medium.file_name, medium.content_type) == ("a.mp4", "video/mp4")
    assert (bell.rung, len(catalog.queue.waiting())) == (1, 1)


def test_handing_over_twice_is_once(catalog: Catalog) -> None:
    hand_over = HandOver(catalog, Bell(), nobody(catalog))
    event = HookEvent("post-finish", upload())
    assert hand_over(event) == hand_over(event)
    assert len(catalog.queue.waiting()) == 1


def test_a_part_of_a_concatenation_is_no_medium(catalog: Catalog) -> None:
    reply = HandOver(catalog, Bell(), nobody(catalog))(
        HookEvent("post-finish", upload(is_partial=True))
    )
    assert reply.headers == {}
    assert catalog.find() == ([], None)


def test_a_database_that_fails_is_not_hidden(catalog: Catalog) -> None:
    def away(_: object) -> None:
        raise OperationalError("INSERT", {}, OSError("away"))

    bell = Bell()
    catalog.database.write = away  # type: ignore[method-assign, assignment]
    with pytest.raises(OperationalError):
        HandOver(catalog, bell, nobody(catalog))(HookEvent("post-finish", upload()))
    assert bell.rung == 0


def test_an_unusable_post_id_of_an_old_upload_costs_the_post_and_not_the_file() -> None:
    received = received_from(upload(post_id="p" * 300))
    assert received.post_id is None
    assert received.metadata["post_id"] == "p" * 300


class Box:
    """A receiver of everything, which nobody calls here."""

    name = "box"

    def takes(self, name: HookName) -> bool:
        return True

    def ask(self, call: Call) -> bytes:
        raise AssertionError

    def deliver(self, call: Call) -> None:
        raise AssertionError


@pytest.mark.parametrize("is_partial", [False, True])
def test_receivers_get_their_jobs_with_the_record(catalog: Catalog, is_partial: bool) -> None:
    deliveries = Deliveries([Box()], catalog.queue, Bell())
    hand_over = HandOver(catalog, Bell(), deliveries)
    for _ in range(2):
        hand_over(HookEvent("post-finish", upload(is_partial=is_partial)))
    keys = [job.key for job in catalog.queue.waiting() if job.kind == HOOK]
    assert keys == ["hook:post-finish:u1:box"]


def test_a_record_that_is_there_tells_nobody_again(catalog: Catalog) -> None:
    hand_over = HandOver(catalog, Bell(), Deliveries([Box()], catalog.queue, Bell()))
    hand_over(HookEvent("post-finish", upload()))
    while (job := catalog.queue.claim(60.0)) is not None:
        assert catalog.queue.done(job)
    hand_over(HookEvent("post-finish", upload()))
    assert catalog.queue.waiting() == []
