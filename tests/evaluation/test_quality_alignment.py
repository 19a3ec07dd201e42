"""Changes outside and inside a patch: to a network that sees nothing but the patch, and to one that sees more."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medproto.evaluation.quality_alignment import LIMIT, Peaks, inside_boxes, misalignment, weakened
from medproto.evaluation.quality_coherence import patch_boxes
from medproto.model.backbone import Backbone
from medproto.model.protopnet import ProtoPNet
from medproto.model.receptive_field import Window
from medproto.training.inputs import InputSet
from tests.factories import input_set, tiny_model


@pytest.fixture(scope="module")
def data() -> InputSet:
    """Three images."""
    return input_set([1, 0, 1])


def patchwise() -> ProtoPNet:
    """A network whose cells see their 8 x 8 patch and nothing else."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = Backbone(nn.Sequential(nn.Conv2d(1, 4, 8, 8)), 4, (0.0, 1.0), {}, [Window(8, 8, 0)])
        model = ProtoPNet(backbone, 4, torch.tensor([0, 1]), 2)
        # As they start, weights are so small that nothing moves the similarity.
        for layer in model.add_on:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=1.0)
        return model


def peaks(model: ProtoPNet, data: InputSet) -> Peaks:
    """Where the second prototype finds its best patch in each image."""
    field = model.backbone.receptive_field(64, 64)
    maps = model.eval().similarity_maps(model.encode(data.images))[:, 1]
    cell = maps.flatten(1).argmax(dim=1)
    boxes = torch.from_numpy(patch_boxes(cell.numpy(), field, (64, 64)))
    return Peaks(torch.ones_like(cell), cell, boxes, torch.ones(maps.shape, dtype=torch.bool))


def test_a_network_that_sees_the_patch_alone_is_aligned(data: InputSet) -> None:
    model = patchwise()
    found = misalignment(model, data, peaks(model, data))
    assert found.images == 3
    assert found.drop_by_outside is not None
    assert found.drop_by_outside.value == pytest.approx(0.0, abs=1e-6)
    assert found.drop_by_inside is not None
    assert found.drop_by_inside.low > 1e-3


def test_a_network_that_sees_more_than_the_patch_is_found_out(data: InputSet) -> None:
    model = tiny_model()
    found = misalignment(model, data, peaks(model, data))
    assert found.drop_by_outside is not None
    assert found.drop_by_outside.value > 1e-3
    # three images of three patients do not agree to the last digit
    assert found.drop_by_outside.low < found.drop_by_outside.value < found.drop_by_outside.high


def test_the_change_keeps_to_the_mask_and_to_its_limit(data: InputSet) -> None:
    model = tiny_model()
    where = torch.zeros(3, 1, 64, 64, dtype=torch.bool)
    where[:, :, 20:30, 5:15] = True
    changed = weakened(model, data.images, peaks(model, data), where)
    apart = (changed - data.images).abs()
    assert float(apart[~where].max()) == 0.0
    assert 0.5 * LIMIT < float(apart.max()) <= LIMIT + 1e-6


def test_a_box_is_the_pixels_between_its_edges() -> None:
    mask = inside_boxes(torch.tensor([[1, 2, 3, 5]]), (4, 6))
    assert mask.shape == (1, 1, 4, 6)
    assert mask[0, 0].nonzero().tolist() == [[1, 2], [1, 3], [1, 4], [2, 2], [2, 3], [2, 4]]
