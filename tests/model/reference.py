"""The equations of Chen et al. 2019 from their direct definitions, in float64 and plain loops, on small random inputs.

`python -m tests.model.reference` writes `protopnet_small.npz`; a test computes it anew and compares.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALL = Path(__file__).parent / "protopnet_small.npz"
EPSILON = 1e-4
IMAGES, CLASSES, PER_CLASS, CHANNELS, ROWS, COLUMNS = 7, 3, 2, 8, 4, 3
CONVEX_IMAGES, CONVEX_LAMBDA = 60, 0.004
Arrays = dict[str, NDArray[Any]]


def shared_reference() -> Path:
    """Where the published-size reference lies, if it does."""
    beside = Path(__file__).resolve().parents[3] / "shared"
    return Path(os.environ.get("MEDPROTO_SHARED", beside)) / "reference" / "protopnet_equations.npz"


def inputs(seed: int = 20190906) -> Arrays:
    """Random latent maps, prototypes, labels and weights; float32 as a network would give them."""
    generator = np.random.default_rng(seed)
    owners = np.repeat(np.arange(CLASSES), PER_CLASS)
    own = owners[None] == np.arange(CLASSES)[:, None]
    labels = np.arange(IMAGES) % CLASSES
    similar = 1 + generator.random((CONVEX_IMAGES, len(owners)))
    convex_labels = generator.integers(CLASSES, size=CONVEX_IMAGES)
    return {
        "features": generator.random((IMAGES, CHANNELS, ROWS, COLUMNS), dtype=np.float32),
        "prototypes": generator.random((len(owners), CHANNELS), dtype=np.float32),
        "prototype_class": owners,
        "labels": labels,
        "last_layer": np.where(own, 1.0, -0.5) + 0.1 * generator.standard_normal(own.shape),
        # Overlapping classes: without a ridge separable ones would have no optimum.
        "convex_similarities": similar + 0.5 * (owners[None] == convex_labels[:, None]),
        "convex_labels": convex_labels,
        "convex_lambda": np.float64(CONVEX_LAMBDA),
    }


def expected(given: Arrays) -> Arrays:
    """What the equations give for these inputs."""
    distances = _distances(given["features"].astype(np.float64), given["prototypes"].astype(np.float64))
    least = distances.min(axis=(2, 3))
    maps = np.log((distances + 1) / (distances + EPSILON))
    similarities = maps.max(axis=(2, 3))
    logits = np.array(
        [[sum(w * s for w, s in zip(row, g, strict=True)) for row in given["last_layer"]] for g in similarities]
    )
    costs = _costs(given, least, logits)
    projection = _projection(given, distances)
    optimum = _convex_optimum(given)
    return {
        "distances": distances,
        "min_distances": least,
        "similarity_maps": maps,
        "similarities": similarities,
        "logits": logits,
        **costs,
        **projection,
        **_pruning(given, least),
        "convex_optimum": np.float64(optimum),
    }


def _distances(features: NDArray[np.float64], prototypes: NDArray[np.float64]) -> NDArray[np.float64]:
    images, _, rows, columns = features.shape
    found = np.empty((images, len(prototypes), rows, columns))
    for n, p, h, w in np.ndindex(found.shape):
        found[n, p, h, w] = sum((z - q) ** 2 for z, q in zip(features[n, :, h, w], prototypes[p], strict=True))
    return found


def _costs(given: Arrays, least: NDArray[np.float64], logits: NDArray[np.float64]) -> Arrays:
    owners, labels = given["prototype_class"], given["labels"]
    entropy = [math.log(sum(math.exp(v - row[y]) for v in row)) for row, y in zip(logits, labels, strict=True)]
    cluster = [min(d for d, c in zip(row, owners, strict=True) if c == y) for row, y in zip(least, labels, strict=True)]
    separate = [
        min(d for d, c in zip(row, owners, strict=True) if c != y) for row, y in zip(least, labels, strict=True)
    ]
    wrong = [
        abs(w) for c, row in enumerate(given["last_layer"]) for w, owner in zip(row, owners, strict=True) if owner != c
    ]
    terms = [math.fsum(entropy) / len(labels), math.fsum(cluster) / len(labels), math.fsum(separate) / len(labels)]
    l1 = math.fsum(wrong)
    total = terms[0] + 0.8 * terms[1] - 0.08 * terms[2] + 1e-4 * l1
    names = ("cross_entropy", "cluster", "separation", "l1", "total_loss")
    return {name: np.asarray(value) for name, value in zip(names, (*terms, l1, total), strict=True)}


def _projection(given: Arrays, distances: NDArray[np.float64]) -> Arrays:
    sources, moved, vectors = [], [], []
    for p, owner in enumerate(given["prototype_class"]):
        places = [place for place in np.ndindex(*distances[:, p].shape) if given["labels"][place[0]] == owner]
        n, h, w = min(places, key=lambda place: distances[:, p][place])
        sources.append((n, h, w))
        moved.append(distances[n, p, h, w])
        vectors.append(given["features"][n, :, h, w])
    return {
        "projection_source": np.array(sources),
        "projection_distance": np.array(moved),
        "projected_prototypes": np.array(vectors),
    }


def _pruning(given: Arrays, least: NDArray[np.float64]) -> Arrays:
    """The six nearest images of each prototype, and whether at least three of them share its class."""
    nearest, keep = [], []
    for p, owner in enumerate(given["prototype_class"]):
        first = sorted(range(len(least)), key=lambda n: least[n, p])[:6]
        nearest.append(first)
        keep.append(sum(given["labels"][n] == owner for n in first) >= 3)
    return {"pruning_nearest": np.array(nearest), "pruning_keep": np.array(keep)}


def _convex_optimum(given: Arrays) -> float:
    """Accelerated proximal gradient with restarts (Beck and Teboulle 2009), unlike the product's solver."""
    similar, labels, penalty = given["convex_similarities"], given["convex_labels"], float(given["convex_lambda"])
    own = given["prototype_class"][None] == np.arange(CLASSES)[:, None]
    step = 2 * len(similar) / np.linalg.norm(similar, 2) ** 2
    weights = ahead = np.zeros(own.shape)
    momentum = 1.0
    for _ in range(20_000):
        free = ahead - step * _gradient(similar, labels, ahead)
        shrunk = np.sign(free) * np.maximum(np.abs(free) - step * penalty, 0)
        new = np.where(own, free, shrunk)
        if ((ahead - new) * (new - weights)).sum() > 0:
            momentum = 1.0
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * (new - weights)
        weights, momentum = new, following
    value = _cross_entropy(similar, labels, weights) + penalty * np.abs(weights[~own]).sum()
    return float(value)


def _cross_entropy(similar: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    logits = similar @ weights.T
    top = logits.max(axis=1)
    return float(
        (np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top - logits[np.arange(len(labels)), labels]).mean()
    )


def _gradient(
    similar: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    logits = similar @ weights.T
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    share[np.arange(len(labels)), labels] -= 1
    gradient: NDArray[np.float64] = share.T @ similar / len(labels)
    return gradient


if __name__ == "__main__":
    chosen = inputs()
    np.savez_compressed(SMALL, **chosen, **expected(chosen))  # type: ignore[arg-type]
