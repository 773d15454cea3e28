import pytest
from sqlalchemy import update

from processing.catalog import Catalog
from processing.reasons import Reason
from processing.tables import media
from processing.usage import Usage
from tests.records import ready_medium, received

DERIVATIVES = [
    {"name": "small", "content_type": "image/webp", "path": "uploads/a.small.webp"},
    {"name": "720p", "content_type": "video/mp4", "path": "uploads/a.720p.mp4"},
]


def stored(catalog: Catalog, upload_id: str, size: int, *sizes: int) -> str:
    """A ready medium of so many bytes, with derivatives of so many; its id."""
    media_id = ready_medium(catalog, upload_id).id
    derivatives = [
        {**each, "width": 320, "height": 240, "size": size}
        for each, size in zip(DERIVATIVES, sizes, strict=False)
    ]
    statement = (
        update(media).where(media.c.id == media_id).values(size=size, derivatives=derivatives)
    )
    catalog.database.write(lambda connection: connection.execute(statement))
    return media_id


def test_nobody_uses_nothing(catalog: Catalog) -> None:
    assert catalog.usage() == []
    assert catalog.usage("alice") == []


@pytest.fixture
def filled(catalog: Catalog) -> Catalog:
    """Two users with media in several states, some with derivatives."""
    stored(catalog, "u1", 1000, 20, 300)
    stored(catalog, "u2", 10_000)
    assert catalog.deleted(stored(catalog, "u3", 100_000, 5))
    bad = catalog.receive(received("u4", size=1_000_000))
    assert catalog.processing(bad.id)
    assert catalog.rejected(bad.id, [Reason("empty_file", "The file is empty.")])
    catalog.receive(received("u5", owner="bob", size=7))
    return catalog


def test_what_each_user_has_stored(filled: Catalog) -> None:
    alice = Usage("alice", {"ready": 2, "deleted": 1, "rejected": 1}, 11_000, 320)
    bob = Usage("bob", {"received": 1}, 7, 0)
    assert filled.usage() == [alice, bob]
    assert filled.usage("alice") == [alice]
    assert alice.stored_bytes == 11_320
