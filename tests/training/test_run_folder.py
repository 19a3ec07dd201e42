"""A run by itself: one at a time in its folder, and torch left as it was."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
import torch

from medproto.errors import TrainingError
from medproto.training.inputs import Progress
from medproto.training.run import fit
from medproto.training.run_folder import run_in
from tests.factories import silent
from tests.training.runs import Cohort, with_changes, write_short_cohort

WARM_UP = {"name": "warm-up", "epochs": 2, "learning_rates": {"add_on": 1e-2, "prototypes": 1e-2}, "variants": 1}
PLAIN = {"stages": [WARM_UP], "cycles": 1, "pruning": None, "merging": None}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """The tiny cohort, read once."""
    return write_short_cohort(tmp_path_factory.mktemp("cohort"))


def test_deterministic_run_takes_deterministic_algorithms_alone_and_leaves_torch_as_it_was(cohort: Cohort) -> None:
    seen = []

    def report(title: str) -> Progress:
        seen.append((title, torch.are_deterministic_algorithms_enabled()))
        return lambda done, total: None

    training = cohort.data.split("train")
    fits = [
        fit(with_changes(cohort.settings, PLAIN | {"deterministic": wanted}), training, report)
        for wanted in (True, False)
    ]
    assert not torch.are_deterministic_algorithms_enabled()
    half = len(seen) // 2
    assert all(on for _, on in seen[:half])
    assert not any(on for _, on in seen[half:])
    assert torch.equal(fits[0].model.prototypes, fits[1].model.prototypes)


def test_second_run_in_the_same_folder_is_refused_while_the_first_is_there(cohort: Cohort, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        with pytest.raises(TrainingError, match=r"run: 'run' is being trained in already, expected one run at a time"):
            run_in(folder, cohort.settings, (cohort.manifest, cohort.data), silent)
    finally:
        os.close(place)
    assert not list(folder.iterdir())
