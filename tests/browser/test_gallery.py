"""The page in a browser: what became of the files, signing in, and being embedded."""

import http.server
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests import media
from tests.browser.conftest import PATIENCE_MILLISECONDS, Visitor, cards, choose
from tests.conftest import Start
from tests.live import ROOT, Live, make_token
from tests.raw import Client
from tests.services import free_port

FOCUSED = """(() => {
    const { ariaLabel, textContent, id } = document.activeElement
    return ariaLabel || textContent || id
})()"""
DOCS = ROOT / "docs/page.md"


def send(client: Client, file: Path, **metadata: str) -> str:
    """An upload by another program; its path."""
    content = file.read_bytes()
    path = client.create(len(content), filename=file.name, **metadata)
    assert client.patch(path, 0, content).status == 204
    return path


def test_what_others_send_appears_by_itself(server: Live, visitor: Visitor, tmp_path: Path) -> None:
    page = visitor(server, "watcher").open()
    expect(page.get_by_text("Nothing here yet.")).to_be_visible()
    send(Client(server, "watcher"), media.make_jpeg(tmp_path / "other.jpg"))
    expect(cards(page, "ready")).to_have_count(1)
    send(Client(server, "stranger"), media.make_jpeg(tmp_path / "secret.jpg"))
    send(Client(server, "watcher"), media.make_png(tmp_path / "second.png"))
    expect(cards(page, "ready")).to_have_count(2)
    expect(page.get_by_text("secret.jpg")).to_have_count(0)
    expect(page.get_by_role("status")).to_have_text("second.png is ready.")


def test_a_post_is_published_and_its_files_go(
    server: Live, visitor: Visitor, tmp_path: Path
) -> None:
    page = visitor(server, "publisher").open()
    page.get_by_label("Post (optional)").fill("summer")
    choose(page, media.make_jpeg(tmp_path / "a.jpg"), media.make_png(tmp_path / "b.png"))
    expect(cards(page, "registered")).to_have_count(2)
    post = page.locator('[data-post-id="summer"]')
    expect(post).to_contain_text("2 files ready")
    post.get_by_role("button", name="Publish summer").click()
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("deletes 2 files")
    question.get_by_role("button", name="Publish").click()
    expect(cards(page, "deleted")).to_have_count(2)
    expect(post).to_contain_text("published: 2 files deleted")
    expect(page.get_by_text("Published, file deleted")).to_have_count(2)
    expect(post.get_by_role("button")).to_have_count(0)


def test_a_medium_is_deleted(server: Live, visitor: Visitor, tmp_path: Path) -> None:
    visit = visitor(server, "tidy")
    send(Client(server, "tidy"), media.make_jpeg(tmp_path / "old.jpg"))
    page = visit.open()
    card = cards(page, "ready")
    link = card.locator(".picture a").get_attribute("href")
    card.get_by_role("button", name="Delete old.jpg").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(card).to_have_count(1)
    card.get_by_role("button", name="Delete old.jpg").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(cards(page)).to_have_count(0)
    expect(page.get_by_role("status")).to_have_text("old.jpg is deleted.")
    assert link is not None
    assert visit.context.request.get(link).status == 410


def test_a_link_is_copied(server: Live, visitor: Visitor, tmp_path: Path) -> None:
    visit = visitor(server, "sharer", permissions=["clipboard-read", "clipboard-write"])
    file = media.make_jpeg(tmp_path / "shared.jpg")
    send(Client(server, "sharer"), file)
    page = visit.open()
    page.get_by_role("button", name="Copy link to shared.jpg").click()
    expect(page.get_by_role("status")).to_contain_text("is copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert visit.context.request.get(link).body() == file.read_bytes()


def test_everything_is_reached_by_keyboard(server: Live, visitor: Visitor, tmp_path: Path) -> None:
    send(Client(server, "keys"), media.make_jpeg(tmp_path / "keys.jpg"))
    page = visitor(server, "keys").open()
    expect(cards(page, "ready")).to_have_count(1)
    expect(page.get_by_role("button", name="choose files")).to_be_visible()
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    for name in (
        "Sign out",
        "choose files",
        "Open keys.jpg",
        "Copy link to keys.jpg",
        "Delete keys.jpg",
    ):
        assert any(name in text for text in reached), (name, reached)
    page.get_by_role("button", name="Delete keys.jpg").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Delete keys.jpg")).to_be_focused()


def test_signing_in_and_out(server: Live, visitor: Visitor) -> None:
    visit = visitor(server, None)
    visit.expect("401")
    page = visit.open()
    field, button = page.get_by_label("Token"), page.get_by_role("button", name="Sign in")
    button.click()
    expect(page.get_by_role("alert")).to_have_text("Paste a token first.")
    field.fill("not a token")
    button.click()
    expect(page.get_by_role("alert")).to_contain_text("token")
    field.fill(make_token("carol"))
    button.click()
    expect(page.get_by_role("heading", name="Your media")).to_be_visible()
    expect(page.locator(".user")).to_contain_text("carol")
    page.reload()
    expect(page.locator(".user")).to_contain_text("carol")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_an_expired_token_asks_for_another(server: Live, visitor: Visitor) -> None:
    visit = visitor(server, None)
    visit.expect("401")
    old = make_token("dave", hours=-1)
    visit.context.add_init_script(f"sessionStorage.setItem('tusd-server.token', '{old}')")
    page = visit.open()
    expect(page.get_by_role("alert")).to_contain_text("expired")


def test_without_tokens_nobody_is_asked(
    built: None, start_server: Start, visitor: Visitor, tmp_path: Path
) -> None:
    open_server = start_server(auth="off", worker=True, workers=1)
    page = visitor(open_server, None).open()
    choose(page, media.make_jpeg(tmp_path / "a.jpg"))
    expect(cards(page, "ready")).to_have_count(1)
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)


class Application:
    """Somebody's web application: a few files, and a token for whoever asks."""

    def __init__(
        self, port: int, files: dict[str, tuple[str, bytes]], tokens: Sequence[str] = ()
    ) -> None:
        """`files` are types and contents by path; `tokens` are given before one that holds."""
        left = [*tokens]
        asked = self.asked_at = list[float]()
        own = {"/favicon.ico": ("image/png", b"")}

        def token() -> tuple[str, bytes]:
            asked.append(time.monotonic())
            return "text/plain", (left.pop(0) if left else make_token("erin")).encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_token = self.path == "/media-token"
                kind, content = token() if is_token else {**files, **own}.get(self.path, ("", b""))
                self.send_response(200 if kind else 404)
                self.send_header("Content-Type", kind or "text/plain")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{port}"
        self._thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self) -> "Application":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


def snippet(number: int, server: Live) -> str:
    """A piece of HTML of docs/page.md, for this server."""
    found = re.findall(r"^```html\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    return "<!doctype html><title>app</title>" + found[number].replace(
        "http://127.0.0.1:1080", server.url
    )


@pytest.fixture
def embedding(built: None, start_server: Start) -> tuple[Live, int]:
    """A server whose page may be shown by the application on a port of this machine."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    return start_server(worker=True, workers=1, embed_origins=origin), port


def test_the_page_in_a_frame_gets_its_token(
    embedding: tuple[Live, int], visitor: Visitor, tmp_path: Path
) -> None:
    server, port = embedding
    page_html = snippet(0, server).encode()
    with Application(port, {"/": ("text/html", page_html)}) as app:
        visit = visitor(server, None)
        visit.allow(app.url)
        visit.page.goto(app.url)
        frame = visit.page.frame_locator("#media")
        expect(frame.locator(".user")).to_contain_text("erin")
        frame.locator("input.uppy-Dashboard-input").first.set_input_files(
            [str(media.make_jpeg(tmp_path / "framed.jpg"))]
        )
        expect(frame.locator('.card[data-status="ready"]')).to_have_count(1)


def test_an_application_whose_tokens_are_refused_is_asked_at_leisure(
    embedding: tuple[Live, int], visitor: Visitor
) -> None:
    server, port = embedding
    page = {"/": ("text/html", snippet(0, server).encode())}
    with Application(port, page, [make_token("erin", hours=-1)] * 2) as app:
        visit = visitor(server, None)
        visit.allow(app.url)
        visit.expect("401")
        visit.page.goto(app.url)
        frame = visit.page.frame_locator("#media")
        expect(frame.get_by_role("heading", name="Your media")).to_be_visible()
        expect(frame.get_by_text("Nothing here yet.")).to_be_visible()
        first, second, third = app.asked_at
        assert min(second - first, third - second) > 2


def test_a_stranger_may_neither_frame_nor_sign_in(server: Live, visitor: Visitor) -> None:
    with Application(free_port(), {"/": ("text/html", snippet(0, server).encode())}) as app:
        visit = visitor(server, None)
        visit.allow(app.url)
        visit.expect("frame-ancestors", "favicon.ico", "Failed to execute 'postMessage'")
        with visit.page.expect_event("console", lambda message: "frame-ancestors" in message.text):
            visit.page.goto(app.url)
        assert visit.page.frames[1].url.startswith("chrome-error:")


def test_uppy_in_a_page_of_ones_own(server: Live, visitor: Visitor, tmp_path: Path) -> None:
    """The snippet, bundled by Vite as its reader would do it."""
    text = snippet(1, server).replace("'...'", f"'{make_token('frank')}'")
    source = ROOT / "ui/node_modules/.snippet"
    source.mkdir(exist_ok=True)
    (source / "index.html").write_text(text)
    out = tmp_path / "built"
    command = ["npx", "vite", "build", str(source), "--outDir", str(out), "--logLevel", "error"]
    # Where `make` fetched a Node, it lies beside this Python.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(command, cwd=ROOT / "ui", check=True, env={**os.environ, "PATH": path})
    types = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
    files = {
        "/" + str(path.relative_to(out)): (types[path.suffix], path.read_bytes())
        for path in out.rglob("*.*")
    }
    with Application(free_port(), {**files, "/": files["/index.html"]}) as app:
        visit = visitor(server, None)
        visit.allow(app.url)
        visit.page.goto(app.url)
        with visit.page.expect_console_message(
            lambda message: message.type == "log", timeout=PATIENCE_MILLISECONDS
        ) as told:
            choose(visit.page, media.make_jpeg(tmp_path / "own.jpg"))
        assert told.value.args[0].evaluate("medium => medium.file_name") == "own.jpg"
