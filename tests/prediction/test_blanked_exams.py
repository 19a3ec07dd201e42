"""Blanking on the tiny trained network and on a phantom exam: what a prediction and an evaluation say of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medproto.blanking import Check
from medproto.bundle import Bundle
from medproto.datasets.phantom.cohort import Cohort, write_phantom
from medproto.errors import TrainingError
from medproto.evaluation.blanking import measure_blanking
from medproto.evaluation.run import load_split
from medproto.explain import SHOWN, Evidence, matches, score_views
from medproto.model.protopnet import ProtoPNet
from medproto.predict import predict_exam
from medproto.records import Scored
from medproto.transforms import model_input
from tests.factories import Trained, exam_of


def test_pictured_matches_are_checked_with_boxes_of_one_area_in_the_image(scored: Scored) -> None:
    shown = [match for match in scored.prediction.matches if match.overlay]
    assert len([match for match in shown if match.blanking]) >= 3
    for match in shown:
        image = scored.prediction.image(match.image_id)
        areas = [(e.box.bottom - e.box.top) * (e.box.right - e.box.left) for e in match.blanking]
        assert areas == pytest.approx(areas[:1] * len(areas))
        for entry in match.blanking:
            assert min(entry.box.top, entry.box.left) >= -1e-6
            assert entry.box.bottom <= image.rows + 1e-6
            assert entry.box.right <= image.columns + 1e-6


def test_finding_is_what_the_strongest_match_comes_from(scored: Scored) -> None:
    top = scored.prediction.matches[0]
    assert top.blanking[0].gain > 0.1
    assert not top.blanking[0].no_better_than_random


def test_check_can_be_left_out_and_changes_nothing_else(trained: Trained, bundle: Bundle, scored: Scored) -> None:
    bare = predict_exam(bundle, exam_of(trained.paths()), None)
    assert all(match.blanking == () for match in bare.prediction.matches)
    stripped = [match.model_copy(update={"blanking": ()}) for match in scored.prediction.matches]
    assert list(bare.prediction.matches) == stripped
    assert bare.pictures == scored.pictures


def test_phantom_exam_is_checked_and_gives_the_same_bytes_again(bundle: Bundle, tmp_path: Path) -> None:
    write_phantom(tmp_path, Cohort(patients=1, seed=3))
    files = sorted((tmp_path / "images").rglob("*.dcm"))
    first, again = (predict_exam(bundle, exam_of(files), Check(random_boxes=5)).prediction for _ in range(2))
    assert len(first.images) == 4
    entries = [entry for match in first.matches for entry in match.blanking]
    assert entries
    assert all(entry.boxes == 5 for entry in entries)
    assert first.model_dump_json() == again.model_dump_json()


def test_strongest_of_every_other_class_is_always_pictured(trained: Trained, bundle: Bundle) -> None:
    exam = exam_of(trained.paths())
    views = [model_input(image.mammogram, bundle.manifest.inputs) for image in exam.images]
    several = of_three_classes(bundle)
    scored = score_views(several, views)
    found, _ = matches(Evidence(several, exam.images, views, scored))
    shown = [match.prototype_id for match in found if match.overlay]
    assert len(shown) == SHOWN
    similarity = scored.best(range(len(views)))[0]
    last_layer, owners = several.model.last_layer, several.model.prototype_class
    for each in (0, 2):
        members = torch.nonzero(owners == each).flatten()
        best = int(members[(last_layer[each, members] * similarity[members]).argmax()])
        assert several.manifest.prototypes[best].prototype_id in shown
    ranked = [match.prototype_id for match in found]
    assert set(ranked[:6]) <= set(shown)


def of_three_classes(bundle: Bundle) -> Bundle:
    """The bundle with eight prototypes for each of three classes, of which the middle one is the positive one."""
    generator = torch.Generator().manual_seed(1)
    owners = torch.arange(3).repeat_interleave(8)
    channels = bundle.model.prototypes.shape[1]
    model = ProtoPNet(bundle.model.backbone, channels, owners, 3)
    model.add_on = bundle.model.add_on
    model.prototypes.data = torch.rand(24, channels, generator=generator)
    # The strongest for the last class speaks for the positive class too: by the margin alone it would not be shown.
    model.last_layer.data = torch.where(model.own_class, torch.rand(3, 24, generator=generator), torch.zeros(3, 24))
    model.last_layer.data[1:, 16] = torch.tensor([1.5, 3.0])
    names = ("benign", "malignant", "other")
    entry = bundle.manifest.prototypes[0]
    entries = tuple(
        entry.model_copy(update={"prototype_id": f"p{p}", "prototype_class": names[int(owner)]})
        for p, owner in enumerate(owners)
    )
    shape = bundle.manifest.model.model_copy(update={"classes": names, "positive_class": "malignant"})
    manifest = bundle.manifest.model_copy(update={"model": shape, "prototypes": entries})
    return replace(bundle, model=model.eval().requires_grad_(False), manifest=manifest)


def test_measure_is_the_check_of_the_exams_strongest_match(trained: Trained, bundle: Bundle, scored: Scored) -> None:
    data = load_split(bundle, trained.manifest, "test")
    steps = list[tuple[int, int]]()
    found = measure_blanking(bundle, data, progress=lambda done, total: steps.append((done, total)))
    assert (found.exams, found.random_boxes, found.without_share) == (1, 20, 0)
    assert steps == [(1, 1)]
    for box, entry in zip(found.boxes, scored.prediction.matches[0].blanking, strict=True):
        assert box.kind == entry.kind
        assert box.gain.value == pytest.approx(entry.gain, abs=1e-3)
        assert box.gain_anywhere.value == pytest.approx(entry.anywhere - entry.random_anywhere, abs=1e-3)
        assert box.better.value == 1.0 - entry.no_better_than_random


def test_measure_needs_an_exam_of_the_positive_class(trained: Trained, bundle: Bundle) -> None:
    data = load_split(bundle, trained.manifest, "test")
    healthy = data.select([i for i, label in enumerate(data.labels.tolist()) if label == 0][:4])
    with pytest.raises(TrainingError, match="blanking: got no exam of the positive class, expected some"):
        measure_blanking(bundle, healthy)
