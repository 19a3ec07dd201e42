"""Stage 2: every prototype becomes a patch of its own class, from an image of its own, and its source is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from medproto.errors import TrainingError
from medproto.model.backbones import build_backbone
from medproto.model.cells import breast_cells
from medproto.model.protopnet import ProtoPNet
from medproto.model.similarity import EPSILON
from medproto.training.batches import cells_of
from medproto.training.features import encode_all
from medproto.training.inputs import InputSet
from medproto.training.projection import assign, nearest_patches, project
from medproto.training.similarities import NEIGHBOURHOOD, similarities
from medproto.training.start import start_prototypes
from tests.factories import input_set, tiny_model
from tests.model.test_backbone_families import spread

CPU = torch.device("cpu")
LABELS = [0, 1, 0, 1, 0, 1, 1, 0]


def latent(model: ProtoPNet, data: InputSet) -> torch.Tensor:
    """Latent maps of all images."""
    return torch.cat([part for _, part in encode_all(model, data, CPU)])


def test_prototypes_become_patches_of_distinct_images_of_their_class() -> None:
    model, data = tiny_model(prototypes_per_class=3), input_set(LABELS)
    before = model.prototypes.detach().clone()
    projection = project(model, data, CPU)
    maps = latent(model, data)
    assert projection.dropped == (0, 0)
    assert len({source.image for source in projection.sources}) == len(projection.sources) == 6
    for p, source in enumerate(projection.sources):
        patch = maps[source.image, :, source.row, source.column]
        assert int(data.labels[source.image]) == int(model.prototype_class[p])
        assert torch.equal(model.prototypes[p].detach(), patch)
        assert source.moved == pytest.approx(float((before[p] - patch).square().sum()), rel=1e-5)


def test_patch_of_an_annotated_image_lies_inside_its_lesion() -> None:
    model, data = tiny_model(prototypes_per_class=4), input_set(LABELS)
    projection = project(model, data, CPU)
    field = model.backbone.receptive_field(64, 64)
    cells = cells_of(data.breast, data.lesion, field)
    for source in projection.sources:
        if data.labels[source.image] == 1:
            assert cells.lesion[source.image, source.row, source.column]
            row, column = field.rows.centre_px(source.row), field.columns.centre_px(source.column)
            assert data.lesion[source.image, int(row), int(column)] == 1


def test_prototype_meets_its_source_at_the_largest_similarity() -> None:
    model, data = tiny_model(prototypes_per_class=3), input_set(LABELS)
    sources = project(model, data, CPU).sources
    found = similarities(model, data, CPU)
    for p, source in enumerate(sources):
        # Another batch shape may round the last bit of the latent map, never more.
        assert float(found.images[source.image, p]) == pytest.approx(float(np.log(1 / EPSILON)), abs=1e-4)
        assert int(found.cells[source.image, p]) == source.row * 8 + source.column


def test_prototype_meets_its_patch_in_the_network_that_still_has_its_batch_norms() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = build_backbone("resnet18", 8, "none")
        model, data = ProtoPNet(backbone, 64, torch.arange(2).repeat_interleave(3), 2), input_set(LABELS)
    spread(backbone)
    sources = project(model, data, CPU).sources
    with torch.no_grad():
        maps = model.similarity_maps(model.encode(data.images))
    for p, source in enumerate(sources):
        assert float(maps[source.image, p, source.row, source.column]) == pytest.approx(np.log(1 / EPSILON), abs=1e-4)


def test_class_without_images_is_an_error_not_a_row_of_zeros() -> None:
    model = tiny_model()
    before = model.prototypes.detach().clone()
    with pytest.raises(TrainingError, match="projection: got no training image of class 1, expected at least one"):
        project(model, input_set([0, 0, 0]), CPU)
    assert torch.equal(model.prototypes.detach(), before)


def test_image_whose_lesion_has_no_cell_in_the_breast_serves_no_prototype() -> None:
    model, data = tiny_model(prototypes_per_class=2), input_set([0, 0, 1, 1, 1])
    breast, lesion = data.breast.clone(), data.lesion.clone()
    breast[2, :, 32:] = 0
    lesion[2] = 0
    lesion[2, 40:56, 44:60] = 1
    projection = project(model, replace(data, breast=breast, lesion=lesion), CPU)
    assert sorted(source.image for source in projection.sources) == [0, 1, 3, 4]


def test_images_with_equal_pixels_serve_once() -> None:
    model, data = tiny_model(prototypes_per_class=2), input_set([0, 0, 1, 1]).select([0, 0, 1, 2, 2, 3])
    projection = project(model, data, CPU)
    assert sorted(source.image for source in projection.sources) == [0, 2, 3, 5]


def test_surplus_prototypes_are_dropped_and_reported() -> None:
    model, data = tiny_model(prototypes_per_class=3), input_set([0, 0, 0, 1, 1])
    projection = project(model, data, CPU)
    assert projection.dropped == (0, 1)
    assert model.prototype_class.tolist() == [0, 0, 0, 1, 1]
    assert model.prototypes.shape == (5, 8)
    assert model.last_layer.tolist() == [[1.0, 1.0, 1.0, -0.5, -0.5], [-0.5, -0.5, -0.5, 1.0, 1.0]]
    assert len(projection.sources) == 5


def test_assignment_has_the_lowest_total_distance() -> None:
    # Each prototype's own favourite is image 0: giving it to the first one costs 1 + 10, to the second 2 + 1.5.
    distances = np.array([[1.0, 2.0], [1.5, 10.0], [9.0, 9.0]])
    assert assign(distances, np.array([0, 0, 0]), np.array([0, 0])) == {0: 1, 1: 0}


def test_assignment_treats_classes_apart() -> None:
    distances = np.array([[5.0], [1.0], [0.5]])
    assert assign(distances, np.array([0, 0, 1]), np.array([0, 1])) == {0: 1, 1: 2}


def test_search_looks_at_the_prototypes_of_the_own_class_in_whatever_order_they_come() -> None:
    # One channel, cells 0 and 4; class 0 owns prototypes 1 and 2, class 1 owns prototype 0; image 2 may give nothing.
    images = torch.tensor([[0.0, 4.0]] * 3).view(3, 1, 1, 2)
    candidates = torch.tensor([[True, True], [True, False], [False, False]]).view(3, 1, 2)
    owners, prototypes = torch.tensor([1, 0, 0]), torch.tensor([[3.0], [1.0], [5.0]])
    found = nearest_patches(images, prototypes, candidates, torch.tensor([0, 1, 0]), owners)
    assert found.slot.tolist() == [0, 0, 1]
    assert found.distances.tolist() == [[1.0, 1.0], [9.0, np.inf], [np.inf, np.inf]]
    assert found.cells[0].tolist() == [0, 1]
    assert found.cells[1, 0] == 0
    assert found.vectors[0].tolist() == [[0.0], [4.0]]


def test_first_of_equal_cells_and_first_of_equal_images_win() -> None:
    found = nearest_patches(
        torch.ones(2, 3, 4, 4),
        torch.zeros(1, 3),
        torch.ones(2, 4, 4, dtype=torch.bool),
        torch.zeros(2).long(),
        torch.zeros(1).long(),
    )
    assert found.cells.tolist() == [[0], [0]]
    assert assign(found.distances.double().numpy(), np.array([0, 0]), np.array([0])) == {0: 0}


def test_leaving_the_source_out_lowers_the_similarity_to_its_own_image_alone() -> None:
    model, data = tiny_model(prototypes_per_class=3), input_set(LABELS)
    sources = project(model, data, CPU).sources
    plain, fair = similarities(model, data, CPU), similarities(model, data, CPU, sources)
    own = torch.zeros_like(plain.images, dtype=torch.bool)
    for p, source in enumerate(sources):
        own[source.image, p] = True
        row, column = divmod(int(fair.cells[source.image, p]), 8)
        assert max(abs(row - source.row), abs(column - source.column)) > NEIGHBOURHOOD
    assert (fair.images[own] < plain.images[own]).all()
    assert torch.equal(fair.images[~own], plain.images[~own])


def test_image_with_nothing_but_the_source_patch_says_nothing_of_its_prototype() -> None:
    model, data = tiny_model(prototypes_per_class=1), input_set([0, 1])
    breast = torch.zeros_like(data.breast)
    breast[:, 22:30, 22:30] = 1
    small = replace(data, breast=breast, lesion=torch.zeros_like(breast))
    sources = project(model, small, CPU).sources
    fair = similarities(model, small, CPU, sources)
    assert [float(fair.images[source.image, p]) for p, source in enumerate(sources)] == [0.0, 0.0]


def test_similarities_of_a_set_are_those_of_the_network() -> None:
    model, data = tiny_model().eval(), input_set(LABELS * 3)
    with torch.no_grad():
        output = model(data.images, allowed=breast_cells(data.breast, model.backbone.receptive_field(64, 64)))
    found = similarities(model, data, CPU)
    assert torch.allclose(found.images, output.similarities, atol=1e-4)
    assert torch.equal(found.cells, output.cells)


def test_start_puts_prototypes_on_cells_of_their_class_and_replays_from_its_seed() -> None:
    model, data = tiny_model(prototypes_per_class=3), input_set(LABELS)
    start_prototypes(model, data, 1, CPU)
    first = model.prototypes.detach().clone()
    cells = cells_of(data.breast, data.lesion, model.backbone.receptive_field(64, 64))
    vectors = latent(model, data).flatten(2)
    for p, vector in enumerate(first):
        label = int(model.prototype_class[p])
        allowed = (cells.lesion if label == 1 else cells.allowed).flatten(1)
        same = (vectors == vector.view(1, -1, 1)).all(dim=1) & allowed & (data.labels == label).unsqueeze(1)
        assert same.any()
    assert len(torch.unique(first, dim=0)) == 6
    start_prototypes(model, data, 1, CPU)
    assert torch.equal(model.prototypes.detach(), first)
    start_prototypes(model, data, 2, CPU)
    assert not torch.equal(model.prototypes.detach(), first)
