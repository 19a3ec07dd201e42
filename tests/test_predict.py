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

from medproto import pictures, pyramid
from medproto.bundle import Bundle, margin_weights
from medproto.errors import InputError, TrainingError
from medproto.evaluation.run import evaluate, load_split
from medproto.explain import SHOWN, cell_box, score_views
from medproto.ingest.reading import read_mammogram
from medproto.likeness import LikenessModel, fit_likeness, pool
from medproto.model.cells import breast_cells
from medproto.model.receptive_field import Axis, ReceptiveField
from medproto.predict import predict_exam, scorer
from medproto.records import Box, PrototypeMatch, Scored
from medproto.training.inputs import InputSet
from medproto.training.similarities import margins, similarities
from medproto.transforms import Geometry, ModelInput, model_input
from tests.factories import (
    COLUMNS,
    ROWS,
    SETTINGS,
    TEST_PATIENT,
    Trained,
    breast_picture,
    exam_of,
    pseudonym,
    read_cohort,
    train_tiny,
    write_view,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny network, trained through all three stages."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny")


@pytest.fixture(scope="module")
def bundle(trained: Trained) -> Bundle:
    """Its bundle."""
    return trained.bundle()


@pytest.fixture(scope="module")
def scored(trained: Trained, bundle: Bundle) -> Scored:
    """The prediction of an exam that training never saw."""
    return predict_exam(bundle, exam_of(trained.paths()))


@pytest.fixture(scope="module")
def views(trained: Trained, bundle: Bundle) -> dict[str, ModelInput]:
    """What the network saw of that exam, by image."""
    exam = exam_of(trained.paths())
    return {image.image_id: model_input(image.mammogram, bundle.manifest.inputs) for image in exam.images}


@pytest.fixture(scope="module")
def held_out(trained: Trained, bundle: Bundle) -> InputSet:
    """The images of the test split but one, as evaluation reads them."""
    rows = tuple(row for row in trained.manifest.rows if row.image != trained.manifest.split("test")[0].image)
    return load_split(bundle, replace(trained.manifest, rows=rows), "test")


def shown(scored: Scored) -> list[PrototypeMatch]:
    """Matches that carry pictures."""
    return [match for match in scored.prediction.matches if match.overlay]


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


def test_every_named_picture_is_there_under_its_digest(scored: Scored, bundle: Bundle) -> None:
    assert set(scored.prediction.pictures()) == set(scored.pictures)
    for name, content in scored.pictures.items():
        assert pictures.digest(content) == name
    for match in scored.prediction.matches:
        assert scored.pictures[match.source.patch] == bundle.pictures[match.source.patch]
    assert len(shown(scored)) == min(len(scored.prediction.matches), SHOWN)


def test_box_on_the_original_is_the_winning_cell(scored: Scored, bundle: Bundle, views: dict[str, ModelInput]) -> None:
    field = bundle.model.backbone.receptive_field(96, 64)
    for match in scored.prediction.matches:
        geometry = views[match.image_id].geometry
        assert match.box == cell_box(geometry, field, match.cell)
        assert geometry.to_input(*match.box.centre) == pytest.approx(
            (field.rows.centre_px(match.cell[0]), field.columns.centre_px(match.cell[1]))
        )
        assert match.box.bottom - match.box.top == pytest.approx(8 / geometry.row_scale)
        assert match.receptive_field.centre == pytest.approx(match.box.centre)
        assert match.receptive_field.bottom - match.receptive_field.top == pytest.approx(15 / geometry.row_scale)


def test_maximum_of_the_drawn_map_is_the_recorded_similarity(
    scored: Scored, bundle: Bundle, views: dict[str, ModelInput]
) -> None:
    field = bundle.model.backbone.receptive_field(96, 64)
    for match in shown(scored):
        assert match.similarity_map is not None
        drawn = np.load(io.BytesIO(scored.pictures[match.similarity_map]), allow_pickle=False)
        allowed = breast_cells(views[match.image_id].breast[None], field)[0].numpy()
        assert drawn.dtype == np.float32
        assert drawn.shape == allowed.shape == (12, 8)
        assert float(drawn[match.cell]) == match.similarity == float(drawn[allowed].max())
        assert allowed[match.cell]


def test_overlay_is_strongest_at_the_box(scored: Scored) -> None:
    for match in shown(scored):
        assert match.overlay is not None
        image = scored.prediction.image(match.image_id)
        strength = np.asarray(Image.open(io.BytesIO(scored.pictures[match.overlay])).convert("RGBA"))[..., 3].astype(
            int
        )
        assert strength.shape == (image.rows, image.columns)
        row, column = match.box.centre
        inside = strength[min(int(row), image.rows - 1), min(max(int(column), 0), image.columns - 1)]
        assert inside >= 0.75 * strength.max()


def test_finding_is_found_where_it_is(scored: Scored, trained: Trained) -> None:
    top = scored.prediction.matches[0]
    assert top.prototype_class == "malignant"
    image = scored.prediction.image(top.image_id)
    row = next(
        r
        for r in trained.manifest.split("test")
        if r.patient == f"tiny-{TEST_PATIENT}" and (r.side, r.view) == (image.laterality, image.view)
    )
    assert row.boxes[0].contains(*top.box.centre)
    assert scored.prediction.decision == "flagged"


def test_same_exam_gives_the_same_prediction(scored: Scored, trained: Trained) -> None:
    again = predict_exam(trained.bundle(), exam_of(trained.paths()))
    assert again.prediction == scored.prediction
    assert again.prediction.model_dump_json() == scored.prediction.model_dump_json()
    assert again.pictures == scored.pictures


def test_scorer_reads_the_files_itself(scored: Scored, trained: Trained, bundle: Bundle) -> None:
    assert scorer(bundle, full_depth=False)(trained.paths(), pseudonym).prediction == scored.prediction


def test_pictures_are_kept_with_all_their_samples(scored: Scored, trained: Trained, bundle: Bundle) -> None:
    deep = scorer(bundle)(trained.paths(), pseudonym)
    for path, image in zip(trained.paths(), deep.prediction.images, strict=True):
        assert image.full_depth is not None
        kept = pyramid.decode(deep.pictures[image.full_depth])
        np.testing.assert_array_equal(kept.tile(0, 0, 0), read_mammogram(path, full_depth=True).samples)
    without = [image.model_copy(update={"full_depth": None}) for image in deep.prediction.images]
    assert deep.prediction.model_copy(update={"images": tuple(without)}) == scored.prediction


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


def test_patch_at_the_corner_is_black_beyond_the_image() -> None:
    pixels = np.ones((50, 40), dtype=np.float32)
    drawn = np.asarray(pictures.patch(pixels, Box(top=0, left=0, bottom=10, right=10)))
    assert drawn.shape == (240, 240, 3)
    assert drawn[:60, :60].max() == 0
    assert drawn[200:, 200:].min() == 255


def test_overlay_puts_a_cell_at_the_centre_of_its_receptive_field() -> None:
    field = ReceptiveField(Axis(10.0, 16, 35, 4), Axis(6.0, 16, 35, 3))
    similarity = np.zeros((4, 3), dtype=np.float32)
    similarity[2, 1] = 5
    geometry = Geometry().crop(4, 8).flip_columns(48)
    drawn = pictures.overlay(similarity, np.ones((4, 3), dtype=bool), (geometry, field, (80, 60)))
    strength = np.asarray(drawn.convert("RGBA"))[..., 3].astype(float)
    rows, columns = np.indices(strength.shape) + 0.5
    centroid = (strength * rows).sum() / strength.sum(), (strength * columns).sum() / strength.sum()
    assert centroid == pytest.approx(geometry.to_original(10 + 2 * 16, 6 + 16), abs=0.1)


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
