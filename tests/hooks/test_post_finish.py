import pytest
from sqlalchemy.exc import OperationalError

from hooks.deliveries import Deliveries
from hooks.events import HookEvent, UploadFacts
from hooks.post_finish import HandOver, received_from
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
