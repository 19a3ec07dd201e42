"""What the picture that is scored was made from: every stored value, and every way that the header offers to show it.

A viewer takes these samples and windows them itself. `v = offset + step * sample` is the value after the modality
transformation (PS3.3 C.11.1), exactly; a preset maps it to [0, 1], and where `inverted` says so the result is turned
over (PS3.3 C.7.6.3.1.2). Applied to the samples, the chosen preset gives the picture that was scored.
"""

from __future__ import annotations

import base64
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydicom.dataset import Dataset

from medproto.ingest import pixels as steps
from medproto.ingest.decoding import Decoded
from medproto.ingest.header import number, texts
from medproto.records import Record

Samples = NDArray[np.uint16]

#: More ways to show one image than a viewer offers; the one that was chosen is always among them.
MOST_PRESETS: Final = 8


class Preset(Record):
    """One way to show the samples.

    Attributes:
        name: what a reader chooses it by.
        function: of PS3.3 C.11.2.1; LUT where `table` says it all.
        centre: of the window, in values after the modality transformation; of a LUT, the middle of its slope.
        width: likewise.
        table: of a LUT, the grey of every sample from 0 on, one byte each, in base64.
    """

    name: str
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID", "LUT"]
    centre: float
    width: Annotated[float, Field(gt=0)]
    table: str = ""


class Greys(Record):
    """How samples become what is shown."""

    offset: float
    step: Annotated[float, Field(gt=0)]
    most: Annotated[int, Field(ge=0, le=65535)]
    inverted: bool
    chosen: Annotated[int, Field(ge=0)]
    presets: Annotated[tuple[Preset, ...], Field(min_length=1)]


def full_depth(header: Dataset, decoded: Decoded, shown: tuple[int, steps.Window | None]) -> tuple[Samples, Greys]:
    """Samples of an image, shape (rows, columns), and how they are shown.

    Args:
        header: the image's elements.
        decoded: its stored values.
        shown: which of the header's VOI was chosen, counted from 0; or, where it has none, the window that was made.
    """
    patterns = steps.stored_values(decoded.layout.bits_stored, decoded.layout.signed)
    values = steps.modality(patterns, header)
    # A modality LUT holds whole numbers; a rescale slope is the distance of two stored values.
    step = 1.0 if "ModalityLUTSequence" in header else abs(number(header, "RescaleSlope", 1.0))
    table = np.rint((values - values.min()) / step).astype(np.uint16)
    chosen, made = shown
    greys = Greys(
        offset=float(values.min()),
        step=step,
        most=int(table.max()),
        inverted=steps.is_inverted(header),
        chosen=min(chosen, MOST_PRESETS - 1),
        presets=(_windowed("Window", made),) if made else _presets(header, values, table, chosen),
    )
    choices = steps.voi_choices(header)
    darkest = choices[chosen].apply(values) if choices else values
    table = _without_padding(table, steps.padding(patterns, header), -darkest if greys.inverted else darkest)
    same = np.array_equal(table, np.arange(table.size))
    return (decoded.stored if same else table[decoded.stored]), greys


def _presets(header: Dataset, values: steps.Values, table: Samples, chosen: int) -> tuple[Preset, ...]:
    """The header's VOI in its order, LUTs first; of very many the first, and the chosen one last."""
    choices = steps.voi_choices(header)
    if len(choices) > MOST_PRESETS:
        last = max(chosen, MOST_PRESETS - 1)
        choices = [*choices[: MOST_PRESETS - 1], choices[last]]
    explained = texts(header, "WindowCenterWidthExplanation")
    found: list[Preset] = []
    windows = 0
    for choice in choices:
        if choice.window is None:
            found.append(_tabled(choice, values, table))
            continue
        said = explained[windows] if windows < len(explained) else ""
        windows += 1
        found.append(_windowed(said.title() if said in steps.EXPLANATIONS else f"Window {windows}", choice.window))
    return tuple(found)


def _windowed(name: str, window: steps.Window) -> Preset:
    return Preset(name=name, function=window.function, centre=window.centre, width=window.width)


def _tabled(voi: steps.Voi, values: steps.Values, table: Samples) -> Preset:
    """A LUT as the greys of all samples, with the part of its values between its darkest and its brightest greys."""
    shown = np.asarray(voi.apply(values))
    greys = np.zeros(int(table.max()) + 1, np.uint8)
    greys[table] = np.rint(255 * shown)
    slope = values[(shown > 0.01) & (shown < 0.99)]
    low, high = (float(slope.min()), float(slope.max())) if slope.size else (float(values.min()), float(values.max()))
    return Preset(
        name=voi.name,
        function="LUT",
        centre=(low + high) / 2,
        width=max(high - low, 1.0),
        table=base64.b64encode(greys.tobytes()).decode("ascii"),
    )


def _without_padding(table: Samples, dark: NDArray[np.bool_], brightness: steps.Values) -> Samples:
    """Padding at the sample that is darkest, as in the picture that is scored."""
    if not dark.any() or dark.all():
        return table
    darkest = table[~dark][np.argmin(brightness[~dark])]
    return np.where(dark, darkest, table).astype(np.uint16)
