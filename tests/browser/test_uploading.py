"""The page in a browser: files go in, and networks, tabs and reloads do not stop them."""

import base64
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import CDPSession, Page, Response, expect

from tests import media
from tests.browser.conftest import Visit, Visitor, cards, choose
from tests.live import Live
from tests.raw import Client, eventually
from tests.services import wait_until

KIB = 1024
SLOW_BYTES_PER_SECOND = 700 * KIB


def slow_down(visit: Visit, page: Page | None = None) -> Callable[[], None]:
    """A slow uplink; call the result for the usual one."""
    session: CDPSession = visit.context.new_cdp_session(page or visit.page)
    network = {"offline": False, "latency": 20, "downloadThroughput": -1}
    session.send(
        "Network.emulateNetworkConditions", {**network, "uploadThroughput": SLOW_BYTES_PER_SECOND}
    )
    return lambda: (
        session.send("Network.emulateNetworkConditions", {**network, "uploadThroughput": -1})
        and None
    )


def uploads_made(page: Page) -> list[str]:
    """The paths of the uploads that a page creates from now on."""
    made: list[str] = []

    def note(response: Response) -> None:
        if response.request.method == "POST" and response.status == 201:
            made.append("/files/" + response.headers["location"].rpartition("/")[2])

    page.on("response", note)
    return made


def half_way(client: Client, made: list[str], page: Page, least: int = 500 * KIB) -> int:
    """Wait until the server holds some of the upload; how much."""

    def there() -> bool:
        page.wait_for_timeout(50)  # lets the browser's events be handled
        return bool(made) and client.offset(made[0]) >= least

    wait_until(there, "The first part of the upload", 30)
    return client.offset(made[0])


def stored(page: Page, name: str) -> bytes:
    """The file behind the link of a ready medium."""
    card = cards(page, "ready").filter(has_text=name)
    url = card.locator(".picture a").get_attribute("href")
    assert url is not None
    with urllib.request.urlopen(url) as response:
        content: bytes = response.read()
    return content


def test_files_are_chosen_and_become_media(server: Live, visitor: Visitor, tmp_path: Path) -> None:
    files = [
        media.make_jpeg(tmp_path / "beach.jpg", 1600, 1200),
        media.make_phone_mp4(tmp_path / "clip.mp4"),
        media.make_png(tmp_path / "plan.png"),
    ]
    page = visitor(server, "chooser").open()
    choose(page, *files)
    expect(cards(page, "ready")).to_have_count(3)
    for file in files:
        assert stored(page, file.name) == file.read_bytes()
    clip = cards(page, "ready").filter(has_text="clip.mp4")
    expect(clip.locator(".duration")).to_have_text("0:02")
    expect(clip.locator(".facts")).to_contain_text("Video · 240 × 320")
    expect(page.locator(".card img.shown")).to_have_count(3)
    # The list of uploads makes room again.
    expect(page.get_by_role("button", name="choose files")).to_be_visible()


def test_files_are_dropped(server: Live, visitor: Visitor, tmp_path: Path) -> None:
    content = media.make_webp(tmp_path / "dropped.webp").read_bytes()
    page = visitor(server, "dropper").open()
    expect(page.get_by_role("button", name="choose files")).to_be_visible()
    data = page.evaluate_handle(
        """text => {
            const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0))
            const data = new DataTransfer()
            data.items.add(new File([bytes], 'dropped.webp', {type: 'image/webp'}))
            return data
        }""",
        base64.b64encode(content).decode(),
    )
    for event in ("dragover", "drop"):
        page.dispatch_event(".uppy-Dashboard-innerWrap", event, {"dataTransfer": data})
    expect(cards(page, "ready")).to_have_count(1)
    assert stored(page, "dropped.webp") == content


def test_an_upload_is_paused_and_resumed(server: Live, visitor: Visitor, noise: Path) -> None:
    visit = visitor(server, "pauser")
    page, client = visit.open(), Client(server, "pauser")
    made, hurry = uploads_made(page), slow_down(visit)
    choose(page, noise)
    half_way(client, made, page)
    page.get_by_role("button", name="Pause upload").first.click()
    expect(page.get_by_role("button", name="Resume upload").first).to_be_visible()
    offset = client.offset(made[0])
    assert offset < noise.stat().st_size
    page.wait_for_timeout(500)
    assert client.offset(made[0]) == offset
    hurry()
    page.get_by_role("button", name="Resume upload").first.click()
    expect(cards(page, "ready")).to_have_count(1)
    assert (len(made), stored(page, noise.name)) == (1, noise.read_bytes())


def test_a_reload_in_the_middle_costs_nothing(server: Live, visitor: Visitor, noise: Path) -> None:
    visit = visitor(server, "reloader")
    page, client = visit.open(), Client(server, "reloader")
    made, hurry = uploads_made(page), slow_down(visit)
    choose(page, noise)
    offset = half_way(client, made, page)
    page.reload()
    hurry()
    expect(cards(page, "ready")).to_have_count(1)
    assert offset < noise.stat().st_size
    assert (len(made), stored(page, noise.name)) == (1, noise.read_bytes())


def test_a_tab_that_died_is_followed_by_another(
    server: Live, visitor: Visitor, noise: Path
) -> None:
    visit = visitor(server, "crasher")
    page, client = visit.open(), Client(server, "crasher")
    made = uploads_made(page)
    slow_down(visit)
    choose(page, noise)
    half_way(client, made, page)
    page.close()
    again = visit.watch(visit.context.new_page())
    made_again = uploads_made(again)
    again.goto(server.url)
    expect(cards(again, "ready")).to_have_count(1)
    assert made_again == []
    assert stored(again, noise.name) == noise.read_bytes()


def test_an_upload_outlives_a_lost_network(server: Live, visitor: Visitor, noise: Path) -> None:
    visit = visitor(server, "traveller")
    visit.expect("ERR_INTERNET_DISCONNECTED", "ERR_NETWORK_CHANGED")
    page, client = visit.open(), Client(server, "traveller")
    made, hurry = uploads_made(page), slow_down(visit)
    choose(page, noise)
    offset = half_way(client, made, page)
    visit.context.set_offline(True)
    expect(page.get_by_text("No internet connection").first).to_be_visible()
    visit.context.set_offline(False)
    hurry()
    expect(cards(page, "ready")).to_have_count(1)
    assert offset < noise.stat().st_size
    assert (len(made), stored(page, noise.name)) == (1, noise.read_bytes())


def test_two_tabs_send_the_same_file(server: Live, visitor: Visitor, noise: Path) -> None:
    visit = visitor(server, "twice")
    pages = [visit.page, visit.watch(visit.context.new_page())]
    made = [uploads_made(page) for page in pages]
    hurries = []
    for page in pages:
        page.goto(server.url)
        hurries.append(slow_down(visit, page))
    for page in pages:
        choose(page, noise)
    for page, paths in zip(pages, made, strict=True):
        half_way(Client(server, "twice"), paths, page, 100 * KIB)
    for hurry in hurries:
        hurry()
    pages[0].bring_to_front()
    expect(cards(pages[0], "ready")).to_have_count(2)
    assert [len(paths) for paths in made] == [1, 1]
    assert made[0] != made[1]
    client = Client(server, "twice")
    for [path] in made:
        eventually(lambda path=path: client.download(path) == noise.read_bytes(), True)


def test_what_the_rules_refuse_says_why(server: Live, visitor: Visitor, tmp_path: Path) -> None:
    page = visitor(server, "unlucky").open()
    choose(page, media.make_png(tmp_path / "tiny.png", 50, 50))
    card = cards(page, "rejected")
    expect(card.locator(".chip.bad")).to_have_text("Not accepted")
    expect(card.locator(".reason")).to_contain_text(re.compile(r"50 x 50 px.*at least 100 px"))


@pytest.mark.parametrize("size", [20_000, 6_000_000])
def test_content_that_is_refused_on_the_way_says_why(
    server: Live, visitor: Visitor, tmp_path: Path, size: int
) -> None:
    """Whether the answer arrives, or is lost behind a body that nobody reads."""
    visit = visitor(server, "disguised")
    visit.expect("415", "ERR_CONNECTION_RESET", "ERR_CONNECTION_ABORTED", "ERR_EMPTY_RESPONSE")
    page = visit.open()
    text = tmp_path / "novel.mp4"
    text.write_bytes(b"It was a dark and stormy night. " * (size // 32))
    choose(page, text)
    told = page.locator(".uppy-Informer p").filter(has_text="novel.mp4 could not be uploaded.")
    expect(told.first).to_contain_text("The first bytes are of no type that is accepted")
    expect(page.get_by_text("tus: unexpected")).to_have_count(0)


def test_too_large_a_file_never_leaves(server: Live, visitor: Visitor, tmp_path: Path) -> None:
    page = visitor(server, "heavy").open()
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.truncate(501 * KIB * KIB)
    made = uploads_made(page)
    choose(page, large)
    told = page.locator(".uppy-Informer p").filter(
        has_text="exceeds maximum allowed size of 500 MB"
    )
    expect(told.first).to_be_visible()
    assert made == []
