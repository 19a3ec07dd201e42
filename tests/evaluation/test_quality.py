"""Prototype quality of a trained bundle, as evaluation measures it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch

from medproto.bundle import Bundle
from medproto.evaluation.kept import NOT_KEPT, Working
from medproto.evaluation.quality import Quality, measure_quality
from medproto.evaluation.quality_stability import PERTURBATIONS
from medproto.training.inputs import InputSet
from medproto.training.similarities import similarities
from tests.factories import read_cohort, train_tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, InputSet]:
    """A bundle, and the images of the patients that it was neither trained nor tuned on, with one that was tuned on."""
    made = train_tiny(tmp_path_factory.getbasetemp() / "tiny")
    data = read_cohort(made.manifest)
    chosen = [i for i, source in enumerate(data.sources) if source.row.split != "train"]
    return made.bundle(), data.select(chosen)


@pytest.fixture(scope="module")
def measured(trained: tuple[Bundle, InputSet]) -> Quality:
    """Its quality."""
    bundle, data = trained
    return measure_quality(bundle, data, similarities(bundle.model, data, torch.device("cpu")))


def test_prototypes_of_a_network_that_found_the_squares_are_coherent(measured: Quality) -> None:
    found = measured.coherence
    assert found is not None
    assert (measured.images, found.findings, found.categories) == (24, 6, ("malignant",))
    assert found.relevance_of_positive_class is not None
    assert found.relevance_of_positive_class.value == 1.0
    assert found.coverage is not None
    assert found.coverage.value == 1.0
    assert (found.distinct.count, found.distinct.of, found.distinct.share) == (6, 6, 1.0)
    assert found.class_specificity is not None
    assert found.class_specificity.value >= 0.5
    depth = [found.localization[name].iou.value for name in ("top-1", "top-10", "all")]
    assert found.localization["top-1"].iou.low < depth[0] < found.localization["top-1"].iou.high
    assert 0 < depth[0] <= depth[1] == depth[2]
    # a patch of 8 x 8 pixels in a square of 12 x 12 or so
    assert depth[0] > 0.2


def test_each_change_has_its_figures(measured: Quality) -> None:
    assert set(measured.stability) == set(PERTURBATIONS)
    for found in measured.stability.values():
        assert found.same_place is not None
        assert found.same_finding is not None
        assert 0 <= found.same_place.low <= found.same_place.value <= found.same_place.high <= 1
        assert 0 < found.same_finding.value <= 1
        assert (found.images, found.annotated) == (24, 6)


def test_taking_the_strongest_patches_away_costs_more_than_taking_random_ones(measured: Quality) -> None:
    found = measured.curves
    assert found is not None
    assert found.images == 6
    ours, boxes = found.curves["by contribution"], found.curves["random boxes"]
    assert ours.deletion_area is not None
    assert boxes.deletion_area is not None
    gain = found.gains["random boxes"]
    assert gain.deletion is not None
    assert gain.insertion is not None
    assert gain.deletion.value == pytest.approx(boxes.deletion_area.value - ours.deletion_area.value)
    assert gain.deletion.low > 0
    assert gain.insertion.value > 0
    # the same patches in another order come to the same end
    assert ours.deletion[-1] == pytest.approx(found.curves["random prototypes"].deletion[-1])


def test_an_adversary_lowers_the_similarity_from_within_the_patch(measured: Quality) -> None:
    assert measured.misalignment.images == 24
    assert measured.misalignment.drop_by_inside is not None
    assert measured.misalignment.drop_by_inside.low > 0
    assert measured.misalignment.moved_by_outside is not None
    assert 0 <= measured.misalignment.moved_by_outside.value <= 1


def test_quality_is_plain_json(measured: Quality) -> None:
    assert json.loads(json.dumps(asdict(measured), allow_nan=False))["images"] == 24


def test_without_annotations_their_measures_are_absent(trained: tuple[Bundle, InputSet]) -> None:
    bundle, data = trained
    bare = replace(data, lesion=torch.zeros_like(data.lesion)).select([0, 1])
    steps = list[tuple[int, int]]()
    working = Working(NOT_KEPT, lambda done, total: steps.append((done, total)))
    found = measure_quality(bundle, bare, similarities(bundle.model, bare, torch.device("cpu")), working)
    assert found.coherence is None
    assert found.consistency is None
    assert found.curves is None
    assert {value.same_finding for value in found.stability.values()} == {None}
    assert found.changed == 2
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
