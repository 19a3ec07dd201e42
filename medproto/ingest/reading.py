"""From a DICOM file to a `Mammogram`, or to the reason why not."""

from __future__ import annotations

import hashlib
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset

from medproto.config import IngestSettings
from medproto.errors import RefusedImage
from medproto.ingest import pixels as steps
from medproto.ingest.breast import chest_wall_side
from medproto.ingest.decoding import decode_unchecked, read_layout
from medproto.ingest.frames import ungroup
from medproto.ingest.gate import finding, judge_header, judge_picture, unreadable
from medproto.ingest.greys import full_depth
from medproto.ingest.header import number, numbers
from medproto.ingest.legible import check_legible
from medproto.ingest.mammogram import Mammogram
from medproto.ingest.opening import identity, is_synthetic, parse, read_bytes
from medproto.ingest.orientation import judge_lie
from medproto.ingest.rendering import render
from medproto.ingest.views import name_image
from medproto.records import GateFinding

#: Settings of callers that name none.
DEFAULTS = IngestSettings()
#: Pixel spacings outside of this range in mm are not those of a mammogram.
SPACING_RANGE_MM = (0.005, 2.0)


def read_mammogram(path: Path, settings: IngestSettings = DEFAULTS, full_depth: bool = False) -> Mammogram:
    """Read one DICOM file as a mammogram; with `full_depth` also its values before VOI, which a viewer windows.

    A mammogram that is returned guarantees:

    1. The file is complete DICOM, and its declared size was accepted before anything of that size was allocated.
    2. It is a single-frame mammogram for presentation; nothing of severity refuse was found.
    3. Stored values come from a decoder that took the whole stream and no more; its name and version are recorded.
    4. Pixels were rendered in the standard's order: modality LUT or rescale, VOI, then at most one inversion; padding
       is shown as the darkest value and overlays are not burnt in.
    5. What was chosen among several VOI, or instead of none, is recorded in words.
    6. Side and view are what the header states without contradicting itself, else None with a finding.
    7. Pixels are finite, in [0, 1], and show a breast; rows, columns and orientation are the file's own.
    8. No message or finding holds a name, identifier, birth date or path.

    Raises:
        UnreadableImage: not DICOM, truncated, undecodable or of a hostile size; `code` says which.
        RefusedImage: read, and the gate refuses to have it scored.
    """
    try:
        data = read_bytes(path, settings)  # 1
        with ThreadPoolExecutor(max_workers=1) as beside:
            file_sha256 = beside.submit(_sha256, data)
            return _rendered(parse(data, settings), file_sha256, (settings, full_depth), beside)
    except MemoryError as err:
        raise unreadable("OUT_OF_MEMORY") from err


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _rendered(
    dataset: FileDataset, file_sha256: Future[str], how: tuple[IngestSettings, bool], beside: Executor
) -> Mammogram:
    """The mammogram of a complete dataset; numbers as in `read_mammogram`."""
    settings, deep = how
    findings = judge_header(dataset, settings)
    _refuse(findings)  # 2
    naming = name_image(dataset)  # 6
    layout = read_layout(dataset, settings.max_pixels)  # 1
    ungroup(dataset)  # 4
    check_legible(dataset)  # 4
    inverted = steps.is_inverted(dataset)
    decoded, check = decode_unchecked(dataset, layout)
    checked = beside.submit(check)
    try:
        picture = render(dataset, decoded, settings, beside)  # 4, 5
    finally:
        # nothing is said of a picture before its values are known to be right
        checked.result()  # 3
    chest_wall = chest_wall_side(picture.breast)
    lie = judge_lie(dataset, naming, chest_wall)  # 6
    spacing = spacing_mm(dataset)
    findings += [*naming.findings, *picture.findings, *judge_picture(picture.pixels, picture.breast, chest_wall)]
    findings += [*lie.findings, *([] if spacing else [finding("SPACING_MISSING")])]
    _refuse(findings)  # 7
    samples, greys = full_depth(dataset, decoded, picture.shown) if deep else (None, None)
    return Mammogram(
        pixels=picture.pixels,
        breast=picture.breast,
        laterality=naming.laterality,
        view=naming.view,
        spacing_mm=spacing,
        voi=picture.voi,
        inverted=inverted,
        decoder=decoded.decoder,
        file_sha256=file_sha256.result(),
        pixels_sha256=picture.digest.result(),
        findings=tuple(findings),
        synthetic=is_synthetic(dataset),
        chest_wall=chest_wall,
        identity=identity(dataset),  # 8: its repr hides it
        upside_down=lie.upside_down,
        samples=samples,
        greys=greys,
    )


def _refuse(findings: list[GateFinding]) -> None:
    if any(one.severity == "refuse" for one in findings):
        raise RefusedImage(findings)


def spacing_mm(header: Dataset) -> tuple[float, float] | None:
    """(row, column) spacing: calibrated, else at the detector over the magnification, else as scanned."""
    factor = max(1.0, number(header, "EstimatedRadiographicMagnificationFactor", 1.0))
    for keyword, divisor in (
        ("PixelSpacing", 1.0),
        ("ImagerPixelSpacing", factor),
        ("NominalScannedPixelSpacing", 1.0),
    ):
        # PS3.3 C.8.11.3 and 10.7.1.3: Imager Pixel Spacing is measured at the detector, not in the breast
        spacing = [one / divisor for one in numbers(header, keyword)]
        if len(spacing) == 2 and all(SPACING_RANGE_MM[0] <= one <= SPACING_RANGE_MM[1] for one in spacing):
            return spacing[0], spacing[1]
    return None
