"""Debian's Chromium, driven by Playwright, in front of a live server with the built page."""

import random
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
)

from tests.chromium import PATIENCE_MILLISECONDS
from tests.live import ROOT, Live, make_token

DESKTOP = {"width": 1280, "height": 900}


@dataclass
class Visit:
    """Somebody's browser at one server: a page, and what went wrong in it."""

    server: Live
    context: BrowserContext
    page: Page
    problems: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ("blob:", "data:")

    def allow(self, origin: str) -> None:
        """Let requests to another origin be right in this test."""
        self.allowed += (origin,)

    def watch(self, page: Page) -> Page:
        """Note the errors of a page, and its requests to others than the server."""
        page.set_default_timeout(PATIENCE_MILLISECONDS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", self._request)
        return page

    def open(self, path: str = "/") -> Page:
        """Go there, and wait until somebody could begin."""
        self.page.goto(self.server.url + path)
        return self.page

    def expect(self, *texts: str) -> None:
        """Let these console errors be right in this test."""
        self.expected += texts

    def _console(self, message: ConsoleMessage) -> None:
        told = f"{message.text} ({message.location.get('url')})"
        if message.type == "error" and not any(text in told for text in self.expected):
            self.problems.append(told)

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.server.url, *self.allowed)):
            self.strangers.append(request.url)


Visitor = Callable[..., Visit]


@pytest.fixture(scope="session")
def built() -> None:
    """The page, built once if it is not up to date."""
    subprocess.run(["make", "--silent", "ui"], cwd=ROOT, check=True)


@pytest.fixture(scope="session")
def server(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The whole program with tokens, as `make run` starts it."""
    data_dir = tmp_path_factory.mktemp("browser") / "data"
    with Live(data_dir, worker=True, workers=2) as server:
        yield server


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    """Opens browsers of new people; behind the test none may have seen an error or a stranger."""
    visits: list[Visit] = []

    def visit(server: Live, user: str | None = "alice", **options: Any) -> Visit:
        options = {"viewport": DESKTOP, **options}
        context = browser.new_context(locale="en-GB", **options)
        if user is not None:
            token = make_token(user)
            context.add_init_script(f"sessionStorage.setItem('tusd-server.token', '{token}')")
        visit = Visit(server, context, context.new_page())
        visit.watch(visit.page)
        visits.append(visit)
        return visit

    yield visit
    for each in visits:
        each.context.close()
    assert [problem for visit in visits for problem in visit.problems] == []
    assert [url for visit in visits for url in visit.strangers] == []


def cards(page: Page, status: str | None = None) -> Locator:
    """The gallery's cards, or those of media in this state."""
    return page.locator(".card" if status is None else f'.card[data-status="{status}"]')


def choose(page: Page, *files: Path) -> None:
    """Choose files as by the system's dialog."""
    page.locator("input.uppy-Dashboard-input").first.set_input_files([str(f) for f in files])


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """A picture of 6 MB, so that its upload takes a while."""
    image = Image.frombytes("RGB", (1400, 1400), random.Random(1).randbytes(3 * 1400 * 1400))
    path = tmp_path / "noise.png"
    image.save(path, "PNG", compress_level=0)
    return path
