"""The installation's secret: made once, for its owner's eyes."""

import re
import stat
import threading
from pathlib import Path

from tests.rooms import SECRET, settings
from tusd_server.secret import key_for, secret_of


def test_a_secret_is_made_when_there_is_none(tmp_path: Path) -> None:
    config = settings(tmp_path, jwt_secret=None)
    secret = secret_of(config)
    assert re.fullmatch(r"[0-9a-f]{64}", secret)
    assert secret_of(config) == secret
    (file,) = config.state_dir.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == secret


def test_a_secret_that_is_set_is_not_written(tmp_path: Path) -> None:
    config = settings(tmp_path)
    assert secret_of(config) == SECRET
    assert not config.data_dir.exists()


def test_two_installations_have_two_secrets(tmp_path: Path) -> None:
    one, two = (settings(tmp_path / name, jwt_secret=None) for name in ("one", "two"))
    assert secret_of(one) != secret_of(two)


def test_processes_that_start_together_get_one_secret(tmp_path: Path) -> None:
    config = settings(tmp_path, jwt_secret=None)
    start = threading.Barrier(8)
    found: list[str] = []

    def ask() -> None:
        start.wait()
        found.append(secret_of(config))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(list(config.state_dir.iterdir())) == 1


def test_a_secret_that_was_put_there_is_used(tmp_path: Path) -> None:
    config = settings(tmp_path, jwt_secret=None)
    config.state_dir.mkdir(parents=True)
    (config.state_dir / "secret").write_text("put here by hand, long enough for all\n")
    assert secret_of(config) == "put here by hand, long enough for all"


def test_each_purpose_has_its_key(tmp_path: Path) -> None:
    config = settings(tmp_path)
    keys = {key_for(config, purpose) for purpose in ("media links", "something else")}
    assert len(keys) == 2
    assert all(len(key) == 32 for key in keys)
    assert key_for(config, "media links") in keys
    other = settings(tmp_path, jwt_secret="another secret that is longer than 32 bytes")
    assert key_for(other, "media links") not in keys
