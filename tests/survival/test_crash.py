"""Processes are killed at random while clients upload: nothing is lost, nothing comes twice."""

from pathlib import Path

import pytest

from tests.survival.crash import survive

KILLS = 26


@pytest.mark.slow
def test_uploads_survive_the_death_of_any_process(tmp_path: Path) -> None:
    counts = survive(tmp_path / "data", kills=KILLS, seed=20, senders=4, pause=0.6)
    report = "\n".join(counts.lines())
    assert not counts.broken, report
    assert sum(counts.kills.values()) == KILLS
    assert len(counts.kills) >= 4, report
    assert len(counts.sent) > KILLS, report
    assert counts.breaks > 0, report
