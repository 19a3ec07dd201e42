"""Stage 3: solved to a certificate, well-posed also where classes separate, and chosen without splitting a patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medproto.errors import TrainingError
from medproto.training.last_layer import (
    KKT_TOLERANCE,
    Problem,
    choose,
    kkt_residual,
    objective_value,
    solve,
    solve_by_adam,
)
from medproto.training.settings import LastLayerSettings

OWNERS = np.repeat([0, 1, 2], 3)
OWN = OWNERS[None] == np.arange(3)[:, None]


def problem(seed: int = 0, gap: float = 0.8, l1: float = 2e-3, ridge: float = 1e-3) -> Problem:
    """Similarities of 90 exams that rise by `gap` for prototypes of the exam's class."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=90)
    similarities = 2 + generator.standard_normal((90, 9)) + gap * (OWNERS[None] == labels[:, None])
    return Problem(similarities, labels, OWN, l1=l1, ridge=ridge)


@pytest.mark.parametrize("gap", [0.0, 0.8, 20.0])
@pytest.mark.parametrize("ridge", [1e-4, 1e-2])
def test_solution_comes_with_its_certificate(gap: float, ridge: float) -> None:
    given = problem(gap=gap, ridge=ridge)
    solution = solve(given)
    assert solution.kkt_residual <= KKT_TOLERANCE == 1e-6
    assert solution.kkt_residual == kkt_residual(given, solution.weights)
    assert solution.objective == objective_value(given, solution.weights)


def test_no_neighbour_of_the_solution_is_better() -> None:
    given = problem()
    solution = solve(given)
    generator = np.random.default_rng(1)
    for size in (1e-3, 1e-1):
        for _ in range(200):
            weights = solution.weights + size * generator.standard_normal(OWN.shape)
            weights = np.where(OWN, np.maximum(weights, 0), weights)
            assert objective_value(given, weights) > solution.objective


def test_own_class_weights_are_never_negative() -> None:
    # Similarities that fall for the own class: the unconstrained optimum would use negative own weights.
    given = problem(gap=-2.0)
    assert solve(replace(given, own_nonnegative=False)).weights[OWN].min() < 0
    assert solve(given).weights[OWN].min() == 0


def test_ridge_makes_separable_data_finite_and_the_optimum_unique() -> None:
    given = problem(gap=20.0, l1=0.0, ridge=1e-3)
    weights = solve(given).weights
    assert np.isfinite(weights).all()
    assert np.abs(weights).max() < 10
    order = np.random.default_rng(2).permutation(len(given.labels))
    shuffled = replace(given, similarities=given.similarities[order], labels=given.labels[order])
    np.testing.assert_allclose(solve(shuffled).weights, weights, atol=1e-5)


def test_stronger_l1_leaves_fewer_wrong_class_weights_and_then_none() -> None:
    counts = [int((solve(problem(l1=l1)).weights[~OWN] != 0).sum()) for l1 in (1e-4, 2e-2, 10.0)]
    assert counts[0] > counts[1] > counts[2] == 0


def test_certificate_tells_a_point_that_is_no_optimum() -> None:
    given = problem()
    weights = solve(given).weights
    assert kkt_residual(given, weights + 0.01) > 1e-4
    negative = np.where(OWN, -0.01, weights)
    assert kkt_residual(given, negative) >= 0.01


def test_similarity_that_is_no_number_is_an_error() -> None:
    given = problem()
    broken = replace(given, similarities=np.where(given.similarities > 4, np.nan, given.similarities))
    with pytest.raises(TrainingError, match="last layer: got a KKT residual of nan, expected at most 1e-06"):
        solve(broken)


def test_choice_takes_the_pair_of_lowest_validation_loss_and_keeps_the_curve() -> None:
    settings = LastLayerSettings(l1=(1e-3, 1.0), ridge=(1e-3, 10.0), folds=3)
    groups = [f"patient {i // 2}" for i in range(90)]
    solution, curve = choose(problem(), groups, settings)
    assert [(row["l1"], row["ridge"]) for row in curve] == [(1e-3, 1e-3), (1e-3, 10.0), (1.0, 1e-3), (1.0, 10.0)]
    best = min(curve, key=lambda row: row["validation_loss"])
    again = solve(problem(l1=best["l1"], ridge=best["ridge"]))
    np.testing.assert_array_equal(solution.weights, again.weights)


def test_published_way_chooses_nothing_and_says_how_far_it_stopped() -> None:
    given = problem()
    groups = [f"patient {i:02d}" for i in range(90)]
    solution, curve = choose(given, groups, LastLayerSettings(solver="adam"))
    plain = replace(given, l1=1e-4, ridge=0.0, own_nonnegative=False)
    assert curve == []
    np.testing.assert_array_equal(solution.weights, solve_by_adam(plain).weights)
    assert solution.kkt_residual == kkt_residual(plain, solution.weights) > KKT_TOLERANCE


def test_choice_never_splits_a_patient() -> None:
    settings = LastLayerSettings(l1=(1e-3, 1e-2), ridge=(1e-3,), folds=3)
    once = problem()
    groups = [f"patient {i:02d}" for i in range(90)]
    # A second, equal exam of everyone: with all exams of a patient in one fold no validation loss can change.
    order = np.random.default_rng(3).permutation(np.tile(np.arange(90), 2))
    twice = replace(once, similarities=once.similarities[order], labels=once.labels[order])
    _, curve = choose(once, groups, settings)
    _, same = choose(twice, [groups[i] for i in order], settings)
    assert [row["validation_loss"] for row in same] == pytest.approx(
        [row["validation_loss"] for row in curve], rel=1e-5
    )
    # The check can fail: with every exam its own patient, copies leak between folds and the loss falls.
    _, leaked = choose(twice, [f"{i:03d}" for i in range(180)], settings)
    assert leaked[0]["validation_loss"] < curve[0]["validation_loss"] - 1e-3


def test_a_start_from_elsewhere_ends_at_the_same_optimum() -> None:
    given = problem()
    cold = solve(given)
    neighbour = solve(replace(given, l1=given.l1 * 10, ridge=given.ridge * 10)).weights
    for start in (neighbour, np.where(OWN, 1.0, -0.5), np.zeros(OWN.shape)):
        warm = solve(given, start)
        assert warm.kkt_residual <= KKT_TOLERANCE
        np.testing.assert_allclose(warm.weights, cold.weights, atol=1e-5)


def test_warm_path_gives_the_curve_of_solves_that_start_cold() -> None:
    given, l1s, ridges = problem(), (1e-3, 1e-4, 1e-2), (1e-2, 1e-4)
    groups = [f"patient {i:02d}" for i in range(90)]
    _, curve = choose(given, groups, LastLayerSettings(l1=l1s, ridge=ridges, folds=3))
    rows = np.arange(90)
    for row in curve:
        losses = []
        for fold in range(3):
            kept, held_out = rows % 3 != fold, rows % 3 == fold
            inner = Problem(given.similarities[kept], given.labels[kept], OWN, row["l1"], row["ridge"])
            logits = given.similarities[held_out] @ solve(inner).weights.T
            chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            losses.append(-np.log(chances[np.arange(30), given.labels[held_out]]).mean())
        assert row["validation_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert [(row["l1"], row["ridge"]) for row in curve] == [(l1, ridge) for l1 in l1s for ridge in ridges]


def test_adam_of_the_paper_moves_a_weight_by_its_learning_rate_a_step() -> None:
    # On 90 exams the paper's 20 epochs are 40 steps, which can move a weight by 0.004: the stage is nearly a no-op.
    given = problem(l1=1e-4, ridge=0.0)
    start = np.where(OWN, 1.0, -0.5)
    moved = np.abs(solve_by_adam(given).weights - start)
    assert 0 < moved.max() <= 40 * 1e-4 * 1.01
    assert np.abs(solve_by_adam(given, epochs=1, batch=90).weights - start).max() == pytest.approx(1e-4, rel=1e-3)


def test_adam_of_the_paper_ends_above_the_optimum_and_says_so() -> None:
    given = problem(l1=1e-4, ridge=1e-4)
    adam, optimum = solve_by_adam(given), solve(given)
    assert adam.objective > optimum.objective + 1e-2
    assert adam.objective == objective_value(given, adam.weights)
    assert adam.kkt_residual == kkt_residual(given, adam.weights) > 1e3 * KKT_TOLERANCE


def test_adam_with_time_and_large_steps_nears_the_optimum() -> None:
    given = problem(l1=1e-3, ridge=1e-2)
    adam = solve_by_adam(given, epochs=3000, learning_rate=1e-3, batch=90)
    assert adam.objective == pytest.approx(solve(given).objective, abs=1e-5)


def test_adam_with_the_same_seed_gives_the_same_weights() -> None:
    given = problem()
    weights = [solve_by_adam(given, batch=16, seed=seed).weights for seed in (0, 0, 1)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
