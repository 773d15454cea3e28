"""What one user may have: 429 with Retry-After, and how to go on from there."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Start
from tests.raw import Client
from tests.rooms import (
    GIF,
    OCTETS,
    Tus,
    Untouched,
    catalog_of,
    in_memory,
    make_app,
    settings,
    upload_id,
)
from tests.web.test_concatenation import begin_part, final, part
from tests.web.test_core import TUS

LATER = "429\nLocation: (absent)\nUpload-Offset: (absent)\nRetry-After: 60"
Allow = Callable[..., Tus]


def begin(length: object) -> str:
    return f"POST /files/\n{TUS}\nUpload-Length: {length}"


@pytest.fixture(params=["files", "memory"])
def allow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Allow]:
    """Makes a server with these limits, and alice who talks to it."""
    with ExitStack() as stack:

        def start(**limits: Any) -> Tus:
            parts = in_memory() if request.param == "memory" else {}
            return Tus(stack.enter_context(make_app(settings(tmp_path, **limits), **parts)))

        yield start


def test_without_limits_nobody_is_stopped(tus: Tus) -> None:
    for _ in range(30):
        tus.create(10_000_000)


def test_unfinished_uploads(allow: Allow) -> None:
    tus = allow(user_max_unfinished=2)
    first, second = tus.create(11), tus.create(11)
    tus.talk(
        begin(11),
        f"{LATER}\n\nYou have 2 unfinished uploads; at most 2 are allowed, finish or delete some.",
    )
    tus.other("bob").talk(begin(11), "201")
    assert tus.append(first, 0, GIF).status_code == 204
    third = upload_id(tus.talk(begin(11), "201"))
    tus.talk(begin(11), LATER)
    assert tus.delete(second).status_code == 204
    tus.talk(begin(11), "201")
    tus.talk(begin(11), LATER)
    assert tus.append(third, 0, b"hello world").status_code == 415
    tus.talk(begin(11), "201")


def test_what_is_there_goes_on(allow: Allow) -> None:
    """A limit stops a beginning, never an upload under way."""
    tus = allow(user_max_unfinished=1, user_max_bytes=11)
    upload = tus.create(11)
    tus.append(upload, 0, b"GIF89a")
    tus.talk(begin(1), LATER)
    assert tus.offset(upload) == 6
    assert tus.append(upload, 6, b"-----").status_code == 204


def test_bytes_under_way_and_stored(allow: Allow) -> None:
    tus = allow(user_max_bytes=30)
    upload = tus.create(20)
    tus.talk(
        begin(11),
        f"{LATER}\n\nYou have 20 bytes here; with 11 more it would be over the 30 bytes that are "
        "allowed.",
    )
    tus.talk(begin(10), "201")
    tus.other("bob").talk(begin(30), "201")
    tus.append(upload, 0, GIF + b"-" * 9)
    tus.talk(begin(1), LATER)
    assert tus.delete(upload).status_code == 204
    tus.talk(begin(20), "201")
    tus.talk(begin(0), "201")
    tus.talk(begin(1), LATER)


def test_an_upload_that_could_never_fit(allow: Allow) -> None:
    tus = allow(user_max_bytes=30)
    tus.talk(begin(31), LATER)
    tus.talk(begin(30), "201")


def test_stored_media_count_until_they_are_deleted(tmp_path: Path) -> None:
    with make_app(settings(tmp_path, user_max_bytes=20)) as app:
        tus = Tus(app)
        upload = tus.create(body=GIF)
        tus.talk(begin(10), LATER)
        medium = catalog_of(app).by_upload(upload)
        assert medium is not None
        catalog_of(app).deleted(medium.id)
        tus.talk(begin(10), "201")


def test_complete_parts_count(allow: Allow) -> None:
    """Or a user could store what he likes, as parts of nothing."""
    tus = allow(user_max_bytes=30)
    parts = [part(tus, GIF), part(tus, GIF)]
    tus.talk(begin(9), LATER)
    tus.talk(begin(8), "201")
    tus.talk(f"{begin(1)}\nUpload-Concat: partial", LATER)
    tus.talk(final(parts), "201\nUpload-Media-Id: (anything)")
    tus.talk(begin(1), LATER)


def test_a_whole_takes_no_more_than_its_parts(allow: Allow) -> None:
    tus = allow(user_max_bytes=30)
    one, two = part(tus, GIF), begin_part(tus, 11)
    tus.talk(final([one, two, two]), LATER)
    whole = upload_id(tus.talk(final([one, two]), "201"))
    tus.talk(begin(8), "201")
    tus.talk(begin(1), LATER)
    assert tus.append(two, 0, GIF).status_code == 204
    assert tus.offset(whole) == 22
    tus.talk(begin(1), LATER)
    assert tus.delete(whole).status_code == 204
    tus.talk(begin(22), "201")


def test_complete_parts_are_not_unfinished(allow: Allow) -> None:
    tus = allow(user_max_unfinished=1)
    one, two = part(tus, GIF), part(tus, GIF)
    tus.talk(final([one, two]), "201")
    begin_part(tus, 5)
    tus.talk(begin(5), LATER)


def test_creations_in_a_minute(allow: Allow) -> None:
    tus = allow(user_creations_per_minute=3)
    for _ in range(3):
        tus.create(body=GIF)
    tus.talk(
        begin(11),
        f"{LATER}\n\nYou have begun 3 uploads within a minute, which is the limit; wait.",
    )
    tus.other("bob").talk(begin(11), "201")


def test_a_creation_that_is_sent_again_is_not_counted(allow: Allow) -> None:
    tus = allow(user_creations_per_minute=1, user_max_unfinished=1, user_max_bytes=11)
    request = f"{begin(11)}\nIdempotency-Key: k1"
    first = upload_id(tus.talk(request, "201"))
    for _ in range(3):
        assert upload_id(tus.talk(request, "201")) == first
    tus.talk(f"{begin(0)}\nIdempotency-Key: k2", LATER)


def test_the_body_is_not_read(allow: Allow) -> None:
    tus = allow(user_max_bytes=10)
    body = Untouched()
    tus.talk(f"{begin(11)}\nContent-Type: {OCTETS}", LATER, wsgi_input=body, CONTENT_LENGTH="11")
    assert body.read_calls == 0


def test_a_refused_beginning_leaves_nothing(tmp_path: Path) -> None:
    with make_app(settings(tmp_path, user_max_bytes=10)) as app:
        Tus(app).talk(f"{begin(11)}\nIdempotency-Key: k", LATER)
        assert [path.name for path in (tmp_path / "data").iterdir() if path.name[0] != "."] == []
        Tus(app).talk(f"{begin(10)}\nIdempotency-Key: k", "201")


def test_pages_may_see_when_to_come_again(allow: Allow) -> None:
    tus = allow(user_max_bytes=10)
    response = tus.talk(f"{begin(11)}\nOrigin: https://app.example", LATER)
    assert "Retry-After" in response.headers["Access-Control-Expose-Headers"].split(", ")


def test_an_expectation_is_refused_before_the_body(start_server: Start) -> None:
    """Over a real wire, with every framing of the body."""
    server = start_server(user_max_bytes=1000, workers=1)
    client = Client(server)
    usual = (("Content-Type", OCTETS), ("Upload-Length", "1001"), ("Expect", "100-continue"))
    for framing in (("Transfer-Encoding", "chunked"), ("Content-Length", "1001")):
        with client.wire() as wire:
            wire.send(client.head("POST", "/files/", *usual, framing))
            answer = wire.answer()
            assert (answer.status, answer["retry-after"]) == (429, "60")
            assert wire.ended()
    assert client.ask("POST", "/files/", ("Upload-Length", "1000")).status == 201
