"""PEF-Coh on examples small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from medproto.evaluation.quality_coherence import (
    best_overlaps,
    class_specificity,
    coverage,
    find_findings,
    holds_finding,
    localization,
    nearest_categories,
    nearest_drawn,
    overlaps,
    patch_boxes,
    purities,
    relevant,
    specialization,
    uniqueness,
)
from medproto.model.receptive_field import Axis, ReceptiveField

#: Nearest patches of five prototypes: all of category 0; three of 1; one of 0; none; two of 1 and one of 0.
NEAREST = np.array(
    [
        [0, 1, -1, -1, 0],
        [0, 1, 0, -1, 1],
        [0, 1, -1, -1, 1],
        [0, -1, -1, -1, -1],
    ]
)
NONE = np.full((4, 2), -1)


def test_a_prototype_is_relevant_where_one_near_patch_holds_a_finding() -> None:
    assert relevant(NEAREST).tolist() == [True, True, True, False, True]
    assert not relevant(NONE).any()


def test_specialization_is_the_mean_purity_of_relevant_prototypes() -> None:
    category, share = purities(NEAREST)
    assert category.tolist() == [0, 1, 0, -1, 1]
    assert share.tolist() == [1.0, 0.75, 0.25, 0.0, 0.5]
    assert specialization(NEAREST) == pytest.approx((1.0 + 0.75 + 0.25 + 0.5) / 4)
    assert specialization(NONE) is None


def test_uniqueness_and_coverage_count_categories() -> None:
    # two categories among four relevant prototypes, of the three that the data hold
    assert uniqueness(NEAREST) == 0.5
    assert coverage(NEAREST, 3) == pytest.approx(2 / 3)
    assert uniqueness(NONE) is None
    assert coverage(NONE, 3) == 0.0


def test_class_specificity_asks_for_the_majority_class_of_the_category() -> None:
    # the first four prototypes weigh most on class 1, the last on class 0
    weights = np.array([[-1.0, -1.0, -1.0, -1.0, 1.0], [1.0, 1.0, 1.0, 1.0, -1.0]])
    # category 0 is mostly of class 1, category 1 of class 0: prototypes 0, 2 and 4 agree, 1 does not
    assert class_specificity(NEAREST, weights, np.array([[2, 5], [4, 1]])) == 0.75
    # a tie agrees with none
    assert class_specificity(NEAREST, weights, np.array([[3, 3], [4, 1]])) == 0.25
    assert class_specificity(NONE, weights[:, :2], np.array([[2, 5]])) is None


def test_nearest_patches_are_those_of_the_most_similar_images() -> None:
    similarity = np.array([[0.1, 5.0], [3.0, 4.0], [2.0, 6.0]])
    categories = np.array([[7, 8], [0, -1], [1, 2]])
    assert nearest_categories(similarity, categories, 2).tolist() == [[0, 2], [1, 8]]
    assert nearest_categories(similarity, categories, 10).shape == (3, 2)


def test_overlap_of_boxes_is_that_of_their_pixels() -> None:
    # 4 x 4 against 4 x 4 moved by (2, 2): 4 shared pixels of 28; the same box; a box that only touches
    iou, dsc = overlaps(np.array([0, 0, 4, 4]), np.array([[2, 2, 6, 6], [0, 0, 4, 4], [4, 0, 8, 4]]))
    assert iou.tolist() == pytest.approx([4 / 28, 1.0, 0.0])
    assert dsc.tolist() == pytest.approx([8 / 32, 1.0, 0.0])


def test_patches_are_squares_around_the_centres_cut_at_the_border() -> None:
    field = ReceptiveField(Axis(2.0, 4, 9, 3), Axis(0.0, 4, 9, 2))
    assert patch_boxes(np.array([[0, 1], [4, 5]]), field, (10, 8)).tolist() == [
        [[0, 0, 4, 2], [0, 2, 4, 6]],
        [[8, 0, 10, 2], [8, 2, 10, 6]],
    ]


def test_a_patch_holds_a_finding_where_the_centre_of_one_lies_in_the_other() -> None:
    lesion = np.zeros((2, 16, 16), dtype=np.uint8)
    lesion[0, 0:8, 0:8] = 1
    lesion[0, 12:14, 12:14] = 1
    findings = find_findings(lesion)
    assert findings.image.tolist() == [0, 0]
    assert findings.box.tolist() == [[0, 0, 8, 8], [12, 12, 14, 14]]
    # inside the large one; around the small one, whose own centre lies beside it; elsewhere
    boxes = np.array([[[4, 4, 8, 8], [8, 8, 14, 14], [0, 12, 4, 16]]] * 2)
    assert holds_finding(boxes, findings).tolist() == [[True, True, False], [False, False, False]]


def test_localization_takes_the_best_of_the_strongest_patches() -> None:
    lesion = np.zeros((1, 64, 64), dtype=np.uint8)
    lesion[0, 0:4, 0:4] = 1
    boxes = np.full((1, 12, 4), 60) + np.array([0, 0, 4, 4])
    boxes[0, 5] = [2, 2, 6, 6]
    boxes[0, 11] = [0, 0, 4, 4]
    falling = np.arange(12, 0, -1.0)[None]
    found = best_overlaps(find_findings(lesion), boxes, falling)
    # the strongest lies elsewhere, the sixth overlaps in 4 of 28 pixels, the twelfth is the finding
    assert found["top-1"].tolist() == [[0.0, 0.0]]
    assert found["top-10"][0].tolist() == pytest.approx([4 / 28, 0.25])
    assert found["all"].tolist() == [[1.0, 1.0]]


def test_localization_is_the_mean_over_findings_with_an_interval_by_patient() -> None:
    # two findings of one patient, who is drawn with both or neither, and one of another
    best = {"top-1": np.array([[0.2, 0.3], [0.4, 0.5], [0.9, 0.95]])}
    found = localization(best, ["a", "a", "b"])["top-1"]
    assert (found.iou.value, found.dsc.value) == pytest.approx((0.5, 1.75 / 3))
    assert (found.iou.low, found.iou.high) == pytest.approx((0.3, 0.9))


def test_images_drawn_twice_count_twice_among_the_nearest() -> None:
    similarity = np.array([[0.1, 5.0], [3.0, 4.0], [2.0, 6.0]])
    categories = np.array([[7, 8], [0, -1], [1, 2]])
    order = np.argsort(-similarity, axis=0)
    once = nearest_drawn(order, categories, np.array([1, 1, 1]), 2)
    assert once.tolist() == nearest_categories(similarity, categories, 2).tolist()
    # image 2 twice, image 1 not at all
    assert nearest_drawn(order, categories, np.array([1, 0, 2])).tolist() == [[1, 2], [1, 2], [7, 8]]
