"""A backbone without BatchNorm: in evaluation it only scales and shifts, which the layer before it can do itself."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from medproto.model.backbone import Backbone

#: Any size on which all strides work will show which layer feeds which.
_TRIAL_PX = 64


def fold_batch_norms(backbone: Backbone) -> Backbone:
    """An equal copy for evaluation in which no BatchNorm is left.

    A norm fed by a convolution goes into its weights; one fed by something else (DenseNet's, after a concatenation)
    becomes a 1x1 convolution of each channel by itself. Values agree to rounding. Weights are laid out for images in
    channels_last, which is how they are read fastest.
    """
    folded = copy.deepcopy(backbone).eval()
    before = _convolutions_before(folded)
    replaced: dict[nn.Module, nn.Module] = {}
    for norm, convolution in before.items():
        if convolution is None:
            replaced[norm] = _with_activation(norm, _scaling(norm))
        else:
            replaced[convolution] = fuse_conv_bn_eval(convolution, norm)
            replaced[norm] = _with_activation(norm, nn.Identity())
    for parent in list(folded.modules()):
        for name, child in parent.named_children():
            if child in replaced:
                setattr(parent, name, replaced[child])
    folded.requires_grad_(False).to(memory_format=torch.channels_last)
    return folded


def _convolutions_before(backbone: Backbone) -> dict[nn.BatchNorm2d, nn.Conv2d | None]:
    """Per norm the convolution whose output it reads, found by one trial run; None where it reads something else."""
    outputs: list[tuple[Tensor, nn.Conv2d]] = []
    found: dict[nn.BatchNorm2d, nn.Conv2d | None] = {}

    def keep(layer: nn.Conv2d, _: tuple[Tensor], output: Tensor) -> None:
        outputs.append((output, layer))

    def look(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        found[norm] = next((layer for output, layer in outputs if output is inputs[0]), None)

    hooks = []
    for layer in backbone.modules():
        if isinstance(layer, nn.Conv2d):
            hooks.append(layer.register_forward_hook(keep))
        elif isinstance(layer, nn.BatchNorm2d):
            hooks.append(layer.register_forward_pre_hook(look))
    device = next(backbone.parameters()).device
    with torch.no_grad():
        backbone(torch.zeros(1, 1, _TRIAL_PX, _TRIAL_PX, device=device))
    for hook in hooks:
        hook.remove()
    return found


def _scaling(norm: nn.BatchNorm2d) -> nn.Conv2d:
    channels = norm.num_features
    plain = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
    plain.weight = nn.Parameter(torch.ones_like(norm.weight).view(-1, 1, 1, 1))
    return fuse_conv_bn_eval(plain.eval(), norm)


def _with_activation(norm: nn.BatchNorm2d, instead: nn.Module) -> nn.Module:
    """timm's norms apply their activation themselves; it stays."""
    activation = getattr(norm, "act", None)
    return instead if activation is None else nn.Sequential(instead, activation)
