"""The nine defects that the 2019 code is known for: the plain network of `benchmarks/published` shows each, ours none.

Every defect is one check, asked of both: it fails on the plain implementation and passes on ours.
"""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.published import network as published
from benchmarks.published.network import PlainProtoPNet
from medproto import pictures
from medproto.bundle import load_bundle
from medproto.errors import TrainingError
from medproto.ingest.reading import read_mammogram
from medproto.model.backbones import build_backbone
from medproto.model.protopnet import ProtoPNet
from medproto.model.similarity import EPSILON, distance_maps, log_similarity, nearest_cells
from medproto.predict import predict_exam
from medproto.training.descent import descend
from medproto.training.inputs import InputSet
from medproto.training.last_layer import KKT_TOLERANCE, Problem, kkt_residual, solve
from medproto.training.projection import project
from medproto.training.settings import Costs, Stage
from medproto.training.similarities import similarities
from medproto.transforms import Geometry
from tests.factories import SETTINGS, Trained, exam_of, input_set, tiny_model, train_tiny

CPU = torch.device("cpu")
LABELS = [0, 1] * 6
LARGEST = math.log(1 / EPSILON)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny network, trained through all three stages."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny")


def plain_like(model: ProtoPNet) -> PlainProtoPNet:
    """The plain network with a copy of the other's weights."""
    count, latent = model.prototypes.shape
    plain = PlainProtoPNet(
        copy.deepcopy(model.backbone), (model.backbone.channels, latent), (count, len(model.own_class))
    )
    plain.add_on.load_state_dict(model.add_on.state_dict())
    plain.prototype_vectors.data.copy_(model.prototypes.detach().view(count, latent, 1, 1))
    return plain.eval()


def batches(data: InputSet, size: int = 4) -> list[tuple[Tensor, Tensor]]:
    """The images and labels as a loader gives them."""
    return list(zip(torch.split(data.images, size), torch.split(data.labels, size), strict=True))


def colour_network(classes: int) -> PlainProtoPNet:
    """A plain network on three channels with two prototypes a class, with a BatchNorm as published backbones have."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        features = nn.Sequential(nn.Conv2d(3, 8, 3, stride=8, padding=1), nn.BatchNorm2d(8))
        return PlainProtoPNet(features, (8, 8), (2 * classes, classes))


def looks_at(layers: nn.Module, side_px: int, cell: int) -> tuple[float, float]:
    """Row and column where a cell really looks: centroid of the squared gradient of its energy."""
    noise = torch.rand(3, 1, side_px, side_px, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(layers.eval()(noise)[:, :, cell, cell].square().sum(), noise)
    weight = gradient.double().square().sum(dim=(0, 1)).numpy()
    return centroid(weight)


def centroid(weight: NDArray[np.float64]) -> tuple[float, float]:
    """Row and column of the centre of mass, in continuous pixels."""
    places = np.arange(len(weight)) + 0.5
    return float(weight.sum(axis=1) @ places / weight.sum()), float(weight.sum(axis=0) @ places / weight.sum())


def test_defect_1_heatmaps_are_shifted_on_residual_networks() -> None:
    side_px, cell = 448, 7
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = build_backbone("resnet18", 32, "none")
    field = backbone.receptive_field(side_px, side_px)
    activation = np.zeros((14, 14))
    activation[cell, cell] = 1.0

    def ours() -> NDArray[np.float64]:
        place = (Geometry(), field, (side_px, side_px))
        drawn = pictures.overlay(activation.astype(np.float32), np.ones((14, 14), dtype=np.bool_), place)
        return np.asarray(drawn.convert("RGBA"))[..., 3].astype(np.float64)

    seen = looks_at(backbone, side_px, cell)

    def off_px(drawn: NDArray[np.float64]) -> list[float]:
        return [there - here for there, here in zip(centroid(drawn), seen, strict=True)]

    assert max(map(abs, off_px(ours()))) < 2
    shifted = off_px(published.heatmap(activation, side_px, side_px))
    assert shifted == pytest.approx([15.5, 15.5], abs=2)
    # Without the noise of a gradient: by the arithmetic of the layers alone the shift is 15.5 px.
    assert (cell + 0.5) * 32 - field.rows.centre_px(cell) == 15.5


def test_defect_2_class_absent_from_the_projection_set_becomes_zeros_silently() -> None:
    model, data = tiny_model(), input_set([0, 0, 0])
    plain = plain_like(model)
    before = model.prototypes.detach().clone()
    published.project(plain, batches(data))
    of_absent = plain.prototype_vectors.detach()[2:]
    assert torch.equal(of_absent, torch.zeros_like(of_absent))
    assert (plain.prototype_vectors.detach()[:2] != 0).any()
    with pytest.raises(TrainingError, match="projection: got no training image of class 1, expected at least one"):
        project(model, data, CPU)
    assert torch.equal(model.prototypes.detach(), before)


def test_defect_3_projection_makes_twins() -> None:
    model, data = tiny_model(prototypes_per_class=5), input_set(LABELS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.add_on.apply(lambda layer: layer.reset_parameters() if isinstance(layer, nn.Conv2d) else None)
    plain = plain_like(model)

    def distinct(prototypes: Tensor) -> int:
        return len(torch.unique(prototypes.detach().flatten(1), dim=0))

    assert distinct(plain.prototype_vectors) == distinct(model.prototypes) == 10
    published.project(plain, batches(data))
    projection = project(model, data, CPU)
    assert distinct(plain.prototype_vectors) < 10
    assert distinct(model.prototypes) == len({source.image for source in projection.sources}) == 10


def test_defect_4_non_square_and_one_channel_images_and_few_classes_crash(trained: Trained) -> None:
    many, few = colour_network(50).eval(), colour_network(2).eval()
    generator = np.random.default_rng(0)
    square, oblong, grey = (
        generator.random(shape, dtype=np.float32) for shape in ((64, 64, 3), (96, 64, 3), (64, 64, 1))
    )
    assert len(published.analyse(many, square, 64)) == published.ANALYSED_CLASSES
    for picture in (oblong, grey):
        with pytest.raises(ValueError, match="cannot reshape array"):
            published.analyse(many, picture, 64)
    with pytest.raises(IndexError, match="out of bounds"):
        published.analyse(few, square, 64)
    # Ours: a grey picture of 96 x 64 and two classes, from the files to the evidence.
    prediction = predict_exam(trained.bundle(), exam_of(trained.paths())).prediction
    assert (SETTINGS.inputs.rows, SETTINGS.inputs.columns, len(prediction.classes)) == (96, 64, 2)
    assert {(image.rendering.input_rows, image.rendering.input_columns) for image in prediction.images} == {(96, 64)}
    assert all(match.cell[0] < 12 and match.cell[1] < 8 for match in prediction.matches)


def test_defect_5_batch_norm_drifts_and_adam_hardly_moves_in_the_last_layer_stage() -> None:
    model, data = tiny_model(prototypes_per_class=3), input_set(LABELS)
    project(model, data, CPU)
    plain = plain_like(model)
    own, labels = model.own_class.numpy(), data.labels.numpy()

    def changed(before: dict[str, Tensor], after: nn.Module) -> set[str]:
        return {name for name, value in after.state_dict().items() if not torch.equal(value, before[name])}

    def distance_from_optimum(seen: Tensor, weights: Tensor) -> float:
        problem = Problem(seen.double().numpy(), labels, own, l1=1e-3, ridge=1e-3, own_nonnegative=False)
        return kkt_residual(problem, weights.double().numpy())

    before = copy.deepcopy(plain.state_dict())
    published.fit_last_layer(plain, batches(data, 12), epochs=20)
    assert {name for name in changed(before, plain) if "running_mean" in name}
    moved = (plain.last_layer.weight.detach() - before["last_layer.weight"]).abs().max()
    assert 0 < float(moved) <= 20 * 1e-4 * 1.01
    with torch.no_grad():
        seen = published.similarity(plain.eval().distances(data.images))
    assert distance_from_optimum(seen, plain.last_layer.weight.detach()) > 1e-3

    before = copy.deepcopy(model.state_dict())
    model.train()
    found = similarities(model, data, CPU).images
    solution = solve(Problem(found.double().numpy(), labels, own, l1=1e-3, ridge=1e-3, own_nonnegative=False))
    assert changed(before, model) == set()
    assert np.abs(solution.weights - before["last_layer"].numpy()).max() > 0.1
    assert distance_from_optimum(found, torch.from_numpy(solution.weights)) <= KKT_TOLERANCE


def test_defect_6_prototype_classes_are_not_kept_and_whole_pickles_are_refused(
    trained: Trained, tmp_path: Path
) -> None:
    plain, model = plain_like(tiny_model()), tiny_model()

    def classes_are_kept(network: nn.Module, name: str) -> bool:
        """Whether the weights alone give a network back its prototypes' classes."""
        other, classes = copy.deepcopy(network), getattr(network, name)
        setattr(other, name, classes.flip(0))
        other.load_state_dict(network.state_dict())
        return torch.equal(getattr(other, name), classes)

    assert not classes_are_kept(plain, "prototype_class_identity")
    assert classes_are_kept(model, "prototype_class")
    published.save(plain, tmp_path / "plain.pth")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        torch.load(tmp_path / "plain.pth")
    bundle = load_bundle(trained.bundle_path)
    names = [bundle.manifest.model.classes[c] for c in bundle.model.prototype_class.tolist()]
    assert names == [entry.prototype_class for entry in bundle.manifest.prototypes]


def test_defect_7_separation_without_class_specificity_raises_and_eval_is_missing(trained: Trained) -> None:
    model, data = tiny_model(), input_set(LABELS)
    plain = plain_like(model)
    assert torch.isfinite(published.training_costs(plain, batches(data)[0], class_specific=True)["separation"])
    with pytest.raises(UnboundLocalError, match="separation"):
        published.training_costs(plain, batches(data)[0], class_specific=False)
    # Ours: separation is named in the history also where it does not count.
    stage = Stage(name="test", epochs=1, learning_rates={"prototypes": 1e-2}, variants=1)
    run = (Fabric(accelerator="cpu", devices=1), 0, None)
    (history,) = descend(model, data, stage, Costs(separation=0.0), run)
    assert math.isfinite(history["separation"])

    def leaves_the_network_alone(network: nn.Module, analyse: Callable[[], object]) -> bool:
        """Whether an analysis of a network that comes in training mode changes nothing in it."""
        network.train()
        before = copy.deepcopy(network.state_dict())
        analyse()
        return all(torch.equal(value, before[name]) for name, value in network.state_dict().items())

    colour, picture = colour_network(50), np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    assert not leaves_the_network_alone(colour, lambda: published.analyse(colour, picture, 64))
    assert leaves_the_network_alone(model, lambda: similarities(model, data, CPU))
    assert not any(module.training for module in trained.bundle().model.modules())


def test_defect_8_source_of_a_prototype_is_an_index_into_a_loader(trained: Trained) -> None:
    data = input_set(LABELS)
    backwards = data.select(range(len(data))[::-1])

    def plain(given: InputSet) -> list[object]:
        return [int(place[0]) for place in published.project(plain_like(tiny_model()), batches(given))]

    def ours(given: InputSet) -> list[object]:
        sources = project(tiny_model(), given, CPU).sources
        return [(given.sources[s.image].row.image, given.sources[s.image].pixels_sha256) for s in sources]

    def survives_another_order(sources_of: Callable[[InputSet], list[object]]) -> bool:
        return sources_of(data) == sources_of(backwards)

    assert not survives_another_order(plain)
    assert survives_another_order(ours)
    rows = {row.image: row for row in trained.manifest.rows}
    for entry in trained.bundle().manifest.prototypes:
        pixels = read_mammogram(trained.manifest.file(rows[entry.source.image_id]), SETTINGS.ingest)
        assert pixels.pixels_sha256 == entry.source.pixels_sha256


def test_defect_9_projected_prototype_scores_9_10_instead_of_9_2103_on_its_own_patch() -> None:
    latent = torch.rand(1, 128, 7, 7, generator=torch.Generator().manual_seed(0))
    patches = latent[0].flatten(1).T.contiguous()
    plain = PlainProtoPNet(nn.Identity(), (128, 128), (49, 1))
    plain.prototype_vectors.data.copy_(patches.view(49, 128, 1, 1))

    def own_similarity(maps: Tensor) -> Tensor:
        """Similarity (49,) of every patch to the prototype that it is."""
        return log_similarity(maps.detach()[0].flatten(1).diagonal())

    def meets_its_patch(found: Tensor) -> bool:
        return bool(((found - LARGEST).abs() < 1e-4).all())

    found = own_similarity(plain.distance_maps(latent))
    assert not meets_its_patch(found)
    assert float(found.min()) < 9.13
    assert meets_its_patch(own_similarity(distance_maps(latent, patches)))
    assert meets_its_patch(log_similarity(nearest_cells(latent, patches)[0][0]))
