"""What is put in place of a part that is taken away."""

from __future__ import annotations

import torch

from medproto.attribution import InputBox
from medproto.blanking import blank
from medproto.blurring import blurred_surround

#: All of an image is breast.
ALL = torch.ones(1, 1, 64, 64, dtype=torch.bool)


def square(rows: slice, columns: slice, size: int = 64) -> torch.Tensor:
    where = torch.zeros(1, 1, size, size, dtype=torch.bool)
    where[..., rows, columns] = True
    return where


def test_a_bright_square_on_even_ground_is_gone() -> None:
    where = square(slice(20, 37), slice(11, 40))
    images = torch.where(where, 1.0, 0.3)
    assert torch.allclose(blurred_surround(images, where, ALL), torch.full_like(images, 0.3), atol=1e-6)


def test_nothing_outside_the_mask_is_touched() -> None:
    images = torch.rand(2, 1, 50, 37, generator=torch.Generator().manual_seed(0))
    where = torch.zeros(2, 1, 50, 37, dtype=torch.bool)
    where[0, :, 10:20, 5:30] = True
    filled = blurred_surround(images, where, torch.ones_like(where))
    assert torch.equal(filled[~where], images[~where])
    assert torch.equal(filled[1], images[1])
    assert not torch.equal(filled[0], images[0])


def test_fill_follows_the_surround_and_holds_no_detail() -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64).contiguous()
    noise = 0.2 * torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    where = square(slice(24, 40), slice(24, 40))
    filled = blurred_surround(ramp + noise, where, ALL)[..., 24:40, 24:40]
    assert float(filled[..., 0].mean()) < float(filled[..., -1].mean())
    assert float((filled - (ramp + 0.1)[..., 24:40, 24:40]).abs().max()) < 0.12
    assert float(filled.diff(dim=2).abs().mean()) < 0.1 * float(noise.diff(dim=2).abs().mean())


def test_nothing_of_the_hidden_part_shines_through() -> None:
    where = square(slice(0, 30), slice(0, 30))
    ground = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(2))
    assert torch.equal(*(blurred_surround(each, where, ALL) for each in (ground, torch.where(where, 9.0, ground))))


def test_air_is_neither_filled_nor_a_surround() -> None:
    breast = square(slice(0, 64), slice(0, 30))
    images = torch.where(breast, 0.5, 0.0)
    where = square(slice(20, 40), slice(20, 45))
    assert torch.allclose(blurred_surround(images, where, breast), images, atol=1e-6)


def test_an_image_that_is_masked_as_a_whole_becomes_its_mean() -> None:
    images = torch.rand(1, 1, 9, 12, generator=torch.Generator().manual_seed(3))
    whole = torch.ones_like(images, dtype=torch.bool)
    filled = blurred_surround(images, whole, whole)
    assert torch.allclose(filled, images.mean().expand_as(images))


def test_masked_boxes_are_filled_as_the_check_of_a_scored_exam_fills_a_box() -> None:
    images = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(4))
    breast = square(slice(0, 64), slice(0, 40))
    filled = blurred_surround(images, square(slice(20, 36), slice(32, 48)), breast)
    assert torch.equal(filled[0, 0], blank(images[0, 0], breast[0, 0], InputBox(20, 32, 36, 48)))


def test_parts_apart_are_filled_each_from_its_own_surround() -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64).contiguous()
    near, far = square(slice(4, 12), slice(4, 12)), square(slice(50, 62), slice(50, 62))
    both = blurred_surround(ramp, near | far, ALL)
    for one in (near, far):
        alone = blurred_surround(ramp, one, ALL)
        assert torch.allclose(both[one], alone[one], atol=1e-3)
        assert float((both - ramp)[one].abs().max()) < 0.1
