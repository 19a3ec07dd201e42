"""Folding BatchNorm away changes no value."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medproto.model.backbones import build_backbone
from medproto.model.batch_norms import fold_batch_norms
from tests.model.test_backbone_families import spread


@pytest.mark.parametrize("name", ["densenet121", "efficientnet_lite0", "resnet18", "resnet50", "tiny", "vgg16"])
def test_backbone_without_batch_norms_gives_the_same_values(name: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = build_backbone(name, 16, "none", measured=False)
    spread(backbone)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    folded = fold_batch_norms(backbone)
    image = torch.rand(2, 1, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted, got = backbone(image), folded(image)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert float((got - wanted).abs().max()) <= 1e-5 * max(1.0, float(wanted.abs().max()))
    assert folded.receptive_field(96, 64) == backbone.receptive_field(96, 64)
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, before[key]), key
