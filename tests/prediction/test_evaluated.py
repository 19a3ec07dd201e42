"""Prediction and evaluation: the same score, and the splits that cannot be evaluated."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from medproto.bundle import Bundle
from medproto.errors import TrainingError
from medproto.evaluation.run import evaluate, load_split
from medproto.records import Scored
from medproto.training.inputs import InputSet
from medproto.training.similarities import margins, similarities
from tests.factories import (
    TEST_PATIENT,
    Trained,
    read_cohort,
)


@pytest.fixture(scope="module")
def held_out(trained: Trained, bundle: Bundle) -> InputSet:
    """The images of the test split but one, as evaluation reads them."""
    rows = tuple(row for row in trained.manifest.rows if row.image != trained.manifest.split("test")[0].image)
    return load_split(bundle, replace(trained.manifest, rows=rows), "test")


def test_score_is_that_of_the_evaluation(scored: Scored, held_out: InputSet, bundle: Bundle) -> None:
    best, _ = similarities(bundle.model, held_out, torch.device("cpu")).bags(held_out)
    found = dict(zip(held_out.bag_patients(), margins(best, bundle.model.last_layer, bundle.positive), strict=True))
    assert scored.prediction.margin == pytest.approx(found[f"tiny-{TEST_PATIENT}"], rel=1e-4)


def test_evaluation_labels_a_split_with_the_classes_of_the_model(
    trained: Trained, bundle: Bundle, held_out: InputSet
) -> None:
    data = held_out
    names = [bundle.manifest.model.classes[label] for label in data.labels]
    assert names == ["malignant" if source.row.label == "malignant" else "not malignant" for source in data.sources]
    result = evaluate(bundle, trained.manifest, "test", data)
    assert (result.images, result.exams, result.patients, result.positives) == (7, 2, 2, 1)
    assert result.auroc["exam"].value == 1.0
    assert result.top1_in_lesion is not None
    assert result.prototypes == result.distinct_prototypes == 6


def test_evaluation_on_the_patients_of_the_prototypes_is_an_error(trained: Trained, bundle: Bundle) -> None:
    source = {entry.source.image_id for entry in bundle.manifest.prototypes}
    whole = read_cohort(trained.manifest)
    seen = [i for i, origin in enumerate(whole.sources) if origin.row.image in source]
    with pytest.raises(
        TrainingError, match="split 'train': got a patient whose patches are prototypes, expected unseen"
    ):
        evaluate(bundle, trained.manifest, "train", whole.select(seen))


def test_split_of_one_class_cannot_be_evaluated(trained: Trained, bundle: Bundle, held_out: InputSet) -> None:
    healthy = held_out.select([i for i, name in enumerate(held_out.patients()) if name != f"tiny-{TEST_PATIENT}"])
    with pytest.raises(TrainingError, match="split 'test': got exams of one class only, expected both"):
        evaluate(bundle, trained.manifest, "test", healthy)
    with pytest.raises(
        TrainingError, match="split: got no row in 'none', expected some in the manifest's split column"
    ):
        load_split(bundle, trained.manifest, "none")
