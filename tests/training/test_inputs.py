"""Manifest rows as tensors, and prototypes as pictures of the files they came from; on real DICOM."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from medproto import pictures
from medproto.datasets.manifest import Manifest, ManifestRow
from medproto.errors import TrainingError
from medproto.explain import cell_box
from medproto.ingest.reading import read_mammogram
from medproto.model.protopnet import ProtoPNet
from medproto.records import Box
from medproto.training.inputs import WORTH_PROCESSES, InputSet, Loading, load_inputs
from medproto.training.projection import Projected, Projection, project
from medproto.training.sources import cut_prototypes
from tests.factories import COLUMNS, ROWS, SETTINGS, read_cohort, tiny_model, train_tiny


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The cohort's manifest."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny").manifest


@pytest.fixture(scope="module")
def data(manifest: Manifest) -> InputSet:
    """The cohort's images."""
    return read_cohort(manifest)


def read(manifest: Manifest, rows: list[ManifestRow], workers: int = 1) -> InputSet:
    """Some rows as inputs."""
    labels = [SETTINGS.class_of(row.label) for row in rows]
    part = Manifest(manifest.path, tuple(rows), manifest.digest)
    return load_inputs(part, labels, (SETTINGS.inputs, SETTINGS.ingest), Loading(workers))


def test_every_row_becomes_one_image_with_its_breast_and_exam(manifest: Manifest, data: InputSet) -> None:
    assert data.images.shape == (len(manifest.rows), 1, 96, 64)
    assert 0 <= float(data.images.min()) < float(data.images.max()) <= 1
    assert [source.row for source in data.sources] == list(manifest.rows)
    assert data.left_out == ()
    exams = [row.exam for row in manifest.rows]
    assert all((data.bags == data.bags[i]).sum() == exams.count(exam) for i, exam in enumerate(exams))
    assert data.bag_labels().tolist() == [0, 1] * 7
    assert data.bag_patients() == [f"tiny-{i:02d}" for i in range(14)]
    assert (data.images[:, 0][data.breast == 0] < 0.3).all()


def test_lesion_plane_lies_where_the_box_is(data: InputSet) -> None:
    for i, source in enumerate(data.sources):
        assert bool(data.lesion[i].any()) == bool(source.row.boxes)
        for box in source.row.boxes:
            row, column = source.geometry.to_input(*box.centre)
            assert data.lesion[i, int(row), int(column)] == 1
            scale = abs(source.geometry.row_scale * source.geometry.column_scale)
            assert int(data.lesion[i].sum()) == pytest.approx(24 * 24 * scale, rel=0.25)


def test_mask_is_taken_before_boxes(manifest: Manifest) -> None:
    row = next(row for row in manifest.rows if row.boxes)
    mask = np.zeros((ROWS, COLUMNS), dtype=bool)
    mask[30:60, 5:35] = True
    Image.fromarray(mask).save(manifest.path.parent / "mask.png")
    got = read(manifest, [row.model_copy(update={"mask": "mask.png"})])
    place = got.sources[0].geometry.to_input(45, 20)
    assert got.lesion[0, int(place[0]), int(place[1])] == 1
    old = got.sources[0].geometry.to_input(*row.boxes[0].centre)
    assert got.lesion[0, int(old[0]), int(old[1])] == 0


@pytest.mark.parametrize(
    "content, reason",
    [
        (None, r"cannot be read \(no such file or directory\), expected a picture"),
        (b"", "got an empty file, expected a picture"),
        (b"not a picture", "cannot be decoded, expected a picture of the size of its image"),
        (np.zeros((10, 20), dtype=bool), "got 10 x 20 pixels, expected 192 x 160 as its image has"),
    ],
)
def test_a_mask_that_cannot_be_used_leaves_its_row_out(
    manifest: Manifest, content: bytes | NDArray[np.bool_] | None, reason: str
) -> None:
    path = manifest.path.parent / "other-mask.png"
    path.unlink(missing_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        Image.fromarray(content).save(path)
    got = read(manifest, [manifest.rows[0], manifest.rows[1].model_copy(update={"mask": path.name})])
    assert len(got) == 1
    assert re.fullmatch(f"row 3: lesion mask: {reason}", got.left_out[0])


def test_rows_that_cannot_be_read_are_left_out_and_named(manifest: Manifest) -> None:
    rows = list(manifest.rows[:3])
    text = manifest.path.parent / "notes.dcm"
    text.write_text("not a picture")
    rows[1] = rows[1].model_copy(update={"path": "notes.dcm"})
    rows[2] = rows[2].model_copy(update={"region": Box(top=900, left=0, bottom=950, right=50)})
    got = read(manifest, rows)
    assert len(got) == 1
    assert [reason.split(":")[0] for reason in got.left_out] == ["row 3", "row 4"]
    assert "expected a part of the image of 192 x 160 pixels" in got.left_out[1]
    with pytest.raises(TrainingError, match="manifest: got 2 rows of which none could be read, expected mammograms"):
        read(manifest, rows[1:])


def test_two_processes_read_what_one_reads(manifest: Manifest, data: InputSet) -> None:
    got = read(manifest, list(manifest.rows[:WORTH_PROCESSES]), workers=2)
    assert torch.equal(got.images, data.images[:WORTH_PROCESSES])
    assert torch.equal(got.lesion, data.lesion[:WORTH_PROCESSES])
    assert got.sources == data.sources[:WORTH_PROCESSES]


def test_split_that_is_empty_is_an_error(data: InputSet) -> None:
    assert len(data.split("test")) == 8
    with pytest.raises(TrainingError, match="split: got no image in 'test', expected some; check the manifest's split"):
        data.split("train").split("test")


def test_prototype_is_cut_from_the_original_file(manifest: Manifest, data: InputSet) -> None:
    model, training = tiny_model(prototypes_per_class=3), data.split("train")
    projection = project(model, training, torch.device("cpu"))
    entries, kept = cut_prototypes(model, projection, training, manifest, SETTINGS)
    names = ["not-malignant-01", "not-malignant-02", "not-malignant-03", "malignant-01", "malignant-02", "malignant-03"]
    assert [entry.prototype_id for entry in entries] == names
    field = model.backbone.receptive_field(96, 64)
    for entry, place in zip(entries, projection.sources, strict=True):
        origin = training.sources[place.image]
        mammogram = read_mammogram(manifest.file(origin.row))
        assert entry.source.pixels_sha256 == mammogram.pixels_sha256
        assert entry.source.box == cell_box(origin.geometry, field, (place.row, place.column))
        picture = pictures.png(pictures.patch(mammogram.pixels, entry.source.box))
        assert kept[entry.source.patch] == picture
        assert pictures.digest(picture) == entry.source.patch
        assert entry.source.distance < 1e-8
        if entry.prototype_class == "malignant":
            assert origin.row.boxes[0].contains(*entry.source.box.centre)


def cut(data: InputSet, manifest: Manifest, places: list[Projected]) -> object:
    """Prototypes cut from these places."""
    model: ProtoPNet = tiny_model(prototypes_per_class=1)
    return cut_prototypes(model, Projection(tuple(places), (0, 0)), data, manifest, SETTINGS)


def test_source_file_that_changed_during_training_is_an_error(manifest: Manifest, data: InputSet) -> None:
    changed = replace(data, sources=tuple(replace(source, pixels_sha256="0" * 64) for source in data.sources))
    with pytest.raises(
        TrainingError, match="the file of a source image changed during training, expected it unaltered"
    ):
        cut(changed, manifest, [Projected(0, 4, 3, 0.0), Projected(5, 4, 3, 0.0)])


def test_two_prototypes_of_one_patch_are_an_error(manifest: Manifest, data: InputSet) -> None:
    with pytest.raises(TrainingError, match="prototypes: got two with the same patch, expected one patch each"):
        cut(data, manifest, [Projected(1, 4, 3, 0.0), Projected(1, 4, 3, 0.0)])


def test_selection_renumbers_the_exams(data: InputSet) -> None:
    part = data.select([8, 9, 55])
    assert part.bags.tolist() == [0, 0, 1]
    assert part.bag_patients() == ["tiny-02", "tiny-13"]
    assert Path(part.sources[2].row.path).name == "tiny-13-L-MLO.dcm"
