"""How well an exam's class can be told from whole-image statistics alone: the shortcut that a cohort must not offer.

A prototype network that scores well on a cohort with such a shortcut has proved nothing about findings. The attempt is
honest: brightness, texture and spectrum of every view, two kinds of classifier, the better one counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, stats
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from medproto.errors import InputError

#: Pictures are reduced to this size (rows, columns) first; statistics of the whole need no more.
SIZE = (256, 200)
_LEVELS = 16
_BANDS = 8
_PERCENTILES = (1, 5, 25, 50, 75, 90, 95, 99, 99.9)
_FOLDS = 5


def exam_statistics(images: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Statistics of all views of one exam: mean and maximum over the views of each image's; shape (2 F,).

    Args:
        images: pixels in [0, 1] of each view, of any size; at least one.
    """
    if not images:
        raise InputError("exam statistics: got no image, expected at least one")
    return pool_views(np.stack([image_statistics(image) for image in images]))


def pool_views(views: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean and maximum over the views of one exam: from shape (V, F) to (2 F,)."""
    return np.concatenate([views.mean(axis=0), views.max(axis=0)])


def image_statistics(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Brightness, entropy, gradient, co-occurrence and spectrum of one image; shape (F,).

    Args:
        image: pixels in [0, 1]; shape (Y, X).
    """
    reduced = Image.fromarray(np.asarray(image, dtype=np.float32)).resize(SIZE[::-1], Image.Resampling.BOX)
    pixels = np.asarray(reduced, dtype=np.float32)
    tissue = pixels[pixels > 0.05]
    if tissue.size < 100:
        tissue = pixels.ravel()
    return np.concatenate([_brightness(pixels.ravel()), _brightness(tissue), _texture(pixels), _spectrum(pixels)])


def shortcut_auroc(features: NDArray[np.floating], labels: Sequence[bool], patients: Sequence[str], seed: int) -> float:
    """AUROC of the better of two classifiers on exam statistics, cross-validated by patient.

    Args:
        features: one exam a row; shape (N, 2 F).
        labels: whether the exam is malignant.
        patients: patient of each exam; no patient is in training and test at once.
        seed: seed of folds and forest.

    Raises:
        InputError: a class has fewer patients than there are folds.
    """
    truth = np.asarray(labels, dtype=bool)
    for label, name in ((True, "malignant"), (False, "other")):
        count = len({patient for patient, own in zip(patients, truth, strict=True) if own == label})
        if count < _FOLDS:
            raise InputError(f"shortcut: got {count} patients with {name} exams, expected at least {_FOLDS}")
    folds = list(StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed).split(features, truth, patients))
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=2000))
    forest = RandomForestClassifier(150, min_samples_leaf=3, random_state=seed, n_jobs=1)
    return max(_cross_validated(model, features, truth, folds) for model in (linear, forest))


def _cross_validated(
    model: Pipeline | RandomForestClassifier,
    features: NDArray[np.floating],
    truth: NDArray[np.bool_],
    folds: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> float:
    """Mean over folds of the AUROC on patients not trained on: scores of different folds are not on one scale."""
    values = []
    for train, test in folds:
        model.fit(features[train], truth[train])
        values.append(roc_auc_score(truth[test], model.predict_proba(features[test])[:, 1]))
    return float(np.mean(values))


def _brightness(values: NDArray[np.float32]) -> NDArray[np.float64]:
    counts, _ = np.histogram(values, bins=64, range=(0, 1))
    moments = [values.mean(), values.std(), stats.skew(values), stats.kurtosis(values), stats.entropy(counts)]
    return np.array([*moments, values.size / (SIZE[0] * SIZE[1]), *np.percentile(values, _PERCENTILES)], dtype=float)


def _texture(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Gradient energy, and contrast, homogeneity and energy of co-occurrence at one and four pixels."""
    rows, columns = (np.asarray(one) for one in np.gradient(pixels))
    gradient = np.hypot(rows, columns)
    found = [gradient.mean(), np.square(gradient).mean(), *np.percentile(gradient, (90, 99, 99.9))]
    curved = np.abs(rows[1:, :] - rows[:-1, :])[:, 1:] + np.abs(columns[:, 1:] - columns[:, :-1])[1:, :]
    found += [curved.mean(), *np.percentile(curved, (99, 99.9))]
    levels = np.clip(pixels * _LEVELS, 0, _LEVELS - 1).astype(np.int64)
    one, other = np.indices((_LEVELS, _LEVELS))
    for step in (1, 4):
        pairs = levels[:, :-step] * _LEVELS + levels[:, step:]
        share = np.bincount(pairs.ravel(), minlength=_LEVELS**2).reshape(_LEVELS, _LEVELS) / pairs.size
        apart = np.abs(one - other)
        found += [(share * apart**2).sum(), (share / (1 + apart)).sum(), np.square(share).sum()]
    return np.array(found, dtype=float)


def _spectrum(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logarithm of the power in rings of spatial frequency, a constant ratio apart."""
    power = np.square(np.abs(fft.rfft2(pixels - pixels.mean())))
    frequency = np.hypot(fft.fftfreq(SIZE[0])[:, None], fft.rfftfreq(SIZE[1])[None, :])
    edges = np.geomspace(1 / SIZE[0], 0.5, _BANDS + 1)
    ring = np.clip(np.searchsorted(edges, frequency.ravel()), 0, _BANDS)
    return np.asarray(np.log(np.bincount(ring, weights=power.ravel(), minlength=_BANDS + 1) + 1e-12), dtype=float)
