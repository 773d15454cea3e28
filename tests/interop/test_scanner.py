"""Uploads to a server that has a virus scanner."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import media
from tests.conftest import Start
from tests.interop.test_journeys import document, examined, medium_of, push
from tests.raw import Client
from tests.services import ServiceMissing, clamd, free_port, wait_until

MARK = b"tusd-server live signature"


@pytest.fixture(scope="module")
def scanner() -> Iterator[str]:
    try:
        with clamd({"Tusd.Live": MARK}) as place:
            yield place
    except ServiceMissing as missing:
        pytest.skip(str(missing))


def test_what_is_infected_is_gone_and_says_so(
    start_server: Start, tmp_path: Path, scanner: str
) -> None:
    server = start_server(worker=True, clamav=scanner)
    client = Client(server)
    clean = media.make_jpeg(tmp_path / "clean.jpg")
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(clean.read_bytes() + MARK)
    upload = push(server, bad)
    medium = examined(client, upload)
    assert (medium["status"], medium["url"]) == ("rejected", None)
    assert [reason["code"] for reason in medium["reasons"]] == ["infected"]
    wait_until(lambda: client.ask("HEAD", upload).status == 415, "The end of the upload")
    assert "Tusd.Live" in client.ask("GET", upload).text
    wait_until(lambda: upload.rpartition("/")[2] not in server.files(), "The removal of the bytes")
    assert examined(client, push(server, clean))["status"] == "ready"


def test_media_wait_for_a_scanner_that_is_away(start_server: Start, tmp_path: Path) -> None:
    port = free_port()
    server = start_server(worker=True, clamav=f"127.0.0.1:{port}")
    client = Client(server)
    upload = push(server, media.make_jpeg(tmp_path / "a.jpg"))
    waits = "The virus scanner cannot be asked"
    wait_until(lambda: waits in server.log(), "The first try of the worker")
    assert document(client, medium_of(client, upload)["id"])["status"] == "processing"
    assert client.ask("GET", "/readyz").status == 200
    try:
        with clamd({"Tusd.Live": MARK}, tcp=port):
            assert examined(client, upload)["status"] == "ready"
    except ServiceMissing as missing:
        pytest.skip(str(missing))
