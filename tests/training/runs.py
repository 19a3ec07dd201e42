"""Short runs of the tiny network in folders, and processes that die in them."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medproto.datasets.manifest import Manifest
from medproto.training.inputs import InputSet
from medproto.training.journal import read_rows
from medproto.training.run_folder import begin, run_in
from medproto.training.settings import TrainSettings
from tests.factories import SETTINGS, read_cohort, silent, write_cohort, write_weights

RATES = {"add_on": 1e-2, "prototypes": 1e-2}
#: Every part of a run that can be asked for, in a few epochs.
SHORT = {
    "stages": [
        {"name": "warm-up", "epochs": 3, "learning_rates": RATES, "variants": 2, "batch": 12, "patience": 2},
        {"name": "joint", "epochs": 2, "learning_rates": {"backbone": 1e-3, **RATES}, "batch": 16},
    ],
    "cycles": 2,
    "pruning": {"neighbours": 4, "sharing": 2},
    "merging": {"squared_distance": 0.001},
    "last_layer": {"l1": [1e-3], "ridge": [1e-2], "folds": 2},
}


@dataclass(frozen=True)
class Cohort:
    """The tiny cohort, its images as inputs, and the settings of a short run on it."""

    manifest: Manifest
    data: InputSet
    settings: TrainSettings

    def run(self, folder: Path, **changes: object) -> str:
        """Begin a run in that folder, or go on with the one there; the bundle's id."""
        settings = with_changes(self.settings, changes)
        if not folder.exists():
            begin(folder, settings, self.manifest.path)
        return run_in(folder, settings, (self.manifest, self.data), silent)

    def run_and_die(self, folder: Path, where: str, times: int = 1) -> None:
        """The same in a process that is killed as it calls the function `module:name` for that time."""
        child = os.fork()
        if not child:
            try:
                at(where, times, lambda: os.kill(os.getpid(), signal.SIGKILL))
                self.run(folder)
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, f"{where} was not reached"


def write_short_cohort(folder: Path) -> Cohort:
    """The cohort as DICOM files in that folder, with the network's weights."""
    torch.set_num_threads(1)
    manifest = write_cohort(folder)
    model = SETTINGS.model.model_copy(update={"weights": str(write_weights(folder / "tiny.pt"))})
    settings = with_changes(SETTINGS.model_copy(update={"model": model}), SHORT)
    return Cohort(manifest, read_cohort(manifest), settings)


def with_changes(settings: TrainSettings, changes: Mapping[str, object]) -> TrainSettings:
    """The settings with other values, checked."""
    return TrainSettings.model_validate(settings.model_dump() | changes)


def bundle_files(folder: Path) -> dict[str, bytes]:
    """Every file of a run's bundle."""
    bundle = folder / "bundle"
    return {str(path.relative_to(bundle)): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}


def told(folder: Path) -> list[dict[str, Any]]:
    """What a run told of its epochs, without what a clock said."""
    return [{k: v for k, v in row.items() if k not in {"seconds", "time"}} for row in read_rows(folder)]


def at(where: str, times: int, act: Callable[[], None]) -> None:
    """From now on, act as the function `module:name` is called for that time; for a process that ends soon."""
    module, _, dotted = where.partition(":")
    owner, *within, name = [importlib.import_module(module), *dotted.split(".")]
    for part in within:
        owner = getattr(owner, part)
    function, left = getattr(owner, name), times

    def counted(*args: Any) -> Any:
        nonlocal left
        left -= 1
        if not left:
            act()
        return function(*args)

    setattr(owner, name, counted)
