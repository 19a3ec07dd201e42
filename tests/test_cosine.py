"""The cosine in place of the paper's similarity, from the training to the explanation."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from medproto.bundle import Bundle, load_bundle
from medproto.errors import ConfigError
from medproto.explain import score_views
from medproto.model.protopnet import ModelSettings, build_model, empty_model
from medproto.predict import predict_exam
from medproto.training.descent import descend
from medproto.training.inputs import InputSet
from medproto.training.run import Fitted, finish, fit
from medproto.training.settings import Costs, Stage, read_settings
from medproto.training.similarities import similarities
from medproto.transforms import model_input
from tests.factories import SETTINGS, TEST_PATIENT, exam_of, input_set, read_cohort, silent, write_cohort, write_weights

EPOCHS = 6
TINY = ModelSettings(backbone="tiny", stride=8, weights="none", latent_channels=8, similarity="cosine")


@dataclass(frozen=True)
class Run:
    """A run with the cosine: what it was fitted on, the fit, and its bundle."""

    data: InputSet
    fitted: Fitted
    folder: Path
    bundle: Bundle


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A tiny network that compares by the cosine, trained through all three stages."""
    folder = tmp_path_factory.mktemp("cosine")
    manifest = write_cohort(folder)
    data = read_cohort(manifest)
    weights = str(write_weights(folder / "tiny.pt"))
    stages = tuple(stage.model_copy(update={"epochs": EPOCHS}) for stage in SETTINGS.stages)
    model = SETTINGS.model.model_copy(update={"similarity": "cosine", "weights": weights})
    settings = SETTINGS.model_copy(update={"model": model, "stages": stages})
    fitted = fit(settings, data.split("train"), silent)
    finish(settings, (manifest, data), fitted, folder / "bundle")
    return Run(data.split("train"), fitted, folder, load_bundle(folder / "bundle"))


def lengths(vectors: Tensor, dim: int) -> Tensor:
    """Euclidean lengths along a dimension."""
    return vectors.detach().norm(dim=dim)


def test_prototypes_and_cells_are_unit_vectors_before_and_after_training(run: Run) -> None:
    fresh = build_model(run.bundle.manifest.model.model_copy(update={"weights": "none"}), seed=0)
    for model in (fresh, run.fitted.model, run.bundle.model):
        with torch.no_grad():
            latent = model.encode(run.data.images[:3])
        assert torch.allclose(lengths(latent, 1), torch.ones(()), atol=1e-6)
        assert torch.allclose(lengths(model.prototypes, 1), torch.ones(()), atol=1e-6)


def test_prototypes_stay_unit_vectors_through_a_stage_and_turn_only_where_they_may() -> None:
    fabric, model = Fabric(accelerator="cpu", devices=1), build_model(TINY, seed=0)
    before = model.prototypes.detach().clone()
    frozen = Stage(name="frozen", epochs=2, learning_rates={"add_on": 1e-2}, batch=5, variants=1)
    descend(model, input_set([0, 1] * 5), frozen, Costs(), (fabric, 0, None))
    assert torch.equal(model.prototypes, before)
    moving = frozen.model_copy(update={"learning_rates": {"prototypes": 1e-1}})
    descend(model, input_set([0, 1] * 5), moving, Costs(), (fabric, 0, None))
    assert not torch.allclose(model.prototypes, before, atol=1e-2)
    assert torch.allclose(lengths(model.prototypes, 1), torch.ones(()), atol=1e-6)


def test_similarity_map_is_the_cosine_of_cells_and_prototypes(run: Run) -> None:
    model = run.bundle.model
    with torch.no_grad():
        features = model.backbone(run.data.images[:3])
        raw = model.add_on(features)
        maps = model.similarity_maps(model.latent(features))
    assert not torch.allclose(lengths(raw, 1), torch.ones(()), atol=0.1)
    cosine = torch.nn.functional.cosine_similarity(raw.unsqueeze(1), model.prototypes[:, :, None, None], dim=2)
    assert torch.allclose(maps, cosine, atol=1e-5)


def test_descent_descends(run: Run) -> None:
    stages = run.fitted.protocol["stages"]
    assert isinstance(stages, dict)
    for history in stages.values():
        assert len(history) == EPOCHS
    assert history[-1]["total"] < stages["warm-up"][0]["total"]


def test_prototype_meets_its_own_patch_at_one(run: Run) -> None:
    model, sources = run.bundle.model, run.fitted.projection.sources
    images = run.data.images[[source.image for source in sources]]
    with torch.no_grad():
        maps = model.similarity_maps(model.encode(images))
    own = [float(maps[p, p, source.row, source.column]) for p, source in enumerate(sources)]
    assert own == pytest.approx([1.0] * len(sources), abs=1e-6)
    assert [entry.source.distance for entry in run.bundle.manifest.prototypes] == pytest.approx([0.0] * 6, abs=1e-6)


def test_similarities_below_zero_are_kept_for_the_last_layer(run: Run) -> None:
    mirrored = copy.deepcopy(run.bundle.model)
    mirrored.prototypes.data.neg_()
    found, opposite = (
        similarities(model, run.data, torch.device("cpu")).images for model in (run.bundle.model, mirrored)
    )
    assert float(found.max()) == pytest.approx(1.0, abs=1e-6)
    assert float(opposite.min()) < -0.5
    assert run.fitted.solution.kkt_residual < 1e-6


def test_contributions_add_up_to_the_margin(run: Run) -> None:
    exam = exam_of(sorted((run.folder / "images").glob(f"tiny-{TEST_PATIENT:02d}-*.dcm")))
    prediction = predict_exam(run.bundle, exam).prediction
    assert prediction.margin == pytest.approx(sum(match.contribution for match in prediction.matches), rel=1e-5)
    assert all(-1 - 1e-6 <= match.similarity <= 1 + 1e-6 for match in prediction.matches)
    views = [model_input(image.mammogram, run.bundle.manifest.inputs) for image in exam.images]
    scored = score_views(run.bundle, views)
    with torch.no_grad():
        images = torch.stack([view.image for view in views])
        output = run.bundle.model(images, torch.zeros(len(views), dtype=torch.long), scored.allowed)
    assert list(prediction.logits.values()) == pytest.approx(output.logits[0].tolist(), abs=1e-5)


def test_bundle_from_before_there_was_a_choice_has_the_papers_similarity(run: Run) -> None:
    document = json.loads((run.folder / "bundle" / "manifest.json").read_text())["model"]
    assert document.pop("similarity") == "cosine"
    settings = ModelSettings.model_validate(document)
    assert settings.similarity == "log"
    model = empty_model(settings, torch.tensor([0, 1]))
    assert float(model.similarity_of(torch.zeros(()))) == pytest.approx(9.2103, abs=1e-4)


def test_unknown_similarity_is_named_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("{name: a, classes: {a: [a], b: [b]}, positive_class: a, stages: [], model: {similarity: euclid}}")
    with pytest.raises(ConfigError, match=r"model\.similarity: Input should be 'log' or 'cosine'"):
        read_settings(path)
