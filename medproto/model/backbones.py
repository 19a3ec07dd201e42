"""Backbones by name, cut at stride 8, 16 or 32."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from medproto.errors import ConfigError
from medproto.model import families, torchvision_families
from medproto.model.backbone import Backbone
from medproto.model.weights import Weights

__all__ = ["BACKBONES", "STRIDES", "Backbone", "Weights", "build_backbone"]

#: Stages after which each backbone can be cut, by stride.
STRIDES = (8, 16, 32)

BACKBONES: dict[str, Callable[[int, Weights], Backbone]] = {
    "convnext_tiny": partial(torchvision_families.convnext, "convnext_tiny"),
    "densenet121": partial(torchvision_families.densenet, "densenet121"),
    "efficientnet_lite0": families.efficientnet_lite0,
    "resnet18": partial(torchvision_families.resnet, "resnet18"),
    "resnet34": partial(torchvision_families.resnet, "resnet34"),
    "resnet50": partial(torchvision_families.resnet, "resnet50"),
    "tiny": families.tiny,
    "vgg16": partial(torchvision_families.vgg, "vgg16"),
    "vgg19": partial(torchvision_families.vgg, "vgg19"),
}


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
