"""A trained model as a verifiable directory: `manifest.json`, `weights.safetensors`, `prototypes/`.

The bundle's id is the SHA-256 of its manifest, and the manifest holds the SHA-256 of every other file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field, JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from medproto.config import IngestSettings
from medproto.errors import BundleError
from medproto.evaluation.calibration import Calibration
from medproto.likeness import LikenessModel
from medproto.model.protopnet import ModelSettings, ProtoPNet, empty_model
from medproto.neighbourhood import Neighbourhood
from medproto.records import Digest, OperatingPoint, PrototypeSource, Record
from medproto.transforms import InputSettings
from medproto.whole_folder import drafted

MANIFEST, WEIGHTS, PICTURES = "manifest.json", "weights.safetensors", "prototypes"
#: Where the folder of a training run holds its bundle.
BUNDLE = "bundle"


class PrototypeEntry(Record):
    """One prototype: its class, the training patch it is, and the patches of other training patients most like it.

    `neighbours` is None in bundles from before they were kept, and where there is no other patient.
    """

    prototype_id: str
    prototype_class: str
    source: PrototypeSource
    neighbours: Neighbourhood | None = None

    def patches(self) -> tuple[Digest, ...]:
        """Digests of all its pictures, its own first."""
        return self.source.patch, *(one.patch for one in (self.neighbours.nearest if self.neighbours else ()))


class SplitRecord(Record):
    """One split of the data, counted over the images that were read.

    Args:
        annotated: images with a lesion mask or boxes.
        by: field -> value -> images, for the fields that the manifest tells.
        left_out: reason code -> rows that were not read; a row may have several.
    """

    patients: int
    exams: int
    images: int
    annotated: int
    by: dict[str, dict[str, int]]
    left_out: dict[str, int]


class DataRecord(Record):
    """What the bundle was made from, by split; only `train` and `val` were used."""

    splits: dict[str, SplitRecord]


class BundleManifest(Record):
    """All of a bundle but its tensors and pictures; `data` is None in bundles from before it was counted."""

    format: Literal[1] = 1
    name: str
    model: ModelSettings
    inputs: InputSettings
    ingest: IngestSettings
    prototypes: Annotated[tuple[PrototypeEntry, ...], Field(min_length=1)]
    operating_point: OperatingPoint
    calibration: Calibration
    likeness_threshold: float
    synthetic: bool
    data_name: str
    data_licence: str
    data_digest: Digest
    data: DataRecord | None = None
    metrics: dict[str, float]
    training: dict[str, JsonValue]
    software: dict[str, str]
    files: dict[str, Digest]


@dataclass(frozen=True)
class Bundle:
    """A verified, loaded bundle."""

    bundle_id: str
    manifest: BundleManifest
    model: ProtoPNet
    likeness: LikenessModel
    pictures: Mapping[str, bytes]

    @property
    def positive(self) -> int:
        """Index of the positive class."""
        return self.manifest.model.classes.index(self.manifest.model.positive_class)

    @property
    def margin_weights(self) -> Tensor:
        """Weight of each prototype on the margin, float64, shape (P,): positive class minus the mean of the others."""
        return margin_weights(self.model.last_layer.detach(), self.positive)


def margin_weights(last_layer: Tensor, positive: int) -> Tensor:
    """Positive row of the last layer (C, P) minus the mean of the other rows, float64, shape (P,)."""
    weights = last_layer.double()
    others = torch.arange(len(weights), device=weights.device) != positive
    return weights[positive] - weights[others].mean(dim=0)


def save_bundle(
    target: Path, draft: BundleManifest, model: ProtoPNet, likeness: LikenessModel, pictures: Mapping[str, bytes]
) -> str:
    """Write a bundle, whole or not at all, and return its id.

    Args:
        target: must not exist, or be a bundle, which is replaced.
        draft: the manifest; its `files` are filled in here.
        pictures: patches of prototypes and of their neighbours, digest -> PNG.

    Raises:
        BundleError: the target is something else, or the disk is full.
    """
    if target.exists() and not (target / MANIFEST).is_file():
        raise BundleError(f"bundle: {target.name!r} exists and is no bundle, expected a new directory")
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {"likeness.mean": likeness.mean, "likeness.precision": likeness.precision}
    contents = {WEIGHTS: save_tensors({name: value.cpu().contiguous() for name, value in tensors.items()})}
    contents |= {f"{PICTURES}/{digest}.png": picture for digest, picture in pictures.items()}
    files = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}
    manifest = draft.model_copy(update={"files": files})
    contents[MANIFEST] = json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True).encode()
    try:
        with drafted(target) as folder:
            (folder / PICTURES).mkdir()
            for name, content in contents.items():
                (folder / name).write_bytes(content)
    except OSError as err:
        raise BundleError(f"bundle: cannot write {target.name!r} ({err.strerror})") from err
    return hashlib.sha256(contents[MANIFEST]).hexdigest()


def read_bundle_manifest(path: Path) -> tuple[str, BundleManifest]:
    """A bundle's id and manifest, without its tensors; the path may be the run's that made it.

    Raises:
        BundleError: there is no readable manifest of a known format.
    """
    try:
        content = (bundle_folder(path) / MANIFEST).read_bytes()
    except OSError as err:
        raise BundleError(f"bundle: no readable {MANIFEST} in {path.name!r}, expected a bundle directory") from err
    try:
        manifest = BundleManifest.model_validate_json(content)
    except ValidationError as err:
        problem = err.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise BundleError(f"bundle: {MANIFEST} is not of format 1: {where}: {problem['msg']}") from err
    classes, positive = manifest.model.classes, manifest.model.positive_class
    if positive not in classes:
        raise BundleError(f"bundle: positive class: got {positive!r}, expected one of {', '.join(classes)}")
    return hashlib.sha256(content).hexdigest(), manifest


def bundle_folder(path: Path) -> Path:
    """The folder of a bundle, given that one or the folder of the training run that made it."""
    return path / BUNDLE if not (path / MANIFEST).exists() and (path / BUNDLE).is_dir() else path


def load_bundle(path: Path, device: str = "cpu") -> Bundle:
    """Load a bundle; the path may be the run's that made it.

    1. The manifest is of a known format, and its SHA-256 is the bundle's id.
    2. Every named file is there with the digest that the manifest holds, and no other file is.
    3. Nothing in it is code: tensors come from safetensors, pictures are PNG bytes, pickles are refused by (2).
    4. The tensors fit the network that the manifest describes, and every prototype and neighbour has its picture.

    Raises:
        BundleError: names the first of these that does not hold.
    """
    bundle_id, manifest = read_bundle_manifest(path)  # 1
    contents = _verified(bundle_folder(path), manifest.files)  # 2
    pictures = {Path(name).stem: content for name, content in contents.items() if name.startswith(PICTURES)}
    for entry in manifest.prototypes:  # 4
        if not pictures.keys() >= set(entry.patches()):
            raise BundleError(f"bundle: prototype {entry.prototype_id} has no picture, or a neighbour of it has none")
    try:
        tensors = load_tensors(contents[WEIGHTS])  # 3
        classes = [manifest.model.classes.index(entry.prototype_class) for entry in manifest.prototypes]
        model = empty_model(manifest.model, torch.tensor(classes))
        model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
        likeness = LikenessModel(tensors["likeness.mean"], tensors["likeness.precision"], manifest.likeness_threshold)
    except (SafetensorError, KeyError, RuntimeError, ValueError) as err:  # 4
        raise BundleError(f"bundle: {WEIGHTS} does not fit the manifest") from err
    width = 2 * model.backbone.channels
    if likeness.mean.shape != (width,) or likeness.precision.shape != (width, width):  # 4
        raise BundleError(f"bundle: {WEIGHTS} does not fit the manifest")
    if model.prototype_class.tolist() != classes:
        raise BundleError("bundle: classes of the prototypes differ between tensors and manifest")
    model.eval().requires_grad_(False).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Bundle(bundle_id, manifest, model, likeness, pictures)


def _verified(path: Path, files: Mapping[str, str]) -> dict[str, bytes]:
    present = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()} - {MANIFEST}
    if extra := sorted(present - set(files)):
        raise BundleError(f"bundle: {extra[0]!r} is not in the manifest")
    contents = {}
    for name, digest in files.items():
        if name not in present:
            raise BundleError(f"bundle: {name!r} is missing")
        contents[name] = (path / name).read_bytes()
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            raise BundleError(f"bundle: {name!r} was altered, its SHA-256 is not the manifest's")
    if WEIGHTS not in contents:
        raise BundleError(f"bundle: the manifest names no {WEIGHTS}")
    return contents
