"""What people are told: everything is in docs/, nothing there is out of date or leads nowhere."""

import argparse
import contextlib
import dataclasses
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args
from xml.etree import ElementTree

import pytest

from bench.__main__ import main as bench_main
from bench.loads import LOADS
from hooks.base import Hooks
from hooks.events import HookName, HookRejected
from processing.catalog import Catalog
from processing.medium import Status
from processing.reasons import REASONS
from tests.records import received
from tusd_server import cli, create_app, errors
from tusd_server.protocol.replies import EXPOSED_HEADERS
from tusd_server.settings import CLIENT_VARIABLES, Settings
from tusd_server.storage.base import extensions
from tusd_server.storage.memory import MemoryStore
from tusd_server.uploads.digests import DIGEST_MISMATCH
from tusd_server.web.documents import medium_document
from tusd_server.web.links import Links

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(DOCS.glob("*.md")),
]
BENCH_MARKERS = ("<!-- bench: begin -->", "<!-- bench: end -->")

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_MAKE = re.compile(r"(?:^|`)make ([a-z-]+)\b", re.MULTILINE)
_SETTING = re.compile(r"\bTUSD_[A-Z_]*[A-Z]\b")


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return _FENCE.sub("", read(page))


def headings(page: Path) -> list[str]:
    """The headings' texts, without backquotes."""
    return [text.replace("`", "") for _, text in _HEADING.findall(prose(page))]


def section(page: Path, heading: str) -> str:
    """What stands below a heading, up to the next one of its level or above."""
    text = read(page)
    found = re.search(rf"^(#+) `?{re.escape(heading)}`?$", text, re.MULTILINE)
    assert found is not None, f"{page.name} has no heading {heading!r}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def anchors(page: Path) -> set[str]:
    """The fragments that GitHub makes of the headings."""
    plain = (re.sub(r"[^\w\- ]", "", text.lower()) for text in headings(page))
    return {text.replace(" ", "-") for text in plain}


def all_kinds(kind: type[Exception]) -> Iterator[type[Exception]]:
    for each in kind.__subclasses__():
        yield each
        yield from all_kinds(each)


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)
        spec.loader.exec_module(module)
    return module


def commands() -> dict[str, argparse.ArgumentParser]:
    actions = cli._parser()._actions
    return next(dict(a.choices) for a in actions if isinstance(a, argparse._SubParsersAction))


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Settings)])
def test_every_setting_has_its_heading(field: str) -> None:
    assert f"TUSD_{field.upper()}" in headings(DOCS / "configuration.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_a_setting_that_is_none(page: Path) -> None:
    known = {f"TUSD_{f.name.upper()}" for f in dataclasses.fields(Settings)} | CLIENT_VARIABLES
    assert set(_SETTING.findall(read(page))) - {"TUSD_USER"} <= known


@pytest.mark.parametrize("method", [name for name in vars(Hooks) if not name.startswith("_")])
def test_every_hook_has_its_heading(method: str) -> None:
    assert method in headings(DOCS / "hooks.md")


@pytest.mark.parametrize("name", get_args(HookName))
def test_every_event_is_named(name: str) -> None:
    assert f"`{name}`" in read(DOCS / "hooks.md")


@pytest.mark.parametrize("kind", ["content", "forbidden", "invalid"])
def test_every_kind_of_veto_has_its_row(kind: str) -> None:
    assert HookRejected("code", "Sentence.", kind).kind == kind  # type: ignore[arg-type]
    assert f"| `{kind}` |" in section(DOCS / "hooks.md", "Refusing")


@pytest.mark.parametrize("kind", [k.__name__ for k in all_kinds(errors.UploadError)])
def test_every_error_has_its_heading(kind: str) -> None:
    assert any(text.endswith(f" {kind}") for text in headings(DOCS / "errors.md"))


@pytest.mark.parametrize("code", [*REASONS, DIGEST_MISMATCH])
def test_every_reason_is_explained(code: str) -> None:
    assert f"`{code}`" in read(DOCS / "errors.md")


@pytest.mark.parametrize("name", commands())
def test_every_command_has_its_heading_and_options(name: str) -> None:
    told = section(DOCS / "cli.md", f"tusd-server {name}")
    options = {o for a in commands()[name]._actions for o in a.option_strings if o[:2] == "--"}
    assert options - {"--help"} == {o for o in _OPTION.findall(told) if f"| `{o}`" in told}


def test_no_command_is_told_that_is_none() -> None:
    told = {text.removeprefix("tusd-server ") for text in headings(DOCS / "cli.md")}
    assert told - {"Command line"} == set(commands())


def test_every_route_of_the_json_api_has_its_heading(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path, auth="off"))
    routes = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith("/files")
    }
    told = {text for text in headings(DOCS / "api.md") if re.match(r"[A-Z]+ /", text)}
    assert told == routes


def test_every_field_of_a_medium_is_explained(tmp_path: Path) -> None:
    with contextlib.closing(Catalog(f"sqlite:///{tmp_path / 'catalog.db'}")) as catalog:
        catalog.migrate()
        medium = catalog.receive(received())
    document = medium_document(medium, Links(b"key", 60), "http://host/")
    told = section(DOCS / "api.md", "A medium")
    missing = [name for name in document if f"`{name}`" not in told or f'"{name}"' not in told]
    assert not missing
    assert all(f"`{name}`" in told for name in document["thumbnail"])


@pytest.mark.parametrize("status", get_args(Status))
def test_every_state_is_explained(status: str) -> None:
    assert f"| `{status}` |" in section(DOCS / "index.md", "The states of a medium")


def test_the_protocol_page_shows_every_extension() -> None:
    assert f"Tus-Extension: {','.join(extensions(MemoryStore()))}" in read(DOCS / "protocol.md")


@pytest.mark.parametrize("name", EXPOSED_HEADERS.split(", "))
def test_the_protocol_page_names_every_exposed_header(name: str) -> None:
    assert name in read(DOCS / "protocol.md")


def test_every_option_of_the_bench_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench_main(["--help"])
    offered = set(_OPTION.findall(capsys.readouterr().out)) - {"--help"}
    assert offered == set(_OPTION.findall(section(DOCS / "performance.md", "Measure it yourself")))


@pytest.mark.parametrize("load", LOADS)
def test_every_load_of_the_bench_is_told(load: str) -> None:
    assert f"| `{load}` |" in section(DOCS / "performance.md", "What is measured")


def test_every_page_is_in_the_index() -> None:
    linked = set(_LINK.findall(prose(DOCS / "index.md")))
    assert {page.name for page in DOCS.glob("*.md")} - {"index.md"} <= linked


def test_every_page_is_in_the_navigation_in_the_order_of_the_index() -> None:
    nav = read(ROOT / "mkdocs.yml").partition("\nnav:\n")[2]
    pages = re.findall(r"^ +- (\S+\.md)$", nav, re.MULTILINE)
    assert sorted(pages) == sorted(page.name for page in DOCS.glob("*.md"))
    tables = "\n".join(
        line for line in read(DOCS / "index.md").splitlines() if line.startswith("| [")
    )
    assert pages == ["index.md", *_LINK.findall(tables)]


def test_the_unit_of_systemd_names_what_there_is(tmp_path: Path) -> None:
    unit = read(ROOT / "deploy/tusd-server.service")
    lines = (line.partition("=") for line in unit.splitlines() if not line.startswith("#"))
    values = {name: value for name, _, value in lines if value}
    command = values["ExecStart"].split()
    assert command[0].endswith("/bin/tusd-server")
    assert command[1] in commands()
    assert values["Environment"].startswith("TUSD_DATA_DIR=/var/lib/")
    assert values["Environment"].endswith(f"/{values['StateDirectory']}")
    # A stop that is cut short by systemd would lose the last answers.
    patience = Settings(data_dir=tmp_path).shutdown_seconds + 15
    assert float(values["TimeoutStopSec"]) >= patience
    # Without these decoders are not sealed, and renditions are not made.
    allowed = values["SystemCallFilter"].split()
    assert {"seccomp", "landlock_restrict_self"} <= set(allowed)
    for path in (values["User"], values["EnvironmentFile"].removeprefix("-"), command[0]):
        assert path in read(DOCS / "deployment.md")


def test_systemd_itself_accepts_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed.")
    unit = read(ROOT / "deploy/tusd-server.service")
    here = tmp_path / "tusd-server.service"
    # Neither the user nor the program of an installation is on this machine.
    unit = re.sub(r"^(User|Group)=.*", r"\1=root", unit, flags=re.MULTILINE)
    here.write_text(unit.replace("/opt/tusd-server/bin/tusd-server", sys.executable))
    verified = subprocess.run([analyze, "verify", here], capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, "")


_FETCHED = re.compile(r"""(?:src|action)="([^"]*)"|<link[^>]* href="([^"]*)"|url\(([^)]*)\)""")


def test_the_site_is_built_without_a_warning_and_fetches_nothing_from_elsewhere(
    tmp_path: Path,
) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    for page in [*tmp_path.rglob("*.html"), *tmp_path.rglob("*.css")]:
        found = ["".join(names) for names in _FETCHED.findall(read(page))]
        assert [name for name in found if re.match(r"['\"]?(https?:)?//", name)] == [], page.name
    assert not [path.name for path in tmp_path.rglob("*.py")]


def test_generated_parts_are_what_the_code_says(generate: ModuleType) -> None:
    for name, lines in generate.PAGES.items():
        page = DOCS / name
        assert generate.made(page, lines()) == read(page), "run `make docs`"


def test_every_group_of_settings_begins_with_a_setting(generate: ModuleType) -> None:
    names = [field.name for field in dataclasses.fields(Settings)]
    assert names[0] in generate.GROUPS
    assert [name for name in names if name in generate.GROUPS] == list(generate.GROUPS)


def test_every_page_with_a_generated_part_is_generated(generate: ModuleType) -> None:
    marked = {page.name for page in DOCS.glob("*.md") if generate.BEGIN in read(page)}
    assert marked == set(generate.PAGES)


def test_a_changed_page_would_be_noticed(generate: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "errors.md"
    page.write_text(read(DOCS / "errors.md").replace("`UploadLocked`", "`Locked`"))
    assert generate.made(page, generate.errors_table()) != read(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_exists(page: Path) -> None:
    makefile = read(ROOT / "Makefile")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(_MAKE.findall(read(page))) <= targets


def test_contributing_tells_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", read(ROOT / "Makefile"), re.MULTILINE)
    assert phony is not None
    assert set(_MAKE.findall(read(ROOT / "CONTRIBUTING.md"))) == set(phony[1].split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(prose(page)):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.is_file() or (fragment and fragment not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    rooms = r"`((?:tusd_server|hooks|processing|tests|docs|bench|examples)/[\w/]+\.\w+)`"
    assert [name for name in re.findall(rooms, prose(page)) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", [path.name for path in DOCS.glob("images/*.svg")])
def test_every_picture_can_be_read_and_says_what_it_shows(name: str) -> None:
    root = ElementTree.parse(DOCS / "images" / name).getroot()
    svg = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{svg}svg"
    assert root.findtext(f"{svg}title")
    assert root.findtext(f"{svg}desc")


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "performance.md"], ids=str)
def test_figures_have_their_place(page: Path) -> None:
    text = read(page)
    assert [text.count(marker) for marker in BENCH_MARKERS] == [1, 1]
    assert text.index(BENCH_MARKERS[0]) < text.index(BENCH_MARKERS[1])


def test_the_changelog_begins_with_this_version() -> None:
    from tusd_server import __version__

    first = next(text for text in headings(ROOT / "CHANGELOG.md") if text[0].isdigit())
    assert first.split()[0] == __version__


def test_the_readme_names_the_oldest_python() -> None:
    ruff = tomllib.loads(read(ROOT / "ruff.toml"))
    oldest = ruff["target-version"].replace("py3", "3.")
    assert f"Python {oldest} or newer" in read(ROOT / "README.md")
