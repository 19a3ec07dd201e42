"""An untouched ledger never fails a verification, whatever was done in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from audit.room import open_room
from tests.audit.attacks.lives import STEPS, Life, live, steps_and_seed


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A room that holds entry 1 alone."""
    home = tmp_path_factory.mktemp("new") / "home"
    open_room(home, create=True).close()
    return home


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps_and_seed())
def test_an_untouched_ledger_verifies(
    template: Path, tmp_path: Path, life: tuple[list[Callable[[Life], None]], int]
) -> None:
    for result in live(template, tmp_path, *life):
        assert result.faults == ()


def test_every_step_at_once_verifies(template: Path, tmp_path: Path) -> None:
    for result in live(template, tmp_path, (*STEPS, *STEPS[::-1]), seed=1):
        assert result.faults == ()
        assert result.size > 2 * len(STEPS)
