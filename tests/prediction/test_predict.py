"""From bundle and files to a prediction: what is explained is what was computed, on the pixels of the files."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medproto.bundle import Bundle, margin_weights
from medproto.class_evidence import counted_for
from medproto.errors import InputError
from medproto.explain import score_views
from medproto.likeness import LikenessModel, fit_likeness, pool
from medproto.model.protopnet import ProtoPNet
from medproto.predict import predict_exam, scorer
from medproto.records import Box, Scored
from medproto.transforms import model_input
from tests.factories import (
    COLUMNS,
    ROWS,
    SETTINGS,
    Trained,
    breast_picture,
    exam_of,
    pseudonym,
    write_view,
)


def test_contributions_add_up_to_the_margin(scored: Scored, bundle: Bundle) -> None:
    prediction = scored.prediction
    total = sum(match.contribution for match in prediction.matches)
    assert total == pytest.approx(prediction.margin, rel=1e-5)
    assert prediction.margin == pytest.approx(
        prediction.logits["malignant"] - prediction.logits["not malignant"], rel=1e-9
    )
    assert abs(prediction.margin) > 0.1
    for match in prediction.matches:
        assert match.contribution == match.weight * match.similarity
    contributions = [match.contribution for match in prediction.matches]
    assert contributions == sorted(contributions, reverse=True)
    names = [entry.prototype_id for entry in bundle.manifest.prototypes]
    assert sorted(match.prototype_id for match in prediction.matches) == sorted(names)


def test_with_three_classes_what_counted_for_each_adds_up_to_its_logit(trained: Trained, bundle: Bundle) -> None:
    settings = bundle.manifest.model.model_copy(update={"classes": ("normal", "benign", "malignant")})
    model = ProtoPNet(bundle.model.backbone, 8, torch.tensor([0, 0, 1, 1, 2, 2]), 3)
    model.last_layer.data += torch.linspace(-0.3, 0.3, 18).view(3, 6)
    told = bundle.manifest.model_copy(update={"model": settings})
    three = replace(bundle, manifest=told, model=model.eval().requires_grad_(False))
    prediction = predict_exam(three, exam_of(trained.paths()), check=None).prediction
    for c, name in enumerate(settings.classes):
        assert counted_for(prediction, name).keys() == {entry.prototype_id for entry in told.prototypes}
        assert sum(counted_for(prediction, name).values()) == pytest.approx(prediction.logits[name], rel=1e-9)
        weights = {match.prototype_id: (match.class_weights or {})[name] for match in prediction.matches}
        assert [weights[entry.prototype_id] for entry in told.prototypes] == model.last_layer[c].tolist()
    assert {match.class_weights for match in predict_exam(bundle, exam_of(trained.paths())).prediction.matches} == {
        None
    }


def test_same_exam_gives_the_same_prediction(scored: Scored, trained: Trained) -> None:
    again = predict_exam(trained.bundle(), exam_of(trained.paths()))
    assert again.prediction == scored.prediction
    assert again.prediction.model_dump_json() == scored.prediction.model_dump_json()
    assert again.pictures == scored.pictures


def test_scorer_reads_the_files_itself(scored: Scored, trained: Trained, bundle: Bundle) -> None:
    assert scorer(bundle, full_depth=False)(trained.paths(), pseudonym).prediction == scored.prediction


def test_order_of_the_files_does_not_change_the_score(scored: Scored, trained: Trained, bundle: Bundle) -> None:
    turned = predict_exam(bundle, exam_of(trained.paths()[::-1])).prediction
    assert turned.margin == pytest.approx(scored.prediction.margin, rel=1e-5)
    by_name = {match.prototype_id: match for match in turned.matches}
    for match in scored.prediction.matches:
        assert by_name[match.prototype_id].box == match.box


@pytest.mark.parametrize("left_out", range(4))
def test_exam_with_a_missing_view_is_scored(trained: Trained, bundle: Bundle, scored: Scored, left_out: int) -> None:
    paths = trained.paths()
    del paths[left_out]
    prediction = predict_exam(bundle, exam_of(paths)).prediction
    assert len(prediction.images) == 3
    assert "MISSING_VIEWS" in {finding.code for finding in prediction.findings}
    whole = {match.prototype_id: match.similarity for match in scored.prediction.matches}
    for match in prediction.matches:
        assert match.similarity <= whole[match.prototype_id] + 1e-4


def test_one_view_alone_is_an_exam_of_one_breast(trained: Trained, bundle: Bundle) -> None:
    prediction = predict_exam(bundle, exam_of(trained.paths()[:1])).prediction
    assert [score.laterality for score in prediction.breasts] == ["R"]
    assert prediction.breasts[0].margin == prediction.margin


def test_breast_is_scored_from_its_own_views(trained: Trained, bundle: Bundle, scored: Scored) -> None:
    paths = trained.paths()
    for score in scored.prediction.breasts:
        own = [path for path in paths if f"-{score.laterality}-" in path.name]
        alone = predict_exam(bundle, exam_of(own)).prediction
        assert score.margin == pytest.approx(alone.margin, rel=1e-4)
        assert score.probability is None


def test_refused_file_is_recorded_and_the_rest_scored(trained: Trained, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "notes.dcm").write_text("no picture")
    prediction = predict_exam(bundle, exam_of([*trained.paths(), tmp_path / "notes.dcm"])).prediction
    assert len(prediction.images) == 4
    assert [record.findings[0].severity for record in prediction.refused] == ["refuse"]


def test_record_keeps_how_the_pixels_came_about(scored: Scored, trained: Trained) -> None:
    prediction = scored.prediction
    assert prediction.bundle_id == trained.bundle_id
    assert prediction.synthetic
    assert prediction.data_licence == "Apache-2.0 (synthetic)"
    for image in prediction.images:
        assert (image.rows, image.columns) == (ROWS, COLUMNS)
        assert image.rendering.flipped == (image.laterality == "R")
        assert (image.rendering.input_rows, image.rendering.input_columns) == (96, 64)
        size = Image.open(io.BytesIO(scored.pictures[image.preview])).size
        assert size == (COLUMNS * image.preview_scale, ROWS * image.preview_scale)


def test_exam_unlike_the_training_data_has_evidence_but_no_score(bundle: Bundle, tmp_path: Path) -> None:
    stripes = np.where(np.indices((ROWS, COLUMNS))[0] % 12 < 6, 0.9, 0.35).astype(np.float32)
    picture = np.where(breast_picture(5, "L", None) > 0.1, stripes, 0).astype(np.float32)
    prediction = predict_exam(bundle, exam_of([write_view(tmp_path / "odd.dcm", "odd", 1, picture)])).prediction
    assert prediction.likeness.unlike
    assert (prediction.decision, prediction.probability) == ("no decision", None)
    assert all(score.probability is None for score in prediction.breasts)
    assert [finding.code for finding in prediction.findings if finding.code == "UNLIKE_TRAINING"] == ["UNLIKE_TRAINING"]
    assert all(match.overlay for match in prediction.matches)


def test_decision_turns_at_the_operating_point(trained: Trained, bundle: Bundle, scored: Scored) -> None:
    def decision(point: float) -> str:
        chosen = bundle.manifest.operating_point.model_copy(update={"margin": point})
        moved = replace(bundle, manifest=bundle.manifest.model_copy(update={"operating_point": chosen}))
        return predict_exam(moved, exam_of(trained.paths())).prediction.decision

    margin = scored.prediction.margin
    assert [decision(margin), decision(np.nextafter(margin, np.inf))] == ["flagged", "not flagged"]


def test_probability_is_the_calibrated_margin(scored: Scored, bundle: Bundle) -> None:
    prediction = scored.prediction
    assert prediction.probability == bundle.manifest.calibration.probability(prediction.margin)
    assert prediction.prevalence == bundle.manifest.calibration.prevalence == 0.5


def test_region_alone_is_scored(trained: Trained, bundle: Bundle) -> None:
    region = Box(top=40, left=10, bottom=140, right=80)
    scored = scorer(bundle, region)(trained.paths()[1:2], pseudonym)
    assert scored.prediction.images[0].rendering.crop == region
    for match in scored.prediction.matches:
        assert region.contains(*match.box.centre)


def test_region_outside_the_image_is_an_error_in_plain_words(trained: Trained, bundle: Bundle) -> None:
    score: Callable[..., Scored] = scorer(bundle, Box(top=500, left=0, bottom=600, right=80))
    with pytest.raises(
        InputError, match="region: got rows 500 to 600 and columns 0 to 80, expected a part of the image"
    ):
        score(trained.paths(), pseudonym)


def test_best_place_of_equal_views_is_in_the_first(trained: Trained, bundle: Bundle) -> None:
    image = exam_of(trained.paths()).images[1]
    view = model_input(image.mammogram, bundle.manifest.inputs)
    found = score_views(bundle, [view, view, view])
    assert found.best(range(3))[1].tolist() == [0] * 6
    assert found.best([2, 1])[1].tolist() == [2] * 6


def test_cell_outside_the_breast_never_wins(trained: Trained, bundle: Bundle) -> None:
    view = model_input(exam_of(trained.paths()).images[1].mammogram, bundle.manifest.inputs)
    _, _, free = score_views(bundle, [view]).best([0])
    barred = view.breast.clone()
    barred[: 8 * (int(free.max()) // 8) + 4] = False
    found = score_views(bundle, [replace(view, breast=barred)])
    best, _, cells = found.best([0])
    assert found.allowed.any()
    assert found.allowed[0].flatten()[cells].all()
    assert not found.allowed[0].flatten()[free].all()
    for similarity, plane in zip(best, found.maps[0], strict=True):
        assert similarity == plane[found.allowed[0]].max()


def test_margin_weights_agree_with_the_logits(bundle: Bundle) -> None:
    assert torch.equal(bundle.margin_weights, margin_weights(bundle.model.last_layer, 1))
    assert len(bundle.margin_weights) == SETTINGS.model.prototypes_per_class * 2


def test_likeness_is_the_mahalanobis_distance_and_its_threshold_spares_validation_exams() -> None:
    generator = torch.Generator().manual_seed(0)
    training, validation = (torch.randn(n, 4, generator=generator) * torch.tensor([1.0, 2, 3, 4]) for n in (500, 60))
    model: LikenessModel = fit_likeness(training, validation, torch.arange(60) // 4)
    assert (model.distances(validation) <= model.threshold).all()
    covariance = np.cov(training.double().numpy().T)
    centred = validation.double().numpy() - training.double().mean(dim=0).numpy()
    wanted = np.sqrt(np.einsum("vi,ij,vj->v", centred, np.linalg.inv(covariance), centred))
    assert model.distances(validation).numpy() == pytest.approx(wanted, rel=0.1)
    assert float(model.distances(torch.full((1, 4), 100.0))) > model.threshold


def test_pooling_leaves_out_what_is_not_allowed() -> None:
    features = torch.zeros(1, 2, 2, 2)
    features[0, :, 0, 0] = torch.tensor([2.0, 4.0])
    features[0, :, 0, 1] = torch.tensor([4.0, 4.0])
    features[0, :, 1] = 1e6
    allowed = torch.tensor([[[True, True], [False, False]]])
    assert pool(features, allowed).tolist() == [[3.0, 4.0, 1.0, 0.0]]
