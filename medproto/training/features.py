"""Features of a frozen backbone, computed once and shared by all that ask while its weights stay as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from medproto.model.backbones import Backbone
from medproto.model.batch_norms import fold_batch_norms
from medproto.model.protopnet import ProtoPNet
from medproto.training.inputs import InputSet, Progress

#: Images that go through the backbone at once, wherever gradients are not needed.
BATCH = 16


class FrozenFeatures:
    """Keeps the features of one set of images on a device; asked again with the same backbone, it computes nothing.

    What is kept belongs to the digest of the backbone's weights and to the very memory of the images: after a step that
    moved the backbone, or for other images, it is computed anew. It takes as much memory as the features do.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._images: Tensor | None = None
        self._weights = ""
        self._batches: list[Tensor] = []

    def batches(self, backbone: Backbone, images: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Places and features (V, B, H, W) of sixteen images (V, 1, Y, X) at a time, in order, without gradients."""
        weights = _digest(backbone)
        if self._images is not None and _same(self._images, images) and self._weights == weights:
            yield from zip(_places(len(images)), self._batches, strict=True)
            return
        self.forget()
        batches = []
        for places, features in feature_batches(backbone, images, self.device):
            batches.append(features)
            yield places, features
        self._images, self._weights, self._batches = images, weights, batches

    def forget(self) -> None:
        """Give the memory back."""
        self._images, self._weights, self._batches = None, "", []


#: Where images are encoded: on a device each time anew, or on the device of features that are kept.
Place = torch.device | FrozenFeatures


def feature_batches(backbone: Backbone, images: Tensor, place: Place) -> Iterator[tuple[slice, Tensor]]:
    """As `FrozenFeatures.batches`; nothing is kept where the place is a mere device.

    They come from a copy without BatchNorm and agree with the backbone's own to rounding. A prototype taken from them
    meets its patch at log 1e4 in the backbone itself too: the squared distance feels that rounding squared.
    """
    if isinstance(place, FrozenFeatures):
        yield from place.batches(backbone, images)
        return
    folded = fold_batch_norms(backbone)
    for places in _places(len(images)):
        yield places, backbone_features(folded, images[places], place)


def encode_all(
    model: ProtoPNet, data: InputSet, device: Place, progress: Progress | None = None
) -> Iterator[tuple[slice, Tensor]]:
    """Latent maps of all images in batches, in order, without gradients: (places, latent map on the device).

    Args:
        device: where to compute, or the frozen features kept there, which are computed if they are not known yet.
    """
    model.eval()
    for places, features in feature_batches(model.backbone, data.images, device):
        with torch.no_grad():
            latent = model.latent(features)
        yield places, latent
        if progress:
            progress(places.stop, len(data))


def backbone_features(backbone: Backbone, images: Tensor, device: torch.device) -> Tensor:
    """Features (V, B, H, W) on the device, without gradients; BatchNorm keeps its statistics."""
    backbone.eval()
    with torch.no_grad():
        features: Tensor = backbone(_laid_out(images, device))
    return features


def first_layers(backbone: Backbone, images: Tensor, count: int, device: torch.device) -> Tensor:
    """What the first `count` layers of a backbone make of images, as `backbone_features` does of all layers."""
    backbone.eval()
    with torch.no_grad():
        return backbone.first(_laid_out(images, device), count)


def _laid_out(images: Tensor, device: torch.device) -> Tensor:
    return images.to(device).contiguous(memory_format=torch.channels_last)


def _places(count: int) -> list[slice]:
    """Sixteen places at a time; of no images one empty batch, which still says what shape features have."""
    return [slice(start, min(start + BATCH, count)) for start in range(0, max(count, 1), BATCH)]


def _same(kept: Tensor, images: Tensor) -> bool:
    """Whether both are one piece of memory, such as a process's share of a set; what is kept cannot have been freed."""
    return kept.data_ptr() == images.data_ptr() and kept.shape == images.shape and kept.stride() == images.stride()


def _digest(backbone: Backbone) -> str:
    """SHA-256 over all weights and statistics."""
    digest = hashlib.sha256()
    for value in backbone.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
