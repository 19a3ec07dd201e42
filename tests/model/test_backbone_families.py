"""Every backbone on offer: the fold changes no value, maps have the promised size, and cells look where they claim."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.convnext import CNBlock

from medproto.model.backbones import BACKBONES, STRIDES, Backbone, build_backbone
from medproto.model.protopnet import ModelSettings

#: Side of a bright square, and where its middle is moved to from that of the image, along both axes.
SQUARE_PX, MOVES_PX = 16, (-16, -8, 0, 8, 16)
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
CHANNELS = {
    "convnext_tiny": (192, 384, 768),
    "densenet121": (512, 1024, 1024),
    "efficientnet_lite0": (40, 112, 320),
    "resnet18": (128, 256, 512),
    "resnet34": (128, 256, 512),
    "resnet50": (512, 1024, 2048),
    "tiny": (32, 32, 32),
    "vgg16": (256, 512, 512),
    "vgg19": (256, 512, 512),
}


def spread(network: nn.Module) -> nn.Module:
    """The network in evaluation mode, by a fixed seed: neither statistics nor layer scales are those of a fresh one."""
    generator = torch.Generator().manual_seed(2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
        if isinstance(module, CNBlock):
            module.layer_scale.data.uniform_(0.1, 0.5, generator=generator)
    return network.eval()


def original(name: str) -> Any:
    """torchvision's network of that name, random by a fixed seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return spread(get_model(name, weights=None))


def middle_features(network: Any, colours: Tensor) -> Tensor:
    """What torchvision's own layers give at stride 16, stated once more, apart from the adaptors."""
    if hasattr(network, "layer3"):
        stem = network.maxpool(network.relu(network.bn1(network.conv1(colours))))
        features: Tensor = network.layer3(network.layer2(network.layer1(stem)))
    elif hasattr(network.features, "transition3"):
        for part, layer in network.features.named_children():
            if part == "transition3":
                return torch.relu(layer.norm(colours))
            colours = layer(colours)
        raise AssertionError("no third transition")
    else:
        # ConvNeXt: the stem, two stages with their reductions, the third stage.
        features = network.features[:6](colours)
    return features


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "densenet121", "convnext_tiny"])
def test_grey_image_gives_what_three_equal_colours_give(tmp_path: Path, name: str) -> None:
    network = original(name)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    folded = build_backbone(name, 16, str(tmp_path / "weights.pt")).eval()
    image = torch.rand(2, 1, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = middle_features(network, (image.expand(-1, 3, -1, -1) - MEAN) / STD)
        got = folded(image)
    # The border counts too: zero padding means zero after normalisation, as in the original.
    assert got.shape == wanted.shape
    assert float((got - wanted).abs().max()) <= 1e-5 * max(1.0, float(wanted.abs().max()))


def test_final_map_of_densenet_is_that_of_its_classifier(tmp_path: Path) -> None:
    network = original("densenet121")
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    image = torch.rand(1, 1, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = torch.relu(network.features((image.expand(-1, 3, -1, -1) - MEAN) / STD))
        got = build_backbone("densenet121", 32, str(tmp_path / "weights.pt")).eval()(image)
    assert torch.allclose(got, wanted, rtol=1e-4, atol=1e-5 * float(wanted.max()))


def test_published_spelling_of_densenet_weights_is_understood(tmp_path: Path) -> None:
    network = original("densenet121")
    old = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): v for name, v in network.state_dict().items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "weights.pt")
    folded: Any = build_backbone("densenet121", 8, str(tmp_path / "weights.pt"))
    for name in ("norm1", "conv2"):
        kept, wanted = folded.layers[4].denselayer1, network.features.denseblock1.denselayer1
        assert torch.equal(getattr(kept, name).weight, getattr(wanted, name).weight)


def test_weights_trained_for_other_classes_are_taken(tmp_path: Path) -> None:
    network = get_model("resnet18", weights=None, num_classes=2)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    folded: Any = build_backbone("resnet18", 8, str(tmp_path / "weights.pt"))
    assert torch.equal(folded.layers[5][0].conv1.weight, network.layer2[0].conv1.weight)


def test_every_backbone_can_be_set() -> None:
    assert set(get_args(ModelSettings.model_fields["backbone"].annotation)) == set(BACKBONES) == set(CHANNELS)


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_map_has_the_promised_size_and_channels(name: str, stride: int) -> None:
    backbone = build_backbone(name, stride, "none", measured=False).eval()
    with torch.no_grad():
        latent = backbone(torch.rand(1, 1, 96, 64))
    field = backbone.receptive_field(96, 64)
    assert tuple(latent.shape) == (1, CHANNELS[name][STRIDES.index(stride)], 96 // stride, 64 // stride)
    assert (field.rows.cells, field.columns.cells) == tuple(latent.shape[2:])
    assert field.rows.jump_px == field.columns.jump_px == stride
    assert backbone.channels == latent.shape[1]


@pytest.mark.parametrize(
    "name, stride, start, size",
    [  # by hand from the papers' tables
        ("resnet18", 8, 0.5, 99),
        ("resnet18", 32, 0.5, 435),
        ("resnet50", 32, 0.5, 427),
        ("densenet121", 16, 6.5, 1031),
        ("densenet121", 32, 14.5, 2071),
        ("convnext_tiny", 32, 16.0, 1688),
    ],
)
def test_receptive_field_by_hand(name: str, stride: int, start: float, size: int) -> None:
    axis = build_backbone(name, stride, "none").receptive_field(320, 256).rows
    assert (axis.start_px, axis.jump_px, axis.size_px) == (start, stride, size)


def averaging(name: str, stride: int) -> Backbone:
    """The backbone with positive weights and neutral norms, so that only its geometry decides where a cell looks."""
    backbone = build_backbone(name, stride, "none", measured=False).eval()
    generator = torch.Generator().manual_seed(3)
    for parent in list(backbone.modules()):
        for child_name, child in parent.named_children():
            if isinstance(child, nn.LayerNorm):
                setattr(parent, child_name, nn.Identity())
        if isinstance(parent, nn.Conv2d | nn.Linear):
            weight = parent.weight.data.uniform_(0.5, 1.5, generator=generator)
            # Sums of a half keep every value between ReLU6's bounds.
            parent.weight.data = 0.5 * weight / weight.sum(dim=tuple(range(1, weight.ndim)), keepdim=True)
        if isinstance(parent, CNBlock):
            parent.layer_scale.data.fill_(0.5)
    return backbone


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_a_cell_looks_where_its_address_says(name: str) -> None:
    backbone = averaging(name, 16)
    for size in ((224, 224), (256, 192), (192, 288)):
        field = backbone.receptive_field(*size)
        cell = field.rows.cells // 2, field.columns.cells // 2
        noise = 0.6 + 0.4 * torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(4))
        latent = backbone(noise.requires_grad_(True))
        (gradient,) = torch.autograd.grad(latent[0, :, cell[0], cell[1]].sum(), noise)
        seen = gradient[0, 0].double().abs()
        for axis, index, other in ((field.rows, cell[0], 1), (field.columns, cell[1], 0)):
            weight = seen.sum(dim=other)
            places = torch.arange(len(weight), dtype=torch.double) + 0.5
            centroid = float((weight * places).sum() / weight.sum())
            assert centroid == pytest.approx(axis.centre_px(index), abs=8), (size, weight.sum())


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_a_moved_bright_square_is_found_where_the_cells_it_changes_claim_to_look(name: str) -> None:
    backbone = averaging(name, 16)
    for size in ((160, 128), (128, 160), (160, 160)):
        field = backbone.receptive_field(*size)
        corners = [tuple(length // 2 + moved - SQUARE_PX // 2 for length in size) for moved in MOVES_PX]
        images = torch.full((1 + len(corners), 1, *size), 0.6)
        for image, (top, left) in zip(images[1:, 0], corners, strict=True):
            image[top : top + SQUARE_PX, left : left + SQUARE_PX] = 1
        with torch.no_grad():
            plain, *marked = backbone(images).double().unbind()
        for latent, corner in zip(marked, corners, strict=True):
            change = (latent - plain).square().sum(dim=0)
            for axis, start, other in ((field.rows, corner[0], 1), (field.columns, corner[1], 0)):
                weight = change.sum(dim=other)
                centres = torch.tensor([axis.centre_px(cell) for cell in range(axis.cells)], dtype=torch.double)
                found = float((weight * centres).sum() / weight.sum())
                # Half a cell is 8 px.
                assert found == pytest.approx(start + SQUARE_PX / 2, abs=2), size
