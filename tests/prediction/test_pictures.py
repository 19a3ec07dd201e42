"""The pictures of a prediction: where a match lies on the original, the map drawn over it, and what is kept."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from medproto import pictures, pyramid
from medproto.bundle import Bundle
from medproto.explain import SHOWN, cell_box
from medproto.ingest.reading import read_mammogram
from medproto.model.cells import breast_cells
from medproto.model.receptive_field import Axis, ReceptiveField
from medproto.predict import scorer
from medproto.records import Box, PrototypeMatch, Scored
from medproto.transforms import Geometry, ModelInput, model_input
from tests.factories import (
    TEST_PATIENT,
    Trained,
    exam_of,
    pseudonym,
)


@pytest.fixture(scope="module")
def views(trained: Trained, bundle: Bundle) -> dict[str, ModelInput]:
    """What the network saw of that exam, by image."""
    exam = exam_of(trained.paths())
    return {image.image_id: model_input(image.mammogram, bundle.manifest.inputs) for image in exam.images}


def shown(scored: Scored) -> list[PrototypeMatch]:
    """Matches that carry pictures."""
    return [match for match in scored.prediction.matches if match.overlay]


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


def test_pictures_are_kept_with_all_their_samples(scored: Scored, trained: Trained, bundle: Bundle) -> None:
    deep = scorer(bundle)(trained.paths(), pseudonym)
    for path, image in zip(trained.paths(), deep.prediction.images, strict=True):
        assert image.full_depth is not None
        kept = pyramid.decode(deep.pictures[image.full_depth])
        np.testing.assert_array_equal(kept.tile(0, 0, 0), read_mammogram(path, full_depth=True).samples)
    without = [image.model_copy(update={"full_depth": None}) for image in deep.prediction.images]
    assert deep.prediction.model_copy(update={"images": tuple(without)}) == scored.prediction


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
