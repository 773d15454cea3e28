"""docs/embedding.md, done as it stands there: real processes, a real client."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
import requests
from tusclient.client import TusClient

from tests.live import SECRET, Process
from tests.media import make_jpeg
from tests.pages import snippet
from tests.raw import OCTETS, Wire
from tests.services import free_port, wait_until

SHOP_KEY = "the shop's own key for its sessions"
SIGN_IN = """
@app.get("/sign-in")
def sign_in() -> str:
    session["user"] = "alice"
    return "Hello"
"""


class Shop(Process):
    """The page's program under gunicorn with our web processes, and a worker beside it."""

    def __init__(self, folder: Path, program: str) -> None:
        (folder / "shop.py").write_text(program, encoding="utf-8")
        environ = {
            "TUSD_DATA_DIR": str(folder / "data"),
            "TUSD_JWT_SECRET": SECRET,
            "TUSD_WORKERS": "1",
            "SHOP_SECRET_KEY": SHOP_KEY,
        }
        port = free_port()
        command = [sys.executable, "-m", "gunicorn", "-c", "python:tusd_server.server.config"]
        command += ["--bind", f"127.0.0.1:{port}", "--chdir", str(folder), "shop:app"]
        super().__init__(command, folder / "shop.log", environ)
        self.port = port
        self.worker = Worker([sys.executable, "-m", "tusd_server", "worker"], folder, environ)

    def _ready(self) -> bool:
        assert self.running, "The shop ended at its start."
        try:
            return requests.get(f"{self.url}/media/healthz", timeout=5).ok
        except requests.ConnectionError:
            return False


class Worker(Process):
    """`tusd-server worker`, which listens to nobody."""

    def __init__(self, command: list[str], folder: Path, environ: dict[str, str]) -> None:
        super().__init__(command, folder / "worker.log", environ)

    def _ready(self) -> bool:
        return self.running


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    program = snippet("embedding.md", "python", "create_blueprint()") + SIGN_IN
    shop = Shop(tmp_path_factory.mktemp("shop"), program)
    with shop, shop.worker:
        yield shop


def test_who_signs_in_uploads_and_gets_a_thumbnail(shop: Shop, tmp_path: Path) -> None:
    page = requests.Session()
    assert page.get(f"{shop.url}/media-token").status_code == 401
    page.get(f"{shop.url}/sign-in")
    token = page.get(f"{shop.url}/media-token").text
    assert jwt.decode(token, SECRET, algorithms=["HS256"])["sub"] == "alice"

    bearer = {"Authorization": f"Bearer {token}"}
    tus = TusClient(f"{shop.url}/media/files/", headers=bearer)
    photo = make_jpeg(tmp_path / "photo.jpg").read_bytes()
    uploader = tus.uploader(
        file_stream=io.BytesIO(photo), chunk_size=1000, metadata={"filename": "photo.jpg"}
    )
    uploader.upload()
    assert uploader.url is not None
    assert uploader.url.startswith(f"{shop.url}/media/files/")

    def medium() -> dict[str, str]:
        found = requests.get(f"{shop.url}/media/api/v1/media", headers=bearer, timeout=10).json()
        item: dict[str, str] = found["items"][0]
        return item

    wait_until(lambda: medium()["status"] == "ready", "The examination")
    assert requests.get(medium()["url"], timeout=10).content == photo
    thumbnail = requests.get(medium()["thumbnail_url"], timeout=10)
    assert thumbnail.headers["Content-Type"] == "image/jpeg"


def test_a_refusal_comes_before_the_body_is_read(shop: Shop) -> None:
    with Wire(shop.host, shop.port) as wire:
        wire.send(
            b"POST /media/files/ HTTP/1.1\r\nHost: shop\r\nTus-Resumable: 1.0.0\r\n"
            b"Content-Type: %b\r\nUpload-Length: 9000000\r\nContent-Length: 9000000\r\n\r\n"
            % OCTETS.encode()
        )
        assert wire.answer().status == 401


def test_a_mounted_application_answers_below_its_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUSD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TUSD_JWT_SECRET", SECRET)
    names: dict[str, object] = {"__name__": "tests.pages"}
    exec(snippet("embedding.md", "python", "DispatcherMiddleware"), names)
    client = names["app"].test_client()  # type: ignore[attr-defined]
    assert "creation" in client.options("/media/files/").headers["Tus-Extension"]
    assert client.get("/files/").status_code == 404
