"""What reading decided on one file, as plain values and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from medproto.config import IngestSettings
from medproto.errors import RefusedImage, UnreadableImage
from medproto.ingest.mammogram import Mammogram
from medproto.ingest.reading import DEFAULTS, read_mammogram
from medproto.records import GateFinding

#: Long side of the picture of a mammogram, in pixels.
PICTURE_PX = 1200
OUTLINE = (255, 80, 0)
CHEST_WALL = (0, 200, 80)


def inspect_file(path: Path, settings: IngestSettings = DEFAULTS) -> dict[str, Any]:
    """Everything that was decided on one file; JSON-ready, without identifiers.

    Keys: admitted, readable, findings (code, severity, sentence), rows, columns, laterality, view, spacing_mm, voi,
    inverted, decoder, chest_wall, breast_share, synthetic, file_sha256, pixels_sha256. What reading did not come to is
    None: an unreadable file has `readable` false, a refused one `admitted` false.
    """
    try:
        mammogram = read_mammogram(path, settings)
    except UnreadableImage as err:
        reason = GateFinding(code=err.code, severity="refuse", sentence=str(err))
        return _report(None, (reason,), readable=False)
    except RefusedImage as err:
        return _report(None, err.findings, readable=True)
    return _report(mammogram, mammogram.findings, readable=True)


def _report(mammogram: Mammogram | None, findings: tuple[GateFinding, ...], *, readable: bool) -> dict[str, Any]:
    plain = ("rows", "columns", "laterality", "view", "spacing_mm", "voi", "inverted", "decoder", "chest_wall")
    digests = ("synthetic", "file_sha256", "pixels_sha256")
    return {
        "admitted": mammogram is not None,
        "readable": readable,
        "findings": [one.model_dump() for one in findings],
        **{key: getattr(mammogram, key, None) for key in plain},
        "breast_share": round(float(mammogram.breast.mean()), 4) if mammogram else None,
        **{key: getattr(mammogram, key, None) for key in digests},
    }


def picture(mammogram: Mammogram) -> Image.Image:
    """The mammogram as it is scored, at most `PICTURE_PX` long: breast outlined, chest wall's side marked green."""
    grey = Image.fromarray(np.rint(mammogram.pixels * 255).astype(np.uint8))
    breast = Image.fromarray(mammogram.breast.astype(np.uint8) * np.uint8(255))
    grey.thumbnail((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS)
    inside = np.asarray(breast.resize(grey.size, Image.Resampling.BILINEAR)) >= 128
    shades = np.asarray(grey)
    coloured = np.stack([shades, shades, shades], axis=-1)
    coloured[inside & ~ndimage.binary_erosion(inside, iterations=2)] = OUTLINE
    edge = slice(0, 4) if mammogram.chest_wall == "left" else slice(-4, None)
    coloured[:, edge] = CHEST_WALL
    return Image.fromarray(coloured)
