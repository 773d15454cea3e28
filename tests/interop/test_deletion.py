"""Files that go while somebody downloads them, and what their records say."""

import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from processing.catalog import Catalog
from processing.medium import Medium
from processing.moments import utc_now
from processing.retention import Retention
from processing.shelf import Shelf
from tests import media
from tests.live import Live
from tests.raw import Client
from tests.records import known, migrated
from tests.services import wait_until

# More than the sockets of both sides hold, so that the server is still reading the file.
BALLAST = 14 * 1024 * 1024
RECEIVE_BUFFER = 64 * 1024

Delete = Callable[[Live, Client, Catalog, Medium], None]


def publish(server: Live, client: Client, catalog: Catalog, medium: Medium) -> None:
    assert client.ask("POST", f"/api/v1/posts/{medium.post_id}/published").status == 200


def ask(server: Live, client: Client, catalog: Catalog, medium: Medium) -> None:
    assert client.ask("DELETE", f"/files/{medium.upload_id}").status == 204


def let_expire(server: Live, client: Client, catalog: Catalog, medium: Medium) -> None:
    in_two_days = utc_now() + timedelta(days=2)
    retention = Retention(catalog, Shelf(server.data_dir), 1, clock=lambda: in_two_days)
    assert medium.id in {each.id for each in retention.enforce()}


@pytest.mark.parametrize(
    ("delete", "because"),
    [(publish, "published"), (ask, "asked"), (let_expire, "retention")],
)
def test_a_download_that_runs_gets_all_its_bytes(
    live: Live, tmp_path: Path, delete: Delete, because: str
) -> None:
    client = Client(live, because)
    # What follows the end of a JPEG belongs to no picture, and is kept as it came.
    content = media.make_jpeg(tmp_path / "photo.jpg").read_bytes() + bytes(BALLAST)
    path = client.create(len(content), filename="photo.jpg", post_id=f"post-{because}")
    assert client.patch(path, 0, content).status == 204
    with migrated(f"sqlite:///{live.data_dir / '.tusd-server' / 'catalog.db'}") as catalog:
        medium = registered(catalog, path.rpartition("/")[2])
        url = f"/api/v1/media/{medium.id}/file"
        with client.wire() as wire:
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            wire.send(client.head("GET", url, tus=False))
            assert wire.socket.recv(1, socket.MSG_PEEK)
            delete(live, client, catalog, medium)
            gone = known(catalog, medium.id)
            assert (gone.status, gone.deleted_because) == ("deleted", because)
            assert gone.deleted_at is not None
            assert not any((live.data_dir / each).exists() for each in medium.paths)
            assert client.ask("GET", url).status == 410
            answer = wire.answer()
    assert (answer.status, len(answer.body)) == (200, len(content))
    assert answer.body == content


def registered(catalog: Catalog, upload_id: str) -> Medium:
    def ready() -> bool:
        medium = catalog.by_upload(upload_id)
        return medium is not None and medium.status == "registered"

    wait_until(ready, "the registration of the medium")
    medium = catalog.by_upload(upload_id)
    assert medium is not None
    return medium
