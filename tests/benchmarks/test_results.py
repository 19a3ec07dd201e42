"""The accuracy table: folds by patient, honest intervals, results that are kept for as long as they hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.results.cohorts import FOLDS, Cohort
from benchmarks.results.table import Draws, differences, table, weighted_auroc
from benchmarks.results.units import BLACK_BOX, METHODS, OURS, PUBLISHED, Unit, compute, kept_unit
from medproto.datasets.manifest import read_manifest, write_manifest
from medproto.evaluation.classification import auroc
from medproto.training.settings import TrainSettings
from tests.factories import input_set

SETTINGS = TrainSettings.model_validate(
    {
        "name": "small",
        "classes": {"normal": ["0"], "lesion": ["1"]},
        "positive_class": "lesion",
        "model": {
            "backbone": "tiny",
            "stride": 16,
            "weights": "none",
            "latent_channels": 8,
            "prototypes_per_class": 3,
        },
        "inputs": {"rows": 64, "columns": 64},
        "stages": [
            {"name": "warm-up", "epochs": 2, "variants": 2, "learning_rates": {"add_on": 0.01, "prototypes": 0.01}},
            {
                "name": "joint",
                "epochs": 2,
                "variants": 2,
                "batch": 8,
                "frozen_to_stride": 8,
                "learning_rates": {"backbone": 0.001, "add_on": 0.01, "prototypes": 0.01},
            },
        ],
        "last_layer": {"l1": [0.001], "ridge": [0.001], "folds": 2},
    }
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Forty images of twenty patients, one of each class."""
    patients = [f"patient-{i // 2}" for i in range(40)]
    data = input_set([0, 1] * 20, patients=patients)
    path = tmp_path_factory.mktemp("cohort") / "manifest.csv"
    write_manifest(path, [source.row for source in data.sources])
    return Cohort("phantom exams", SETTINGS, read_manifest(path), data)


@pytest.fixture(scope="module")
def unit(cohort: Cohort) -> Unit:
    return compute(cohort, 0, 0)


def made_up(seed: int, better: float) -> Unit:
    """Twelve patients whose scores hold the class, the more the better; ours against the others."""
    generator = np.random.default_rng(seed)
    positive = np.arange(60) % 3 == 0
    noise = generator.normal(size=60)
    scores = {method: (noise + positive).tolist() for method in METHODS}
    scores[OURS] = (noise + better * positive).tolist()
    return Unit(
        cohort="phantom exams",
        seed=seed,
        fold=0,
        exams=[f"exam-{i}" for i in range(60)],
        patients=[f"patient-{i // 5}" for i in range(60)],
        positive=positive.tolist(),
        scores=scores,
        seconds_per_epoch={OURS: 1.0},
        prototypes={PUBLISHED: 10, OURS: 10},
        distinct={PUBLISHED: 9, OURS: 10},
        wrong={PUBLISHED: 0.4, OURS: 0.1},
    )


def test_every_patient_is_tested_once_and_never_trained_on_in_that_fold(cohort: Cohort) -> None:
    tested: list[str] = []
    for fold in range(FOLDS):
        training, unseen = (cohort.data.select(part) for part in cohort.fold(fold, seed=3))
        assert not set(training.patients()) & set(unseen.patients())
        assert len(training) + len(unseen) == len(cohort.data)
        tested += sorted(set(unseen.patients()))
    assert sorted(tested) == sorted(set(cohort.data.patients()))


def test_unit_scores_every_exam_by_every_method(unit: Unit, cohort: Cohort) -> None:
    unseen = cohort.data.select(cohort.fold(0, 0)[1])
    assert set(unit.scores) == set(METHODS)
    assert all(len(scores) == len(unseen) == len(unit.exams) for scores in unit.scores.values())
    assert all(np.isfinite(scores).all() for scores in unit.scores.values())
    assert unit.positive == (unseen.labels == 1).tolist()
    assert unit.distinct[OURS] == unit.prototypes[OURS] == 6
    assert all(0 <= share <= 1 for share in unit.wrong.values())
    assert all(seconds > 0 for seconds in unit.seconds_per_epoch.values())
    assert set(unit.seconds_per_epoch) == {BLACK_BOX, PUBLISHED, OURS}


def test_unit_replays_from_its_seed(unit: Unit, cohort: Cohort) -> None:
    again = compute(cohort, 0, 0)
    assert again.scores == unit.scores


def test_kept_unit_is_read_until_settings_change(cohort: Cohort, tmp_path: Path) -> None:
    kept = kept_unit(cohort, 1, 2, tmp_path)
    (path,) = tmp_path.glob("*.json")
    stamp = path.stat().st_mtime_ns
    assert kept_unit(cohort, 1, 2, tmp_path) == kept
    assert path.stat().st_mtime_ns == stamp
    changed = cohort.settings.model_copy(update={"costs": cohort.settings.costs.model_copy(update={"anchor": 0.0})})
    kept_unit(replace(cohort, settings=changed), 1, 2, tmp_path)
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_weights_count_an_exam_as_often_as_it_was_drawn() -> None:
    unit = made_up(0, better=1.0)
    times = np.random.default_rng(1).integers(0, 3, size=(4, 60)).astype(float)
    for row, found in zip(times, weighted_auroc(unit, OURS, times), strict=True):
        index = np.repeat(np.arange(60), row.astype(int))
        assert found == pytest.approx(auroc(np.array(unit.scores[OURS])[index], np.array(unit.positive)[index]))


def test_draw_without_a_class_says_nothing() -> None:
    unit = made_up(0, better=1.0)
    times = np.array([unit.positive, np.ones(60)], dtype=float)
    first, second = weighted_auroc(unit, OURS, times)
    assert np.isnan(first)
    assert 0.5 < second < 1


@pytest.mark.parametrize("better, shown", [(1.0, "shown"), (0.3, "not shown")])
def test_network_that_trails_the_black_box_is_not_said_to_match_it(better: float, shown: str) -> None:
    units = [made_up(seed, better) for seed in range(5)]
    against_box, _ = differences(Draws.of(units))
    assert str(against_box).endswith(f", {shown}")
    assert against_box.shown == (shown == "shown")


def test_equal_networks_differ_by_nothing_and_neither_is_said_to_be_above() -> None:
    _, against_published = differences(Draws.of([made_up(0, better=1.0)]))
    assert against_published.difference.value == 0
    assert not against_published.shown


def test_table_counts_what_it_was_measured_on() -> None:
    text = table([made_up(seed, 1.2) for seed in range(2)])
    assert "60 exams of 12 patients, 20 positive; 1 folds by patient, 2 seeds" in text
    assert "| ProtoPNet as published |" in text
    assert "| 90.0% | 40.0% |" in text
    assert "| 100.0% | 10.0% | 1.0 |" in text
