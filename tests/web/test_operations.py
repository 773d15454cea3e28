"""What the people who run the server ask it."""

import shutil
from pathlib import Path

from flask import Flask

from tests.rooms import Tus, make_app, settings
from tusd_server.web.operations import directory_check, operations_blueprint


def test_a_process_that_lives(app: Flask) -> None:
    assert Tus(app).talk("GET /healthz", "200").json == {"status": "ok"}


def test_a_server_that_is_ready(app: Flask) -> None:
    assert Tus(app).talk("GET /readyz", "200").json == {
        "status": "ok",
        "checks": {"storage": "ok", "database": "ok"},
    }


def test_a_server_whose_directory_is_gone(tmp_path: Path) -> None:
    config = settings(tmp_path, database_url=f"sqlite:///{tmp_path / 'catalog.db'}")
    with make_app(config) as app:
        shutil.rmtree(config.data_dir)
        tus = Tus(app)
        answer = tus.talk("GET /readyz", "503\nContent-Type: application/json").json
        assert answer == {
            "status": "unavailable",
            "checks": {"storage": "PermissionError", "database": "ok"},
        }
        tus.talk("GET /healthz", "200")


def test_a_check_names_no_internals() -> None:
    def fails() -> None:
        raise RuntimeError("postgresql://user:password@host")

    app = Flask("checks")
    app.register_blueprint(operations_blueprint({"database": fails, "queue": lambda: None}))
    response = app.test_client().get("/readyz")
    assert response.status_code == 503
    assert response.json == {
        "status": "unavailable",
        "checks": {"database": "RuntimeError", "queue": "ok"},
    }


def test_a_directory_that_can_be_written(tmp_path: Path) -> None:
    directory_check(tmp_path)()
