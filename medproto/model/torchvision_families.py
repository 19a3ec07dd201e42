"""Backbones of torchvision, one adaptor a family: VGG, ResNet, DenseNet and ConvNeXt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from medproto.errors import ConfigError
from medproto.model.backbone import Backbone
from medproto.model.receptive_field import Window, windows
from medproto.model.weights import Weights

#: torchvision's normalisation of colour images in [0, 1], the same for all its ImageNet weights.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
#: Names of the classifying layers, which a backbone leaves out: their size follows the classes, not the features.
_HEADS = ("fc", "classifier")
#: Published DenseNet files say `denselayer1.norm.1.weight` where the module is called `norm1`.
_OLD_DENSE_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)\.")


def vgg(name: str, stride: int, weights: Weights) -> Backbone:
    """VGG (Simonyan and Zisserman 2015), cut after the max pooling that reaches the stride."""
    network = _network(name, weights)
    pools = [i for i, layer in enumerate(network.features) if isinstance(layer, nn.MaxPool2d)]
    cuts = {cut: pools[which] + 1 for cut, which in ((8, 2), (16, 3), (32, 4))}
    layers = network.features[: cuts[stride]]
    layers[0] = _grey_and_one(layers[0])
    return Backbone(layers, 256 if stride == 8 else 512, None, cuts, windows(layers))


def resnet(name: str, stride: int, weights: Weights) -> Backbone:
    """ResNet (He et al. 2016), cut after the last residual block of the stride."""
    network = _network(name, weights)
    stem = [_grey_and_one(network.conv1), network.bn1, network.relu, network.maxpool]
    stages = [network.layer1, network.layer2, network.layer3, network.layer4][: {8: 2, 16: 3, 32: 4}[stride]]
    path = [window for layer in stem for window in windows(layer)]
    path += [window for stage in stages for block in stage for window in _residual_path(block)]
    last = stages[-1][-1]
    channels = last.bn3.num_features if hasattr(last, "bn3") else last.bn2.num_features
    return Backbone(nn.Sequential(*stem, *stages), channels, None, {8: 6, 16: 7}, path)


def densenet(name: str, stride: int, weights: Weights) -> Backbone:
    """DenseNet (Huang et al. 2017), cut after the dense block of the stride, its closing norm and its ReLU.

    The concatenated layers of a block differ in scale; the norm that opens the transition (after the last block: the
    final norm) brings them together. The transition's pooling would reach the next stride.
    """
    features = _network(name, weights).features
    features.conv0 = _grey_and_one(features.conv0)
    parts = list(features.children())
    block = {8: 6, 16: 8, 32: 10}[stride]
    norm = parts[block + 1] if stride == 32 else parts[block + 1].norm
    layers = nn.Sequential(*parts[: block + 1], norm, nn.ReLU(inplace=True))
    return Backbone(layers, norm.num_features, None, {8: 7, 16: 9}, windows(layers))


def convnext(name: str, stride: int, weights: Weights) -> Backbone:
    """ConvNeXt (Liu et al. 2022), cut after the last block of the stride."""
    cuts = {8: 4, 16: 6, 32: 8}
    layers = _network(name, weights).features[: cuts[stride]]
    stem = layers[0][0]
    scaled, shift = _grey(stem)
    # No padding, so the mean fits into the bias and one channel does.
    grey = nn.Conv2d(1, stem.out_channels, stem.kernel_size, stem.stride)
    grey.weight = nn.Parameter(scaled)
    grey.bias = nn.Parameter(stem.bias.detach() + shift.sum(dim=(1, 2, 3)))
    layers[0][0] = grey
    return Backbone(layers, layers[-1][-1].layer_scale.shape[0], (0.0, 1.0), cuts, windows(layers))


def _network(name: str, weights: Weights) -> Any:
    """The network of torchvision without its head, with these weights; RuntimeError where a file does not fit."""
    from torchvision.models import get_model

    if weights.source == "imagenet":
        try:
            return get_model(name, weights="IMAGENET1K_V1")
        except (OSError, RuntimeError) as err:  # no network, or a damaged download
            raise ConfigError(
                f"weights: cannot fetch 'imagenet' of backbone {name!r}, expected a network or the path of a file"
            ) from err
    network = get_model(name, weights=None)
    for head in _HEADS:
        if hasattr(network, head):
            setattr(network, head, nn.Identity())
    if weights.path is not None:
        heads = tuple(f"{head}." for head in _HEADS)
        values = {_OLD_DENSE_NAME.sub(r"\1\2.", k): v for k, v in weights.read().items() if not k.startswith(heads)}
        network.load_state_dict(values)
    return network


def _residual_path(block: nn.Module) -> Iterator[Window]:
    """Windows of a residual block's own convolutions; its shortcut, 1x1 of the same stride, keeps their centre."""
    for name, layer in block.named_children():
        if name != "downsample":
            yield from windows(layer)


def _grey(first: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weights for a grey value and for the one that carries the mean; each of shape (O, 1, K, K)."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _STD))
    scaled = first.weight.detach() / std
    return scaled.sum(dim=1, keepdim=True), -(scaled * mean).sum(dim=1, keepdim=True)


def _grey_and_one(first: Any) -> nn.Conv2d:
    """The first layer for channels [x, 1]: the second carries the mean, so that padding with zero means the mean."""
    grey = nn.Conv2d(2, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False)
    grey.weight = nn.Parameter(torch.cat(_grey(first), dim=1))
    grey.bias = first.bias
    return grey
