"""The prototype layer, the costs, the projection and the last layer against values computed from the definitions.

Every test runs on our own small arrays and, where it is at hand, on the shared reference of the published size.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medproto.model import losses
from medproto.model.backbones import build_backbone
from medproto.model.protopnet import ProtoPNet
from medproto.model.similarity import distance_maps, log_similarity, nearest_cells, training_maps
from medproto.training.last_layer import Problem, solve
from medproto.training.projection import nearest_patches
from medproto.training.pruning import prune
from tests.model.reference import SMALL, Arrays, expected, inputs, shared_reference


@pytest.fixture(scope="module", params=["own", "shared"])
def reference(request: pytest.FixtureRequest) -> Arrays:
    """Inputs and expected values."""
    path = SMALL if request.param == "own" else shared_reference()
    if not path.is_file():
        pytest.skip(f"the shared reference is not at {path}; set MEDPROTO_SHARED to the folder that holds reference/")
    with np.load(path) as arrays:
        return dict(arrays)


def network(reference: Arrays) -> ProtoPNet:
    """A network with the reference's prototypes and last layer."""
    weights = torch.from_numpy(reference["last_layer"]).float()
    owners = torch.from_numpy(reference["prototype_class"])
    model = ProtoPNet(build_backbone("tiny", 8, "none"), reference["features"].shape[1], owners, len(weights))
    model.prototypes.data = torch.from_numpy(reference["prototypes"])
    model.last_layer.data = weights
    return model.requires_grad_(False)


def test_committed_values_are_what_our_float64_code_gives() -> None:
    assert SMALL.stat().st_size < 100_000
    given = inputs()
    anew = {**given, **expected(given)}
    with np.load(SMALL) as kept:
        assert set(kept) == set(anew)
        for name, value in anew.items():
            exact = name in given or value.dtype.kind != "f"
            np.testing.assert_allclose(kept[name], value, rtol=0 if exact else 1e-12, err_msg=name)


def test_distances_and_similarity_maps(reference: Arrays) -> None:
    features, prototypes = torch.from_numpy(reference["features"]), torch.from_numpy(reference["prototypes"])
    distances = distance_maps(features, prototypes)
    np.testing.assert_allclose(distances, reference["distances"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(log_similarity(distances), reference["similarity_maps"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(training_maps(features, prototypes), reference["distances"], atol=1e-4, rtol=0)


def test_nearest_cell_holds_the_least_distance(reference: Arrays) -> None:
    features, prototypes = torch.from_numpy(reference["features"]), torch.from_numpy(reference["prototypes"])
    distance, cell = nearest_cells(features, prototypes)
    np.testing.assert_allclose(distance, reference["min_distances"], atol=1e-5, rtol=0)
    np.testing.assert_array_equal(cell, reference["distances"].reshape(*distance.shape, -1).argmin(axis=2))


def test_similarities_and_logits(reference: Arrays) -> None:
    features = torch.from_numpy(reference["features"])
    output = network(reference).classify(features, torch.arange(len(features)), len(features))
    np.testing.assert_allclose(output.similarities, reference["similarities"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(output.logits, reference["logits"], atol=1e-5, rtol=0)


def test_costs_and_their_total(reference: Arrays) -> None:
    model, labels = network(reference), torch.from_numpy(reference["labels"])
    features = torch.from_numpy(reference["features"])
    output = model.classify(features, torch.arange(len(features)), len(features))
    entropy = losses.cross_entropy(output.logits, labels)
    cluster = losses.cluster_cost(output.distances, labels, model.prototype_class)
    separation = losses.separation_cost(output.distances, labels, model.prototype_class)
    l1 = losses.wrong_class_l1(model.last_layer, model.own_class)
    total = losses.total_cost(entropy, cluster, separation, l1)
    for name, value in {
        "cross_entropy": entropy,
        "cluster": cluster,
        "separation": separation,
        "l1": l1,
        "total_loss": total,
    }.items():
        assert float(value) == pytest.approx(float(reference[name]), rel=1e-6), name


def test_projection_finds_the_source_exactly(reference: Arrays) -> None:
    features, prototypes = torch.from_numpy(reference["features"]), torch.from_numpy(reference["prototypes"])
    images, _, rows, columns = features.shape
    labels, owners = torch.from_numpy(reference["labels"]), torch.from_numpy(reference["prototype_class"])
    everywhere = torch.ones(images, rows, columns, dtype=torch.bool)
    found = nearest_patches(features, prototypes, everywhere, labels, owners)
    distances = found.distances[:, found.slot].masked_fill(labels.unsqueeze(1) != owners, torch.inf)
    image, each = distances.argmin(dim=0), torch.arange(len(prototypes))
    cell = found.cells[image, found.slot]
    source = torch.stack([image, cell // columns, cell % columns], dim=1)
    np.testing.assert_array_equal(source, reference["projection_source"])
    np.testing.assert_allclose(distances[image, each], reference["projection_distance"], atol=1e-5, rtol=0)
    np.testing.assert_array_equal(found.vectors[image, found.slot], reference["projected_prototypes"])


def test_pruning_finds_the_nearest_images_and_the_prototypes_to_keep_exactly(reference: Arrays) -> None:
    features, prototypes = torch.from_numpy(reference["features"]), torch.from_numpy(reference["prototypes"])
    distances, _ = nearest_cells(features, prototypes)
    pruned = prune(distances, torch.from_numpy(reference["labels"]), torch.from_numpy(reference["prototype_class"]))
    np.testing.assert_array_equal(pruned.nearest, reference["pruning_nearest"])
    np.testing.assert_array_equal(pruned.passed, reference["pruning_keep"])


def test_last_layer_reaches_the_convex_optimum(reference: Arrays) -> None:
    own = reference["prototype_class"][None] == np.arange(len(reference["last_layer"]))[:, None]
    problem = Problem(
        reference["convex_similarities"],
        reference["convex_labels"],
        own,
        l1=float(reference["convex_lambda"]),
        ridge=0.0,
        own_nonnegative=False,
    )
    assert solve(problem).objective == pytest.approx(float(reference["convex_optimum"]), abs=1e-8)
