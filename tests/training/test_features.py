"""Features of a frozen backbone: computed once, the same values, and never those of other weights or other images."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from medproto.model.backbones import Backbone, build_backbone
from medproto.training.batches import augmented, order
from medproto.training.features import FrozenFeatures, encode_all, feature_batches
from medproto.training.run import fit
from tests.factories import SETTINGS, input_set, silent, tiny_model
from tests.model.test_backbone_families import spread

CPU = torch.device("cpu")
LABELS = [0, 1] * 10


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each pass through a backbone took; the passes are real."""
    passes: list[int] = []
    forward = Backbone.forward

    def counted(self: Backbone, images: Tensor) -> Tensor:
        passes.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Backbone, "forward", counted)
    return passes


def test_kept_features_give_the_latent_maps_that_the_backbone_gives(seen: list[int]) -> None:
    model, data, kept = tiny_model(), input_set(LABELS), FrozenFeatures(CPU)
    passes = []
    for place in (CPU, kept, kept):
        seen.clear()
        maps = [latent for _, latent in encode_all(model, data, place)]
        passes.append((list(seen), torch.cat(maps)))
    # the one image shows which layer feeds which, for the copy without BatchNorm
    assert [sizes for sizes, _ in passes] == [[1, 16, 4], [1, 16, 4], []]
    assert all(torch.equal(passes[0][1], maps) for _, maps in passes[1:])


def test_moved_backbone_or_other_images_are_not_taken_for_those_that_were_kept() -> None:
    model, data, kept = tiny_model(), input_set(LABELS), FrozenFeatures(CPU)
    first = torch.cat([part for _, part in kept.batches(model.backbone, data.images)])
    other = torch.cat([part for _, part in kept.batches(model.backbone, data.images.flip(0))])
    assert torch.allclose(other, first.flip(0), atol=1e-5)
    with torch.no_grad():
        next(iter(model.backbone.parameters())).data.mul_(1.5)
    moved = torch.cat([part for _, part in kept.batches(model.backbone, data.images)])
    assert not torch.allclose(moved, first, atol=1e-5)


def test_features_are_those_of_the_backbone_though_they_come_from_a_copy_without_batch_norm() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone, images = build_backbone("resnet18", 16, "none"), input_set(LABELS).images
    spread(backbone)
    with torch.no_grad():
        wanted = backbone.eval()(images)
    got = torch.cat([part for _, part in feature_batches(backbone, images, CPU)])
    assert float((got - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())
    assert any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())


def test_the_same_part_of_the_same_images_is_not_encoded_again(seen: list[int]) -> None:
    model, data, kept = tiny_model(), input_set(LABELS), FrozenFeatures(CPU)
    whole, part = (torch.cat([f for _, f in kept.batches(model.backbone, data.images[k:])]) for k in (0, 4))
    assert torch.allclose(whole[4:], part, atol=1e-5)
    seen.clear()
    assert torch.equal(torch.cat([f for _, f in kept.batches(model.backbone, data.images[4:])]), part)
    assert seen == []


def test_no_images_make_one_empty_batch_of_features() -> None:
    model, data = tiny_model(), input_set(LABELS)
    (places, features), *more = feature_batches(model.backbone, data.images[:0], CPU)
    assert (places, features.shape[0], more) == (slice(0, 0), 0, [])


def test_an_answer_that_was_not_heard_to_its_end_is_not_kept() -> None:
    model, data, kept = tiny_model(), input_set(LABELS), FrozenFeatures(CPU)
    next(kept.batches(model.backbone, data.images))
    assert sum(len(part) for _, part in kept.batches(model.backbone, data.images)) == len(LABELS)


def test_fit_with_a_frozen_backbone_sends_each_image_through_it_once(seen: list[int]) -> None:
    stage = SETTINGS.stages[0].model_copy(update={"epochs": 1})
    fit(SETTINGS.model_copy(update={"stages": (stage,)}), input_set(LABELS), silent)
    # the backbone's own measurement of its receptive field comes before
    assert seen[-2:] == [16, 4]
    assert seen.count(16) == 1


def test_variant_of_an_image_does_not_depend_on_its_neighbours() -> None:
    data = input_set([0, 1, 0, 1])
    turned = augmented(data.select([3, 2, 1, 0]), 5, 1)
    alone = augmented(data.select([2]), 5, 1)
    for plane, backwards, single in zip(augmented(data, 5, 1), turned, alone, strict=True):
        assert torch.equal(plane, backwards.flip(0))
        assert torch.equal(plane[2:3], single)


def test_variants_seeds_and_crops_differ_and_variant_0_is_the_image_as_it_is() -> None:
    data = input_set([0] * 4)
    assert torch.equal(augmented(data, 5, 0)[0], data.images)
    first = augmented(data, 5, 1)[0]
    sources = tuple(
        replace(source, crop=source.crop.model_copy(update={"bottom": source.crop.bottom - 1}))
        for source in data.sources
    )
    moved = replace(data, sources=sources)
    for other in (augmented(data, 5, 2)[0], augmented(data, 6, 1)[0], augmented(moved, 5, 1)[0], data.images):
        assert not torch.equal(first, other)


def test_balanced_epoch_shows_classes_equally_and_every_image_of_the_small_one() -> None:
    labels = torch.tensor([0] * 17 + [1] * 3)
    places = order(labels, True, torch.Generator().manual_seed(1))
    shown = torch.bincount(places, minlength=20)
    assert torch.bincount(labels[places]).tolist() == [10, 10]
    assert int(shown[:17].max()) == 1
    assert sorted(shown[17:].tolist()) == [3, 3, 4]
    assert torch.equal(places, order(labels, True, torch.Generator().manual_seed(1)))
    assert not torch.equal(places, order(labels, True, torch.Generator().manual_seed(2)))
