"""Stage 3: the last layer as a convex problem on cached similarities, solved to a certificate.

    minimise over W:  mean CE(S W^T, y) + l1 * sum |W[c, p]| over wrong classes + ridge / 2 * |W|^2
    subject to:       W[c, p] >= 0 where p belongs to c

The ridge makes the optimum finite and unique also where the classes separate. Without ridge and sign constraint this
is the
problem of Chen et al. 2019, equation 5.
"""

from __future__ import annotations

from dataclasses import dataclass
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


def solve(problem: Problem) -> Solution:
    """The optimum, by L-BFGS-B on W = U - V with U, V >= 0 where a weight is penalised.

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

    start = np.concatenate([np.where(own, 0.1, 0.0).ravel(), np.zeros(size)])
    options: Any = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 0.0, "gtol": 1e-9, "maxcor": 30}
    split = start
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
        The solution on all data, and the curve: l1, ridge and validation loss of every candidate.
    """
    names = sorted(set(groups))
    fold_of = {name: i % settings.folds for i, name in enumerate(names)}
    folds = np.array([fold_of[group] for group in groups])
    curve = []
    for l1 in settings.l1:
        for ridge in settings.ridge:
            loss = float(np.mean([_held_out_loss(problem, folds == fold, l1, ridge) for fold in range(settings.folds)]))
            curve.append({"l1": l1, "ridge": ridge, "validation_loss": loss})
    best = min(curve, key=lambda row: row["validation_loss"])
    chosen = Problem(
        problem.similarities, problem.labels, problem.own_class, best["l1"], best["ridge"], problem.own_nonnegative
    )
    return solve(chosen), curve


def _held_out_loss(problem: Problem, held_out: NDArray[np.bool_], l1: float, ridge: float) -> float:
    if held_out.all() or not held_out.any():
        return 0.0
    inner = Problem(
        problem.similarities[~held_out],
        problem.labels[~held_out],
        problem.own_class,
        l1,
        ridge,
        problem.own_nonnegative,
    )
    logits = problem.similarities[held_out] @ solve(inner).weights.T
    return float(-log_softmax(logits, axis=1)[np.arange(len(logits)), problem.labels[held_out]].mean())


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
