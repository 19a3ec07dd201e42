"""Stage 3: the last layer as a convex problem on cached similarities, solved to a certificate.

    minimise over W:  mean CE(S W^T, y) + l1 * sum |W[c, p]| over wrong classes + ridge / 2 * |W|^2
    subject to:       W[c, p] >= 0 where p belongs to c

The ridge makes the optimum finite and unique also where the classes separate. Without ridge and sign constraint this
is the problem of Chen et al. 2019, equation 5. `solve_by_adam` goes their way: twenty epochs of Adam, no certificate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from medproto.errors import TrainingError
from medproto.training.settings import LastLayerSettings

Matrix = NDArray[np.float64]
#: Largest violation of the optimality conditions that counts as solved.
KKT_TOLERANCE = 1e-6
#: The published weight of L1 (Chen et al. 2019).
PUBLISHED_L1 = 1e-4


@dataclass(frozen=True)
class Problem:
    """Similarities (N, P), labels (N,), own_class (C, P) bool, weights of the penalties, and whether own weights are
    >= 0."""

    similarities: Matrix
    labels: NDArray[np.int64]
    own_class: NDArray[np.bool_]
    l1: float
    ridge: float
    own_nonnegative: bool = True


@dataclass(frozen=True)
class Solution:
    """Weights (C, P), objective, and the largest violation of the optimality conditions."""

    weights: Matrix
    objective: float
    kkt_residual: float


def solve(problem: Problem, start: Matrix | None = None) -> Solution:
    """The optimum, by L-BFGS-B on W = U - V with U, V >= 0 where a weight is penalised.

    Args:
        start: weights (C, P) to start from, such as a neighbour's optimum; they change the time, not the certificate.

    Raises:
        TrainingError: the optimality conditions are not met within 1e-6.
    """
    own = problem.own_class
    shape, size = own.shape, own.size
    own_bounds = (0.0, None) if problem.own_nonnegative else (None, None)
    bounds: Any = [own_bounds if flag else (0.0, None) for flag in own.ravel()] + [
        (0.0, 0.0) if flag else (0.0, None) for flag in own.ravel()
    ]

    def objective(scaled: Matrix, scale: float) -> tuple[float, Matrix]:
        split = scaled * scale
        positive, negative = split[:size].reshape(shape), split[size:].reshape(shape)
        weights = positive - negative
        smooth, gradient = _smooth(problem, weights)
        penalty = np.where(own, 0.0, problem.l1)
        value = smooth + float((penalty * (positive + negative)).sum())
        return value, scale * np.concatenate([(gradient + penalty).ravel(), (-gradient + penalty).ravel()])

    weights = np.where(own, 0.1, 0.0) if start is None else start
    split = np.concatenate(
        [np.where(own, weights, np.maximum(weights, 0)).ravel(), np.where(own, 0.0, np.maximum(-weights, 0)).ravel()]
    )
    options: Any = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 0.0, "gtol": 1e-9, "maxcor": 30}
    # L-BFGS-B can stop on its line search before the tolerance: it goes on from there with its variables scaled anew.
    for scale in (1.0, 0.1, 1.0, 10.0, 0.3):
        found = minimize(
            objective, split / scale, (scale,), jac=True, method="L-BFGS-B", bounds=bounds, options=options
        )
        split = found.x * scale
        weights = (split[:size] - split[size:]).reshape(shape)
        residual = kkt_residual(problem, weights)
        if residual <= KKT_TOLERANCE / 100:
            break
    if not residual <= KKT_TOLERANCE:  # also where it is no number
        raise TrainingError(f"last layer: got a KKT residual of {residual:.1e}, expected at most {KKT_TOLERANCE:.0e}")
    return Solution(weights, objective_value(problem, weights), residual)


def objective_value(problem: Problem, weights: Matrix) -> float:
    """The penalised mean cross-entropy at these weights."""
    smooth, _ = _smooth(problem, weights)
    return smooth + problem.l1 * float(np.abs(weights[~problem.own_class]).sum())


def kkt_residual(problem: Problem, weights: Matrix) -> float:
    """Largest violation of the optimality conditions, weight by weight."""
    _, gradient = _smooth(problem, weights)
    own = problem.own_class
    free = np.abs(gradient)
    bounded = np.where(weights > 0, np.abs(gradient), np.maximum(-gradient, 0.0))
    at_zero = np.maximum(np.abs(gradient) - problem.l1, 0.0)
    penalised = np.where(weights == 0, at_zero, np.abs(gradient + problem.l1 * np.sign(weights)))
    violation = np.where(own, bounded if problem.own_nonnegative else free, penalised)
    if problem.own_nonnegative:
        violation = np.maximum(violation, np.where(own, np.maximum(-weights, 0.0), 0.0))
    return float(violation.max())


def choose(problem: Problem, groups: list[str], settings: LastLayerSettings) -> tuple[Solution, list[dict[str, float]]]:
    """Solve with the penalties of lowest cross-validated loss; folds never split a group (a patient).

    Returns:
        The solution on all data, and the curve: l1, ridge and validation loss of every candidate; none where the
        settings ask for the published way, which has nothing to choose.
    """
    if settings.solver == "adam":
        return solve_by_adam(replace(problem, l1=PUBLISHED_L1, ridge=0.0, own_nonnegative=False)), []
    names = sorted(set(groups))
    fold_of = {name: i % settings.folds for i, name in enumerate(names)}
    folds = np.array([fold_of[group] for group in groups])
    losses = np.mean([_held_out_losses(problem, folds == fold, settings) for fold in range(settings.folds)], axis=0)
    curve = [
        {"l1": l1, "ridge": ridge, "validation_loss": float(losses[row, column])}
        for row, l1 in enumerate(settings.l1)
        for column, ridge in enumerate(settings.ridge)
    ]
    best = min(curve, key=lambda row: row["validation_loss"])
    return solve(replace(problem, l1=best["l1"], ridge=best["ridge"])), curve


def _held_out_losses(problem: Problem, held_out: NDArray[np.bool_], settings: LastLayerSettings) -> Matrix:
    """Loss on the held-out rows at every candidate, shape (l1, ridge).

    A path from strong to weak penalties: within an l1 each solve starts from the ridge before it, and an l1 starts from
    the one before it at the strongest ridge.
    """
    losses: Matrix = np.zeros((len(settings.l1), len(settings.ridge)))
    if held_out.all() or not held_out.any():
        return losses
    inner = replace(problem, similarities=problem.similarities[~held_out], labels=problem.labels[~held_out])
    similarities, labels = problem.similarities[held_out], problem.labels[held_out]
    first: Matrix | None = None
    for row in np.argsort(settings.l1)[::-1]:
        start = first
        for place, column in enumerate(np.argsort(settings.ridge)[::-1]):
            start = solve(replace(inner, l1=settings.l1[row], ridge=settings.ridge[column]), start).weights
            first = start if place == 0 else first
            losses[row, column] = -log_softmax(similarities @ start.T, axis=1)[np.arange(len(labels)), labels].mean()
    return losses


def solve_by_adam(
    problem: Problem, epochs: int = 20, learning_rate: float = 1e-4, batch: int = 80, seed: int = 0
) -> Solution:
    """The paper's stage 3 (Chen et al. 2019, section 2.2) on cached similarities: epochs of Adam from +1 / -0.5.

    Nothing is certified: the solution says how far from the optimality conditions it stopped. A step moves a weight by
    about the learning rate at most. The rows are shuffled anew every epoch by `seed` alone.
    """
    weights: Matrix = np.where(problem.own_class, 1.0, -0.5)
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    generator, step = np.random.default_rng(seed), 0
    for _ in range(epochs):
        order = generator.permutation(len(problem.labels))
        for begin in range(0, len(order), batch):
            rows, step = order[begin : begin + batch], step + 1
            part = replace(problem, similarities=problem.similarities[rows], labels=problem.labels[rows])
            gradient = _smooth(part, weights)[1] + np.where(problem.own_class, 0.0, problem.l1 * np.sign(weights))
            mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
            slope = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
            weights = weights - learning_rate * slope
            if problem.own_nonnegative:
                weights = np.where(problem.own_class, np.maximum(weights, 0.0), weights)
    return Solution(weights, objective_value(problem, weights), kkt_residual(problem, weights))


def _smooth(problem: Problem, weights: Matrix) -> tuple[float, Matrix]:
    logits = problem.similarities @ weights.T
    count = len(logits)
    rows = np.arange(count)
    loss = float(-log_softmax(logits, axis=1)[rows, problem.labels].mean()) + problem.ridge / 2 * float(
        (weights**2).sum()
    )
    error = softmax(logits, axis=1)
    error[rows, problem.labels] -= 1
    gradient: Matrix = error.T @ problem.similarities / count + problem.ridge * weights
    return loss, gradient
