"""Alice's desk, on the local store and in memory."""

from pathlib import Path

import pytest

from tests.desk import Desk, files_desk, memory_desk


@pytest.fixture
def files(tmp_path: Path) -> Desk:
    """On the local store, as it is run."""
    return files_desk(tmp_path)


@pytest.fixture(params=["files", "memory"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    """On each store in turn."""
    return files_desk(tmp_path) if request.param == "files" else memory_desk()
