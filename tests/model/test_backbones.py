"""Backbones on grey images: the fold changes no value, and a latent cell looks where its address says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import vgg16

from medproto.errors import ConfigError
from medproto.model.backbones import Backbone, build_backbone
from medproto.model.protopnet import ModelSettings, build_model
from medproto.model.receptive_field import Window, receptive_field
from tests.factories import write_weights


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    """EfficientNet-Lite0 with its ImageNet weights, cut at stride 16, its shift measured."""
    return build_backbone("efficientnet_lite0", 16, "imagenet").eval()


def grey_image(rows: int = 64, columns: int = 96) -> Tensor:
    """Noise in [0, 1], shape (2, 1, rows, columns)."""
    return torch.rand(2, 1, rows, columns, generator=torch.Generator().manual_seed(1))


def spread_statistics(network: nn.Module) -> None:
    """BatchNorm statistics and weights that are not the identity, by a fixed seed."""
    generator = torch.Generator().manual_seed(2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)


@pytest.mark.parametrize("stride, depth", [(8, 3), (16, 5), (32, 7)])
def test_one_channel_efficientnet_equals_the_three_channel_network(tmp_path: Path, stride: int, depth: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    spread_statistics(network)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    folded = build_backbone("efficientnet_lite0", stride, str(tmp_path / "weights.pt"), measured=False).eval()
    image = grey_image()
    colours = ((image * 255 - 127) / 128).expand(-1, 3, -1, -1)
    with torch.no_grad():
        wanted = network.blocks[:depth](network.bn1(network.conv_stem(colours)))
        got = folded(image)
    assert got.shape[1] == folded.channels
    assert torch.allclose(got, wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max()))


def test_one_channel_vgg_equals_the_three_channel_network(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = vgg16(weights=None, init_weights=False).features.eval()
    torch.save({f"features.{name}": value for name, value in network.state_dict().items()}, tmp_path / "weights.pt")
    folded = build_backbone("vgg16", 16, str(tmp_path / "weights.pt")).eval()
    image = grey_image()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    with torch.no_grad():
        wanted = network[:24]((image.expand(-1, 3, -1, -1) - mean) / std)
        got = folded(image)
    assert got.shape[1] == folded.channels == 512
    # The border counts too: zero padding means zero after normalisation, as in the original.
    assert torch.allclose(got, wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max()))


def test_receptive_field_of_efficientnet_by_arithmetic() -> None:
    backbone = build_backbone("efficientnet_lite0", 16, "none", measured=False)
    field = backbone.receptive_field(384, 224)
    assert (field.rows.start_px, field.rows.jump_px, field.rows.size_px, field.rows.cells) == (15.5, 16, 339, 24)
    assert (field.columns.start_px, field.columns.cells) == (15.5, 14)


@pytest.mark.parametrize("stride, start", [(8, 4.0), (16, 8.0), (32, 16.0)])
def test_receptive_field_of_vgg_is_centred_on_its_cell(stride: int, start: float) -> None:
    backbone = build_backbone("vgg16", stride, "none")
    for axis, length in zip(
        (backbone.receptive_field(64, 96).rows, backbone.receptive_field(64, 96).columns), (64, 96), strict=True
    ):
        assert (axis.start_px, axis.jump_px, axis.cells) == (start, stride, length // stride)
    assert backbone.shift_px.tolist() == [0.0, 0.0]


def test_cell_counts_are_those_of_the_latent_map() -> None:
    for name, stride in (("tiny", 8), ("tiny", 32), ("efficientnet_lite0", 16)):
        backbone = build_backbone(name, stride, "none", measured=False).eval()
        with torch.no_grad():
            latent = backbone(torch.rand(1, 1, 96, 64))
        field = backbone.receptive_field(96, 64)
        assert tuple(latent.shape[2:]) == (field.rows.cells, field.columns.cells)


def test_same_padding_moves_the_centre_with_the_input_size() -> None:
    step = [Window(3, 2, None)]
    assert receptive_field(step, 8, 9).rows.start_px == 1.5
    assert receptive_field(step, 8, 9).columns.start_px == 0.5


def test_measured_shift_of_efficientnet_points_up_and_left(lite0: Backbone) -> None:
    rows, columns = lite0.shift_px.tolist()
    assert rows == columns
    assert -8 <= rows <= -4


@pytest.mark.parametrize("size", [(256, 256), (384, 224), (512, 320)])
def test_bright_square_moves_the_features_at_the_claimed_centre(lite0: Backbone, size: tuple[int, int]) -> None:
    field = lite0.receptive_field(*size)
    cell = field.rows.cells // 2 + 1, field.columns.cells // 2 - 1
    top, left = (round(axis.centre_px(i) - 4.5) for axis, i in zip((field.rows, field.columns), cell, strict=True))
    plain = torch.full((1, 1, *size), 0.5)
    marked = plain.clone()
    marked[..., top : top + 9, left : left + 9] = 1
    with torch.no_grad():
        change = (lite0(marked) - lite0(plain)).double().square().sum(dim=1)[0]
    rows = torch.tensor([field.rows.centre_px(i) for i in range(field.rows.cells)], dtype=torch.double)
    columns = torch.tensor([field.columns.centre_px(i) for i in range(field.columns.cells)], dtype=torch.double)
    centroid = (
        float((change.sum(dim=1) * rows).sum() / change.sum()),
        float((change.sum(dim=0) * columns).sum() / change.sum()),
    )
    # Half a cell is 8 px; without the measured shift the response lies 6 px off, which a quarter of a cell tells.
    assert centroid == pytest.approx((top + 4.5, left + 4.5), abs=4)
    assert divmod(int(change.argmax()), field.columns.cells) == cell


def test_weights_of_a_file_are_taken(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "tiny.pt")
    settings = ModelSettings(backbone="tiny", stride=8, weights=str(path), latent_channels=4)
    first, second = build_model(settings, seed=1), build_model(settings, seed=2)
    for (name, a), (_, b) in zip(
        first.backbone.state_dict().items(), second.backbone.state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name
    assert not torch.equal(first.prototypes, second.prototypes)


@pytest.mark.parametrize(
    "name, stride, weights, message",
    [
        ("resnet", 16, "none", "backbone: got 'resnet', expected one of convnext_tiny, densenet121, eff"),
        ("tiny", 4, "none", "stride: got 4, expected one of 8, 16, 32"),
        ("tiny", 8, "imagenet", "got 'imagenet' for backbone 'tiny', expected 'none' or a file"),
        (
            "efficientnet_lite0",
            16,
            "nowhere.pt",
            "weights: got 'nowhere.pt', expected 'imagenet', 'none' or an existing",
        ),
    ],
)
def test_unusable_choice_is_named_with_what_is_allowed(name: str, stride: int, weights: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_backbone(name, stride, weights)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "tiny.pt")
    with pytest.raises(ConfigError, match=r"weights: got \d+ tensors, expected 296 for EfficientNet-Lite0"):
        build_backbone("efficientnet_lite0", 16, str(path))
    torch.save({"layers": torch.zeros(3)}, tmp_path / "other.pt")
    for name in ("tiny", "vgg16"):
        with pytest.raises(ConfigError, match=f"'other.pt' does not fit backbone '{name}' at stride 8"):
            build_backbone(name, 8, str(tmp_path / "other.pt"))


def test_file_that_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.pt").write_text("not weights")
    with pytest.raises(ConfigError, match=r"weights: cannot read 'notes\.pt', expected a state dict of tensors"):
        build_backbone("tiny", 8, str(tmp_path / "notes.pt"))


@pytest.mark.parametrize("name", ["convnext_tiny", "densenet121", "efficientnet_lite0", "resnet18", "vgg16"])
def test_backbone_in_two_parts_is_the_whole_backbone(name: str) -> None:
    backbone = build_backbone(name, 16, "none", measured=False).eval()
    count = backbone.layers_to(8)
    with torch.no_grad():
        half = backbone.first(grey_image(), count)
        assert half.shape[2:] == (8, 12)
        assert torch.equal(backbone.rest(half, count), backbone(grey_image()))
    moved = sum(weight.numel() for weight in backbone.parameters_after(count))
    assert 0 < moved < sum(weight.numel() for weight in backbone.parameters())
