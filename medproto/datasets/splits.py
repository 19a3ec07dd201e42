"""Splits by patient, alike in every stratum of label and site; nothing here can split a patient.

A patient's stratum is the most severe label and the sites of the images. In each stratum every split gets its share of
the patients to within less than one patient, and in each the draw depends on the seed alone, not on the order of rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from medproto.datasets.manifest import ManifestRow, Split
from medproto.errors import InputError

#: Labels from least to most severe; a label that is not listed is as mild as the first, and a stratum of its own.
SEVERITY = ("normal", "benign_without_callback", "benign", "probably_benign", "lesion", "suspicious", "malignant")
#: Most severe label, then the sites in alphabetical order; a row without a site has none.
Stratum = tuple[str, tuple[str, ...]]


def split_patients(rows: Sequence[ManifestRow], fractions: Mapping[Split, float], seed: int) -> list[ManifestRow]:
    """The rows, in their order, with every patient in one split and all strata alike in all splits.

    Args:
        rows: rows of a manifest; splits they have already are replaced.
        fractions: share of patients by split; at least two of them positive, adding up to 1.
        seed: seed of the draw.

    Raises:
        InputError: the fractions are not shares, or there are fewer patients than splits.
    """
    names = sorted(fractions, key=("train", "val", "test").index)
    shares = np.array([fractions[name] for name in names])
    if (shares < 0).any() or not np.isclose(shares.sum(), 1):
        raise InputError(f"fractions: got {', '.join(map(str, shares))}, expected shares that add up to 1")
    drawn = _shuffled_by_stratum(_strata(rows), seed)
    if len(drawn) < int((shares > 0).sum()):
        raise InputError(f"split: got {len(drawn)} patients, expected at least one for each split")
    given = np.zeros(len(names))
    split_of: dict[str, Split] = {}
    for _, members in groupby(drawn, key=itemgetter(0)):
        patients = [patient for _, patient in members]
        for patient, choice in zip(patients, _apportion(len(patients), shares, given), strict=True):
            split_of[patient] = names[choice]
    return _with_splits(rows, split_of)


def carve_validation(rows: Sequence[ManifestRow], share: float, seed: int) -> list[ManifestRow]:
    """The rows of an official split, a share of the train patients turned into val; the others stay where they are.

    Args:
        rows: rows of which each has a split, train or test.
        share: share of the train patients, in (0, 1).
        seed: seed of the draw.

    Raises:
        InputError: the share is none, a row has no split or is in val already, or fewer than two patients train.
    """
    if not 0 < share < 1:
        raise InputError(f"val: got {share}, expected a share between 0 and 1")
    splits = {row.split for row in rows}
    if None in splits or "val" in splits or "train" not in splits:
        got = ", ".join(sorted(split or "rows without a split" for split in splits))
        raise InputError(f"split: got {got}, expected an official split into train and test for every row")
    train = split_patients([r for r in rows if r.split == "train"], {"train": 1 - share, "val": share}, seed)
    inner = {row.patient: row.split for row in train}
    return [row.model_copy(update={"split": inner.get(row.patient, row.split)}) for row in rows]


def fold_patients(rows: Sequence[ManifestRow], folds: int, seed: int) -> list[dict[str, Split]]:
    """Stratified k-fold: for each fold in turn, `train` or `test` for every patient; each is tested exactly once.

    Raises:
        InputError: fewer than two folds, or fewer patients than folds.
    """
    order = [patient for _, patient in _shuffled_by_stratum(_strata(rows), seed)]
    if not 2 <= folds <= len(order):
        raise InputError(f"folds: got {folds}, expected 2 to {len(order)}, the number of patients")
    return [
        {patient: "test" if turn % folds == fold else "train" for turn, patient in enumerate(order)}
        for fold in range(folds)
    ]


def split_fold(rows: Sequence[ManifestRow], fold: tuple[int, int], share: float, seed: int) -> list[ManifestRow]:
    """The rows with the patients of one fold in test, and of the others a share in val and the rest in train.

    Args:
        rows: rows of a manifest; splits they have already are replaced.
        fold: which fold, from 0, and how many there are.
        share: share of the patients outside of the fold that validate, in [0, 1).
        seed: seed of both draws.

    Raises:
        InputError: there is no such fold, the share is none, or there are too few patients.
    """
    number, folds = fold
    if not 0 <= number < folds:
        raise InputError(f"fold: got {number + 1}, expected 1 to {folds}")
    tested = _with_splits(rows, fold_patients(rows, folds, seed)[number])
    return tested if share == 0 else carve_validation(tested, share, seed)


def most_severe(rows: Iterable[ManifestRow]) -> dict[str, str]:
    """Most severe label of each patient, patients in the order of the rows."""
    labels: dict[str, str] = {}
    for row in rows:
        # Of labels of one rank the later in the alphabet, so that the order of rows does not matter.
        labels[row.patient] = max(labels.get(row.patient, row.label), row.label, key=lambda it: (severity(it), it))
    return labels


def severity(label: str) -> int:
    """Rank of a label, 0 the mildest."""
    return SEVERITY.index(label) if label in SEVERITY else 0


def _with_splits(rows: Iterable[ManifestRow], split_of: Mapping[str, Split]) -> list[ManifestRow]:
    return [row.model_copy(update={"split": split_of[row.patient]}) for row in rows]


def _strata(rows: Sequence[ManifestRow]) -> dict[str, Stratum]:
    sites: dict[str, set[str]] = {}
    for row in rows:
        if row.site is not None:
            sites.setdefault(row.patient, set()).add(row.site)
    return {patient: (label, tuple(sorted(sites.get(patient, ())))) for patient, label in most_severe(rows).items()}


def _apportion(patients: int, shares: NDArray[np.float64], given: NDArray[np.float64]) -> list[int]:
    """Which split each of a stratum's patients goes to; `given`, the patients of all strata so far, is counted up.

    Each goes where most is owed over all strata, among the splits of which the stratum's share is not yet full.
    """
    # A share of 0.2 of 15 patients is 3 and neither 2 nor 4, whatever floating point makes of it.
    exact = np.round(shares * patients, 9)
    least, most, inside = np.floor(exact), np.ceil(exact), np.zeros(len(shares))
    choices = []
    for left in range(patients, 0, -1):
        short = np.maximum(least - inside, 0)
        open_to = short > 0 if short.sum() >= left else inside < most
        choice = int(np.argmax(np.where(open_to, shares * (given.sum() + 1) - given, -math.inf)))
        given[choice] += 1
        inside[choice] += 1
        choices.append(choice)
    return choices


def _shuffled_by_stratum(stratum_of: Mapping[str, Stratum], seed: int) -> list[tuple[Stratum, str]]:
    """Stratum and patient, strata one after the other, patients of each in a drawn order."""
    rng = np.random.default_rng(seed)
    order: list[tuple[Stratum, str]] = []
    for stratum in sorted(set(stratum_of.values())):
        members = sorted(patient for patient, own in stratum_of.items() if own == stratum)
        order += [(stratum, members[int(i)]) for i in rng.permutation(len(members))]
    return order
