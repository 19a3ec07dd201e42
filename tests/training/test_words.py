"""What a training run came to, on one screen."""

from __future__ import annotations

from typing import Any

import pytest

from medproto.bundle import read_bundle_manifest
from medproto.training.words import summary
from tests.factories import train_tiny


def test_summary_names_every_stage_and_what_it_reached(tmp_path_factory: pytest.TempPathFactory) -> None:
    _, manifest = read_bundle_manifest(train_tiny(tmp_path_factory.getbasetemp() / "tiny").bundle_path)
    lines = summary(manifest).splitlines()
    protocol: dict[str, Any] = manifest.training
    stages = protocol["settings"]["stages"]
    assert [line.split(":")[0] for line in lines[1 : 1 + len(stages)]] == [f"stage 1, {s['name']}" for s in stages]
    said = "\n".join(lines)
    for name in manifest.model.classes:
        assert f"prototypes of {name!r}" in said
    residual = protocol["last_layer"]["kkt_residual"]
    assert f"KKT residual {residual:.0e}" in said
    assert f"AUROC {manifest.metrics['validation_auroc']:.3f}" in said
    assert len(lines) < 24


def test_summary_of_the_published_last_layer_names_no_penalties(tmp_path_factory: pytest.TempPathFactory) -> None:
    _, manifest = read_bundle_manifest(train_tiny(tmp_path_factory.getbasetemp() / "tiny").bundle_path)
    found: dict[str, Any] = manifest.training["last_layer"] | {"curve": []}  # type: ignore[assignment,operator]
    plain = manifest.model_copy(update={"training": manifest.training | {"last_layer": found}})
    assert "stage 3: Adam as published, objective" in summary(plain)
