"""The two data sets of the table, read once as model inputs and divided by patient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from medproto.datasets.archives.mini_mias import import_mini_mias
from medproto.datasets.cache import CacheSettings
from medproto.datasets.manifest import Manifest, read_manifest
from medproto.datasets.phantom.cohort import Cohort as Phantom
from medproto.datasets.phantom.cohort import write_phantom
from medproto.datasets.regions import region_manifest
from medproto.datasets.splits import fold_patients
from medproto.evaluation.baselines import Matrix, intensity_and_size, last_stages
from medproto.training.inputs import InputSet, Loading
from medproto.training.refining import Reporter
from medproto.training.run import read_inputs
from medproto.training.settings import TrainSettings, read_settings

Name = Literal["mini-MIAS regions", "phantom exams"]
CONFIGS = Path(__file__).resolve().parents[2] / "configs"
#: Configuration of each data set, and what of it differs here: five folds of five seeds are long on large inputs.
SETTINGS: dict[Name, tuple[Path, tuple[str, ...]]] = {
    "mini-MIAS regions": (CONFIGS / "mini_mias_regions.yaml", ()),
    "phantom exams": (CONFIGS / "phantom.yaml", ("inputs.rows=384", "inputs.columns=224")),
}
FOLDS = 5
PHANTOM_PATIENTS, PHANTOM_SEED = 60, 5
#: The synthetic patients on whom settings were compared.
TRIAL_SEED = 2


@dataclass(frozen=True)
class Cohort:
    """Images of one data set, and the settings of our network on it."""

    name: Name
    settings: TrainSettings
    manifest: Manifest
    data: InputSet

    @property
    def positive(self) -> int:
        """Index of the positive class."""
        return list(self.settings.classes).index(self.settings.positive_class)

    def fold(self, number: int, seed: int) -> tuple[list[int], list[int]]:
        """Places of the training and of the test images of one fold; no patient is in both."""
        of = fold_patients(self.manifest.rows, FOLDS, seed)[number]
        parts = {"train": list[int](), "test": list[int]()}
        for place, patient in enumerate(self.data.patients()):
            parts[of[patient]].append(place)
        return parts["train"], parts["test"]

    @cached_property
    def frozen_features(self) -> Matrix:
        """What the linear probe looks at, of every image; computed once."""
        return last_stages(self.data, self.settings.model)

    @cached_property
    def plain_features(self) -> Matrix:
        """Intensity and size of every image; computed once."""
        return intensity_and_size(self.data)


def settings_of(name: Name, overrides: tuple[str, ...] = ()) -> TrainSettings:
    """How our network is trained on a data set."""
    path, own = SETTINGS[name]
    return read_settings(path, (*own, *overrides))


def prepare_films(archive: Path, work: Path, report: Reporter) -> Path:
    """Manifest of the films of mini-MIAS."""
    source = archive / "all-mias.tar.gz" if (archive / "all-mias.tar.gz").is_file() else archive
    return import_mini_mias(source, work / "films", report("importing films"))


def prepare_mini_mias(archive: Path, work: Path, report: Reporter) -> Path:
    """Manifest of regions around the lesions of mini-MIAS and of normal tissue, as in `medproto crossval`."""
    films = read_manifest(prepare_films(archive, work, report))
    return region_manifest(films, work / "regions.csv", 0, report("placing regions"))


def prepare_phantom(work: Path, report: Reporter, seed: int = PHANTOM_SEED) -> Path:
    """Manifest of synthetic exams of four views; an exam is scored as one bag."""
    folder = work / f"phantom-{seed}"
    if (folder / "manifest.csv").is_file():
        return folder / "manifest.csv"
    return write_phantom(folder, Phantom(PHANTOM_PATIENTS, seed), report("writing SYNTHETIC exams"), workers=2)


def load_cohort(name: Name, path: Path, work: Path, report: Reporter) -> Cohort:
    """The images of a manifest, from the cache in the working folder where they are there."""
    settings, manifest = settings_of(name), read_manifest(path)
    loading = Loading(cache=CacheSettings(folder=work / "cache"))
    return Cohort(name, settings, manifest, read_inputs(settings, manifest, report, loading))
