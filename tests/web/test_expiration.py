"""The expiration extension. Sentences are those of tus 1.0.0."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.rooms import GIF, OCTETS, Tus, in_memory, make_app, settings, upload_id
from tests.web.test_core import TUS
from tusd_server.app import make_store
from tusd_server.storage.memory import MemoryStore

DAY = 86_400
Age = Callable[[str, float], None]


def expires(response: Any) -> datetime:
    values = response.headers.getlist("Upload-Expires")
    assert len(values) == 1, response.headers
    assert values[0].endswith(" GMT")
    return parsedate_to_datetime(values[0])


def about(moment: datetime) -> tuple[datetime, datetime]:
    return moment - timedelta(seconds=30), moment + timedelta(seconds=30)


def is_in(moment: datetime, seconds: float) -> bool:
    low, high = about(datetime.now(UTC) + timedelta(seconds=seconds))
    return low < moment < high


@pytest.fixture
def aged(app: Flask, tmp_path: Path) -> Age:
    """Lets an upload's last bytes have come so many seconds ago."""

    def age(upload: str, seconds: float) -> None:
        moment = time.time() - seconds
        os.utime(tmp_path / "data" / upload, (moment, moment))

    return age


def forget(tmp_path: Path, age: timedelta) -> int:
    """What the sweeper does with the traces of what is gone since `age`."""
    store = make_store(settings(tmp_path))
    moment = datetime.now(UTC) - age
    return store.forget(gone_since=moment, finished_since=moment)


def test_it_is_announced(tus: Tus) -> None:
    """In order to indicate this behavior to the Client, the Server MUST add expiration to the
    Tus-Extension header."""
    announced = tus.talk("OPTIONS /files/", "204").headers["Tus-Extension"]
    assert "expiration" in announced.split(",")


def test_every_answer_tells_when_an_unfinished_upload_expires(tus: Tus) -> None:
    """This header MUST be included in every PATCH response if the upload is going to expire. If the
    expiration is known at the creation, the Upload-Expires header MUST be included in the response
    to the initial POST request. The value of the Upload-Expires header MUST be in RFC 9110 datetime
    format."""
    created = tus.talk(f"POST /files/\n{TUS}\nUpload-Length: 11", "201")
    assert is_in(expires(created), DAY)
    upload = upload_id(created)
    assert is_in(expires(tus.append(upload, 0, b"GIF89a")), DAY)
    assert is_in(expires(tus.append(upload, 6, b"")), DAY)
    assert is_in(expires(tus.head(upload)), DAY)
    last = tus.append(upload, 6, b"-----")
    assert last.status_code == 204
    for response in (last, tus.head(upload)):
        assert "Upload-Expires" not in response.headers


def test_a_creation_with_bytes_tells_it_too(tus: Tus) -> None:
    head = f"POST /files/\n{TUS}\nContent-Type: {OCTETS}\nUpload-Length:"
    assert is_in(expires(tus.talk(f"{head} 20", "201", body=GIF)), DAY)
    tus.talk(f"{head} 11", "201\nUpload-Expires: (absent)", body=GIF)


def test_bytes_put_it_off(alice: Tus, aged: Age) -> None:
    """Its value MAY change over time."""
    upload = alice.create(20)
    aged(upload, DAY / 2)
    assert is_in(expires(alice.head(upload)), DAY / 2)
    assert is_in(expires(alice.append(upload, 0, b"")), DAY / 2)
    assert is_in(expires(alice.append(upload, 0, GIF)), DAY)
    assert is_in(expires(alice.head(upload)), DAY)
    aged(upload, DAY - 100)
    assert is_in(expires(alice.append(upload, 11, b"-")), DAY)


def test_refused_bytes_do_not_hide_the_expiry(alice: Tus) -> None:
    """This header MUST be included in every PATCH response if the upload is going to expire."""
    upload = alice.create(20)
    elsewhere = alice.append(upload, 7, b"hello")
    assert elsewhere.status_code == 409
    assert is_in(expires(elsewhere), DAY)
    too_much = alice.append(upload, 0, b"x" * 21)
    assert too_much.status_code == 413
    assert is_in(expires(too_much), DAY)


def test_an_upload_that_has_expired(alice: Tus, aged: Age) -> None:
    """If a Client does attempt to resume an upload which has since been removed by the Server, the
    Server SHOULD respond with the 404 Not Found or 410 Gone status. The latter one SHOULD be used
    if the Server is keeping track of expired uploads."""
    upload = alice.create(20)
    alice.append(upload, 0, GIF)
    aged(upload, DAY + 1)
    gone = f"410\n{TUS}\nUpload-Offset: (absent)\nUpload-Expires: (absent)"
    alice.talk(f"HEAD /files/{upload}\n{TUS}", gone)
    alice.talk(
        f"PATCH /files/{upload}\n{TUS}\nContent-Type: {OCTETS}\nUpload-Offset: 11", gone, body=b"x"
    )
    assert alice.get(f"/files/{upload}").status_code == 410
    assert alice.other("bob").head(upload).status_code == 404


def test_gone_and_then_forgotten(alice: Tus, aged: Age, tmp_path: Path) -> None:
    upload = alice.create(20)
    alice.append(upload, 0, GIF)
    store = make_store(settings(tmp_path))
    store.expire(store.look(upload))
    assert alice.head(upload).status_code == 410
    assert forget(tmp_path, timedelta(days=1)) == 0
    assert alice.head(upload).status_code == 410
    assert forget(tmp_path, timedelta(seconds=-1)) == 1
    assert alice.head(upload).status_code == 404
    assert [path.name for path in (tmp_path / "data").iterdir() if path.name[0] != "."] == []


def test_a_complete_file_does_not_expire(alice: Tus, aged: Age) -> None:
    upload = alice.create()
    alice.append(upload, 0, GIF)
    aged(upload, 100 * DAY)
    assert alice.offset(upload) == 11
    assert alice.get(f"/files/{upload}").data == GIF


def test_a_complete_part_does(alice: Tus, aged: Age) -> None:
    """Alone it is no file."""
    response = alice.talk(f"POST /files/\n{TUS}\nUpload-Length: 6\nUpload-Concat: partial", "201")
    upload = upload_id(response)
    assert is_in(expires(alice.append(upload, 0, b"GIF89a")), DAY)
    assert is_in(expires(alice.head(upload)), DAY)
    aged(upload, DAY + 1)
    assert alice.head(upload).status_code == 410
    alice.talk(f"POST /files/\n{TUS}\nUpload-Concat: final;/files/{upload}", "410")


def test_a_key_of_an_expired_upload_makes_a_new_one(alice: Tus, aged: Age) -> None:
    begin = f"POST /files/\n{TUS}\nUpload-Length: 11\nIdempotency-Key: k"
    first = upload_id(alice.talk(begin, "201"))
    aged(first, DAY + 1)
    second = upload_id(alice.talk(begin, "201"))
    assert second != first
    assert alice.offset(second) == 0


def test_the_time_is_a_setting(tmp_path: Path) -> None:
    with make_app(settings(tmp_path, expire_unfinished_seconds=600.0)) as app:
        response = Tus(app).talk(f"POST /files/\n{TUS}\nUpload-Length: 11", "201")
        assert is_in(expires(response), 600)


def test_uploads_in_memory_expire_as_well(tmp_path: Path) -> None:
    store = MemoryStore()
    with make_app(settings(tmp_path), **{**in_memory(), "store": store}) as app:
        tus = Tus(app)
        upload = tus.create(20)
        store.update(replace(store.look(upload), touched_at=datetime.now(UTC) - timedelta(days=2)))
        assert tus.head(upload).status_code == 410
        store.expire(store.look(upload))
        assert tus.head(upload).status_code == 410
        moment = datetime.now(UTC) + timedelta(seconds=1)
        assert store.forget(gone_since=moment, finished_since=moment) == 1
        assert tus.head(upload).status_code == 404
