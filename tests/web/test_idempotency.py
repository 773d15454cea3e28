"""Idempotency-Key: a creation whose answer got lost is sent again and makes no second upload."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask

from tests.raw import Client, Field
from tests.rooms import GIF, OCTETS, Cut, Tus, Untouched, metadata, upload_id
from tests.web.test_core import TUS

BEGIN = f"POST /files/\n{TUS}\nUpload-Length: 11"
KEY = "Idempotency-Key: 8e03978e-40d5-43e8-bc93-6894a57f9324"


def uploads(tmp_path: Path) -> list[str]:
    names = (path.name for path in (tmp_path / "data").iterdir())
    return sorted(name for name in names if name[0] != "." and not name.endswith(".info"))


def test_the_same_creation_gives_the_same_upload(tus: Tus) -> None:
    first = tus.talk(f"{BEGIN}\n{KEY}", "201\nUpload-Expires: (anything)")
    tus.append(upload_id(first), 0, b"GIF89a")
    again = tus.talk(
        f"{BEGIN}\n{KEY}",
        f"201\nLocation: {first.headers['Location']}\nUpload-Expires: (anything)",
    )
    assert tus.offset(upload_id(again)) == 6


def test_without_a_key_or_with_another_it_makes_a_new_one(tus: Tus) -> None:
    requests = [BEGIN, BEGIN, f"{BEGIN}\n{KEY}", f"{BEGIN}\n{KEY}x"]
    assert len({upload_id(tus.talk(request, "201")) for request in requests}) == 4


def test_a_key_is_its_users_own(tus: Tus) -> None:
    mine = upload_id(tus.talk(f"{BEGIN}\n{KEY}", "201"))
    bob = tus.other("bob")
    his = upload_id(bob.talk(f"{BEGIN}\n{KEY}", "201"))
    assert his != mine
    assert bob.head(mine).status_code == 404
    assert upload_id(tus.talk(f"{BEGIN}\n{KEY}", "201")) == mine


def test_two_names_and_two_keys_do_not_run_together(alice: Tus) -> None:
    one = alice.other("ab").talk(f"{BEGIN}\nIdempotency-Key: c", "201")
    two = alice.other("a").talk(f"{BEGIN}\nIdempotency-Key: bc", "201")
    assert upload_id(one) != upload_id(two)


def test_bytes_that_come_again_are_not_taken_twice(tus: Tus) -> None:
    """The answer tells where the upload stands; the bytes are not even read."""
    request = f"POST /files/\n{TUS}\nUpload-Length: 20\n{KEY}\nContent-Type: {OCTETS}"
    first = tus.talk(request, "201\nUpload-Offset: 11", body=GIF)
    body = Untouched()
    tus.talk(
        request,
        f"201\nUpload-Offset: 11\nLocation: {first.headers['Location']}",
        wsgi_input=body,
        CONTENT_LENGTH="11",
    )
    assert body.read_calls == 0
    assert tus.offset(upload_id(first)) == 11


def test_a_creation_that_broke_off_goes_on(tus: Tus) -> None:
    request = f"{BEGIN}\n{KEY}\nContent-Type: {OCTETS}"
    first = tus.talk(request, "201", wsgi_input=Cut(b"GIF89a"), CONTENT_LENGTH="11")
    again = tus.talk(request, "201\nUpload-Offset: 6", body=GIF)
    assert upload_id(first) == upload_id(again)
    assert tus.append(upload_id(again), 6, GIF[6:]).status_code == 204


def test_a_finished_upload_is_given_again(tus: Tus) -> None:
    request = f"{BEGIN}\n{KEY}\nContent-Type: {OCTETS}"
    first = tus.talk(request, "201\nUpload-Offset: 11", body=GIF)
    tus.talk(request, f"201\nUpload-Offset: 11\nLocation: {first.headers['Location']}", body=GIF)


def test_the_key_of_a_deleted_upload_makes_a_new_one(tus: Tus) -> None:
    first = upload_id(tus.talk(f"{BEGIN}\n{KEY}", "201"))
    assert tus.delete(first).status_code == 204
    second = upload_id(tus.talk(f"{BEGIN}\n{KEY}", "201"))
    assert second != first
    assert tus.offset(second) == 0
    assert upload_id(tus.talk(f"{BEGIN}\n{KEY}", "201")) == second


def test_the_key_of_a_creation_that_was_refused_can_be_used_again(alice: Tus) -> None:
    request = f"{BEGIN}\n{KEY}\nContent-Type: {OCTETS}"
    alice.talk(request, "415\nLocation: (absent)", body=b"hello world")
    alice.talk(request, "201\nUpload-Offset: 11", body=GIF)


def test_a_creation_that_never_happened_leaves_no_key(alice: Tus, tmp_path: Path) -> None:
    header = metadata(post_id="p" * 256)
    alice.talk(f"{BEGIN}\n{KEY}\nUpload-Metadata: {header}", "400")
    assert uploads(tmp_path) == []
    assert list((tmp_path / "data/.tusd-server/keys").iterdir()) == []
    alice.talk(f"{BEGIN}\n{KEY}", "201")


@pytest.mark.parametrize("key", ["", "k" * 256, "k\u00e9", "k\tk"])
def test_a_key_that_is_none(alice: Tus, tmp_path: Path, key: str) -> None:
    alice.talk(f"{BEGIN}\nIdempotency-Key: {key}", "400\nLocation: (absent)")
    assert uploads(tmp_path) == []


@pytest.mark.parametrize("key", ["k", "k" * 255, '"8e03978e"', "../../etc/passwd", "a b"])
def test_a_key_is_any_text(alice: Tus, tmp_path: Path, key: str) -> None:
    request = f"{BEGIN}\nIdempotency-Key: {key}"
    first = upload_id(alice.talk(request, "201"))
    assert upload_id(alice.talk(request, "201")) == first
    assert uploads(tmp_path) == [first]


def test_equal_creations_at_once(app: Flask, tmp_path: Path) -> None:
    """One of them wins, and all are given that one."""
    count = 6
    barrier = threading.Barrier(count)

    def create(_: int) -> str:
        tus = Tus(app)
        barrier.wait(10)
        return upload_id(tus.talk(f"{BEGIN}\n{KEY}", "201"))

    with ThreadPoolExecutor(count) as pool:
        ids = set(pool.map(create, range(count)))
    assert len(ids) == 1
    assert uploads(tmp_path) == sorted(ids)


def test_a_page_may_send_it(tus: Tus) -> None:
    response = tus.talk(
        """
        OPTIONS /files/
        Origin: https://app.example
        Access-Control-Request-Method: POST
        """,
        "204",
    )
    allowed = response.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"Idempotency-Key", "Repr-Digest", "Upload-Checksum", "Upload-Concat"} <= set(allowed)


def test_over_the_wire_the_bytes_are_refused_unread(client: Client) -> None:
    """With an expectation, the client need not send them a second time."""
    usual: list[Field] = [
        ("Content-Type", OCTETS),
        ("Upload-Length", "11"),
        ("Content-Length", "11"),
        ("Idempotency-Key", "over the wire"),
        ("Expect", "100-continue"),
    ]
    with client.wire() as wire:
        wire.send(client.head("POST", "/files/", *usual))
        assert wire.answer().status == 100
        wire.send(GIF)
        first = wire.answer()
        assert (first.status, first.offset) == (201, 11)
    with client.wire() as wire:
        wire.send(client.head("POST", "/files/", *usual))
        again = wire.answer()
    assert (again.status, again.offset) == (201, 11)
    assert again["location"] == first["location"]
