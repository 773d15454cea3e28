"""What a proxy changes, and what it must not: each with its file of deploy/."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live import ROOT
from tests.proxies import CADDY_FILE, NGINX_FILE, Front
from tests.raw import JPEG_HEAD, Answer, Client, Wire, eventually, jpeg_bytes

SIZE = 3_000_000
CONTENT = jpeg_bytes(SIZE)


def test_bytes_reach_the_disk_while_they_come(client: Client) -> None:
    """No proxy waits for the whole body."""
    path = client.create(SIZE)
    with client.wire() as wire:
        wire.send(client.patch_head(path, 0, SIZE))
        for until in (100_000, 1_000_000, SIZE - 1):
            wire.send(CONTENT[client.offset(path) : until])
            eventually(lambda until=until: client.offset(path), until)
        wire.send(CONTENT[-1:])
        assert wire.answer().status == 204
    assert client.download(path) == CONTENT


def fin(wire: Wire) -> None:
    wire.close()


def rst(wire: Wire) -> None:
    wire.flush()
    wire.reset()


@pytest.mark.parametrize("cut", [fin, rst])
def test_what_the_server_has_when_a_client_vanishes_is_kept(
    client: Client, cut: Callable[[Wire], None]
) -> None:
    path, offset = client.create(SIZE), 0
    while offset < SIZE - 500_000:
        with client.wire() as wire:
            wire.send(client.patch_head(path, offset, SIZE - offset))
            wire.send(CONTENT[offset : offset + 400_000])
            eventually(lambda at=offset + 400_000: client.offset(path), offset + 400_000)
            cut(wire)
        offset += 400_000
        assert client.offset(path) == offset
    assert client.patch(path, offset, CONTENT[offset:]).status == 204
    assert client.download(path) == CONTENT


def test_a_goodbye_behind_the_last_byte(front: Front, client: Client) -> None:
    """A proxy drops what it has not passed on when its client leaves; the server alone does not."""
    for size in (50_000, 700_000, SIZE - 1):
        path = client.create(SIZE)
        with client.wire() as wire:
            wire.send(client.patch_head(path, 0, SIZE) + CONTENT[:size])
        if front.proxied:
            assert client.offset(path) <= size
        else:
            eventually(lambda path=path: client.offset(path), size)
        attempts = 0
        while patch_rest(client, path).status == 409:
            attempts += 1
            assert attempts < 5
        assert client.download(path) == CONTENT


def patch_rest(client: Client, path: str) -> Answer:
    offset = client.offset(path)
    return client.patch(path, offset, CONTENT[offset:])


@pytest.mark.parametrize("size", [500_000, 6_000_000, 60_000_000])
def test_a_refusal_arrives_in_front_of_a_body_of_any_size(client: Client, size: int) -> None:
    """A proxy whose write to the server broke would make a 502 of it."""
    path, block = client.create(size), bytes(100_000)
    for _ in range(2):
        with client.wire() as wire:
            wire.send(client.patch_head(path, 5, size))
            wire.send_until_refused([block] * (size // len(block)))
            answer = wire.answer()
            assert (answer.status, answer.offset) == (409, 0)
    assert client.offset(path) == 0


def test_of_two_writers_the_newer_one_goes_on(front: Front, client: Client) -> None:
    for _ in range(4):
        path = client.create(SIZE)
        with client.wire() as old:
            old.send(client.patch_head(path, 0, SIZE) + CONTENT[:200_000])
            eventually(lambda path=path: client.offset(path), 200_000)
            assert client.patch(path, 200_000, CONTENT[200_000:]).status == 204
            if front.name != "caddy":
                # Caddy holds the answer back for as long as it waits for the rest of the request.
                assert old.answer().status == 400
        assert client.download(path) == CONTENT


@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_nobody_chooses_the_server_s_links(name: str, request: pytest.FixtureRequest) -> None:
    """The five headers that the server believes are the proxy's own."""
    front: Front = request.getfixturevalue(name)
    lies = {"For": "203.0.113.9", "Proto": "gopher", "Host": "evil.example", "Port": "1"}
    fields = [(f"X-Forwarded-{name}", value) for name, value in lies.items()]
    answer = Client(front).ask(
        "POST", "/files/", *fields, ("X-Forwarded-Prefix", "/evil"), ("Upload-Length", "5")
    )
    assert answer.status == 201
    assert answer["location"].startswith(f"{front.url}/files/")


def test_events_come_one_by_one(client: Client) -> None:
    """Server-sent events are not held back."""
    path = client.create(SIZE)
    upload = path.rpartition("/")[2]
    with client.wire() as wire:
        wire.send(client.head("GET", f"/api/v1/media/upload/{upload}/events"))
        assert b"200" in wire._until(b"\r\n")
        wire._until(b"data:")
        assert client.patch(path, 0, CONTENT[:1000]).status in (204, 400, 413)
        wire._until(b"1000")
        assert client.patch(path, 1000, CONTENT[1000:]).status == 204
        wire._until(str(SIZE).encode())


def test_many_clients_share_the_connections_of_a_proxy(front: Front) -> None:
    """Answers find their clients when many requests go over few connections."""
    problems: list[str] = []

    def upload(number: int) -> None:
        client = Client(front, f"user{number}")
        content = JPEG_HEAD + bytes([number]) * 30_000
        for _ in range(5):
            path = client.create(len(content))
            answer = client.patch(path, 0, content)
            if answer.status != 204 or client.download(path) != content:
                problems.append(f"{number}: {answer}")

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []


@pytest.mark.parametrize("file", [NGINX_FILE, CADDY_FILE], ids=lambda file: file.name)
def test_the_page_on_deployment_shows_the_tested_file(file: Path) -> None:
    assert f"\n{file.read_text()}```\n" in (ROOT / "docs/deployment.md").read_text()
