"""How far a run got, as one file: what a killed run goes on from to the very result it would have had.

All chance of a run comes from its seed and the number of the epoch, so that the network, the optimizer and the costs so
far are all there is to keep. The file is replaced as a whole or not at all, and reading it runs no code.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medproto.datasets.manifest import Manifest
from medproto.errors import TrainingError
from medproto.training.descent import Reached
from medproto.training.inputs import InputSet
from medproto.training.settings import TrainSettings


@dataclass(frozen=True)
class Checkpoint:
    """The leg a run is in, how far that one got, the costs of the legs before it, and the reports of the cycles before.

    stages: title of each finished leg -> costs of its epochs.
    """

    leg: int
    reached: Reached
    stages: dict[str, list[dict[str, float]]]
    cycles: tuple[dict[str, Any], ...]

    @property
    def epochs(self) -> int:
        """Epochs of all legs."""
        return sum(map(len, self.stages.values())) + len(self.reached.history)


def digest_of(settings: TrainSettings, manifest: Manifest, data: InputSet) -> str:
    """SHA-256 of all that a run is made from: its settings, its manifest, and the pixels that were read."""
    what = {
        "settings": settings.model_dump(mode="json"),
        "manifest": manifest.digest,
        "images": [[source.pixels_sha256, str(source.crop)] for source in data.sources],
        "left_out": list(data.left_out),
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def write_checkpoint(path: Path, checkpoint: Checkpoint, digest: str) -> None:
    """Replace the checkpoint there.

    Raises:
        TrainingError: it cannot be written.
    """
    reached = checkpoint.reached
    content = {
        "format": 1,
        "digest": digest,
        "leg": checkpoint.leg,
        "stages": checkpoint.stages,
        "cycles": list(checkpoint.cycles),
        "history": list(reached.history),
        "network": reached.network,
        "optimizer": reached.optimizer,
        "best": reached.best,
    }
    buffer = io.BytesIO()  # torch has no OSError of its own for a full disk
    torch.save(content, buffer)
    write_whole(path, buffer.getbuffer())


def read_checkpoint(path: Path, digest: str) -> Checkpoint | None:
    """The checkpoint there, its tensors in main memory; None where there is none yet.

    Raises:
        TrainingError: it is damaged, or of other settings, another manifest or other images.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as err:
        raise TrainingError(f"run: {path.name} is damaged, expected the file that the run wrote") from err
    if not isinstance(content, dict) or content.get("format") != 1:
        raise TrainingError(f"run: {path.name} is not of format 1, expected the file that the run wrote")
    if content.get("digest") != digest:
        raise TrainingError("run: settings, manifest or images are not those it began with, expected them unaltered")
    reached = Reached(tuple(content["history"]), content["network"], content["optimizer"], content["best"])
    return Checkpoint(content["leg"], reached, content["stages"], tuple(content["cycles"]))


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Replace a file as a whole or not at all, also where the process or the machine dies meanwhile.

    Raises:
        TrainingError: it cannot be written.
    """
    draft = path.parent / f".{path.name}-{os.getpid()}"
    try:
        try:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as err:
        raise cannot_write(path, err) from err


def cannot_write(path: Path, err: OSError) -> TrainingError:
    """One sentence on a file of the run that cannot be written, such as on a full disk."""
    return TrainingError(f"run: cannot write {path.name} ({err.strerror}), expected a folder with room for it")
