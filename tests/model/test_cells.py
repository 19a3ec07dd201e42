"""Masks as latent cells: hand-made masks on a field whose cells are 8 x 8 squares of the input."""

from __future__ import annotations

import torch

from medproto.model.cells import breast_cells, centre_inside, lesion_cells, share_inside
from medproto.model.receptive_field import Axis, ReceptiveField

FIELD = ReceptiveField(Axis(4.0, 8, 15, 4), Axis(4.0, 8, 15, 6))
EVERYWHERE = torch.ones(1, 4, 6, dtype=torch.bool)


def plane(top: int, left: int, bottom: int, right: int) -> torch.Tensor:
    """A mask of 32 x 48 pixels that holds one rectangle."""
    mask = torch.zeros(1, 32, 48, dtype=torch.uint8)
    mask[:, top:bottom, left:right] = 1
    return mask


def chosen(cells: torch.Tensor) -> list[tuple[int, int]]:
    """The cells of the only view that are set."""
    return [(int(h), int(w)) for h, w in torch.nonzero(cells[0])]


def test_share_is_the_part_of_the_patch_in_the_mask() -> None:
    share = share_inside(plane(0, 0, 12, 8), FIELD)[0]
    assert share[:, 0].tolist() == [1.0, 0.5, 0.0, 0.0]
    assert float(share[:, 1:].sum()) == 0


def test_patch_cut_by_the_border_counts_what_is_inside() -> None:
    field = ReceptiveField(Axis(1.0, 8, 15, 4), Axis(4.0, 8, 15, 6))
    assert share_inside(plane(0, 0, 32, 48), field)[0, :, 2].tolist() == [5 / 8, 1.0, 1.0, 1.0]


def test_half_of_the_patch_in_the_breast_lets_a_cell_win() -> None:
    assert chosen(breast_cells(plane(0, 0, 12, 8), FIELD)) == [(0, 0), (1, 0)]
    assert chosen(breast_cells(plane(0, 0, 11, 8), FIELD)) == [(0, 0)]


def test_image_without_a_breast_cell_allows_all() -> None:
    both = torch.cat([plane(0, 0, 2, 2), plane(0, 0, 8, 8)])
    allowed = breast_cells(both, FIELD)
    assert allowed[0].all()
    assert int(allowed[1].sum()) == 1


def test_lesion_smaller_than_a_cell_keeps_one_cell() -> None:
    assert chosen(lesion_cells(plane(9, 17, 11, 19), EVERYWHERE, FIELD)) == [(1, 2)]
    # On the corner of four cells, the one with most of it.
    assert chosen(lesion_cells(plane(15, 14, 18, 18), EVERYWHERE, FIELD)) == [(2, 1), (2, 2)]


def test_lesion_keeps_the_cells_with_their_centre_in_it() -> None:
    assert chosen(lesion_cells(plane(8, 16, 24, 32), EVERYWHERE, FIELD)) == [(1, 2), (1, 3), (2, 2), (2, 3)]
    # The right edge reaches 3 px into the next column of cells: more than a quarter, but not its centre.
    assert chosen(lesion_cells(plane(8, 16, 24, 35), EVERYWHERE, FIELD)) == [(1, 2), (1, 3), (2, 2), (2, 3)]


def test_lesion_cells_are_allowed_cells() -> None:
    allowed = EVERYWHERE.clone()
    allowed[0, 1, 2] = False
    assert chosen(lesion_cells(plane(8, 16, 16, 24), allowed, FIELD)) == []
    assert chosen(lesion_cells(plane(8, 16, 16, 30), allowed, FIELD)) == [(1, 3)]


def test_image_without_lesion_has_no_lesion_cell() -> None:
    assert not lesion_cells(plane(0, 0, 0, 0), EVERYWHERE, FIELD).any()


def test_centre_decides_between_neighbours() -> None:
    assert chosen(centre_inside(plane(4, 4, 5, 13), FIELD)) == [(0, 0), (0, 1)]
