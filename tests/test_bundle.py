"""A bundle is whole or refused; the numbers are those of `load_bundle`'s guarantees."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from medproto.bundle import BundleManifest, load_bundle, margin_weights, read_bundle_manifest, save_bundle
from medproto.errors import BundleError
from medproto.model.similarity import EPSILON
from tests.factories import SETTINGS, Trained, train_tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny network, trained through all three stages."""
    return train_tiny(tmp_path_factory.getbasetemp() / "tiny")


@pytest.fixture
def copy(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the bundle that may be spoiled."""
    return Path(shutil.copytree(trained.bundle_path, tmp_path / "copy.bundle"))


class Touch:
    """A pickle of this makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path]]:
        return Path.touch, (self.path,)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest, and let its digests be those of the files again."""
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    for name in document["files"]:
        if (folder / name).is_file():
            document["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    change(document)
    path.write_text(json.dumps(document))


def test_bundle_loads_as_the_network_that_was_saved(trained: Trained) -> None:
    bundle = trained.bundle()
    assert not bundle.model.training
    assert not any(parameter.requires_grad for parameter in bundle.model.parameters())
    assert bundle.manifest.name == "tiny"
    assert bundle.manifest.model.classes == ("not malignant", "malignant")
    assert bundle.positive == 1
    assert bundle.manifest.synthetic
    assert bundle.manifest.data_name == "tiny cohort"
    assert bundle.manifest.data_digest == trained.manifest.digest
    assert len(bundle.manifest.prototypes) == len(bundle.model.prototypes) == 6
    tensors = load_file(trained.bundle_path / "weights.safetensors")
    for name, value in bundle.model.state_dict().items():
        assert torch.equal(value, tensors[f"model.{name}"]), name


def test_1_bundle_id_is_the_digest_of_the_manifest(trained: Trained, copy: Path) -> None:
    content = (trained.bundle_path / "manifest.json").read_bytes()
    assert trained.bundle().bundle_id == hashlib.sha256(content).hexdigest() == trained.bundle_id
    (copy / "manifest.json").write_bytes(content + b"\n")
    assert load_bundle(copy).bundle_id == hashlib.sha256(content + b"\n").hexdigest()
    assert read_bundle_manifest(copy)[0] == load_bundle(copy).bundle_id


def test_2_altering_any_byte_of_any_file_is_found(trained: Trained, copy: Path) -> None:
    names = [path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()]
    patches = {patch for entry in trained.bundle().manifest.prototypes for patch in entry.patches()}
    assert len(names) == 2 + len(patches)
    for name in names:
        content = (copy / name).read_bytes()
        for place in (0, len(content) // 2, len(content) - 1):
            altered = bytearray(content)
            altered[place] ^= 1
            (copy / name).write_bytes(bytes(altered))
            if name == "manifest.json":
                try:
                    assert load_bundle(copy).bundle_id != trained.bundle_id
                except BundleError:
                    continue
            else:
                with pytest.raises(BundleError, match=rf"'{name}' was altered, its SHA-256 is not the manifest's"):
                    load_bundle(copy)
        (copy / name).write_bytes(content)
    assert load_bundle(copy).bundle_id == trained.bundle_id


@pytest.mark.parametrize("name", ["notes.txt", "prototypes/more.png", ".hidden", "deeper/model.pkl"])
def test_2_file_that_is_not_named_is_refused(copy: Path, name: str) -> None:
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_bytes(b"more")
    with pytest.raises(BundleError, match=rf"bundle: '{name}' is not in the manifest"):
        load_bundle(copy)


def test_2_missing_file_is_named(copy: Path) -> None:
    (copy / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match=r"bundle: 'weights\.safetensors' is missing"):
        load_bundle(copy)


def test_2_file_outside_the_bundle_is_never_read(copy: Path) -> None:
    (copy.parent / "secret").write_bytes(b"secret")
    rewrite(copy, lambda m: m["files"].update({"../secret": hashlib.sha256(b"secret").hexdigest()}))
    with pytest.raises(BundleError, match=r"bundle: '\.\./secret' is missing"):
        load_bundle(copy)


def test_3_pickled_weights_are_refused_unopened(copy: Path) -> None:
    (copy / "weights.safetensors").write_bytes(pickle.dumps(Touch(copy.parent / "ran")))
    rewrite(copy, lambda m: None)
    with pytest.raises(BundleError, match=r"weights\.safetensors does not fit the manifest"):
        load_bundle(copy)
    assert not (copy.parent / "ran").exists()


def test_a_bundle_from_before_neighbours_were_kept_is_loaded(copy: Path) -> None:
    def strip(document: dict[str, Any]) -> None:
        own = {entry["source"]["patch"] for entry in document["prototypes"]}
        for entry in document["prototypes"]:
            for one in entry.pop("neighbours")["nearest"]:
                if one["patch"] not in own:
                    document["files"].pop(f"prototypes/{one['patch']}.png", None)
                    (copy / "prototypes" / f"{one['patch']}.png").unlink(missing_ok=True)

    rewrite(copy, strip)
    assert {entry.neighbours for entry in load_bundle(copy).manifest.prototypes} == {None}


@pytest.mark.parametrize("place", [0, 1])
def test_4_prototype_or_neighbour_without_a_picture_is_refused(trained: Trained, copy: Path, place: int) -> None:
    picture = copy / "prototypes" / f"{trained.bundle().manifest.prototypes[0].patches()[place]}.png"
    picture.unlink()
    rewrite(copy, lambda m: m["files"].pop(f"prototypes/{picture.name}"))
    with pytest.raises(BundleError, match=r"bundle: prototype (not-)?malignant-0\d has no picture"):
        load_bundle(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["model"].update(latent_channels=9),
        lambda m: m["model"].update(stride=16),
        lambda m: m["model"].update(classes=["a", "malignant"]),
        lambda m: m["prototypes"].pop(),
    ],
)
def test_4_tensors_that_do_not_fit_the_manifest_are_refused(
    copy: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    rewrite(copy, change)
    with pytest.raises(BundleError, match=r"bundle: weights\.safetensors does not fit the manifest"):
        load_bundle(copy)


def test_4_classes_of_prototypes_must_agree_with_the_tensors(copy: Path) -> None:
    rewrite(copy, lambda m: m["prototypes"][0].update(prototype_class="malignant"))
    with pytest.raises(BundleError, match="classes of the prototypes differ between tensors and manifest"):
        load_bundle(copy)


def test_4_positive_class_must_be_one_of_the_classes(copy: Path) -> None:
    rewrite(copy, lambda m: m["model"].update(positive_class="cancer"))
    with pytest.raises(BundleError, match="positive class: got 'cancer', expected one of not malignant, malignant"):
        load_bundle(copy)


def test_4_likeness_must_fit_the_network(copy: Path) -> None:
    tensors = load_file(copy / "weights.safetensors")
    tensors["likeness.mean"] = tensors["likeness.mean"][:-1].clone()
    save_file(tensors, copy / "weights.safetensors")
    rewrite(copy, lambda m: None)
    with pytest.raises(BundleError, match=r"weights\.safetensors does not fit the manifest"):
        load_bundle(copy)


@pytest.mark.parametrize(
    "change, where",
    [
        (lambda m: m.update(format=2), "format: Input should be 1"),
        (lambda m: m.update(comment="x"), "comment: Extra inputs are not permitted"),
        (lambda m: m.pop("calibration"), "calibration: Field required"),
        (lambda m: m.update(prototypes=[]), "prototypes: Tuple should have at least 1 item"),
        (lambda m: m.update(likeness_threshold=float("nan")), "likeness_threshold: Input should be a finite number"),
    ],
)
def test_1_manifest_of_another_format_is_refused(
    copy: Path, change: Callable[[dict[str, Any]], None], where: str
) -> None:
    rewrite(copy, change)
    with pytest.raises(BundleError, match=rf"manifest\.json is not of format 1: {where}"):
        load_bundle(copy)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe"])
def test_1_manifest_that_is_no_json_object_is_refused(copy: Path, content: bytes) -> None:
    (copy / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json is not of format 1"):
        load_bundle(copy)


def test_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BundleError, match=r"no readable manifest\.json in .*, expected a bundle directory"):
            load_bundle(path)


def saved(trained: Trained, target: Path) -> str:
    """The trained bundle saved again."""
    bundle = trained.bundle()
    return save_bundle(target, bundle.manifest, bundle.model, bundle.likeness, bundle.pictures)


def test_saving_again_gives_the_same_bundle_and_replaces_one(trained: Trained, copy: Path) -> None:
    (copy / "prototypes" / "left-over.png").write_bytes(b"x")
    assert saved(trained, copy) == trained.bundle_id
    assert load_bundle(copy).bundle_id == trained.bundle_id
    assert sorted(copy.parent.iterdir()) == [copy]


def test_saving_never_replaces_what_is_no_bundle(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("precious")
    with pytest.raises(BundleError, match="bundle: 'thesis' exists and is no bundle, expected a new directory"):
        saved(trained, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "precious"


def test_saving_below_a_file_is_an_error(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError, match="bundle: cannot write 'tiny'"):
        saved(trained, tmp_path / "file" / "tiny")


def test_manifest_tells_the_whole_run(trained: Trained) -> None:
    manifest: BundleManifest = trained.bundle().manifest
    settings = manifest.training["settings"]
    assert isinstance(settings, dict)
    assert settings["seed"] == SETTINGS.seed
    protocol = manifest.training["last_layer"]
    assert isinstance(protocol, dict)
    assert float(str(protocol["kkt_residual"])) <= 1e-6
    assert manifest.metrics["validation_exams"] == 4
    assert {"medproto", "python", "torch", "monai", "pydicom", "numpy", "timm"} <= set(manifest.software)
    assert len({entry.source.patch for entry in manifest.prototypes}) == 6
    assert len({entry.source.image_id for entry in manifest.prototypes}) == 6
    assert {entry.source.spacing_mm for entry in manifest.prototypes} == {(0.5, 0.5)}
    training = {row.image for row in trained.manifest.split("train")}
    assert {entry.source.image_id for entry in manifest.prototypes} <= training
    # Measured on the image read anew: so little that the similarity to the own patch is log(1 / epsilon).
    assert all(entry.source.distance < EPSILON * 1e-4 for entry in manifest.prototypes)


def test_own_class_weights_of_a_bundle_are_never_negative(trained: Trained) -> None:
    model = trained.bundle().model
    assert model.last_layer[model.own_class].min() >= 0


def test_margin_weights_are_the_positive_row_minus_the_mean_of_the_others() -> None:
    last_layer = torch.tensor([[1.0, 0.0], [0.5, 2.0], [-0.5, 1.0]])
    assert margin_weights(last_layer, 1).tolist() == [0.25, 1.5]
    assert margin_weights(last_layer, 1).dtype == torch.float64
