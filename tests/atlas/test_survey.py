"""Global analysis: neighbours, purity, firing, twins and tilt are what the model and the manifest say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medproto.atlas.material import Material, load_material
from medproto.atlas.records import Atlas
from medproto.atlas.survey import firing, relatives, survey
from medproto.atlas.tilt import tilts
from medproto.bundle import Bundle
from medproto.datasets.manifest import Manifest
from medproto.errors import InputError, TrainingError
from medproto.model.backbones import build_backbone
from medproto.model.protopnet import ProtoPNet
from medproto.training.inputs import InputSet
from medproto.training.neighbours import KEPT, nearest
from medproto.training.similarities import similarities
from tests.factories import Trained, input_set, silent, train_tiny

NEIGHBOURS = 4


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A cohort and its bundle."""
    return train_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def material(trained: Trained) -> Material:
    """The bundle with the images of all three splits."""
    return load_material(trained.bundle(), trained.manifest, "test", None, silent)


@pytest.fixture(scope="module")
def surveyed(material: Material) -> tuple[Atlas, dict[str, bytes]]:
    """The analysis of the tiny bundle."""
    return survey(material, NEIGHBOURS, silent)


def cosine(bundle: Bundle) -> Bundle:
    """The bundle with an untrained network of as many prototypes whose similarity is the cosine."""
    owners = bundle.model.prototype_class
    model = ProtoPNet(build_backbone("tiny", 8, "none"), 8, owners, 2, "cosine")
    return replace(bundle, model=model.eval().requires_grad_(False))


def grouped(data: InputSet, vendors: list[str | None]) -> InputSet:
    """The images, made by those vendors."""
    sources = (
        replace(source, row=source.row.model_copy(update={"vendor": vendor}))
        for source, vendor in zip(data.sources, vendors, strict=True)
    )
    return replace(data, sources=tuple(sources))


def test_every_prototype_has_its_portrait_and_every_picture_is_there(
    surveyed: tuple[Atlas, dict[str, bytes]], trained: Trained
) -> None:
    atlas, shown = surveyed
    entries = trained.bundle().manifest.prototypes
    assert {each.prototype_id for each in atlas.portraits} == {entry.prototype_id for entry in entries}
    named = {near.patch for each in atlas.portraits for around in each.neighbourhoods for near in around.nearest}
    assert named | {entry.source.patch for entry in entries} == set(shown)
    assert [around.split for around in atlas.portraits[0].neighbourhoods] == ["train", "val"]


def test_neighbours_are_the_most_similar_images_of_other_patients(
    surveyed: tuple[Atlas, dict[str, bytes]], material: Material
) -> None:
    data = material.sets["train"]
    values = similarities(material.bundle.model, data, torch.device("cpu")).images
    patient = {source.row.image: source.row.patient for source in data.sources}
    for each in surveyed[0].portraits:
        p = [entry.prototype_id for entry in material.bundle.manifest.prototypes].index(each.prototype_id)
        own = patient[each.source.image_id]
        ranked = sorted((-float(values[i, p]), name) for i, name in enumerate(patient) if patient[name] != own)
        found = each.neighbourhoods[0].nearest
        assert [near.image_id for near in found] == [name for _, name in ranked[:NEIGHBOURS]]
        assert [near.similarity for near in found] == pytest.approx([-value for value, _ in ranked[:NEIGHBOURS]])


def test_the_bundle_keeps_the_neighbours_that_the_analysis_finds(
    surveyed: tuple[Atlas, dict[str, bytes]], trained: Trained
) -> None:
    bundle = trained.bundle()
    kept = {entry.prototype_id: entry.neighbours for entry in bundle.manifest.prototypes}
    for each in surveyed[0].portraits:
        own, found = kept[each.prototype_id], each.neighbourhoods[0]
        assert own is not None
        assert (len(own.nearest), own.purity.total, own.split) == (KEPT, KEPT, "train")
        assert own.expected == found.expected
        for one, other in zip(own.nearest, found.nearest, strict=False):
            assert one.similarity == pytest.approx(other.similarity, rel=1e-5)
            assert one.model_copy(update={"similarity": other.similarity}) == other
            assert bundle.pictures[one.patch] == surveyed[1][other.patch]


def test_purity_counts_the_images_of_its_class_and_chance_all_of_them(
    surveyed: tuple[Atlas, dict[str, bytes]], trained: Trained
) -> None:
    malignant = {row.image for row in trained.manifest.rows if row.label == "malignant"}
    each = next(each for each in surveyed[0].portraits if each.prototype_class == "malignant")
    training = each.neighbourhoods[0]
    assert training.purity.hits == sum(near.image_id in malignant for near in training.nearest)
    assert training.purity.total == NEIGHBOURS
    # Of the other seven training patients three have two malignant images of four.
    assert training.expected == pytest.approx(6 / 28)


def test_a_copied_image_is_one_neighbour(material: Material) -> None:
    data = material.sets["val"]
    twice = data.select([*range(len(data)), *range(len(data))])
    doubled = replace(material, sets={"val": twice})
    scored = similarities(material.bundle.model, twice, torch.device("cpu"))
    for places in nearest(doubled.searched, "val", scored, len(twice)):
        assert sorted(place.image for place in places) == list(range(len(data)))


def test_a_box_has_the_winning_cell_in_the_original(
    surveyed: tuple[Atlas, dict[str, bytes]], material: Material
) -> None:
    data = material.sets["val"]
    field = material.bundle.model.backbone.receptive_field(*data.images.shape[2:])
    scored = similarities(material.bundle.model, data, torch.device("cpu"))
    places = {source.row.image: i for i, source in enumerate(data.sources)}
    names = [entry.prototype_id for entry in material.bundle.manifest.prototypes]
    for each in surveyed[0].portraits:
        for near in each.neighbourhoods[1].nearest:
            image = places[near.image_id]
            cell = divmod(int(scored.cells[image, names.index(each.prototype_id)]), field.columns.cells)
            row, column = data.sources[image].geometry.to_input(*near.box.centre)
            assert (row, column) == pytest.approx((field.rows.centre_px(cell[0]), field.columns.centre_px(cell[1])))


def test_firing_and_shares_as_computed_by_hand() -> None:
    similarity = torch.tensor([[1.0, 4.0, 1.0, 2.0], [3.0, 1.0, 1.0, 2.0]])
    weights = torch.tensor([-1.0, -1.0, 2.0, 0.5], dtype=torch.double)
    done = firing(similarity, weights, torch.tensor([0, 1]))
    # Contributions: -1 -4 2 1 and -3 -1 2 1, so the two strongest are 1, 2 and 0, 2; margins -2 and -1.
    assert done.top == 2
    assert done.fired.tolist() == [[False, True, True, False], [True, False, True, False]]
    assert done.decided.tolist() == pytest.approx([4 / 15, 5 / 15, 4 / 15, 2 / 15])
    assert done.moved is not None
    assert done.moved.tolist() == pytest.approx([-2.0, 3.0, 0.0, 0.0])
    own, others = done.shares(1, own=0)
    assert (own.hits, own.total, others.hits, others.total) == (1, 1, 0, 1)


def test_exams_of_one_margin_have_no_differences_to_share() -> None:
    done = firing(torch.ones(3, 2), torch.tensor([1.0, -1.0], dtype=torch.double), torch.tensor([0, 1, 1]))
    assert done.moved is None


def test_shares_of_all_prototypes_add_up(surveyed: tuple[Atlas, dict[str, bytes]]) -> None:
    portraits = surveyed[0].portraits
    assert sum(each.decided for each in portraits) == pytest.approx(1)
    assert sum(each.moved or 0.0 for each in portraits) == pytest.approx(1)


def test_an_equal_prototype_is_a_twin_and_a_far_one_is_not(
    surveyed: tuple[Atlas, dict[str, bytes]], trained: Trained
) -> None:
    bundle = trained.bundle()
    around = {each.prototype_id: each.neighbourhoods for each in surveyed[0].portraits}
    vectors = bundle.model.prototypes.data
    vectors[1] = vectors[0]
    vectors[3] = vectors[0] + 100
    same, others = relatives(bundle, 0, around[bundle.manifest.prototypes[0].prototype_id])
    assert same[0].prototype_id == bundle.manifest.prototypes[1].prototype_id
    assert (same[0].distance, same[0].twin) == (0.0, True)
    assert others[-1].prototype_id == bundle.manifest.prototypes[3].prototype_id
    assert not others[-1].twin


def test_a_bundle_on_cosine_similarity_is_analysed(material: Material) -> None:
    atlas, _ = survey(replace(material, bundle=cosine(material.bundle)), 2, silent)
    values = [near.similarity for each in atlas.portraits for hood in each.neighbourhoods for near in hood.nearest]
    assert all(-1.0 <= value <= 1.0 + 1e-6 for value in values)
    # Unit vectors: the squared distance is 2 - 2 cos.
    relative = atlas.portraits[0].same_class[0]
    assert relative.distance == pytest.approx(2 - 2 * relative.similarity, abs=1e-6)


def test_a_vendor_that_a_prototype_likes_is_exposed() -> None:
    vendors = ["acme", "other"] * 30
    data = grouped(input_set([i // 2 % 2 for i in range(60)]), [*vendors])
    noise = torch.randn(60, 2, generator=torch.Generator().manual_seed(1))
    liked = torch.tensor([vendor == "acme" for vendor in vendors]).double()
    similarity = 0.1 * noise + torch.stack([liked, torch.zeros(60)], dim=1)
    first, second = tilts(data, similarity)
    assert [(tilt.group, tilt.patients) for tilt in first] == [("acme", 30)]
    assert first[0].difference == pytest.approx(1.0, abs=0.1)
    assert first[0].low < first[0].difference < first[0].high
    assert first[0].clear
    assert abs(second[0].difference) < 0.1


def test_a_vendor_with_more_cancers_is_not_thereby_liked() -> None:
    labels = [1] * 25 + [0] * 5 + [1] * 5 + [0] * 25
    data = grouped(input_set(labels), ["acme"] * 30 + ["other"] * 30)
    noise = 0.1 * torch.randn(60, 1, generator=torch.Generator().manual_seed(2))
    (found,) = tilts(data, torch.tensor(labels).double().unsqueeze(1) + noise)
    assert abs(found[0].difference) < 0.1  # 0.67 where the classes are not kept apart


def test_groups_that_are_too_small_are_left_alone() -> None:
    data = grouped(input_set([0, 1] * 15), ["acme"] * 9 + ["other"] * 21)
    assert tilts(data, torch.rand(30, 3)) == [(), (), ()]


def test_patients_count_for_a_group_and_not_images() -> None:
    patients = [f"patient-{i % 6}" for i in range(60)]
    data = grouped(input_set([0, 1] * 30, patients=patients), ["acme", "other"] * 30)
    assert tilts(data, torch.rand(60, 1)) == [()]


def test_figures_of_patients_that_are_prototypes_are_told(trained: Trained) -> None:
    atlas, _ = survey(load_material(trained.bundle(), trained.manifest, "train", None, silent), 1, silent)
    assert atlas.seen


def test_a_manifest_without_training_images_is_refused(trained: Trained, material: Material) -> None:
    rows = tuple(row for row in trained.manifest.rows if row.split == "test")
    held_out = Manifest(trained.manifest.path, rows, trained.manifest.digest)
    with pytest.raises(InputError, match="got no row of split train or val, expected images to take"):
        load_material(material.bundle, held_out, "test", None, silent)


def test_a_file_that_changed_since_it_was_scored_is_refused(material: Material, tmp_path: Path) -> None:
    data = material.sets["val"]
    other = data.sources[0].pixels_sha256
    changed = replace(data, sources=tuple(replace(source, pixels_sha256=other[::-1]) for source in data.sources))
    with pytest.raises(TrainingError, match="changed since it was scored, expected it unaltered"):
        survey(replace(material, sets={"test": material.sets["test"], "val": changed}), 2, silent)
