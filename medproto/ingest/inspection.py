"""What reading decided on one file, as plain values and as a picture; a refused file shows what was read of it."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydantic import Field
from scipy import ndimage

from medproto.config import IngestSettings
from medproto.errors import InputError, RefusedImage, UnreadableImage
from medproto.ingest.breast import chest_wall_side
from medproto.ingest.decoding import decode, read_layout
from medproto.ingest.frames import ungroup
from medproto.ingest.header import whole
from medproto.ingest.mammogram import Mammogram, Mask, Pixels, Side
from medproto.ingest.opening import is_synthetic, parse, read_bytes, read_header
from medproto.ingest.pixels import is_inverted
from medproto.ingest.reading import DEFAULTS, read_mammogram, spacing_mm
from medproto.ingest.rendering import render
from medproto.ingest.tags import Shown, telling_tags
from medproto.ingest.views import name_image
from medproto.records import GateFinding, Laterality, Record

#: Long side of the picture of a mammogram, in pixels.
PICTURE_PX = 1200
#: Height of the line of words under it.
CAPTION_PX = 40
OUTLINE = (255, 80, 0)
CHEST_WALL = (0, 200, 80)


class Inspection(Record):
    """Everything that was decided on one file, without identifiers; what reading did not come to is None.

    An unreadable file has `readable` false, a refused one `admitted` false; what their headers say is shown as far as
    it could be read. `tags` are the header's own words and numbers, the rest is what was made of them.
    """

    admitted: bool
    readable: bool
    findings: tuple[GateFinding, ...]
    rows: int | None = None
    columns: int | None = None
    laterality: Laterality | None = None
    view: str | None = None
    spacing_mm: tuple[float, float] | None = None
    voi: str | None = None
    inverted: bool | None = None
    decoder: str | None = None
    chest_wall: Side | None = None
    upside_down: bool | None = None
    breast_share: float | None = None
    synthetic: bool | None = None
    file_sha256: str | None = None
    pixels_sha256: str | None = None
    tags: dict[str, Shown] = Field(default_factory=dict)


class Inspected(NamedTuple):
    """What was decided on a file, and its picture where its pixels could be rendered."""

    facts: Inspection
    picture: Image.Image | None


def inspect_file(path: Path, settings: IngestSettings = DEFAULTS) -> Inspected:
    """Everything that was decided on one file, whatever becomes of it."""
    try:
        mammogram = read_mammogram(path, settings)
    except UnreadableImage as err:
        reason = GateFinding(code=err.code, severity="refuse", sentence=str(err))
        return Inspected(_of_header(path, (reason,), readable=False), None)
    except RefusedImage as err:
        facts = _of_header(path, err.findings, readable=True)
        return Inspected(facts, _picture_of_refused(path, settings, facts))
    facts = _of_mammogram(mammogram, path)
    return Inspected(facts, picture(mammogram.pixels, mammogram.breast, facts))


def _of_mammogram(mammogram: Mammogram, path: Path) -> Inspection:
    header = read_header(path)
    return Inspection(
        admitted=True,
        readable=True,
        findings=mammogram.findings,
        rows=mammogram.rows,
        columns=mammogram.columns,
        laterality=mammogram.laterality,
        view=mammogram.view,
        spacing_mm=mammogram.spacing_mm,
        voi=mammogram.voi,
        inverted=mammogram.inverted,
        decoder=mammogram.decoder,
        chest_wall=mammogram.chest_wall,
        upside_down=mammogram.upside_down,
        breast_share=round(float(mammogram.breast.mean()), 4),
        synthetic=mammogram.synthetic,
        file_sha256=mammogram.file_sha256,
        pixels_sha256=mammogram.pixels_sha256,
        tags=telling_tags(header) if header is not None else {},
    )


def _of_header(path: Path, findings: tuple[GateFinding, ...], *, readable: bool) -> Inspection:
    """What the header alone says of a file that is not admitted."""
    header = read_header(path)
    file_sha256 = _digest(path)
    if header is None:
        return Inspection(admitted=False, readable=readable, findings=findings, file_sha256=file_sha256)
    naming = name_image(header)
    try:
        inverted = is_inverted(header) if "PhotometricInterpretation" in header else None
    except RefusedImage:
        # the header contradicts itself, as a finding says
        inverted = None
    return Inspection(
        admitted=False,
        readable=readable,
        findings=findings,
        rows=whole(header, "Rows"),
        columns=whole(header, "Columns"),
        laterality=naming.laterality,
        view=naming.view,
        spacing_mm=spacing_mm(header),
        inverted=inverted,
        synthetic=is_synthetic(header),
        file_sha256=file_sha256,
        tags=telling_tags(header),
    )


def _digest(path: Path) -> str | None:
    try:
        if not path.is_file():
            # a pipe has no end, perhaps not even a beginning
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        # a finding says why it cannot be opened
        return None


def _picture_of_refused(path: Path, settings: IngestSettings, facts: Inspection) -> Image.Image | None:
    """The picture of a file that is read and not scored; None where there is no single picture in it."""
    try:
        dataset = parse(read_bytes(path, settings), settings)
        ungroup(dataset)
        decoded = decode(dataset, read_layout(dataset, settings.max_pixels))
        with ThreadPoolExecutor(max_workers=1) as beside:
            rendered = render(dataset, decoded, settings, beside)
    except InputError:
        # a finding says why
        return None
    return picture(rendered.pixels, rendered.breast, facts)


def picture(pixels: Pixels, breast: Mask, facts: Inspection) -> Image.Image:
    """The mammogram as stored, at most `PICTURE_PX` long: breast outlined, chest wall's side green, a line of words.

    Args:
        pixels: shape (rows, columns), in [0, 1].
        breast: mask, same shape.
        facts: what the line of words says.
    """
    grey = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
    mask = Image.fromarray(breast.astype(np.uint8) * np.uint8(255))
    grey.thumbnail((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS)
    inside = np.asarray(mask.resize(grey.size, Image.Resampling.BILINEAR)) >= 128
    shades = np.asarray(grey)
    coloured = np.stack([shades, shades, shades], axis=-1)
    coloured[inside & ~ndimage.binary_erosion(inside, iterations=2)] = OUTLINE
    if breast.any():
        coloured[:, slice(0, 4) if chest_wall_side(breast) == "left" else slice(-4, None)] = CHEST_WALL
    return _captioned(Image.fromarray(coloured), facts)


def _captioned(shown: Image.Image, facts: Inspection) -> Image.Image:
    """The picture above a line with its name and its reason codes."""
    page = Image.new("RGB", (shown.width, shown.height + CAPTION_PX))
    page.paste(shown)
    state = "admitted" if facts.admitted else "refused"
    codes = ", ".join(f"{one.severity} {one.code}" for one in facts.findings) or "no finding"
    frames = facts.tags.get("NumberOfFrames", 1)
    place = "" if frames == 1 else f", frame 1 of {frames:g}"
    name = f"{facts.laterality or 'side unknown'} {facts.view or 'view unknown'}, {state}{place}"
    pen = ImageDraw.Draw(page)
    for line, words in enumerate((name, codes)):
        pen.text((6, shown.height + 3 + 17 * line), words, fill="white", font=ImageFont.load_default(13))
    return page


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write the picture in the format that the path's ending names, and make the folders on the way to it.

    Raises:
        InputError: the ending names no format, or the place cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    except ValueError as err:
        raise InputError("picture: got a name that ends in no known format, expected one that ends in .png") from err
    except OSError as err:
        raise InputError(f"picture: it cannot be written ({(err.strerror or 'input/output error').lower()})") from err
