"""Hooks of a live server: real receivers, real programs in a folder, real clients."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

from hooks.signing import Signer
from tests.conftest import Start
from tests.live import ROOT, Live
from tests.media import make_jpeg
from tests.raw import OCTETS, Answer, Client, eventually, jpeg_bytes, metadata_header
from tests.receivers import Receiver, Says, Seen, receiver
from tests.services import free_port, wait_until

ALL = "pre-create,post-create,post-receive,pre-finish,post-finish,pre-terminate,post-terminate"
SECRET = "whsec_" + base64.b64encode(b"a secret of the hooks' tests").decode()
SIZE = 300_000
SCRIPT = """#!/bin/sh
cat > "$EVENTS_OF_THE_TEST/$$.{name}.json"
echo "{name} $TUS_ID $TUS_SIZE $TUS_OFFSET" >> "$EVENTS_OF_THE_TEST/log"
"""


@pytest.fixture(scope="module")
def there() -> Iterator[Receiver]:
    with receiver() as room:
        yield room


@pytest.fixture(scope="module")
def hooked(tmp_path_factory: pytest.TempPathFactory, there: Receiver) -> Iterator[Live]:
    """The whole program with every event enabled; a receiver that answers as each test likes."""
    with Live(
        tmp_path_factory.mktemp("hooked") / "data",
        worker=True,
        workers=1,
        hooks_http=there.url,
        hooks_enabled=ALL,
        hooks_secret=SECRET,
        hooks_http_forward_headers="X-Request-ID",
        hooks_http_backoff_seconds=0.05,
        hooks_timeout_seconds=3,
        hooks_progress_seconds=0.1,
    ) as server:
        yield server


@pytest.fixture(autouse=True)
def usual_answers(there: Receiver) -> Iterator[None]:
    yield
    there.answers.clear()


@pytest.fixture
def alice(hooked: Live) -> Client:
    return Client(hooked)


def id_of(path: str) -> str:
    return path.rpartition("/")[2]


def about(case: str, seen: Seen) -> bool:
    return bool(seen.upload["MetaData"].get("case") == case)


def create(client: Client, length: int = SIZE, **metadata: str) -> Answer:
    return client.ask(
        "POST",
        "/files/",
        ("Upload-Length", str(length)),
        ("Upload-Metadata", metadata_header(**metadata)),
    )


def path_of(answer: Answer) -> str:
    assert answer.status == 201, answer
    return "/files/" + id_of(answer["location"])


def test_every_event_of_an_upload(alice: Client, there: Receiver) -> None:
    content = jpeg_bytes(SIZE)
    created = alice.ask(
        "POST",
        "/files/?a=b",
        ("Upload-Length", str(SIZE)),
        ("Upload-Metadata", metadata_header(case="every", filename="ä.jpg")),
        ("X-Request-ID", "r1"),
    )
    path = path_of(created)
    upload_id = id_of(path)
    assert alice.patch(path, 0, content[:100_000]).status == 204
    there.wait_for("post-receive", upload_id)
    assert alice.patch(path, 100_000, content[100_000:]).status == 204
    there.wait_for("post-finish", upload_id)
    there.wait_for("post-receive", upload_id, 2)
    assert alice.ask("DELETE", path).status == 204
    there.wait_for("post-terminate", upload_id)
    (asked,) = [seen for seen in there.told("pre-create") if about("every", seen)]
    assert asked.upload == {
        "ID": "",
        "Size": SIZE,
        "SizeIsDeferred": False,
        "Offset": 0,
        "MetaData": {"case": "every", "filename": "ä.jpg"},
        "IsPartial": False,
        "IsFinal": False,
        "PartialUploads": None,
        "Storage": None,
        "Owner": "alice",
    }
    request = asked.document["Event"]["HTTPRequest"]
    assert (request["Method"], request["URI"]) == ("POST", "/files/?a=b")
    assert request["RemoteAddr"].startswith("127.0.0.1:")
    assert int(request["RemoteAddr"].rpartition(":")[2]) > 0
    assert request["Header"]["Upload-Length"] == [str(SIZE)]
    assert asked.headers["x-request-id"] == "r1"
    mine = [seen for seen in there.seen if seen.upload["ID"] == upload_id]
    offsets = {(seen.name, seen.upload["Offset"]) for seen in mine}
    assert offsets == {
        ("post-create", 0),
        ("post-receive", 100_000),
        ("post-receive", SIZE),
        ("pre-finish", SIZE),
        ("post-finish", SIZE),
        ("pre-terminate", SIZE),
        ("post-terminate", SIZE),
    }
    assert len(mine) == len(offsets)
    assert {Signer(SECRET).verify(seen.headers, seen.body) for seen in mine}
    assert mine[0].upload["Storage"]["Type"] == "filestore"
    assert mine[0].upload["Storage"]["Path"].endswith(upload_id)


def test_every_event_as_a_program(start_server: Start, tmp_path: Path) -> None:
    folder, events = tmp_path / "hooks", tmp_path / "events"
    folder.mkdir()
    events.mkdir()
    for name in ALL.split(","):
        (folder / name).write_text(SCRIPT.format(name=name))
        (folder / name).chmod(0o755)
    with receiver() as second:
        server = start_server(
            worker=True,
            workers=1,
            hooks_dir=folder,
            hooks_http=second.url,
            hooks_enabled=ALL,
            environ={"EVENTS_OF_THE_TEST": str(events)},
        )
        client = Client(server)
        path = client.create(SIZE)
        assert client.patch(path, 0, jpeg_bytes(SIZE)).status == 204
        upload_id = id_of(path)
        told = lambda: (events / "log").read_text().splitlines()  # noqa: E731
        wait_until(lambda: f"post-finish {upload_id} {SIZE} {SIZE}" in told(), "post-finish")
        second.wait_for("post-finish", upload_id)
        assert client.ask("DELETE", path).status == 204
        wait_until(lambda: f"post-terminate {upload_id} {SIZE} {SIZE}" in told(), "the end")
        second.wait_for("post-terminate", upload_id)
        wait_until(lambda: len(told()) == 7, "all seven events")
        assert sorted(told()) == sorted(
            [
                f"pre-create  {SIZE} 0",
                f"post-create {upload_id} {SIZE} 0",
                f"post-receive {upload_id} {SIZE} {SIZE}",
                f"pre-finish {upload_id} {SIZE} {SIZE}",
                f"post-finish {upload_id} {SIZE} {SIZE}",
                f"pre-terminate {upload_id} {SIZE} {SIZE}",
                f"post-terminate {upload_id} {SIZE} {SIZE}",
            ]
        )
        assert len(second.told("post-finish", upload_id)) == 1
        finished = next(events.glob("*.post-finish.json"))
        assert json.loads(finished.read_text())["Event"]["Upload"]["ID"] == upload_id


def test_a_creation_is_rejected_as_the_receiver_words_it(alice: Client, there: Receiver) -> None:
    response = {
        "StatusCode": 402,
        "Body": '{"price": 5}',
        "Header": {"Content-Type": "application/json", "X-Price": "5"},
    }
    there.on("pre-create", Says({"RejectUpload": True, "HTTPResponse": response}))
    answer = create(alice)
    assert (answer.status, answer.json()) == (402, {"price": 5})
    assert (answer["content-type"], answer["x-price"]) == ("application/json", "5")
    there.on("pre-create", Says({"RejectUpload": True}))
    answer = create(alice)
    assert (answer.status, answer.text) == (400, "The creation of this upload was rejected.\n")


def test_a_creation_is_answered_as_the_receiver_words_it(alice: Client, there: Receiver) -> None:
    response = {"StatusCode": 200, "Body": "Welcome.", "Header": {"X-Hello": "alice"}}
    there.on("pre-create", Says({"HTTPResponse": response}))
    answer = create(alice)
    assert (answer.status, answer.text, answer["x-hello"]) == (200, "Welcome.", "alice")
    assert alice.offset("/files/" + id_of(answer["location"])) == 0


def test_a_receiver_chooses_id_metadata_and_place(
    alice: Client, there: Receiver, hooked: Live, tmp_path: Path
) -> None:
    content = make_jpeg(tmp_path / "photo.jpg").read_bytes()
    change = {
        "ID": "chosen-1",
        "MetaData": {"filename": "other.jpg", "team": "red"},
        "Storage": {"Path": "teams/red/holiday photo.png"},
    }
    there.on("pre-create", Says({"ChangeFileInfo": change}))
    answer = create(alice, len(content), filename="mine.jpg")
    assert path_of(answer) == "/files/chosen-1"
    head = alice.ask("HEAD", "/files/chosen-1")
    assert head["upload-metadata"] == metadata_header(filename="other.jpg", team="red")
    done = alice.patch("/files/chosen-1", 0, content)
    assert done.status == 204
    medium = hooked.data_dir / "uploads" / "teams" / "red" / "holiday_photo.jpg"
    wait_until(medium.exists, "the medium's move to its place")
    assert medium.read_bytes() == content
    again = create(alice, 9)
    assert again.status == 502
    assert alice.download("/files/chosen-1") == content


@pytest.mark.parametrize(
    "change",
    [
        {"ID": "proj/abc"},
        {"ID": "../abc"},
        {"ID": "uploads"},
        {"ID": ".hidden"},
        {"Storage": {"Path": "/etc/passwd"}},
        {"Storage": {"Path": "../../x"}},
        {"MetaData": {"post_id": "\x00"}},
    ],
)
def test_a_change_that_cannot_be_is_no_fault_of_the_client(
    alice: Client, there: Receiver, change: Any
) -> None:
    there.on("pre-create", Says({"ChangeFileInfo": change}))
    answer = create(alice)
    assert answer.status == 502
    assert answer.text == "The server could not ask whether this is allowed; try again.\n"


@pytest.mark.parametrize(
    "says",
    [Says(status=500), Says(status=404), Says(raw=b"<html>"), Says(raw=b"{" + b" " * 70_000)],
)
def test_a_receiver_that_fails_prevents_and_rejects_nothing(
    alice: Client, there: Receiver, says: Says
) -> None:
    there.on("pre-create", says, says, says, Says({}))
    answer = create(alice)
    if says.status == 500:
        assert answer.status == 502
    else:
        assert answer.status == 502
        there.on("pre-create", Says({}))
    assert create(alice).status == 201


def test_a_hanging_hook_delays_nobody_else(alice: Client, there: Receiver, hooked: Live) -> None:
    release = threading.Event()

    def hang(seen: Seen) -> Says:
        if about("hang", seen):
            release.wait(20)
        return Says({})

    there.answers["pre-create"] = hang
    answers: list[int] = []
    stuck = threading.Thread(target=lambda: answers.append(create(alice, case="hang").status))
    stuck.start()
    wait_until(lambda: any(about("hang", seen) for seen in there.seen), "the hanging hook")
    bob = Client(hooked, "bob")
    path = bob.create(SIZE)
    assert bob.patch(path, 0, jpeg_bytes(SIZE)).status == 204
    assert answers == []
    stuck.join()
    release.set()
    assert answers == [502]


REJECTS = {
    "HTTPResponse": {"StatusCode": 422, "Body": "No faces, please.", "Header": {"X-Why": "face"}}
}


def test_a_rejection_at_the_end_is_final_and_stays(alice: Client, there: Receiver) -> None:
    there.on("pre-finish", Says(REJECTS))
    path = alice.create(SIZE)
    answer = alice.patch(path, 0, jpeg_bytes(SIZE))
    assert (answer.status, answer.text, answer["x-why"]) == (422, "No faces, please.", "face")
    there.answers.clear()
    for _ in range(2):
        head = alice.ask("HEAD", path)
        assert (head.status, head["x-why"], head.get("upload-offset")) == (422, "face", None)
    assert alice.patch(path, SIZE, b"").status == 422
    assert alice.ask("GET", path).text == "No faces, please."
    assert len(there.told("pre-finish", id_of(path))) == 1
    assert there.told("post-finish", id_of(path)) == []


def tuspy(server: Live) -> TusClient:
    return TusClient(f"{server.url}/files/", headers={"Authorization": f"Bearer {server.token()}"})


def test_tuspy_does_not_report_success(hooked: Live, there: Receiver) -> None:
    there.on("pre-finish", Says(REJECTS))
    uploader = tuspy(hooked).uploader(
        file_stream=io.BytesIO(jpeg_bytes(SIZE)), retries=2, retry_delay=0
    )
    with pytest.raises((TusCommunicationError, TusUploadFailed)):
        uploader.upload()
    with pytest.raises(TusCommunicationError):
        uploader.get_offset()


def test_a_receiver_that_is_away_at_the_end_is_asked_until_it_is_back(
    alice: Client, there: Receiver
) -> None:
    there.on("pre-finish", Says(status=503))
    path = alice.create(SIZE)
    answer = alice.patch(path, 0, jpeg_bytes(SIZE))
    assert (answer.status, answer.offset) == (502, SIZE)
    assert alice.ask("HEAD", path).status == 502
    assert there.told("post-finish", id_of(path)) == []
    there.on("pre-finish", Says({"HTTPResponse": {"Header": {"X-Seen": "1"}}}))
    answer = alice.patch(path, SIZE, b"")
    assert (answer.status, answer["x-seen"]) == (204, "1")
    asked = len(there.told("pre-finish"))
    assert alice.offset(path) == SIZE
    there.wait_for("post-finish", id_of(path))
    assert len(there.told("pre-finish")) == asked


def test_a_head_finishes_what_nobody_has_agreed_to(alice: Client, there: Receiver) -> None:
    there.on("pre-finish", Says({"HTTPResponse": {"StatusCode": 503, "Body": "Later."}}))
    path = alice.create(SIZE)
    answer = alice.patch(path, 0, jpeg_bytes(SIZE))
    assert (answer.status, answer.text) == (503, "Later.")
    there.answers.clear()
    assert alice.ask("HEAD", path)["upload-media-id"]
    there.wait_for("post-finish", id_of(path))


def test_a_creation_with_all_bytes_that_nobody_can_agree_to_leaves_nothing(
    alice: Client, there: Receiver, hooked: Live
) -> None:
    there.on("pre-finish", Says(status=503))
    files = hooked.files()
    answer = alice.ask(
        "POST",
        "/files/",
        ("Upload-Length", str(SIZE)),
        ("Content-Type", OCTETS),
        body=jpeg_bytes(SIZE),
    )
    assert answer.status == 502
    assert hooked.files() <= files


def test_creation_with_upload_fires_the_same(alice: Client, there: Receiver) -> None:
    there.on("pre-create", Says({"HTTPResponse": {"Header": {"X-First": "1", "X-Both": "first"}}}))
    there.on("pre-finish", Says({"HTTPResponse": {"Header": {"X-Last": "2", "X-Both": "last"}}}))
    answer = alice.ask(
        "POST",
        "/files/",
        ("Upload-Length", str(SIZE)),
        ("Content-Type", OCTETS),
        body=jpeg_bytes(SIZE),
    )
    assert (answer["x-first"], answer["x-last"], answer["x-both"]) == ("1", "2", "last")
    upload_id = id_of(path_of(answer))
    finished = there.wait_for("post-finish", upload_id)
    assert finished.document["Event"]["HTTPRequest"]["Method"] == "POST"
    there.wait_for("post-create", upload_id)
    there.wait_for("post-receive", upload_id)


def test_progress_is_told_while_bytes_come(alice: Client, there: Receiver) -> None:
    content = jpeg_bytes(SIZE)
    path = alice.create(SIZE)
    with alice.wire() as wire:
        wire.send(alice.patch_head(path, 0, SIZE) + content[:100_000])
        there.wait_for("post-receive", id_of(path))
        wire.send(content[100_000:200_000])
        there.wait_for("post-receive", id_of(path), 2)
        wire.send(content[200_000:])
        assert wire.answer().status == 204
    eventually(
        lambda: [seen.upload["Offset"] for seen in there.told("post-receive", id_of(path))][-1],
        SIZE,
    )
    offsets = [seen.upload["Offset"] for seen in there.told("post-receive", id_of(path))]
    assert offsets == sorted(set(offsets))
    assert alice.download(path) == content


def test_a_receiver_stops_a_running_body(alice: Client, there: Receiver) -> None:
    response = {"StatusCode": 403, "Body": "Enough.", "Header": {"X-Stop": "1"}}
    there.on("post-receive", Says({"StopUpload": True, "HTTPResponse": response}))
    path = alice.create(SIZE)
    with alice.wire() as wire:
        wire.send(alice.patch_head(path, 0, SIZE) + jpeg_bytes(SIZE)[:100_000])
        answer = wire.answer()
    assert (answer.status, answer.text, answer["x-stop"]) == (403, "Enough.", "1")
    assert alice.ask("HEAD", path).status == 404
    there.wait_for("post-terminate", id_of(path))


def test_a_stop_behind_a_request_ends_the_upload_too(alice: Client, there: Receiver) -> None:
    path = alice.create(SIZE)
    there.on("post-receive", Says({"StopUpload": True}))
    assert alice.patch(path, 0, jpeg_bytes(SIZE)[:1000]).status == 204
    there.wait_for("post-terminate", id_of(path))
    assert alice.ask("HEAD", path).status == 404


def test_a_receiver_keeps_an_upload(alice: Client, there: Receiver) -> None:
    path = alice.create(SIZE)
    there.on("pre-terminate", Says({"RejectTermination": True}))
    assert alice.ask("DELETE", path).status == 400
    response = {"StatusCode": 451, "Body": "Court order."}
    there.on("pre-terminate", Says({"RejectTermination": True, "HTTPResponse": response}))
    answer = alice.ask("DELETE", path)
    assert (answer.status, answer.text) == (451, "Court order.")
    assert alice.offset(path) == 0
    there.on("pre-terminate", Says({"HTTPResponse": {"Header": {"X-Bye": "1"}}}))
    answer = alice.ask("DELETE", path)
    assert (answer.status, answer["x-bye"]) == (204, "1")
    there.wait_for("post-terminate", id_of(path))


def test_parts_and_the_whole(alice: Client, there: Receiver) -> None:
    content = jpeg_bytes(SIZE)
    halves = [content[: SIZE // 2], content[SIZE // 2 :]]
    parts = []
    for half in halves:
        answer = alice.ask(
            "POST", "/files/", ("Upload-Length", str(len(half))), ("Upload-Concat", "partial")
        )
        parts.append(path_of(answer))
        assert alice.patch(parts[-1], 0, half).status == 204
    for part in parts:
        told = there.wait_for("post-finish", id_of(part))
        assert (told.upload["IsPartial"], told.upload["IsFinal"]) == (True, False)
    whole = path_of(alice.ask("POST", "/files/", ("Upload-Concat", f"final;{' '.join(parts)}")))
    told = there.wait_for("post-finish", id_of(whole))
    assert told.upload["IsFinal"]
    assert told.upload["PartialUploads"] == [id_of(part) for part in parts]
    assert told.document["Event"]["HTTPRequest"]["Method"] == "POST"
    assert len(there.told("pre-finish", id_of(whole))) == 1


def test_a_whole_that_is_rejected_leaves_nothing(alice: Client, there: Receiver) -> None:
    part = path_of(
        alice.ask("POST", "/files/", ("Upload-Length", str(SIZE)), ("Upload-Concat", "partial"))
    )
    assert alice.patch(part, 0, jpeg_bytes(SIZE)).status == 204
    there.on("pre-finish", Says(REJECTS))
    answer = alice.ask("POST", "/files/", ("Upload-Concat", f"final;{part}"))
    assert (answer.status, answer.text) == (422, "No faces, please.")
    assert alice.offset(part) == SIZE


def test_a_newer_request_takes_over_and_events_do_not_repeat(
    alice: Client, there: Receiver, tmp_path: Path
) -> None:
    # A photo, or the worker might reject it before it is downloaded.
    content = make_jpeg(tmp_path / "photo.jpg").read_bytes().ljust(SIZE, b"\0")
    path = alice.create(SIZE)
    with alice.wire() as wire:
        wire.send(alice.patch_head(path, 0, SIZE) + content[:100_000])
        eventually(lambda: alice.offset(path), 100_000)
        assert alice.patch(path, 100_000, content[100_000:]).status == 204
        assert wire.answer().status == 400
    there.wait_for("post-finish", id_of(path))
    assert len(there.told("pre-finish", id_of(path))) == 1
    assert alice.download(path) == content


def test_two_that_finish_at_once_ask_once(alice: Client, there: Receiver) -> None:
    release = threading.Event()

    def slowly(_: Seen) -> Says:
        release.wait(2)
        return Says({})

    there.answers["pre-finish"] = slowly
    path = alice.create(SIZE)
    answers: list[int] = []
    first = threading.Thread(
        target=lambda: answers.append(alice.patch(path, 0, jpeg_bytes(SIZE)).status)
    )
    first.start()
    there.wait_for("pre-finish", id_of(path))
    second = threading.Thread(target=lambda: answers.append(alice.ask("HEAD", path).status))
    second.start()
    release.set()
    first.join()
    second.join()
    assert sorted(answers) == [200, 204]
    assert len(there.told("pre-finish", id_of(path))) == 1


def test_a_dead_receiver_does_not_make_the_others_hear_twice(start_server: Start) -> None:
    dead = free_port()
    with receiver() as alive:
        server = start_server(
            worker=True,
            workers=1,
            hooks_http=f"http://127.0.0.1:{dead}/hook,{alive.url}",
            hooks_enabled="post-create,post-finish",
            hooks_timeout_seconds=2,
        )
        client = Client(server)
        path = client.create(SIZE)
        assert client.patch(path, 0, jpeg_bytes(SIZE)).status == 204
        alive.wait_for("post-create", id_of(path))
        alive.wait_for("post-finish", id_of(path))
        with receiver(dead) as risen:
            finished = risen.wait_for("post-finish", id_of(path))
            risen.wait_for("post-create", id_of(path))
            assert finished.upload["Offset"] == SIZE
        assert [len(alive.told(name)) for name in ("post-create", "post-finish")] == [1, 1]


def test_events_survive_the_death_of_everything(start_server: Start, tmp_path: Path) -> None:
    """SIGKILL at once behind the last answer, while the receiver is down as well."""
    port = free_port()
    settings: dict[str, Any] = {
        "workers": 1,
        "hooks_http": f"http://127.0.0.1:{port}/hook",
        "hooks_enabled": "post-create,post-finish,post-terminate",
        "job_lease_seconds": 1,
        "data_dir": tmp_path / "data",
    }
    server = start_server(worker=True, **settings)
    client = Client(server)
    kept, dropped = client.create(SIZE), client.create(SIZE)
    assert client.patch(kept, 0, jpeg_bytes(SIZE)).status == 204
    assert client.ask("DELETE", dropped).status == 204
    os.kill(server.supervised("worker"), signal.SIGKILL)
    server.kill()
    with receiver(port) as room:
        start_server(worker=True, **settings)
        room.wait_for("post-create", id_of(kept))
        room.wait_for("post-finish", id_of(kept))
        room.wait_for("post-create", id_of(dropped))
        room.wait_for("post-terminate", id_of(dropped))


def test_an_upload_whose_server_died_before_anybody_agreed_is_asked_about_later(
    start_server: Start, tmp_path: Path
) -> None:
    release = threading.Event()
    with receiver() as room:

        def hang(_: Seen) -> Says:
            release.wait(20)
            return Says({})

        room.answers["pre-finish"] = hang
        settings: dict[str, Any] = {
            "workers": 1,
            "hooks_http": room.url,
            "hooks_enabled": "pre-finish,post-finish",
            "hooks_timeout_seconds": 20,
            "data_dir": tmp_path / "data",
        }
        server = start_server(**settings)
        client = Client(server)
        path = client.create(SIZE)
        with client.wire() as wire:
            wire.send(client.patch_head(path, 0, SIZE) + jpeg_bytes(SIZE))
            room.wait_for("pre-finish", id_of(path))
            server.kill()
        release.set()
        room.answers.clear()
        start_server(worker=True, **settings)
        room.wait_for("pre-finish", id_of(path), 2)
        told = room.wait_for("post-finish", id_of(path))
        assert told.document["Event"]["HTTPRequest"]["Method"] == ""


def test_stopping_the_server_does_not_wait_for_a_hook_for_ever(start_server: Start) -> None:
    with receiver() as room:
        release = threading.Event()

        def hang(_: Seen) -> Says:
            release.wait(60)
            return Says({})

        room.answers["pre-create"] = hang
        server = start_server(workers=1, hooks_http=room.url, shutdown_seconds=1)
        client = Client(server)
        with client.wire() as wire:
            wire.send(client.head("POST", "/files/", ("Upload-Length", "9")))
            wait_until(lambda: room.seen, "the question")
            started = time.monotonic()
            server.stop()
            assert time.monotonic() - started < 20
        release.set()


def test_stopping_the_worker_does_not_wait_for_a_hook_for_ever(start_server: Start) -> None:
    with receiver() as room:
        release = threading.Event()

        def hang(_: Seen) -> Says:
            release.wait(60)
            return Says({})

        room.answers["post-create"] = hang
        server = start_server(
            worker=True,
            workers=1,
            hooks_http=room.url,
            hooks_timeout_seconds=60,
            shutdown_seconds=1,
        )
        Client(server).create(SIZE)
        wait_until(lambda: room.told("post-create"), "the delivery")
        # A second for the job and one for the rest, and time for a slow machine.
        assert server.stop() < 10
        assert "given back, the worker stops" in server.log()
        release.set()


def in_chunks(server: Live, content: bytes) -> tuple[str, list[requests.Response]]:
    """Upload in three chunks by the media API, the last one first; the id and the answers."""
    size = len(content) // 3 + 1
    api, headers = (
        f"{server.url}/api/v1/media/upload",
        {"Authorization": f"Bearer {server.token()}"},
    )
    asked = {"file_name": "a.jpg", "file_size": len(content), "content_type": "image/jpeg"}
    begun = requests.post(
        f"{api}/init", json={**asked, "chunk_size": size}, headers=headers, timeout=30
    )
    upload_id = begun.json()["upload_id"]
    answers = [
        requests.post(
            f"{api}/chunk",
            data={"upload_id": upload_id, "chunk_index": index},
            files={"chunk": content[index * size : (index + 1) * size]},
            headers=headers,
            timeout=30,
        )
        for index in (2, 1, 0)
    ]
    return upload_id, answers


def test_chunks_of_the_media_api_fire_the_same(hooked: Live, there: Receiver) -> None:
    upload_id, answers = in_chunks(hooked, jpeg_bytes(SIZE))
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    finished = there.wait_for("post-finish", upload_id)
    assert finished.upload["Offset"] == SIZE
    there.wait_for("post-create", upload_id)
    there.wait_for("post-receive", upload_id, 3)
    assert len(there.told("pre-finish", upload_id)) == 1


def test_chunks_of_the_media_api_are_rejected_as_problems(hooked: Live, there: Receiver) -> None:
    there.on("pre-finish", Says(REJECTS))
    upload_id, answers = in_chunks(hooked, jpeg_bytes(SIZE))
    assert [answer.status_code for answer in answers] == [200, 200, 422]
    assert answers[2].headers["Content-Type"] == "application/problem+json"
    assert answers[2].json()["detail"] == "No faces, please."
    assert Client(hooked).ask("HEAD", f"/files/{upload_id}").status == 422


PLUGIN = """
from hooks.base import Hooks
from hooks.events import CreateReply, HookRejected, HookReply

class Sundays(Hooks):
    def pre_create(self, event):
        if event.upload.metadata.get("day") == "Sunday":
            raise HookRejected("sunday", "Not on Sundays.", "forbidden")
        return CreateReply(reply=HookReply({"X-Day": "any other"}))
"""


def install(folder: Path, target: str) -> dict[str, str]:
    """Lay a package with one entry point into a folder; the environment that finds it."""
    about = folder / "sundays-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "sundays_of_tests.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sundays\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[tusd_server.hooks]\nsundays = {target}\n")
    return {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}


def test_a_python_hook_of_another_package(start_server: Start, tmp_path: Path) -> None:
    environ = install(tmp_path / "site", "sundays_of_tests:Sundays")
    client = Client(start_server(workers=1, environ=environ))
    answer = create(client, day="Sunday")
    assert (answer.status, answer.text) == (403, "Not on Sundays.\n")
    assert create(client, day="Monday")["x-day"] == "any other"


def test_a_python_hook_that_cannot_be_loaded_is_said_at_the_start(tmp_path: Path) -> None:
    environ = {**os.environ, **install(tmp_path / "site", "sundays_of_tests:Mondays")}
    command = [sys.executable, "-m", "tusd_server", "serve", "--port", "0"]
    done = subprocess.run(
        [*command, "--data-dir", str(tmp_path / "data")],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "tusd-server: The hook 'sundays' (sundays_of_tests:Mondays) could"
    )
    assert "Traceback" not in done.stderr


def test_a_program_that_is_not_enabled_is_named_at_the_start(
    start_server: Start, tmp_path: Path
) -> None:
    for name in ("pre-create", "pre-finish"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    server = start_server(workers=1, hooks_dir=tmp_path)
    assert "The hook pre-finish is not run" in server.log()
    assert "The hook pre-create is not run" not in server.log()
