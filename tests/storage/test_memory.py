"""The reference store keeps the contract, and promises no more than that."""

import pytest

from tests.storage.contract import *  # noqa: F403
from tusd_server.storage.base import (
    Concatenates,
    Expires,
    KnowsOwners,
    Local,
    RemembersKeys,
    TakesChunks,
    Terminates,
)
from tusd_server.storage.memory import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_its_abilities(store: MemoryStore) -> None:
    for ability in (Terminates, Expires, Concatenates, RemembersKeys, KnowsOwners, TakesChunks):
        assert isinstance(store, ability)
    assert not isinstance(store, Local)
