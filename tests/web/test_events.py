"""The streams of events, read to their end: in these tests they live for half a second."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask

from processing.moments import utc_now
from tests.rooms import GIF, MP4, Tus, catalog_of, make_app, metadata, run_jobs, settings
from tusd_server.settings import Settings

LIFETIME = 0.4


@dataclass(frozen=True)
class Event:
    id: str
    name: str
    data: dict[str, Any]


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return settings(tmp_path, events_lifetime_seconds=LIFETIME)


@pytest.fixture
def app(config: Settings) -> Iterator[Flask]:
    with make_app(config) as app:
        yield app


def events(text: str) -> list[Event]:
    """The events of a stream; its comments and its `retry` are left out."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            found.append(Event(fields["id"], fields["event"], json.loads(fields["data"])))
    return found


def listen(tus: Tus, path: str, last: str | None = None) -> list[Event]:
    headers = {} if last is None else {"Last_Event_ID": last}
    response = tus.get(path, **headers)
    assert response.status_code == 200, response.text
    assert response.mimetype == "text/event-stream"
    return events(response.text)


def of_upload(upload: str) -> str:
    return f"/api/v1/media/upload/{upload}/events"


def test_an_upload_under_way_tells_its_offset(alice: Tus) -> None:
    upload = alice.create(length=100)
    alice.append(upload, 0, GIF)
    [event] = listen(alice, of_upload(upload))
    assert (event.name, event.id) == ("progress", f"uploading.{len(GIF)}")
    assert event.data["state"] == "uploading"
    assert (event.data["offset"], event.data["length"]) == (len(GIF), 100)
    assert (event.data["final"], event.data["medium"]) == (False, None)


def test_what_was_seen_is_not_told_again(alice: Tus) -> None:
    upload = alice.create(length=100)
    [event] = listen(alice, of_upload(upload))
    assert listen(alice, of_upload(upload), last=event.id) == []
    alice.append(upload, 0, GIF)
    assert [e.data["offset"] for e in listen(alice, of_upload(upload), last=event.id)] == [len(GIF)]


def test_the_end_of_an_upload_ends_its_stream(alice: Tus, app: Flask, config: Settings) -> None:
    upload = alice.create(len(MP4), metadata(filename="a.mp4"))
    alice.append(upload, 0, MP4)
    [event] = listen(alice, of_upload(upload))
    assert (event.name, event.data["state"], event.data["final"]) == ("state", "received", False)
    run_jobs(app, config)
    [event] = listen(alice, of_upload(upload), last=event.id)
    assert (event.data["state"], event.data["final"]) == ("ready", True)
    assert event.data["medium"]["file_name"] == "a.mp4"
    link = urlsplit(event.data["medium"]["thumbnail_url"])
    assert alice.get(f"{link.path}?{link.query}").data == b"a small picture"
    alice.talk(f"GET {of_upload(upload)}\nLast-Event-ID: {event.id}", "204\nContent-Type: (absent)")


def test_content_that_is_refused_says_why(alice: Tus) -> None:
    upload = alice.create(length=10_000)
    assert alice.append(upload, 0, b"plain text" * 500).status_code == 415
    [event] = listen(alice, of_upload(upload))
    assert (event.data["state"], event.data["final"]) == ("rejected", True)
    assert event.data["reasons"][0]["code"] == "type_not_allowed"


def test_a_terminated_upload_is_gone(alice: Tus) -> None:
    upload = alice.create(length=100)
    response = alice.client.get(
        of_upload(upload), headers={"Authorization": f"Bearer {alice.token}"}
    )
    stream = response.iter_encoded()
    assert next(stream).startswith(b"retry: ")
    assert b"uploading.0" in next(stream)
    alice.delete(upload)
    [event] = events(b"".join(stream).decode())
    assert (event.data["state"], event.data["final"]) == ("deleted", True)
    response.close()


def test_others_uploads_and_none_at_all_are_404(alice: Tus) -> None:
    upload = alice.create()
    assert alice.other("bob").get(of_upload(upload)).status_code == 404
    assert alice.other("eve", staff=True).get(of_upload(upload)).status_code == 200
    for name in ("none", "..%2f..", "%00", "a" * 3000):
        assert alice.get(of_upload(name)).status_code == 404


def test_a_token_is_asked_for(alice: Tus) -> None:
    upload = alice.create()
    for path in (of_upload(upload), "/api/v1/media/events"):
        alice.talk(
            f"GET {path}\nAuthorization: (absent)", "401\nContent-Type: application/problem+json"
        )


def told_link(tus: Tus, upload: str) -> str:
    """The path and query of the link that the upload's status gives."""
    told = tus.get(f"/api/v1/media/upload/{upload}/status").json
    assert told is not None
    link = urlsplit(told["events_url"])
    return f"{link.path}?{link.query}"


def test_a_signed_link_needs_no_token(alice: Tus) -> None:
    upload = alice.create()
    signed = told_link(alice, upload)
    answer = alice.talk(f"GET {signed}\nAuthorization: (absent)", "200")
    assert [event.data["offset"] for event in events(answer.text)] == [0]
    other = told_link(alice, alice.create())
    stolen = f"{of_upload(upload)}?{urlsplit(other).query}"
    alice.talk(f"GET {stolen}\nAuthorization: (absent)", "401")


@pytest.mark.parametrize("path", ["/api/v1/media/events", "/api/v1/media/upload/{upload}/events"])
def test_proxies_and_caches_let_events_pass(alice: Tus, path: str) -> None:
    upload = alice.create()
    answer = (
        "200\nContent-Type: text/event-stream...\nCache-Control: no-store\nX-Accel-Buffering: no"
    )
    assert alice.talk(f"GET {path.format(upload=upload)}", answer).text.startswith("retry: ")
    assert alice.talk(f"HEAD {path.format(upload=upload)}", answer).data == b""


def test_a_first_listener_is_told_to_look_for_itself(alice: Tus) -> None:
    alice.create(body=GIF)
    first, *rest = listen(alice, "/api/v1/media/events")
    assert (first.name, first.data) == ("reset", {})
    assert {event.name for event in rest} <= {"medium"}


def test_changes_of_my_media_are_told_from_the_last_one_on(
    alice: Tus, app: Flask, config: Settings
) -> None:
    start = listen(alice, "/api/v1/media/events")[-1].id
    upload = alice.create(len(MP4), metadata(filename="a.mp4"), body=MP4)
    alice.other("bob").create(len(MP4), body=MP4)
    [event] = listen(alice, "/api/v1/media/events", last=start)
    assert (event.name, event.data["upload_id"]) == ("medium", upload)
    assert event.data["status"] == "received"
    run_jobs(app, config)
    [event] = listen(alice, "/api/v1/media/events", last=event.id)
    assert (event.data["upload_id"], event.data["status"]) == (upload, "ready")
    staff = listen(alice.other("eve", staff=True), "/api/v1/media/events", last=start)
    assert len({event.data["id"] for event in staff}) == 2


@pytest.mark.parametrize("last", ["nonsense", "-1", "9" * 40, "1.5", "٣"])
def test_an_id_that_is_none_of_ours_is_no_error(alice: Tus, last: str) -> None:
    headers = {"Last-Event-ID": last.encode().decode("latin-1")}
    response = alice.send("GET", "/api/v1/media/events", headers)
    assert events(response.text)[0].name == "reset"


def test_who_missed_too_much_is_told_to_look_anew(
    alice: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tusd_server.web.events.MOST_MISSED", 2)
    alice.create(body=GIF)
    assert [e.name for e in listen(alice, "/api/v1/media/events", last="0")] == ["medium"]
    alice.create(body=GIF)
    assert {e.name for e in listen(alice, "/api/v1/media/events", last="0")} == {"reset"}


def test_silence_is_broken_by_comments(alice: Tus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tusd_server.web.events.HEARTBEAT_SECONDS", LIFETIME / 4)
    upload = alice.create()
    for path in (of_upload(upload), "/api/v1/media/events"):
        assert "\n\n:\n\n" in alice.get(path).text


def test_the_records_moment_is_that_of_its_change(alice: Tus, app: Flask) -> None:
    before = utc_now()
    upload = alice.create(body=GIF)
    medium = catalog_of(app).by_upload(upload)
    assert medium is not None
    assert before <= medium.changed_at <= utc_now()
