"""The page measured: accessibility, bytes, first paint, steadiness; its pictures for the docs."""

import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFilter
from playwright.sync_api import Page, expect

from tests import media
from tests.browser.conftest import DESKTOP, Visitor, choose
from tests.browser.test_gallery import send
from tests.live import ROOT, Live
from tests.raw import Client
from tests.services import wait_until

AXE = ROOT / "ui/node_modules/axe-core/axe.min.js"
PHONE = {"width": 390, "height": 844}
MOST_BYTES = 350 * 1024
SERIOUS = ("serious", "critical")

# Fills the page's whole life: shifts, and when the first of it was painted.
OBSERVE = """
window.shifts = 0
new PerformanceObserver(list => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value
}).observe({type: 'layout-shift', buffered: true})
"""


def landscape(path: Path, sky: tuple[int, int, int], ground: tuple[int, int, int]) -> Path:
    """A picture that is pleasant to look at in a screenshot."""
    image = Image.new("RGB", (1600, 1200), sky)
    draw = ImageDraw.Draw(image)
    for row in range(800):
        fade = row / 800
        mixed = tuple(int(a + (255 - a) * fade * 0.7) for a in sky)
        draw.line((0, row, 1600, row), fill=mixed)
    draw.ellipse((1050, 180, 1290, 420), fill=(255, 244, 214))
    for layer, shade in enumerate((0.45, 0.7, 1.0)):
        top = 620 + 130 * layer
        peaks = [
            (-200, 1300),
            (150 + 260 * layer, top),
            (620, top + 260),
            (1100 - 180 * layer, top),
        ]
        peaks += [(1500, top + 220), (1800, 1300)]
        draw.polygon(peaks, fill=tuple(int(255 - (255 - c) * shade) for c in ground))
    image.filter(ImageFilter.GaussianBlur(2)).save(path, "JPEG", quality=90)
    return path


def film(path: Path, picture: Path) -> None:
    """Two seconds of a still picture."""
    command = ["ffmpeg", "-v", "error", "-loop", "1", "-i", str(picture), "-t", "2", "-r", "10"]
    command += ["-vf", "scale=1280:960", "-pix_fmt", "yuv420p", "-threads", "1", str(path)]
    subprocess.run(command, check=True)


@pytest.fixture(scope="module")
def lived_in(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server on which alice has a few media of every kind."""
    folder = tmp_path_factory.mktemp("lived_in")
    colours = [
        ("fjord.jpg", (84, 144, 190), (38, 84, 96)),
        ("evening.jpg", (233, 150, 100), (92, 58, 74)),
        ("forest.jpg", (150, 196, 180), (34, 92, 66)),
    ]
    with Live(folder / "data", worker=True, workers=1) as server:
        alice = Client(server)
        send(alice, media.make_png(folder / "icon.png", 64, 64))
        sunrise = landscape(folder / "sunrise.jpg", (246, 190, 120), (70, 74, 110))
        film(folder / "sunrise.mp4", sunrise)
        send(alice, folder / "sunrise.mp4", post_id="summer")
        for name, sky, ground in colours:
            post = {"post_id": "summer"} if name != "forest.jpg" else {}
            send(alice, landscape(folder / name, sky, ground), **post)
        yield server


def settled(page: Page) -> Page:
    expect(page.locator(".card:is(.good, .bad)")).to_have_count(5)
    # Pictures below the fold are fetched when somebody scrolls to them.
    _wait_for(
        page,
        """[...document.querySelectorAll('.card img')].every(
            each => each.getBoundingClientRect().top > innerHeight || each.matches('.shown'))""",
    )
    expect(page.get_by_role("button", name="choose files")).to_be_visible()
    return page


def _wait_for(page: Page, condition: str) -> None:
    # Not by the page's own eval, which its Content-Security-Policy forbids.
    wait_until(lambda: bool(page.evaluate(condition)), condition, 30)


def faults(page: Page) -> list[dict[str, Any]]:
    page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate("axe.run().then(result => result.violations)")
    return found


def told(found: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(f["impact"], f["id"], f["nodes"][0]["html"][:200]) for f in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_no_serious_fault(
    lived_in: Live, visitor: Visitor, scheme: str, viewport: dict[str, int]
) -> None:
    visit = visitor(lived_in, viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    page = settled(visit.open())
    found = faults(page)
    print(told(found))
    assert told([fault for fault in found if fault["impact"] in SERIOUS]) == []
    page.get_by_role("button", name="Delete fjord.jpg").click()
    assert told([f for f in faults(page) if f["impact"] in SERIOUS]) == []


def test_axe_finds_no_serious_fault_in_the_sign_in(lived_in: Live, visitor: Visitor) -> None:
    page = visitor(lived_in, None).open()
    expect(page.get_by_label("Token")).to_be_visible()
    assert told([f for f in faults(page) if f["impact"] in SERIOUS]) == []


def test_axe_finds_no_serious_fault_while_files_are_sent(
    lived_in: Live, visitor: Visitor, noise: Path
) -> None:
    visit = visitor(lived_in, "sender")
    page = visit.open()
    session = visit.context.new_cdp_session(page)
    network = {"offline": False, "latency": 0, "downloadThroughput": -1}
    session.send("Network.emulateNetworkConditions", {**network, "uploadThroughput": 300_000})
    choose(page, noise)
    expect(page.get_by_role("button", name="Pause upload").first).to_be_visible()
    assert told([f for f in faults(page) if f["impact"] in SERIOUS]) == []


def test_the_page_is_light_and_steady(lived_in: Live, visitor: Visitor) -> None:
    visit = visitor(lived_in)
    visit.context.add_init_script(OBSERVE)
    session = visit.context.new_cdp_session(visit.page)
    session.send("Network.enable")
    types: dict[str, str] = {}
    sizes: dict[str, int] = {}
    session.on("Network.responseReceived", lambda e: types.update({e["requestId"]: e["type"]}))
    session.on(
        "Network.loadingFinished", lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]})
    )
    page = settled(visit.open())
    own = sum(
        size for name, size in sizes.items() if types[name] in ("Document", "Script", "Stylesheet")
    )
    everything = sum(sizes.values())
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    shifts = page.evaluate("window.shifts")
    print(
        f"the page: {own / 1024:.0f} KiB of its own, {everything / 1024:.0f} KiB with thumbnails, "
        f"first paint after {paint:.0f} ms, layout shift {shifts:.3f}"
    )
    assert 50 * 1024 < own <= MOST_BYTES
    assert shifts < 0.05


def test_the_phone_has_no_sideways_scroll(lived_in: Live, visitor: Visitor) -> None:
    page = settled(visitor(lived_in, viewport={"width": 320, "height": 700}).open())
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("page-desktop", {"viewport": {"width": 1200, "height": 1180}}),
        ("page-dark", {"viewport": {"width": 1200, "height": 1180}, "color_scheme": "dark"}),
        ("page-phone", {"viewport": {"width": 390, "height": 1240}, "device_scale_factor": 2}),
    ],
)
def test_its_pictures_can_be_taken(
    lived_in: Live,
    visitor: Visitor,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    name: str,
    options: dict[str, Any],
) -> None:
    visit = visitor(lived_in, **options, reduced_motion="reduce")
    page = settled(visit.open())
    _wait_for(page, "document.getAnimations().every(each => each.playState !== 'running')")
    picture = Image.open(io.BytesIO(page.screenshot()))
    target = tmp_path / f"{name}.png"
    picture.convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(
        target, optimize=True
    )
    assert target.stat().st_size < 400_000
    if request.config.getoption("--screenshots"):
        shutil.copy(target, ROOT / "docs/images" / target.name)
