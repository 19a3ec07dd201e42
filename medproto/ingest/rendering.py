"""Stored values to the picture that is shown: one table for the whole pipeline, one look-up for every pixel.

Every step of `pixels` is run once over the table of all values that can be stored; the image is looked up in it in
bands that stay in the processor's cache, and a second thread digests some bands while the next are looked up.
"""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from medproto.config import IngestSettings
from medproto.ingest import pixels as steps
from medproto.ingest.breast import breast_mask, breast_of_sample, sample_step, widened
from medproto.ingest.decoding import Decoded, Stored
from medproto.ingest.gate import finding
from medproto.ingest.mammogram import Mask, Pixels, pixel_digest
from medproto.records import GateFinding

#: Pixels that are looked up at once: few enough that indices and values stay in the second-level cache.
BAND_PX = 128 * 1024
#: Bands that are digested at once.
BANDS = 4
#: A table whose greys span less than this is not taken for a line.
FLAT = 1e-3


class Line(NamedTuple):
    """Values that rise, or fall, by the same amount from one bit pattern to the next, cut off at black and at white."""

    zero: np.float32
    width: np.float32
    falls: bool

    def shown(self, patterns: Pixels) -> None:
        """Put values in the place of bit patterns."""
        below, above = (self.zero, patterns) if self.falls else (patterns, self.zero)
        np.subtract(below, above, out=patterns)
        np.divide(patterns, self.width, out=patterns)
        np.clip(patterns, np.float32(0), np.float32(1), out=patterns)


class Picture(NamedTuple):
    """The rendered picture and its breast, how it was rendered, and `digest_pixels` of it, which takes its time.

    `shown` is the place of the VOI that was used, from 0, and the window that was made where the image stores none.
    """

    pixels: Pixels
    digest: Future[str]
    breast: Mask
    voi: str
    findings: tuple[GateFinding, ...]
    shown: tuple[int, steps.Window | None]


def render(header: Dataset, decoded: Decoded, settings: IngestSettings, beside: Executor) -> Picture:
    """The picture as the standard has it shown: modality, VOI, one inversion, in this order.

    Args:
        header: the image's elements.
        decoded: its stored values.
        settings: which of several VOI is used.
        beside: one thread, which digests the picture; nothing here waits for it.
    """
    layout = decoded.layout
    table = steps.stored_values(layout.bits_stored, layout.signed)
    dark = steps.padding(table, header)
    values = steps.modality(table, header)
    choices = steps.voi_choices(header)
    if not choices:
        return _render_without_voi(header, decoded, values / (2**layout.bits_stored - 1), beside)
    index = settings.voi_index
    findings = []
    if index >= len(choices):
        findings.append(finding("VOI_INDEX", index))
        index = 0
    chosen = choices[index]
    if len(choices) > 1:
        findings.append(finding("SEVERAL_VOI", len(choices), chosen.name))
    pixels, digest = look_up(_finished(chosen.apply(values), dark, header), decoded.stored, beside)
    breast = breast_mask(pixels)
    return Picture(pixels, digest, breast, chosen.name, tuple(findings), (index, None))


def _render_without_voi(header: Dataset, decoded: Decoded, values: steps.Values, beside: Executor) -> Picture:
    """The picture of an image that stores no VOI: a window over the values inside the breast.

    Breast and window are found on every n-th pixel of every n-th row, the sample that breast masks are made from.
    """
    dark = steps.padding(steps.stored_values(decoded.layout.bits_stored, decoded.layout.signed), header)
    step = sample_step(decoded.stored.shape)
    sample = np.ascontiguousarray(decoded.stored[::step, ::step])
    least, most = float(values.min()), float(values.max())
    unwindowed = _finished((values - least) / ((most - least) or 1.0), dark, header)
    breast = breast_of_sample(np.take(unwindowed, sample))
    counts = np.bincount(sample[breast], minlength=values.size)
    counts[dark] = 0
    low, high = steps.percentiles(values, counts)
    voi = f"percentiles {steps.PERCENTILES[0]}-{steps.PERCENTILES[1]} in breast: {low:.6g}..{high:.6g}"
    shown = np.clip((values - low) / (high - low), 0.0, 1.0)
    pixels, digest = look_up(_finished(shown, dark, header), decoded.stored, beside)
    most_stored = 2**decoded.layout.bits_stored - 1
    window = steps.Window("LINEAR_EXACT", (low + high) / 2 * most_stored, (high - low) * most_stored)
    breast = widened(breast, decoded.stored.shape)
    return Picture(pixels, digest, breast, voi, (finding("NO_VOI", voi),), (0, window))


def _finished(shown: steps.Values, dark: Mask, header: Dataset) -> Pixels:
    """Values of [0, 1] after the one inversion, padding at the darkest."""
    final = steps.invert(shown) if steps.is_inverted(header) else shown
    if dark.any() and not dark.all():
        final = np.where(dark, final[~dark].min(), final)
    return final.astype(np.float32)


def look_up(table: Pixels, stored: Stored, beside: Executor) -> tuple[Pixels, Future[str]]:
    """The picture whose stored bit patterns take their values from the table, and its `digest_pixels`.

    Args:
        table: float32, one value for every bit pattern.
        stored: bit patterns, shape (rows, columns).
        beside: one thread, which digests some bands while the next are looked up.
    """
    rows, columns = stored.shape
    pixels = np.empty((rows, columns), np.float32)
    digest = pixel_digest(rows, columns)
    line = line_of(table)
    height = max(1, BAND_PX // columns)
    places = np.empty((height, columns), np.intp)
    for top in range(0, rows, BANDS * height):
        portion = slice(top, top + BANDS * height)
        for start in range(top, min(portion.stop, rows), height):
            values, patterns = pixels[start : start + height], stored[start : start + height]
            if line:
                np.copyto(values, patterns)
                line.shown(values)
            else:
                # numpy looks up with intp alone; it would convert the whole image and check every index
                indices = places[: len(patterns)]
                np.copyto(indices, patterns)
                np.take(table, indices, out=values, mode="clip")
        beside.submit(digest.update, pixels[portion].astype("<f4", copy=False).data)
    return pixels, beside.submit(digest.hexdigest)


def line_of(table: Pixels) -> Line | None:
    """The line that the table follows to the last bit; None where there is none: computing is quicker than looking up.

    Of windows over whole numbers it is the one through the first and the last shade of grey.
    """
    greys = np.flatnonzero((table > 0) & (table < 1))
    if greys.size < 2:
        return None
    first, last = (int(greys[place]) for place in (0, -1))
    low, high = float(table[first]), float(table[last])
    if abs(high - low) < FLAT:
        return None
    # bounds of windows are whole or half
    width = round(2 * (last - first) / (high - low)) / 2
    zero = round(2 * (first - low * width)) / 2
    line = Line(np.float32(zero), np.float32(abs(width)), width < 0)
    values = np.arange(table.size, dtype=np.float32)
    line.shown(values)
    return line if values.tobytes() == table.tobytes() else None
