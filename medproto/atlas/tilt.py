"""Subgroup tilt: whether a prototype likes the images of one vendor, density, view or side better than the others.

Images are compared with images of their own class alone, else a group with more cancers would seem to be liked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medproto.atlas.records import Tilt
from medproto.training.inputs import InputSet

#: Manifest columns whose values are groups.
ATTRIBUTES = ("vendor", "density", "view", "side")
#: A group and the images beside it need so many patients each.
FEWEST_PATIENTS = 10
DRAWS = 1000

Values = NDArray[np.float64]


def tilts(data: InputSet, similarity: Tensor, seed: int = 0) -> list[tuple[Tilt, ...]]:
    """For each prototype its tilt towards every group that is large enough, and whose rest is.

    Args:
        data: images whose rows name the groups; those that name none are left out.
        similarity: best similarity of each image, shape (V, P).
        seed: of the bootstrap.
    """
    values = similarity.double().numpy()
    found: list[list[Tilt]] = [[] for _ in range(values.shape[1])]
    for attribute in ATTRIBUTES:
        names = [getattr(source.row, attribute) for source in data.sources]
        known = np.array([name is not None for name in names])
        groups = sorted({name for name in names if name is not None})
        # Of two groups the second says the same with the other sign.
        for group in groups[:1] if len(groups) == 2 else groups:
            inside = np.array([name == group for name in names])
            for prototype, tilt in enumerate(_of_group(data, values, (attribute, group), (inside, known), seed)):
                found[prototype].append(tilt)
    return [tuple(each) for each in found]


def _of_group(
    data: InputSet,
    values: Values,
    name: tuple[str, str],
    members: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    seed: int,
) -> list[Tilt]:
    """One tilt a prototype, or none where a side is too small; members: of the group, and with a known group."""
    inside, known = members
    patients = np.asarray(data.patients())
    if min(len(set(patients[inside])), len(set(patients[known & ~inside]))) < FEWEST_PATIENTS:
        return []
    people, place = np.unique(patients[known], return_inverse=True)
    counts, sums = _by_patient(values[known], inside[known], data.labels.numpy()[known], place)
    difference = _differences(np.ones((1, len(people))), counts, sums)[0]
    if not np.isfinite(difference).all():
        return []
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(len(people), np.full(len(people), 1 / len(people)), size=DRAWS).astype(np.float64)
    drawn = _differences(weights, counts, sums)
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    if len(drawn) < DRAWS / 2:  # the class that both sides share is too rare to be drawn
        return []
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    scale = np.maximum(values[known].std(axis=0), np.finfo(np.float64).tiny)
    shape = {"attribute": name[0], "group": name[1], "images": int(inside.sum())}
    return [
        Tilt.model_validate(
            {
                **shape,
                "patients": len(set(patients[inside])),
                "difference": difference[p],
                "low": low[p],
                "high": high[p],
                "spread": difference[p] / scale[p],
            }
        )
        for p in range(values.shape[1])
    ]


def _by_patient(
    values: Values, inside: NDArray[np.bool_], labels: NDArray[np.int64], place: NDArray[np.int64]
) -> tuple[Values, Values]:
    """Images and summed similarity of each patient by class and side: shapes (C, 2, N) and (C, 2, N, P)."""
    classes, people = np.unique(labels), int(place.max()) + 1
    counts = np.zeros((len(classes), 2, people))
    sums = np.zeros((len(classes), 2, people, values.shape[1]))
    for c, label in enumerate(classes):
        for side in (0, 1):
            chosen = (labels == label) & (inside == bool(side))
            np.add.at(counts[c, side], place[chosen], 1)
            np.add.at(sums[c, side], place[chosen], values[chosen])
    return counts, sums


def _differences(weights: Values, counts: Values, sums: Values) -> Values:
    """Group minus rest for each draw (D, N) of patients, shape (D, P); NaN where no class has images on both sides.

    The classes' differences are averaged with n1 n0 / (n1 + n0), which is least squares with a level for each class.
    """
    total = np.zeros((len(weights), 1))
    difference = np.zeros((len(weights), sums.shape[-1]))
    for count, added in zip(counts, sums, strict=True):
        rest, group = (weights @ count[side][:, None] for side in (0, 1))
        mean_rest, mean_group = (weights @ added[side] / np.maximum(n, 1) for side, n in ((0, rest), (1, group)))
        weight = rest * group / np.maximum(rest + group, 1)
        difference += weight * (mean_group - mean_rest)
        total += weight
    return np.where(total > 0, difference / np.where(total > 0, total, 1), np.nan)
