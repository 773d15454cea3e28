"""The reference: every route is in it, what it says is true, and the page shows it plainly."""

import html
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from flask import Flask

from tests.rooms import Tus
from tusd_server.web.openapi import document
from tusd_server.web.reference import OPERATIONS

OPENAPI = "/api/v1/openapi.json"
DOCS = "/api/v1/docs"


def braced(rule: str) -> str:
    return re.sub(r"<(?:[a-z]+:)?([a-z_]+)>", r"{\1}", rule)


@pytest.fixture
def api(alice: Tus) -> dict[str, Any]:
    response = alice.talk(
        f"GET {OPENAPI}\nAuthorization: (absent)", "200\nContent-Type: application/json"
    )
    found: dict[str, Any] = response.json  # type: ignore[assignment]
    return found


def test_every_route_is_told_and_no_other(app: Flask, api: dict[str, Any]) -> None:
    routes = {
        f"{method.lower()} {braced(rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith(("/api/v1", "/healthz", "/readyz"))
    }
    told = {f"{method} {path}" for path, methods in api["paths"].items() for method in methods}
    assert told == routes


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own.union(*(references(each) for each in node.values()))
    if isinstance(node, list):
        return set().union(*(references(each) for each in node))
    return set()


def test_the_document_is_whole(api: dict[str, Any]) -> None:
    assert api["openapi"] == "3.1.0"
    names = {f"#/components/schemas/{name}" for name in api["components"]["schemas"]}
    assert references(api) == names
    ids = [op["operationId"] for methods in api["paths"].values() for op in methods.values()]
    assert len(set(ids)) == len(ids)
    assert api == document(OPERATIONS, api["info"]["version"], "/")


def test_all_but_the_public_ones_ask_for_a_token(alice: Tus, api: dict[str, Any]) -> None:
    assert api["security"] == [{"bearer": []}]
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            url = re.sub(r"{\w+}", "x", path)
            response = alice.send(method.upper(), url, {"Authorization": "(absent)"})
            public = operation.get("security") == []
            assert (response.status_code == 401) is not public, f"{method} {path}"
            assert ("401" in operation["responses"]) is not public


class Page(HTMLParser):
    """What of a page could reach elsewhere or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("href", "src", "action"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name.startswith("on") or name == "style":
                self.handlers.append(name)


@pytest.fixture
def page(alice: Tus) -> str:
    return alice.talk(
        f"GET {DOCS}\nAuthorization: (absent)",
        """
        200
        Content-Type: text/html; charset=utf-8
        Content-Security-Policy: default-src 'none'; style-src 'sha256-...'; base-uri 'none'; ...
        X-Content-Type-Options: nosniff
        """,
    ).text


def test_the_page_runs_nothing_and_leads_nowhere_else(page: str) -> None:
    found = Page()
    found.feed(page)
    assert not {"script", "iframe", "img", "link", "form", "object"} & set(found.tags)
    assert found.handlers == []
    assert {link for link in found.links if not link.startswith("#")} == {"openapi.json"}
    assert {link[1:] for link in found.links if link.startswith("#")} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))


def test_the_page_tells_every_operation(page: str, api: dict[str, Any]) -> None:
    for path, methods in api["paths"].items():
        assert path in page
        for operation in methods.values():
            assert html.escape(operation["summary"]).replace("&#x27;", "&#39;") in page
    for name in api["components"]["schemas"]:
        assert f'id="schema-{name}"' in page


def test_the_page_shows_examples_as_they_are_sent(page: str, api: dict[str, Any]) -> None:
    init = api["paths"]["/api/v1/media/upload/init"]["post"]["requestBody"]["content"]
    shown = json.dumps(init["application/json"]["example"], indent=2)
    assert html.escape(shown).replace("&quot;", "&#34;") in page


def test_the_page_can_be_read_in_the_dark(page: str) -> None:
    assert "color-scheme: light dark" in page
