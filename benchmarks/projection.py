"""Projection against the plain loop over batches and prototypes, and against a bare forward pass."""

from __future__ import annotations

import copy

import torch
from torch import nn

from benchmarks.pairs import compare
from benchmarks.published.network import PlainProtoPNet
from benchmarks.published.network import project as plain_project
from medproto.datasets.manifest import ManifestRow
from medproto.model.backbones import build_backbone
from medproto.model.protopnet import ProtoPNet
from medproto.records import Box
from medproto.training.features import feature_batches
from medproto.training.inputs import InputSet, SourceImage
from medproto.training.projection import nearest_patches, project
from medproto.transforms import Geometry

CHANNELS, BATCH, SIDE_PX = 128, 64, 224
CPU = torch.device("cpu")


def search(images: int, classes: int, per_class: int, goal: float | None) -> None:
    """The search alone, on latent maps of 7 x 7 that are there already."""
    generator = torch.Generator().manual_seed(0)
    latent = torch.rand(images, CHANNELS, 7, 7, generator=generator)
    vectors = torch.rand(classes * per_class, CHANNELS, generator=generator)
    labels, owners = torch.arange(images) % classes, torch.arange(classes).repeat_interleave(per_class)
    everywhere = torch.ones(images, 7, 7, dtype=torch.bool)
    network = PlainProtoPNet(nn.Identity(), (CHANNELS, CHANNELS), (len(vectors), classes))
    network.add_on = nn.Sequential()
    batches = list(zip(latent.split(BATCH), labels.split(BATCH), strict=True))

    def ours() -> None:
        parts = zip(latent.split(BATCH), everywhere.split(BATCH), labels.split(BATCH), strict=True)
        kept = [nearest_patches(part, vectors, mask, own, owners) for part, mask, own in parts]
        torch.cat([part.distances for part in kept])

    def plain() -> None:
        network.prototype_vectors.data.copy_(vectors.view_as(network.prototype_vectors))
        plain_project(network, batches)

    compare(f"projection search, N {images}, {classes} classes of {per_class}", ours, plain, goal)


def whole(backbone: str, images: int, per_class: int) -> None:
    """All of the projection, without pictures, with the same backbone on both sides."""
    data = _images(images)
    owners = torch.arange(2).repeat_interleave(per_class)
    model = ProtoPNet(build_backbone(backbone, 32, "none"), CHANNELS, owners, 2).eval()
    network = PlainProtoPNet(copy.deepcopy(model.backbone), (model.backbone.channels, CHANNELS), (len(owners), 2))
    network.eval()
    batches = list(zip(data.images.split(BATCH), data.labels.split(BATCH), strict=True))

    def bare() -> None:
        for _, features in feature_batches(model.backbone, data.images, CPU):
            with torch.no_grad():
                model.latent(features)

    name = f"{backbone}, {images} of {SIDE_PX} x {SIDE_PX}, P {len(owners)}"
    compare(f"projection, {name}", lambda: project(model, data, CPU), lambda: plain_project(network, batches), 0.5)
    compare("  against a bare forward pass", lambda: project(model, data, CPU), bare, 1.1)


def _images(count: int) -> InputSet:
    values = torch.rand(count, 1, SIDE_PX, SIDE_PX, generator=torch.Generator().manual_seed(0))
    planes = torch.ones(count, SIDE_PX, SIDE_PX, dtype=torch.uint8)
    box = Box(top=0, left=0, bottom=SIDE_PX, right=SIDE_PX)
    sources = []
    for i in range(count):
        row = ManifestRow(path=f"{i}.dcm", patient=f"p{i}", exam=f"e{i}", image=f"i{i}", label=str(i % 2))
        sources.append(SourceImage(row, f"{i:064x}", Geometry(), True, box))
    each = torch.arange(count)
    return InputSet(values, planes, torch.zeros_like(planes), each % 2, each, tuple(sources), ())


def main() -> None:
    """Run on two threads."""
    torch.set_num_threads(2)
    search(600, 200, 10, 0.03)
    search(600, 2, 10, None)
    whole("resnet18", 64, 10)


if __name__ == "__main__":
    main()
