"""The last layer solved to a certificate on cached similarities, against twenty epochs of Adam through the backbone."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.networks import both_networks, phantoms
from benchmarks.pairs import compare
from benchmarks.published.network import fit_last_layer, similarity
from medproto.training.last_layer import PUBLISHED_L1, Problem, objective_value, solve
from medproto.training.similarities import similarities

CPU = torch.device("cpu")
PATIENTS, EPOCHS, SIDE_PX = 8, 20, 128
#: The strongest that training tries by default. Without one the optimum of images that a plane can part is at infinity.
RIDGE = 1e-2
GOAL = 0.03


def last_layer(folder: Path) -> None:
    """Print the ratio of the whole jobs, encoding included, and the published objective that each comes to."""
    cohort = phantoms(folder, PATIENTS, SIDE_PX)
    data, batches = cohort.data, cohort.batches()
    model, start = both_networks()
    own, labels = model.own_class.numpy(), data.labels.numpy()
    objectives = {}

    def problem(values: torch.Tensor) -> Problem:
        return Problem(values.double().numpy(), labels, own, PUBLISHED_L1, RIDGE)

    def ours() -> None:
        seen = problem(similarities(model, data, CPU).images)
        objectives["ours"] = _published(seen, solve(seen).weights)

    def plain() -> None:
        network = copy.deepcopy(start)
        fit_last_layer(network, batches, EPOCHS)
        with torch.no_grad():
            seen = torch.cat([similarity(network.eval().distances(images)) for images, _ in batches])
        objectives["plain"] = _published(problem(seen), network.last_layer.weight.detach().double().numpy())

    compare(f"last layer, resnet18, {len(data)} of {SIDE_PX} x {SIDE_PX}, {EPOCHS} epochs", ours, plain, GOAL)
    print(f"{'  its objective: cross-entropy + 1e-4 L1':<58} {objectives['ours']:12.4f}  {objectives['plain']:12.4f}")


def _published(problem: Problem, weights: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Without the ridge, which the published objective lacks."""
    return objective_value(Problem(problem.similarities, problem.labels, problem.own_class, PUBLISHED_L1, 0.0), weights)


def main() -> None:
    """Run on two threads."""
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        last_layer(Path(folder))


if __name__ == "__main__":
    main()
