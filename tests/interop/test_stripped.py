"""With TUSD_STRIP_METADATA nobody gets to see what was private in an upload."""

import hashlib
from pathlib import Path

from tests import media
from tests.conftest import Start
from tests.interop.test_journeys import examined, fetch, push
from tests.raw import Client

MAKERS = {
    "a.jpg": media.make_private_jpeg,
    "a.heic": media.make_private_heic,
    "a.mp4": media.make_private_mp4,
}


def test_originals_are_stored_without_private_metadata(start_server: Start, tmp_path: Path) -> None:
    server = start_server(worker=True, strip_metadata=1)
    client = Client(server)
    for name, make in MAKERS.items():
        file = make(tmp_path / name)
        upload = push(server, file)
        medium = examined(client, upload)
        assert medium["status"] == "ready", medium
        stored = fetch(medium["url"]).body
        assert media.SECRET.encode() not in stored
        assert client.ask("GET", upload).body == stored
        assert hashlib.sha256(stored).hexdigest() == medium["sha256"]
        assert len(stored) == medium["size"]
        # To its client the upload is what was sent.
        assert client.offset(upload) == file.stat().st_size


def test_originals_are_stored_as_they_came_by_default(start_server: Start, tmp_path: Path) -> None:
    server = start_server(worker=True)
    file = media.make_private_jpeg(tmp_path / "a.jpg")
    medium = examined(Client(server), push(server, file))
    assert fetch(medium["url"]).body == file.read_bytes()
    assert medium["size"] == file.stat().st_size
