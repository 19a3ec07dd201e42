"""A small cohort of real DICOM files, a network trained on it in seconds, and image sets held in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medproto.bundle import Bundle, load_bundle
from medproto.datasets.dicom_file import derived_uid, new_mammogram, save_mammogram, set_pixels, set_view
from medproto.datasets.manifest import Manifest, ManifestRow, Split, read_manifest, write_manifest
from medproto.ingest.exam import Exam, read_exam
from medproto.ingest.mammogram import Identity, Mammogram, Side, digest_pixels
from medproto.model.backbones import build_backbone
from medproto.model.protopnet import ModelSettings, ProtoPNet
from medproto.records import Box, Laterality
from medproto.training.inputs import InputSet, Loading, Progress, SourceImage, load_inputs
from medproto.training.run import finish, fit
from medproto.training.settings import LastLayerSettings, Stage, TrainSettings
from medproto.transforms import Geometry, InputSettings

ROWS, COLUMNS = 192, 160
VIEWS: tuple[tuple[Laterality, str], ...] = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
#: Patients of the cohort by split; odd ones have a malignant finding in the left breast.
SPLITS: tuple[Split, ...] = ("train",) * 8 + ("val",) * 4 + ("test",) * 2
TEST_PATIENT = 13
SETTINGS = TrainSettings(
    name="tiny",
    classes={"not malignant": ("normal", "benign"), "malignant": ("malignant",)},
    positive_class="malignant",
    model=ModelSettings(backbone="tiny", stride=8, weights="none", latent_channels=8, prototypes_per_class=3),
    inputs=InputSettings(rows=96, columns=64),
    stages=(
        Stage(name="warm-up", epochs=20, learning_rates={"add_on": 1e-2, "prototypes": 1e-2}, variants=1, batch=16),
        Stage(name="joint", epochs=16, learning_rates={"backbone": 1e-2, "add_on": 1e-2, "prototypes": 1e-2}, batch=16),
    ),
    last_layer=LastLayerSettings(l1=(1e-3,), ridge=(1e-3, 1e-2), folds=2),
)


def breast_picture(seed: int, side: Laterality, finding: Box | None) -> NDArray[np.float32]:
    """A textured half-ellipse, chest wall on the left for L and on the right for R, a marker beside it, in [0, 1]."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    inside = ((y - ROWS / 2) / (ROWS * 0.42)) ** 2 + (x / (COLUMNS * 0.62)) ** 2
    blobs = np.kron(generator.random((ROWS // 16, COLUMNS // 16)), np.ones((16, 16)))
    picture = np.where(inside < 1, 0.45 - 0.15 * inside + 0.12 * blobs + 0.02 * generator.standard_normal(y.shape), 0.0)
    if finding is not None:
        rows, columns = slice(int(finding.top), int(finding.bottom)), slice(int(finding.left), int(finding.right))
        picture[rows, columns] += 0.3 * (np.indices(picture[rows, columns].shape).sum(axis=0) % 2)
    picture[8:20, COLUMNS - 24 : COLUMNS - 6] = 0.95
    return np.clip(picture if side == "L" else picture[:, ::-1], 0, 1).astype(np.float32)


def write_view(path: Path, patient: str, place: int, picture: NDArray[np.float32]) -> Path:
    """One For Presentation mammogram of 12 bits that says SYNTHETIC; `place` counts `VIEWS`."""
    side, view = VIEWS[place]
    dataset = new_mammogram()
    dataset.SOPInstanceUID = derived_uid(patient, str(place), path.name)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = (
        derived_uid(patient),
        derived_uid(patient, str(place), "series"),
    )
    dataset.PatientName, dataset.PatientID, dataset.StudyDate = "SYNTHETIC^TINY", patient, "20200102"
    dataset.ImageComments = "SYNTHETIC"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.ImageLaterality, dataset.ImagerPixelSpacing = side, [0.5, 0.5]
    set_view(dataset, view, "SCT")
    set_pixels(dataset, np.rint(picture * 4095).astype(np.uint16), 12, (2048.0, 4096.0))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_mammogram(path, dataset)
    return path


def write_cohort(folder: Path) -> Manifest:
    """Fourteen patients of four views; a checkered square in the left breast of every odd one is malignant."""
    rows = []
    for number, split in enumerate(SPLITS):
        generator = np.random.default_rng(1000 + number)
        for place, (side, view) in enumerate(VIEWS):
            top, left = int(generator.integers(60, 110)), int(generator.integers(10, 40))
            box = Box(top=top, left=left, bottom=top + 24, right=left + 24) if number % 2 and side == "L" else None
            name = f"tiny-{number:02d}"
            path = write_view(
                folder / "images" / f"{name}-{side}-{view}.dcm",
                name,
                place,
                breast_picture(10 * number + place, side, box),
            )
            rows.append(
                ManifestRow(
                    path=path.relative_to(folder).as_posix(),
                    patient=name,
                    exam=f"{name}-exam",
                    image=path.stem,
                    side=side,
                    view=view,
                    label="malignant" if box else "normal",
                    split=split,
                    boxes=(box,) if box else (),
                    source="tiny cohort",
                    licence="Apache-2.0 (synthetic)",
                )
            )
    return read_manifest(write_manifest(folder / "manifest.csv", rows))


def write_weights(path: Path) -> Path:
    """Weights of the tiny backbone whose BatchNorm statistics fit breasts: untouched ones would let the signal fade."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        backbone = build_backbone("tiny", 8, "none")
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    views = [
        torch.from_numpy(breast_picture(seed, "L", Box(top=80, left=20, bottom=104, right=44))) for seed in range(8)
    ]
    with torch.no_grad():
        backbone.train()(torch.stack(views).unsqueeze(1)[:, :, ::2, ::2])
    torch.save(backbone.layers.state_dict(), path)
    return path


def read_cohort(manifest: Manifest) -> InputSet:
    """The cohort as inputs of the tiny network."""
    labels = [SETTINGS.class_of(row.label) for row in manifest.rows]
    return load_inputs(manifest, labels, (SETTINGS.inputs, SETTINGS.ingest), Loading(workers=1))


def silent(_: str) -> Progress:
    """A reporter that shows nothing."""
    return lambda done, total: None


@dataclass(frozen=True)
class Trained:
    """A cohort, the settings of the run, and the folder of the bundle that came of it."""

    manifest: Manifest
    bundle_path: Path
    bundle_id: str

    def bundle(self) -> Bundle:
        """The bundle, verified and loaded."""
        return load_bundle(self.bundle_path)

    def paths(self, patient: int = TEST_PATIENT) -> list[Path]:
        """The files of that patient's exam."""
        return [self.manifest.file(row) for row in self.manifest.rows if row.patient == f"tiny-{patient:02d}"]


def train_tiny(folder: Path) -> Trained:
    """Write the cohort and train on it in this folder, or take what an earlier test of the same session left there."""
    manifest_path, bundle_path = folder / "manifest.csv", folder / "tiny.bundle"
    if not bundle_path.is_dir():
        torch.set_num_threads(1)
        data = read_cohort(write_cohort(folder))
        # As `medproto.training.run.train`, but read in this process: starting others takes longer than reading.
        model = SETTINGS.model.model_copy(update={"weights": str(write_weights(folder / "tiny.pt"))})
        settings = SETTINGS.model_copy(update={"model": model})
        finish(settings, (read_manifest(manifest_path), data), fit(settings, data.split("train"), silent), bundle_path)
    identity = hashlib.sha256((bundle_path / "manifest.json").read_bytes()).hexdigest()
    return Trained(read_manifest(manifest_path), bundle_path, identity)


def pseudonym(patient: str, kind: str, value: str) -> str:
    """A pseudonym without a secret: enough for tests."""
    return f"{kind}-{hashlib.sha256(f'{patient}/{kind}/{value}'.encode()).hexdigest()[:16]}"


def exam_of(paths: list[Path], region: Box | None = None) -> Exam:
    """The exam of these files."""
    return read_exam(paths, pseudonym, region=region)


def mammogram(pixels: NDArray[np.float32], breast: NDArray[np.bool_], chest_wall: Side = "left") -> Mammogram:
    """A mammogram held in memory."""
    return Mammogram(
        pixels=pixels,
        breast=breast,
        laterality="L" if chest_wall == "left" else "R",
        view="CC",
        spacing_mm=(0.5, 0.5),
        voi="none",
        inverted=False,
        decoder="none",
        file_sha256="0" * 64,
        pixels_sha256=digest_pixels(pixels),
        findings=(),
        synthetic=True,
        chest_wall=chest_wall,
        identity=Identity("tiny", "1.2", "1.2.3"),
    )


def tiny_model(prototypes_per_class: int = 2, seed: int = 0, classes: int = 2, stride: int = 8) -> ProtoPNet:
    """An untrained network of the tiny backbone, D = 8, with BatchNorm statistics that are not trivial."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        owners = torch.arange(classes).repeat_interleave(prototypes_per_class)
        model = ProtoPNet(build_backbone("tiny", stride, "none"), 8, owners, classes)
        # Random weights alone give nearly the same latent vector everywhere: let the cells differ.
        for layer in model.add_on:
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.normal_(layer.weight, std=1.0)
        for module in model.backbone.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.02, 0.1)
    return model


def input_set(labels: list[int], seed: int = 0, lesions: bool = True, patients: list[str] | None = None) -> InputSet:
    """Random 64 x 64 images, one exam each, all breast; images of class 1 hold a bright square that is their lesion."""
    generator = torch.Generator().manual_seed(seed)
    count = len(labels)
    images = 0.5 * torch.rand(count, 1, 64, 64, generator=generator)
    lesion = torch.zeros(count, 64, 64, dtype=torch.uint8)
    for i, label in enumerate(labels):
        if label == 1 and lesions:
            top, left = torch.randint(4, 40, (2,), generator=generator).tolist()
            images[i, 0, top : top + 16, left : left + 16] += 0.4
            lesion[i, top : top + 16, left : left + 16] = 1
    sources = []
    for i, label in enumerate(labels):
        patient = patients[i] if patients else f"patient-{i}"
        row = ManifestRow(
            path=f"{i}.dcm", patient=patient, exam=f"exam-{i}", image=f"image-{i}", label=str(label), split="train"
        )
        whole = Box(top=0, left=0, bottom=64, right=64)
        sources.append(SourceImage(row, digest_pixels(images[i, 0].numpy()), Geometry(), True, whole))
    return InputSet(
        images,
        torch.ones(count, 64, 64, dtype=torch.uint8),
        lesion,
        torch.tensor(labels),
        torch.arange(count),
        tuple(sources),
        (),
    )
