"""Projection against the plain loop over batches and prototypes, and against a bare forward pass.

The plain way finds every winner's box in its resized map, and draws whenever a winner changes. Ours knows the place of
each cell, and cuts the patches at the end, from the original files.
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.networks import CHANNELS, PLAIN_BATCH, SETTINGS, SIDE_PX, bare_pass, both_networks, phantoms
from benchmarks.pairs import compare
from benchmarks.published.drawing import activated_box, draw
from benchmarks.published.network import PlainProtoPNet, heatmap, similarity
from benchmarks.published.network import project as plain_project
from medproto.model.protopnet import ProtoPNet
from medproto.training.projection import Projection, nearest_patches, project
from medproto.training.sources import cut_prototypes

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
    batches = list(zip(latent.split(PLAIN_BATCH), labels.split(PLAIN_BATCH), strict=True))

    def ours() -> None:
        parts = zip(latent.split(PLAIN_BATCH), everywhere.split(PLAIN_BATCH), labels.split(PLAIN_BATCH), strict=True)
        kept = [nearest_patches(part, vectors, mask, own, owners) for part, mask, own in parts]
        torch.cat([part.distances for part in kept])

    def plain() -> None:
        network.prototype_vectors.data.copy_(vectors.view_as(network.prototype_vectors))
        plain_project(network, batches)

    compare(f"projection search, N {images}, {classes} classes of {per_class}", ours, plain, goal)


def whole(folder: Path) -> None:
    """All of the projection of 64 phantoms: with pictures, without them, and against the network's own pass."""
    cohort = phantoms(folder, 16)
    data, batches = cohort.data, cohort.batches()
    start, network = both_networks()

    def ours() -> tuple[ProtoPNet, Projection]:
        model = copy.deepcopy(start)
        return model, project(model, data, CPU)

    def ours_drawn() -> None:
        model, projection = ours()
        _, drawn = cut_prototypes(model, projection, data, cohort.manifest, SETTINGS)
        for name, content in drawn.items():
            (folder / f"{name}.png").write_bytes(content)

    def plain() -> None:
        plain_project(copy.deepcopy(network), batches, find_box)

    def plain_drawn() -> None:
        plain_project(copy.deepcopy(network), batches, draw_winner)

    def find_box(_: int, picture: Tensor, distances: NDArray[np.float32]) -> None:
        activated_box(heatmap(_activation(distances), *picture.shape[1:]))

    def draw_winner(prototype: int, picture: Tensor, distances: NDArray[np.float32]) -> None:
        draw(folder, f"prototype-{prototype}", picture.permute(1, 2, 0).numpy(), _activation(distances))

    name = f"resnet18, {len(data)} of {SIDE_PX} x {SIDE_PX}, P {len(start.prototypes)}"
    compare(f"projection, {name}", ours, plain, 0.5)
    compare("  with pictures", ours_drawn, plain_drawn, 0.25)
    compare("  without pictures, against a bare forward pass", ours, lambda: bare_pass(start, data.images), 1.1)


def _activation(distances: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(similarity(torch.from_numpy(distances).double()))


def main() -> None:
    """Run on two threads."""
    torch.set_num_threads(2)
    search(600, 200, 10, 0.03)
    search(600, 2, 10, None)
    with tempfile.TemporaryDirectory() as folder:
        whole(Path(folder))


if __name__ == "__main__":
    main()
