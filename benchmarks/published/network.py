"""A prototype network in the plain way of 2019, written from the paper's description, with the defects it is known for.

Shapes: V images, P prototypes, C classes, D channels, H W latent cells. Prototype p belongs to class p // (P / C).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-4
#: How many classes the local analysis goes through, however many there are.
ANALYSED_CLASSES = 50
#: Images and their labels, as a loader gives them.
Batches = Iterable[tuple[Tensor, Tensor]]
#: Called for a prototype with the picture (C, Y, X) that is nearest so far and the distances of its cells (H, W).
Improved = Callable[[int, Tensor, NDArray[np.float32]], None]


class PlainProtoPNet(nn.Module):
    """Features, add-on layers, prototypes (P, D, 1, 1) and a last layer without bias.

    Args:
        features: any module that maps images (V, 3, Y, X) to (V, B, H, W).
        channels: B and D.
        counts: P and C.
    """

    def __init__(self, features: nn.Module, channels: tuple[int, int], counts: tuple[int, int]) -> None:
        super().__init__()
        (wide, latent), (prototypes, classes) = channels, counts
        self.features = features
        self.add_on = nn.Sequential(nn.Conv2d(wide, latent, 1), nn.ReLU(), nn.Conv2d(latent, latent, 1), nn.Sigmoid())
        self.prototype_vectors = nn.Parameter(torch.rand(prototypes, latent, 1, 1))
        self.ones = nn.Parameter(torch.ones(prototypes, latent, 1, 1), requires_grad=False)
        # A plain attribute: it is neither in the state dict nor moved with the network.
        self.prototype_class_identity = torch.zeros(prototypes, classes)
        self.prototype_class_identity[torch.arange(prototypes), torch.arange(prototypes) // (prototypes // classes)] = 1
        self.last_layer = nn.Linear(prototypes, classes, bias=False)
        own = self.prototype_class_identity.T
        self.last_layer.weight.data.copy_(own - 0.5 * (1 - own))

    def latent(self, images: Tensor) -> Tensor:
        """Latent map (V, D, H, W) of images."""
        latent: Tensor = self.add_on(self.features(images))
        return latent

    def distance_maps(self, latent: Tensor) -> Tensor:
        """Squared distances (V, P, H, W) by |z|^2 - 2 z.p + |p|^2, each term a convolution."""
        squares = functional.conv2d(latent**2, self.ones)
        cross = functional.conv2d(latent, self.prototype_vectors)
        lengths = (self.prototype_vectors**2).sum(dim=(1, 2, 3)).view(-1, 1, 1)
        return functional.relu(squares - 2 * cross + lengths)

    def distances(self, images: Tensor) -> Tensor:
        """Distance (V, P) of each prototype to the nearest cell of each image."""
        maps = self.distance_maps(self.latent(images))
        return -functional.max_pool2d(-maps, kernel_size=maps.shape[2:]).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (V, C)."""
        logits: Tensor = self.last_layer(similarity(self.distances(images)))
        return logits


def similarity(distances: Tensor) -> Tensor:
    """log((d + 1) / (d + 1e-4)) of squared distances."""
    return torch.log((distances + 1) / (distances + EPSILON))


def project(network: PlainProtoPNet, batches: Batches, improved: Improved | None = None) -> NDArray[np.int64]:
    """Move every prototype onto the nearest cell of its class: a loop over batches and prototypes.

    Args:
        improved: draws a picture whenever a nearer one than before is found, as published.

    Returns:
        Per prototype the image's place in the loader, row and column, shape (P, 3); -1 where its class is absent.
    """
    count = len(network.prototype_vectors)
    nearest, found = np.full(count, np.inf), np.zeros(network.prototype_vectors.shape, dtype=np.float32)
    places, start = np.full((count, 3), -1), 0
    for images, labels in batches:
        with torch.no_grad():
            latent = network.latent(images)
            maps = network.distance_maps(latent).numpy()
        for prototype in range(count):
            owner = int(network.prototype_class_identity[prototype].argmax())
            own = np.flatnonzero(labels.numpy() == owner)
            if not len(own):
                continue
            candidates = maps[own, prototype]
            image, row, column = np.unravel_index(int(np.argmin(candidates)), candidates.shape)
            if candidates[image, row, column] < nearest[prototype]:
                nearest[prototype] = candidates[image, row, column]
                found[prototype, :, 0, 0] = latent[own[image], :, row, column].numpy()
                places[prototype] = start + own[image], row, column
                if improved:
                    improved(prototype, images[own[image]], candidates[image])
        start += len(images)
    network.prototype_vectors.data.copy_(torch.from_numpy(found))
    return places


def fit_last_layer(network: PlainProtoPNet, batches: Batches, epochs: int) -> None:
    """The last-layer stage: every other weight frozen, Adam at 1e-4, the network in training mode throughout."""
    network.requires_grad_(False)
    network.last_layer.requires_grad_(True)
    network.train()
    optimizer = torch.optim.Adam(network.last_layer.parameters(), lr=1e-4)
    for _ in range(epochs):
        for images, labels in batches:
            foreign = 1 - network.prototype_class_identity.T
            cost = functional.cross_entropy(network(images), labels)
            cost = cost + 1e-4 * (network.last_layer.weight * foreign).norm(p=1)
            optimizer.zero_grad()
            cost.backward()
            optimizer.step()


def training_costs(network: PlainProtoPNet, batch: tuple[Tensor, Tensor], class_specific: bool) -> dict[str, Tensor]:
    """The costs of one batch by name; the log wants the separation whether it was computed or not."""
    images, labels = batch
    distances = network.distances(images)
    logits = network.last_layer(similarity(distances))
    costs = {"cross entropy": functional.cross_entropy(logits, labels)}
    if class_specific:
        far = float(network.prototype_vectors.shape[1])  # no squared distance in [0, 1)^D is larger
        own = network.prototype_class_identity[:, labels].T
        costs["cluster"] = (far - ((far - distances) * own).amax(dim=1)).mean()
        separation = (far - ((far - distances) * (1 - own)).amax(dim=1)).mean()
    else:
        costs["cluster"] = distances.amin(dim=1).mean()
    costs["separation"] = separation
    return costs


def heatmap(activation: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """A map of cells (H, W) resized to the picture: the centre of cell i comes to (i + 0.5) * stride."""
    cells = torch.from_numpy(activation)[None, None]
    return np.asarray(functional.interpolate(cells, (rows, columns), mode="bilinear", align_corners=False)[0, 0])


def analyse(network: PlainProtoPNet, picture: NDArray[np.float32], side_px: int) -> list[tuple[int, int]]:
    """Local analysis: the prototypes' best cells on one picture, by class; three channels, a square, 50 classes.

    The network is used in whatever mode it comes.
    """
    picture = picture.reshape(side_px, side_px, 3)
    images = torch.from_numpy(picture.copy()).permute(2, 0, 1).unsqueeze(0)
    with torch.no_grad():
        maps = similarity(network.distance_maps(network.latent(images)))[0]
        logits = network(images)
    order = logits[0].argsort(descending=True)
    found = []
    for rank in range(ANALYSED_CLASSES):
        own = network.prototype_class_identity[:, order[rank]].nonzero().flatten()
        best = maps[own].flatten(1).max(dim=1)
        cell = int(best.indices[best.values.argmax()])
        found.append((cell // maps.shape[1], cell % maps.shape[1]))
    return found


def save(network: PlainProtoPNet, path: Path) -> None:
    """The whole network as one pickle."""
    torch.save(network, path)
