"""A bundle, its evaluation and its card, made once."""

from __future__ import annotations

import pytest

from tests.card.factory import Written, run
from tests.factories import Trained, train_tiny


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny network, trained through all three stages."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny")


@pytest.fixture(scope="session")
def written(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A card from an evaluation, both by their commands."""
    folder = tmp_path_factory.mktemp("card")
    run("evaluate", str(trained.bundle_path), str(trained.manifest.path), "--out", str(folder / "evaluation"))
    said = run("card", str(trained.bundle_path), "--evaluation", str(folder / "evaluation"), "--out", str(folder / "c"))
    assert said.endswith("sections, 6 prototypes")
    return Written(trained, folder / "evaluation" / "evaluation.json", folder / "c")
