"""The shortcut's measure finds a shortcut where there is one, and none in noise."""

from __future__ import annotations

import numpy as np
import pytest

from medproto.datasets.phantom.shortcut import exam_statistics, shortcut_auroc
from medproto.errors import InputError

LABELS = [number % 3 == 0 for number in range(60)]
PATIENTS = [f"p{number}" for number in range(60)]


def exams(brighter: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    pictures = [rng.uniform(0, 0.8, (2, 64, 50)).astype(np.float32) + brighter * label for label in LABELS]
    return np.stack([exam_statistics(list(views)) for views in pictures])


def test_brightness_that_tells_the_class_is_found() -> None:
    assert shortcut_auroc(exams(0.1), LABELS, PATIENTS, seed=0) > 0.95


def test_pictures_that_tell_nothing_stay_near_chance() -> None:
    assert shortcut_auroc(exams(0.0), LABELS, PATIENTS, seed=0) < 0.7


def test_the_order_of_views_does_not_matter() -> None:
    views = [np.random.default_rng(i).uniform(0, 1, (300, 200)).astype(np.float32) for i in range(3)]
    np.testing.assert_allclose(exam_statistics(views), exam_statistics(views[::-1]), rtol=1e-9)


def test_an_exam_without_views_and_a_class_without_patients_are_refused() -> None:
    with pytest.raises(InputError, match="got no image"):
        exam_statistics([])
    with pytest.raises(InputError, match="got 0 patients with malignant exams, expected at least 5"):
        shortcut_auroc(np.zeros((10, 3)), [False] * 10, PATIENTS[:10], seed=0)
