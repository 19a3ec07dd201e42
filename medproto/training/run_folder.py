"""The folder of a run: `config.yaml`, `checkpoint.pt`, `metrics.jsonl`, `tensorboard/` and at the end `bundle/`.

`config.yaml` holds the whole of the settings and where the manifest lies: with it alone a run can go on or be repeated.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from medproto.bundle import BUNDLE, MANIFEST, PrototypeEntry
from medproto.datasets.manifest import Manifest
from medproto.errors import TrainingError
from medproto.training.checkpoint import (
    Checkpoint,
    cannot_write,
    digest_of,
    read_checkpoint,
    write_checkpoint,
    write_whole,
)
from medproto.training.inputs import InputSet
from medproto.training.journal import read_rows, rewind, tell_epoch, tell_prototypes
from medproto.training.launch import is_first
from medproto.training.legs import Leg
from medproto.training.refining import Reporter
from medproto.training.run import Record, check_validation, finish, fit
from medproto.training.settings import TrainSettings, read_settings

CONFIG, CHECKPOINT = "config.yaml", "checkpoint.pt"


def begin(folder: Path, settings: TrainSettings, manifest: Path) -> None:
    """Make the folder of a new run; one that got no further than this is taken over.

    Raises:
        TrainingError: there is something else, or the folder cannot be written.
    """
    if folder.exists():
        _is_untouched(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise cannot_write(folder, err) from err
    document = settings.model_dump(mode="json") | {"data": str(manifest.resolve())}
    write_whole(folder / CONFIG, yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode())


def settings_of(folder: Path) -> TrainSettings:
    """Settings of a run that was begun before, with the place of its manifest.

    Raises:
        TrainingError: there is no run.
        ConfigError: its configuration was altered into something else.
    """
    if not (folder / CONFIG).is_file():
        raise TrainingError(f"resume: got {folder.name!r}, which holds no {CONFIG}, expected the folder of a run")
    return read_settings(folder / CONFIG)


def is_finished(folder: Path) -> bool:
    """Whether the run came to its bundle."""
    return (folder / BUNDLE / MANIFEST).is_file()


def _is_untouched(folder: Path) -> None:
    if not folder.is_dir():
        raise TrainingError(f"out: {folder.name!r} is a file, expected a new folder")
    if is_finished(folder) or (folder / CHECKPOINT).exists():
        raise TrainingError(f"out: {folder.name!r} holds a run, expected a new folder, or --resume to go on with it")
    if {path.name for path in folder.iterdir()} - {CONFIG, "metrics.jsonl", "tensorboard"}:
        raise TrainingError(f"out: {folder.name!r} exists and is no run, expected a new folder")


def run_in(folder: Path, settings: TrainSettings, source: tuple[Manifest, InputSet], report: Reporter) -> str:
    """Train in the folder of a run, from its checkpoint where it has one; returns the bundle's id.

    Killed at any moment and called again it ends in the same bundle, byte for byte. Of several processes only the first
    writes, and only it knows the id.

    Raises:
        TrainingError, ConfigError, ManifestError: one sentence on what is wrong; no bundle is left behind.
    """
    with _alone_in(folder):
        return _run_in(folder, settings, source, report)


def _run_in(folder: Path, settings: TrainSettings, source: tuple[Manifest, InputSet], report: Reporter) -> str:
    manifest, data = source
    digest = digest_of(settings, manifest, data)
    begin = read_checkpoint(folder / CHECKPOINT, digest)
    training, validation = data.split("train"), data.split("val")
    check_validation(settings, validation)
    keep = None
    if is_first():
        _sweep(folder)
        rewind(folder, begin.epochs if begin else 0)
        keep = _keeper(folder, digest)
    fitted = fit(settings, training, report, Record(validation, begin, keep))
    return finish(settings, source, fitted, folder / BUNDLE, lambda *prototypes: _show(folder, *prototypes))


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of the folder; the lock goes with the process, however it ends.

    Raises:
        TrainingError: another run is in it.
    """
    if not is_first():  # its own run's first process holds the lock
        yield
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            sentence = f"run: {folder.name!r} is being trained in already, expected one run at a time"
            raise TrainingError(sentence) from err
        yield
    finally:
        os.close(place)


def _keeper(folder: Path, digest: str) -> Callable[[Leg, Checkpoint], None]:
    """Tells an epoch and keeps its checkpoint, in this order: what is told twice is cut, what is not told is lost."""
    began = time.monotonic()

    def keep(leg: Leg, checkpoint: Checkpoint) -> None:
        nonlocal began
        history, now = checkpoint.reached.history, time.monotonic()
        place = {"stage": leg.title, "cycle": leg.cycle, "epoch": len(history), "step": checkpoint.epochs}
        took = {"seconds": round(now - began, 3), "time": round(time.time(), 3)}
        tell_epoch(folder, place | history[-1] | took)
        write_checkpoint(folder / CHECKPOINT, checkpoint, digest)
        began = time.monotonic()

    return keep


def _show(folder: Path, entries: Sequence[PrototypeEntry], pictures: Mapping[str, bytes]) -> None:
    tell_prototypes(folder, entries, pictures, (len(read_rows(folder)), time.time()))


def _sweep(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for path in folder.glob(".*-*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
