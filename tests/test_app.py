"""create_app: applications that know nothing of each other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tusd_server
from tests.rooms import GIF, SECRET, Tus, make_app, run_jobs, settings
from tests.web.test_core import TUS
from tusd_server.app import create_app
from tusd_server.errors import BadSetting
from tusd_server.settings import Settings


def test_two_applications_side_by_side(tmp_path: Path) -> None:
    one = settings(tmp_path / "one", max_size=1000)
    two = settings(
        tmp_path / "two",
        max_size=2000,
        jwt_secret="another secret that is longer than 32 bytes",
        cors_origins=("https://two.example",),
    )
    with make_app(one) as first, make_app(two) as second:
        alice, bob = Tus(first, "alice"), Tus(second, "alice")
        alice.talk("OPTIONS /files/", "204\nTus-Max-Size: 1000")
        bob.talk("OPTIONS /files/", "204\nTus-Max-Size: 2000")
        upload = alice.create(body=GIF)
        run_jobs(first, one)
        assert bob.head(upload).status_code == 404
        assert alice.get(f"/files/{upload}").data == GIF
        answer = bob.get("/api/v1/media").json
        assert answer == {"items": [], "next": None}
        bob.talk(f"HEAD /files/{upload}\n{TUS}\nAuthorization: Bearer {alice.token}", "401")
        origin = "Origin: https://one.example"
        alice.talk(f"OPTIONS /files/\n{origin}", "204\nAccess-Control-Allow-Origin: *")
        bob.talk(f"OPTIONS /files/\n{origin}", "204\nAccess-Control-Allow-Origin: (absent)")


def test_an_application_that_starts_again_goes_on(tmp_path: Path) -> None:
    config = settings(tmp_path, jwt_secret=None)
    with make_app(config) as app:
        tus = Tus(app)
        upload = tus.create(20, body=GIF)
    with make_app(config) as app:
        again = Tus(app)
        again.token = tus.token
        assert again.offset(upload) == 11
        assert again.append(upload, 11, b"123456789").status_code == 204


def test_settings_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("TUSD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TUSD_PORT", "many")
    with pytest.raises(BadSetting, match="TUSD_PORT"):
        create_app()
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            "from tusd_server import create_app\n"
            "print(create_app().test_client().options('/files/').headers['Tus-Max-Size'])",
        ],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TUSD_DATA_DIR": str(tmp_path / "data"),
            "TUSD_JWT_SECRET": SECRET,
            "TUSD_MAX_SIZE": "7M",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert child.stdout == f"{7 * 1024 * 1024}\n"
    assert (tmp_path / "data" / ".tusd-server" / "catalog.db").exists()


def test_importing_the_package_imports_no_flask() -> None:
    """gunicorn reads its configuration before gevent has patched the standard library."""
    child = subprocess.run(
        [sys.executable, "-c", "import sys, tusd_server; print('flask' in sys.modules)"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert child.stdout == "False\n"


def test_the_package_shows_two_names() -> None:
    assert tusd_server.create_app is create_app
    assert tusd_server.Settings is Settings
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tusd_server.nothing  # noqa: B018
