"""tus-js-client in Node, unchanged: directly, through nginx, and through Caddy."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Start
from tests.proxies import Front
from tests.raw import Client, eventually, jpeg_bytes
from tests.tusjs import Event, Node, plan

SIZE = 5_000_000
CHUNK = 700_000
CONTENT = jpeg_bytes(SIZE)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(CONTENT)
    return path


def for_(front: Front, **options: Any) -> Event:
    return plan(front.url, front.token(), **options)


def path_of(result: Event) -> str:
    return "/files/" + str(result["url"]).rpartition("/")[2]


def methods(result: Event) -> list[str]:
    return [method for method, _ in result["requests"]]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunk_size": CHUNK},
        {"chunk_size": CHUNK, "upload_data_during_creation": True},
        {"upload_data_during_creation": True},
        {"chunk_size": CHUNK, "override_patch_method": True},
        {"chunk_size": CHUNK, "add_request_id": True, "upload_size": SIZE},
    ],
    ids=lambda options: "+".join(options) or "usual",
)
def test_upload(
    front: Front, client: Client, node: Node, photo: Path, options: dict[str, Any]
) -> None:
    result = node.run(photo, for_(front, **options))
    assert (result["state"], result["retries"]) == ("done", 0), result
    assert client.download(path_of(result)) == CONTENT
    assert result["url"].startswith(f"{front.url}/files/")
    answer = client.ask("HEAD", path_of(result))
    assert result["medium"] == answer["upload-media-id"]
    assert "filename RmVyaWVuIGFtIE3DvGdnZWxzZWUuanBn" in answer["upload-metadata"]


@pytest.mark.parametrize("size", [0, 20, CHUNK, CHUNK + 1])
def test_sizes_around_a_chunk(
    front: Front, client: Client, node: Node, photo: Path, size: int
) -> None:
    photo.write_bytes(CONTENT[:size])
    result = node.run(photo, for_(front, chunk_size=CHUNK))
    assert result["state"] == "done", result
    assert client.download(path_of(result)) == CONTENT[:size]


@pytest.mark.parametrize("parts", [2, 5])
def test_parallel_uploads_are_joined(
    front: Front, client: Client, node: Node, photo: Path, parts: int
) -> None:
    result = node.run(photo, for_(front, parallel_uploads=parts, chunk_size=CHUNK))
    assert (result["state"], result["retries"]) == ("done", 0), result
    assert result["medium"] is not None
    assert methods(result).count("POST") == parts + 1
    assert client.download(path_of(result)) == CONTENT


def test_stream_of_unknown_length(front: Front, client: Client, node: Node, photo: Path) -> None:
    """The length comes with the last PATCH."""
    deferred = for_(front, chunk_size=CHUNK, upload_length_deferred=True)
    result = node.run(photo, {**deferred, "stream": True})
    assert (result["state"], result["retries"]) == ("done", 0), result
    assert client.download(path_of(result)) == CONTENT


def test_abort_and_resume_in_another_process(
    front: Front, client: Client, node: Node, photo: Path, tmp_path: Path
) -> None:
    chosen = {
        **for_(front, chunk_size=CHUNK, remove_fingerprint_on_success=True),
        "urls": str(tmp_path / "urls.json"),
        "resume": True,
    }
    first = node.run(photo, {**chosen, "abort": {"chunks": 2}})
    assert (first["state"], methods(first)) == ("aborted", ["POST", "PATCH", "PATCH"])
    assert client.offset(path_of(first)) >= 2 * CHUNK
    second = node.run(photo, chosen)
    assert (second["state"], second["url"]) == ("done", first["url"])
    assert methods(second)[0] == "HEAD"
    assert "POST" not in methods(second)
    assert client.download(path_of(first)) == CONTENT
    # The URL was forgotten with the success.
    assert node.run(photo, chosen)["url"] != first["url"]


def test_parallel_uploads_are_resumed(
    front: Front, client: Client, node: Node, photo: Path, tmp_path: Path
) -> None:
    chosen = {
        **for_(front, chunk_size=400_000, parallel_uploads=3),
        "urls": str(tmp_path / "urls.json"),
        "resume": True,
    }
    first = node.run(photo, {**chosen, "abort": {"chunks": 3}})
    assert first["state"] == "aborted"
    second = node.run(photo, chosen)
    assert (second["state"], second["retries"]) == ("done", 0), second
    assert methods(second).count("POST") == 1
    assert methods(second).count("HEAD") == 3
    assert client.download(path_of(second)) == CONTENT


def test_pause_in_the_middle_of_a_patch_and_go_on_at_once(
    front: Front, client: Client, node: Node, photo: Path
) -> None:
    """As Uppy does it: abort, and HEAD while the server may still read what was sent."""
    content = jpeg_bytes(30_000_000)
    photo.write_bytes(content)
    result = node.run(photo, {**for_(front), "abort": {"at": 1, "again": True}})
    assert (result["state"], result["retries"]) == ("done", 0), result
    assert methods(result) == ["POST", "HEAD", "PATCH"]
    assert client.download(path_of(result)) == content


def test_terminate(front: Front, client: Client, node: Node, photo: Path) -> None:
    chosen = for_(front, chunk_size=CHUNK)
    result = node.run(photo, {**chosen, "abort": {"chunks": 1, "terminate": True}})
    assert result["state"] == "aborted"
    assert client.ask("HEAD", path_of(result)).status == 404
    finished = node.run(photo, chosen)
    assert node.run(photo, {**chosen, "terminate": finished["url"]}) == {"state": "terminated"}
    assert client.ask("HEAD", path_of(finished)).status == 404


def test_of_two_programs_with_one_upload_the_slower_finds_its_way(
    front: Front, client: Client, node: Node, photo: Path
) -> None:
    """Its PATCH is a 409, which it tries again behind a HEAD."""
    result = node.run(photo, {**for_(front, chunk_size=CHUNK), "overtake": 3})
    assert (result["state"], result["retries"]) == ("done", 1), result
    assert [status for _, status in result["requests"]][3:5] == [409, 200]
    assert client.download(path_of(result)) == CONTENT


def test_take_over_from_a_dead_connection(
    front: Front, client: Client, node: Node, photo: Path
) -> None:
    """A phone that lost its network comes back while the server still waits for it."""
    path = client.create(SIZE)
    with client.wire() as wire:
        wire.send(client.patch_head(path, 0, SIZE) + CONTENT[:CHUNK])
        eventually(lambda: client.offset(path), CHUNK)
        result = node.run(photo, for_(front, upload_url=front.url + path))
        assert (result["state"], result["retries"]) == ("done", 0), result
        assert methods(result) == ["HEAD", "PATCH"]
        if front.name != "caddy":
            # Caddy holds the answer back for as long as it waits for the rest of the request.
            assert wire.answer().status == 400
    assert client.download(path) == CONTENT


def test_locked_upload_is_tried_again(start_server: Start, node: Node, photo: Path) -> None:
    """A holder that cannot let go, as on a machine that swaps, is a 423 until it can."""
    server = start_server(workers=1, lock_timeout_seconds=1)
    client = Client(server)
    path = client.create(SIZE)
    with client.wire() as wire:
        wire.send(client.patch_head(path, 0, SIZE) + CONTENT[:CHUNK])
        eventually(lambda: client.offset(path), CHUNK)
        other = start_server(server.data_dir, workers=1, lock_timeout_seconds=1)
        chosen = plan(other.url, other.token(), upload_url=other.url + path)
        with node.started(photo, chosen) as events:
            with server.frozen():
                seen = [next(events)["request"], next(events)["request"]]
                assert seen == [["HEAD", 200], ["PATCH", 423]]
            result = list(events)[-1]
    assert result["state"] == "done", result
    assert result["retries"] >= 1
    assert Client(other).download(path) == CONTENT


@pytest.mark.parametrize("size", [50_000, 4_000_000, 40_000_000])
def test_refused_content_fails_once_with_our_sentence(
    front: Front, node: Node, tmp_path: Path, size: int
) -> None:
    """Whether the refusal comes behind the body, or into the midst of a large one."""
    novel = tmp_path / "novel.mp4"
    novel.write_bytes(b"It was a dark and stormy night. " * (size // 32))
    result = node.run(novel, for_(front))
    assert (result["state"], result["status"]) == ("failed", 415), result
    assert result["requests"] == [["POST", 201], ["PATCH", 415]]
    assert result["body"].startswith("The first bytes are of no type that is accepted; send JPG")


def test_a_file_that_is_not_the_declared_one_is_no_success_at_head(
    front: Front, node: Node, photo: Path, tmp_path: Path
) -> None:
    """It calls an upload done whenever HEAD shows every byte."""
    metadata = {"filename": "a.jpg", "sha256": "0" * 64}
    chosen = {**for_(front, metadata=metadata), "urls": str(tmp_path / "u.json"), "resume": True}
    result = node.run(photo, chosen)
    assert (result["state"], result["status"]) == ("failed", 460), result
    again = plan(front.url, front.token(), upload_url=result["url"], endpoint=None)
    resumed = node.run(photo, again)
    assert (resumed["state"], resumed["status"]) == ("failed", 460), resumed
    assert resumed["requests"] == [["HEAD", 460]]


def test_token_that_does_not_hold(front: Front, node: Node, photo: Path) -> None:
    result = node.run(photo, plan(front.url, "garbled"))
    assert (result["state"], result["status"]) == ("failed", 401)
    assert result["requests"] == [["POST", 401]]
