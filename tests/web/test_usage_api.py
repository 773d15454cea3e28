"""GET /api/v1/media/usage: how much of the disk each user has taken."""

from typing import Any

import pytest
from flask import Flask

from tests.rooms import MP4, Tus, catalog_of, metadata


@pytest.fixture
def bob(alice: Tus) -> Tus:
    return alice.other("bob")


@pytest.fixture
def staff(alice: Tus) -> Tus:
    return alice.other("carl", staff=True)


def usage(tus: Tus, query: str = "") -> list[dict[str, Any]]:
    document: Any = tus.talk(f"GET /api/v1/media/usage{query}", "200").json
    assert document["next"] is None
    items: list[dict[str, Any]] = document["items"]
    return items


def nothing(owner: str) -> dict[str, Any]:
    return {
        "owner": owner,
        "media": {},
        "original_bytes": 0,
        "derived_bytes": 0,
        "stored_bytes": 0,
    }


def test_a_user_sees_what_is_stored_of_theirs(alice: Tus, bob: Tus) -> None:
    for name in ("one.mp4", "two.mp4"):
        alice.create(len(MP4), metadata(filename=name), MP4)
    bob.create(len(MP4), metadata(filename="three.mp4"), MP4)
    (own,) = usage(alice)
    assert own == {
        "owner": "alice",
        "media": {"received": 2},
        "original_bytes": 2 * len(MP4),
        "derived_bytes": 0,
        "stored_bytes": 2 * len(MP4),
    }
    assert usage(alice, "?owner=alice") == [own]
    assert [each["media"] for each in usage(bob)] == [{"received": 1}]


def test_a_user_without_media_uses_nothing(alice: Tus, staff: Tus) -> None:
    assert usage(alice) == [nothing("alice")]
    assert usage(staff) == []
    assert usage(staff, "?owner=carol") == [nothing("carol")]


def test_deleted_files_are_not_counted(alice: Tus, app: Flask) -> None:
    upload_id = alice.create(len(MP4), metadata(filename="one.mp4"), MP4)
    medium = catalog_of(app).by_upload(upload_id)
    assert medium is not None
    assert catalog_of(app).deleted(medium.id)
    assert usage(alice) == [{**nothing("alice"), "media": {"deleted": 1}}]


def test_staff_sees_everybody(alice: Tus, bob: Tus, staff: Tus) -> None:
    for tus in (alice, bob):
        tus.create(len(MP4), metadata(filename="one.mp4"), MP4)
    assert [each["owner"] for each in usage(staff)] == ["alice", "bob"]
    assert usage(staff, "?owner=bob") == usage(bob)


def test_others_are_not_for_everybody(alice: Tus, bob: Tus) -> None:
    bob.create(len(MP4), metadata(filename="one.mp4"), MP4)
    for owner in ("bob", "nobody", ""):
        alice.talk(
            f"GET /api/v1/media/usage?owner={owner}", "403\nContent-Type: application/problem+json"
        )


def test_nobody_sees_anything_without_a_token(alice: Tus) -> None:
    alice.talk("GET /api/v1/media/usage\nAuthorization: (absent)", "401")
