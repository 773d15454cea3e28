"""An application for each test of this room, and alice who talks to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.rooms import Tus, in_memory, make_app, settings


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """With the local store, as it is run."""
    with make_app(settings(tmp_path)) as app:
        yield app


@pytest.fixture(params=["files", "memory"])
def each_app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """With each store in turn."""
    parts = in_memory() if request.param == "memory" else {}
    with make_app(settings(tmp_path), **parts) as app:
        yield app


@pytest.fixture
def alice(app: Flask) -> Tus:
    """A user; her requests carry her token."""
    return Tus(app, "alice")


@pytest.fixture
def tus(each_app: Flask) -> Tus:
    """A user of each store in turn, for what tus promises whatever the store."""
    return Tus(each_app, "alice")
