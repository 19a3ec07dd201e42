"""Splits by patient, stratified by each patient's most severe label; nothing here can split a patient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from medproto.datasets.manifest import ManifestRow, Split
from medproto.errors import InputError

#: Labels from least to most severe; a label that is not listed is as mild as the first, and a stratum of its own.
SEVERITY = ("normal", "benign_without_callback", "benign", "lesion", "malignant")


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
    label_of = most_severe(rows)
    if len(label_of) < int((shares > 0).sum()):
        raise InputError(f"split: got {len(label_of)} patients, expected at least one for each split")
    given = np.zeros(len(names))
    split_of: dict[str, Split] = {}
    for turn, patient in enumerate(_shuffled_by_stratum(label_of, seed), start=1):
        # Strata follow one another, and each patient goes where most is owed: all shares hold within each stratum.
        choice = int(np.argmax(np.where(shares > 0, shares * turn - given, -np.inf)))
        given[choice] += 1
        split_of[patient] = names[choice]
    return [row.model_copy(update={"split": split_of[row.patient]}) for row in rows]


def fold_patients(rows: Sequence[ManifestRow], folds: int, seed: int) -> list[dict[str, Split]]:
    """Stratified k-fold: for each fold in turn, `train` or `test` for every patient; each is tested exactly once.

    Raises:
        InputError: fewer than two folds, or fewer patients than folds.
    """
    label_of = most_severe(rows)
    if not 2 <= folds <= len(label_of):
        raise InputError(f"folds: got {folds}, expected 2 to {len(label_of)}, the number of patients")
    order = _shuffled_by_stratum(label_of, seed)
    return [
        {patient: "test" if turn % folds == fold else "train" for turn, patient in enumerate(order)}
        for fold in range(folds)
    ]


def most_severe(rows: Iterable[ManifestRow]) -> dict[str, str]:
    """Most severe label of each patient, patients in the order of the rows."""
    labels: dict[str, str] = {}
    for row in rows:
        labels[row.patient] = max(labels.get(row.patient, row.label), row.label, key=severity)
    return labels


def severity(label: str) -> int:
    """Rank of a label, 0 the mildest."""
    return SEVERITY.index(label) if label in SEVERITY else 0


def _shuffled_by_stratum(label_of: Mapping[str, str], seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    order: list[str] = []
    for label in sorted(set(label_of.values())):
        members = sorted(patient for patient, own in label_of.items() if own == label)
        order += [members[int(i)] for i in rng.permutation(len(members))]
    return order
