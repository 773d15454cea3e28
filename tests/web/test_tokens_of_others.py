"""Tokens that other applications make, by the snippets of docs/beside.md."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.pages import snippet
from tests.rooms import SECRET, Tus, make_app, settings

MakeToken = Callable[..., str]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    with make_app(settings(tmp_path)) as app:
        yield app


def python_token(user: str, secret: str, **options: Any) -> str:
    names: dict[str, Any] = {}
    exec(snippet("beside.md", "python", "def media_token"), names)
    token: str = names["media_token"](user, secret, **options)
    return token


def ruby_token(user: str, secret: str, **options: Any) -> str:
    ruby = shutil.which("ruby")
    if ruby is None:
        pytest.skip("ruby is not installed.")
    call = """
    user, secret, options = JSON.parse($stdin.read)
    print media_token(user, secret, **options.transform_keys(&:to_sym))
    """
    program = snippet("beside.md", "ruby", "def media_token") + call
    given = json.dumps([user, secret, options]).encode()
    return subprocess.run(
        [ruby, "-e", program], input=given, capture_output=True, check=True
    ).stdout.decode()


@pytest.fixture(params=[python_token, ruby_token], ids=["Django", "Rails"])
def make(request: pytest.FixtureRequest) -> MakeToken:
    made: MakeToken = request.param
    return made


def test_a_token_of_another_application_holds(app: Flask, make: MakeToken) -> None:
    tus = Tus(app)
    tus.token = make("Jürgen 42", SECRET)
    upload = tus.create(20)
    assert tus.offset(upload) == 0
    assert tus.other("alice").head(upload).status_code == 404


def test_staff_sees_the_use_of_all(app: Flask, make: MakeToken) -> None:
    tus = Tus(app)
    path = "/api/v1/media/usage?owner=alice"
    tus.token = make("boss", SECRET, staff=True)
    assert tus.get(path).status_code == 200
    tus.token = make("bob", SECRET)
    assert tus.get(path).status_code == 403


def test_another_secret_and_another_time_do_not(app: Flask, make: MakeToken) -> None:
    tus = Tus(app)
    tus.token = make("alice", SECRET + "!")
    assert tus.get("/api/v1/media").status_code == 401
    tus.token = make("alice", SECRET, hours=-1)
    assert tus.get("/api/v1/media").status_code == 401
