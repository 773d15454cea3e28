"""tuspy, the client of the command line, unchanged: directly, through nginx, through Caddy."""

import asyncio
import io
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

from tests.live import Live, make_token
from tests.proxies import Front
from tests.raw import Client, eventually, jpeg_bytes

SIZE = 1_500_000
CHUNK = 200_000


@pytest.fixture
def photo(tmp_path: Path) -> Iterator[BinaryIO]:
    """An open file, because tuspy leaves those open that it opens itself."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg_bytes(SIZE))
    with path.open("rb") as file:
        yield file


def tus_client(server: Front | Live, token: str | None = None) -> TusClient:
    headers = {"Authorization": f"Bearer {token or server.token()}"}
    return TusClient(f"{server.url}/files/", headers=headers)


def to_its_end(work: Coroutine[Any, Any, Any]) -> None:
    """Run it in a thread of its own, because a browser's test may have left a loop in ours."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


def path_of(url: str | None) -> str:
    assert url is not None
    return "/files/" + url.rpartition("/")[2]


@pytest.mark.parametrize("chunk_size", [CHUNK, SIZE, SIZE + 1, 2**63 - 1])
def test_upload(front: Front, client: Client, photo: BinaryIO, chunk_size: int) -> None:
    metadata = {"filename": "Ferien am Müggelsee.jpg", "filetype": "image/jpeg"}
    uploader = tus_client(front).uploader(
        file_stream=photo, chunk_size=chunk_size, metadata=metadata
    )
    uploader.upload()
    assert client.download(path_of(uploader.url)) == jpeg_bytes(SIZE)


@pytest.mark.parametrize("checksum", [False, True])
def test_upload_async(front: Front, client: Client, photo: BinaryIO, checksum: bool) -> None:
    uploader = tus_client(front).async_uploader(
        file_stream=photo, chunk_size=CHUNK, upload_checksum=checksum
    )
    to_its_end(uploader.upload())
    assert client.download(path_of(uploader.url)) == jpeg_bytes(SIZE)


def test_many_uploads_async(front: Front, client: Client) -> None:
    files = [io.BytesIO(jpeg_bytes(SIZE, seed)) for seed in range(6)]
    tus = tus_client(front)
    uploaders = [tus.async_uploader(file_stream=file, chunk_size=CHUNK) for file in files]

    async def upload_all() -> None:
        await asyncio.gather(*(uploader.upload() for uploader in uploaders))

    to_its_end(upload_all())
    for uploader, file in zip(uploaders, files, strict=True):
        assert client.download(path_of(uploader.url)) == file.getvalue()


def test_empty_metadata_header(front: Front, client: Client, photo: BinaryIO) -> None:
    """tuspy sends `upload-metadata:` with nothing behind it."""
    uploader = tus_client(front).uploader(file_stream=photo, metadata={})
    assert uploader.get_url_creation_headers()["upload-metadata"] == ""
    uploader.upload()
    assert client.offset(path_of(uploader.url)) == SIZE


RESUMING = """
import sys
from tusclient.client import TusClient
from tusclient.storage.filestorage import FileStorage

url, token, photo, urls, stop_at = sys.argv[1:]
client = TusClient(url, headers={"Authorization": f"Bearer {token}"})
storage = FileStorage(urls)
uploader = client.uploader(
    photo, chunk_size=200_000, store_url=True, url_storage=storage, upload_checksum=True
)
found = uploader.offset
uploader.upload(stop_at=int(stop_at))
storage.close()
print(uploader.url, found, uploader.offset, uploader.request is not None)
"""


def test_resume_in_new_processes(
    front: Front, client: Client, photo: BinaryIO, tmp_path: Path
) -> None:
    """Each process knows only the file with the URLs, as a command line does.

    Every chunk comes with its checksum.
    """

    def run(stop_at: int) -> list[str]:
        arguments = [f"{front.url}/files/", front.token(), photo.name, str(tmp_path / "urls.json")]
        command = [sys.executable, "-c", RESUMING, *arguments, str(stop_at)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    url, *first = run(3 * CHUNK)
    assert first == ["0", str(3 * CHUNK), "True"]
    assert run(SIZE) == [url, str(3 * CHUNK), str(SIZE), "True"]
    assert client.download(path_of(url)) == jpeg_bytes(SIZE)
    assert run(SIZE) == [url, str(SIZE), str(SIZE), "False"]


def test_lost_chunk_is_sent_again(front: Front, client: Client, photo: BinaryIO) -> None:
    uploader = tus_client(front).uploader(
        file_stream=photo, chunk_size=CHUNK, retries=1, retry_delay=0
    )
    uploader.upload(stop_at=2 * CHUNK)
    path = path_of(uploader.url)
    content = jpeg_bytes(SIZE)
    # As after an answer that got lost: the server is further than the client knows.
    assert client.patch(path, 2 * CHUNK, content[2 * CHUNK : 3 * CHUNK]).status == 204
    uploader.upload()
    assert client.download(path) == content


def test_empty_file(live: Live) -> None:
    uploader = tus_client(live).uploader(file_stream=io.BytesIO())
    uploader.upload()
    client = Client(live)
    answer = client.ask("HEAD", path_of(uploader.url))
    medium = f"/api/v1/media/{answer['upload-media-id']}"
    eventually(lambda: client.ask("GET", medium).json()["status"], "rejected")
    assert [reason["code"] for reason in client.ask("GET", medium).json()["reasons"]] == [
        "empty_file"
    ]


@pytest.mark.parametrize("hours", [-1.0, None])
def test_token_that_does_not_hold(front: Front, photo: BinaryIO, hours: float | None) -> None:
    token = "garbled" if hours is None else make_token(hours=hours)
    before = front.server.files()
    with pytest.raises(TusCommunicationError) as failure:
        tus_client(front, token).uploader(file_stream=photo).upload()
    assert failure.value.status_code == 401
    assert front.server.files() == before


def test_upload_of_another_user(front: Front, photo: BinaryIO) -> None:
    mine = tus_client(front).uploader(file_stream=photo, chunk_size=CHUNK)
    mine.upload_chunk()
    theirs = tus_client(front, front.token("bob"))
    with pytest.raises(TusCommunicationError) as failure:
        theirs.uploader(file_stream=photo, url=mine.url)
    assert failure.value.status_code == 404
    mine.upload()


def test_wrong_content_fails_with_the_first_chunk(front: Front) -> None:
    text = io.BytesIO(b"no video at all " * 100_000)
    uploader = tus_client(front).uploader(file_stream=text, chunk_size=CHUNK)
    with pytest.raises(TusUploadFailed) as failure:
        uploader.upload()
    assert (failure.value.status_code, uploader.offset) == (415, 0)
