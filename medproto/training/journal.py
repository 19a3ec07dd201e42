"""What a run tells while it goes: a line for every epoch in `metrics.jsonl`, and the same for TensorBoard.

The lines come first and TensorBoard's file follows from them: a run that goes on cuts the lines back to the epochs it
has, and writes that file anew, so that nothing stands there twice.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medproto.bundle import PrototypeEntry
from medproto.training.checkpoint import cannot_write, write_whole

METRICS, BOARD = "metrics.jsonl", "tensorboard"
#: TensorBoard knows its files by the middle part.
EVENTS = "events.out.tfevents.0.medproto"
#: Columns of a line that are no curve.
_NO_CURVE = frozenset({"stage", "step", "time"})

#: One epoch: stage, cycle, epoch (from 1 in its stage), step (from 1 in its run), every cost, seconds, and the time.
Row = Mapping[str, Any]


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The epochs that a run told of, without a line that it was killed over."""
    try:
        lines = (folder / METRICS).read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def rewind(folder: Path, epochs: int) -> None:
    """Forget what was told beyond so many epochs.

    Raises:
        TrainingError: a file cannot be written.
    """
    rows = read_rows(folder)[:epochs]
    write_whole(folder / METRICS, "".join(map(_line, rows)).encode())
    (folder / BOARD).mkdir(exist_ok=True)
    write_whole(folder / BOARD / EVENTS, b"".join(map(_scalars, rows)))


def tell_epoch(folder: Path, row: Row) -> None:
    """Add one epoch.

    Raises:
        TrainingError: a file cannot be written.
    """
    _append(folder / METRICS, _line(row).encode())
    _append(folder / BOARD / EVENTS, _scalars(row))


def tell_prototypes(
    folder: Path, entries: Iterable[PrototypeEntry], pictures: Mapping[str, bytes], step: tuple[int, float]
) -> None:
    """Add the patches that the prototypes are, at that step and time.

    Raises:
        TrainingError: the file cannot be written.
    """
    from torch.utils.tensorboard.summary import image  # slow to load, and of no use elsewhere

    values = []
    for entry in entries:
        pixels = np.asarray(Image.open(io.BytesIO(pictures[entry.source.patch])).convert("RGB"))
        values.append(_event(image(f"prototypes/{entry.prototype_id}", pixels, dataformats="HWC"), step))
    _append(folder / BOARD / EVENTS, b"".join(values))


def seconds_of(rows: Sequence[Row]) -> list[float]:
    """Seconds of each epoch."""
    return [float(row["seconds"]) for row in rows]


def _line(row: Row) -> str:
    return json.dumps(row) + "\n"


def _scalars(row: Row) -> bytes:
    """TensorBoard's record of one epoch: a curve for each number."""
    from torch.utils.tensorboard.summary import scalar

    curves = {name: value for name, value in row.items() if name not in _NO_CURVE}
    when = (int(row["step"]), float(row["time"]))
    return b"".join(_event(scalar(f"epochs/{name}", value), when) for name, value in curves.items())


def _event(summary: Any, step: tuple[int, float]) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    # Written here and now, not by TensorBoard's own thread: a full disk is told where it happens.
    buffer = io.BytesIO()
    RecordWriter(buffer).write(Event(step=step[0], wall_time=step[1], summary=summary).SerializeToString())
    return buffer.getvalue()


def _append(path: Path, content: bytes) -> None:
    try:
        with path.open("ab") as file:
            file.write(content)
    except OSError as err:
        raise cannot_write(path, err) from err
