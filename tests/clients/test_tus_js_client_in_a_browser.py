"""tus-js-client in Chromium, in a page of another origin: direct, by nginx, by Caddy.

Through the proxies the browser speaks TLS, and so HTTP/2, as it does in the world.
"""

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.chromium import PATIENCE_MILLISECONDS
from tests.proxies import Front
from tests.raw import Client, jpeg_bytes
from tests.tusjs import BUNDLE, FOLDER, Event, installed, plan

SIZE = 5_000_000
CHUNK = 700_000
CONTENT = jpeg_bytes(SIZE)

PAGE = b"""<!doctype html>
<title>Somebody's page</title>
<link rel="icon" href="data:,">
<input type="file">
<script src="tus.min.js"></script>
<script type="module">
  import { run } from './run.mjs'
  window.send = (plan) => {
    const [file] = document.querySelector('input').files
    // As a reader, as a camera's stream would be, its length is not known.
    return run(tus, plan.stream ? file.stream().getReader() : file, plan)
  }
  window.remove = (url, options) => tus.Upload.terminate(url, options)
</script>
"""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The URL of a page of another origin than the server's."""
    installed()
    files = {
        "/": ("text/html", PAGE),
        "/tus.min.js": ("text/javascript", BUNDLE.read_bytes()),
        "/run.mjs": ("text/javascript", (FOLDER / "run.mjs").read_bytes()),
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, content = files.get(self.path, ("", b""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "text/plain")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://localhost:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


Open = Callable[[], Page]


@pytest.fixture
def open_page(browser: Browser, site: str) -> Iterator[Open]:
    """Opens tabs of one new person's browser at the page."""
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(PATIENCE_MILLISECONDS)

    def open_() -> Page:
        page = context.new_page()
        page.goto(site)
        page.wait_for_function("typeof window.send === 'function'")
        return page

    yield open_
    context.close()


@pytest.fixture
def page(open_page: Open) -> Page:
    return open_page()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(CONTENT)
    return path


def for_(front: Front, **options: Any) -> Event:
    url = front.tls_url if front.proxied else front.url
    return plan(url, front.token(), **options)


def send(page: Page, file: Path, chosen: Event) -> Event:
    page.locator("input").set_input_files(str(file))
    result: Event = page.evaluate("plan => window.send(plan)", chosen)
    return result


def path_of(result: Event) -> str:
    return "/files/" + str(result["url"]).rpartition("/")[2]


def methods(result: Event) -> list[str]:
    return [method for method, _ in result["requests"]]


@pytest.mark.parametrize(
    "options",
    [
        {"add_request_id": True},
        {"chunk_size": CHUNK},
        {"chunk_size": CHUNK, "upload_data_during_creation": True},
        {"chunk_size": CHUNK, "override_patch_method": True},
        {"chunk_size": CHUNK, "parallel_uploads": 3},
    ],
    ids=lambda options: "+".join(options),
)
def test_upload(
    front: Front, client: Client, page: Page, photo: Path, options: dict[str, Any]
) -> None:
    result = send(page, photo, for_(front, **options))
    assert result["state"] == "done", result
    # A browser breaks its connections when a network of the machine comes or goes.
    assert result["retries"] <= 1, result
    assert client.download(path_of(result)) == CONTENT
    # Exposed to pages of other origins.
    assert result["medium"] == client.ask("HEAD", path_of(result))["upload-media-id"]


@pytest.mark.parametrize("size", [SIZE, 3 * CHUNK])
def test_stream_of_unknown_length(
    front: Front, client: Client, page: Page, photo: Path, size: int
) -> None:
    """The length comes with the last PATCH, which may be empty."""
    photo.write_bytes(CONTENT[:size])
    deferred = for_(front, chunk_size=CHUNK, upload_length_deferred=True)
    result = send(page, photo, {**deferred, "stream": True})
    assert (result["state"], result["retries"]) == ("done", 0), result
    assert client.download(path_of(result)) == CONTENT[:size]


def test_abort_and_resume_in_another_tab(
    front: Front, client: Client, open_page: Open, photo: Path
) -> None:
    """The second tab knows the URL from the first one's storage."""
    chosen = {**for_(front, chunk_size=CHUNK), "resume": True}
    tab = open_page()
    first = send(tab, photo, {**chosen, "abort": {"chunks": 2}})
    assert first["state"] == "aborted"
    tab.close()
    second = send(open_page(), photo, chosen)
    assert (second["state"], second["url"]) == ("done", first["url"])
    assert (methods(second)[0], "POST" in methods(second)) == ("HEAD", False)
    assert client.download(path_of(first)) == CONTENT


def test_pause_in_the_middle_of_a_patch_and_go_on_at_once(
    front: Front, client: Client, page: Page, photo: Path
) -> None:
    network = {"offline": False, "latency": 5, "downloadThroughput": -1}
    page.context.new_cdp_session(page).send(
        "Network.emulateNetworkConditions", {**network, "uploadThroughput": 4_000_000}
    )
    result = send(page, photo, {**for_(front), "abort": {"at": 500_000, "again": True}})
    assert result["state"] == "done", result
    assert methods(result)[:2] == ["POST", "HEAD"]
    assert methods(result).count("POST") == 1
    assert client.download(path_of(result)) == CONTENT


def test_terminate(front: Front, client: Client, page: Page, photo: Path) -> None:
    chosen = for_(front, chunk_size=CHUNK)
    result = send(page, photo, {**chosen, "abort": {"chunks": 1, "terminate": True}})
    assert result["state"] == "aborted"
    assert client.ask("HEAD", path_of(result)).status == 404
    finished = send(page, photo, chosen)
    page.evaluate("plan => window.remove(plan.url, plan.options)", {**chosen, **finished})
    assert client.ask("HEAD", path_of(finished)).status == 404


@pytest.mark.parametrize("size", [50_000, 4_000_000, 30_000_000])
def test_refused_content_fails_with_our_sentence(
    front: Front, page: Page, tmp_path: Path, size: int
) -> None:
    novel = tmp_path / "novel.mp4"
    novel.write_bytes(b"It was a dark and stormy night. " * (size // 32))
    result = send(page, novel, for_(front))
    assert (result["state"], result["status"]) == ("failed", 415), result
    assert result["body"].startswith("The first bytes are of no type that is accepted; send JPG")
    assert result["requests"] == [["POST", 201], ["PATCH", 415]]
