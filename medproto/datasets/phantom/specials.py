"""The specials of the phantom: between them they make the input gate say everything that a file can make it say."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from medproto.config import IngestSettings
from medproto.datasets.dicom_file import save_mammogram
from medproto.datasets.manifest import ManifestRow, write_manifest
from medproto.datasets.phantom import distortions as pictures
from medproto.datasets.phantom import special as make
from medproto.datasets.phantom.anatomy import SPACING_MM, Field, View
from medproto.datasets.phantom.dicom import Header, phantom_dataset
from medproto.datasets.phantom.patient import Patient, annotate, draw_tissue
from medproto.datasets.phantom.special import Special, modified, stating, viewed
from medproto.datasets.phantom.styles import STYLES, VENDORS
from medproto.records import Laterality

SIDE: Laterality = "L"
VIEW: View = "CC"
#: Codes that every special which is read gives too: text is burnt in, and one view is no exam.
COMMON = frozenset({"BURNED_IN_TEXT", "MISSING_VIEWS"})
#: Codes that no file can be written for, and why.
UNWRITTEN = {
    "TIMEOUT": "comes of the worker process that reads a file, not of the file alone",
    "OUT_OF_MEMORY": "comes of the worker process that reads a file, not of the file alone",
    "WORKER_CRASHED": "comes of the worker process that reads a file, not of the file alone",
}
_SIGMOID, _TABLES = VENDORS[3], VENDORS[5]
_BYTES = replace(STYLES[0], centre=128, width=256, bits=8)

SPECIALS = (
    # views of another kind
    Special(
        "magnification", "Magnified 1.8 times on a raised support.", ("MAGNIFICATION",), draw=pictures.magnified,
        edit=modified("399163009", "Magnification", {
            "EstimatedRadiographicMagnificationFactor": pictures.MAGNIFICATION,
            "PixelSpacing": [round(SPACING_MM / pictures.MAGNIFICATION, 6)] * 2,
        }),
    ),
    Special("spot-compression", "Compressed by a small round paddle.", ("SPOT_COMPRESSION",),
            draw=pictures.spot_compressed, edit=modified("399055006", "Spot compression", {})),
    Special("implant", "The breast holds an implant.", ("IMPLANT",), draw=pictures.with_implant,
            edit=stating({"BreastImplantPresent": "YES"})),
    Special("partial-view", "The header says that part of the breast is missing.", ("PARTIAL_VIEW",),
            draw=pictures.moved_down, edit=stating({"PartialView": "YES"})),
    Special("special-view", "A tangential view.", ("SPECIAL_VIEW",), edit=modified("399110001", "Tangential", {})),
    Special("synthesised", "Computed from tomosynthesis.", ("SYNTHESISED_2D",),
            edit=stating({"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]})),
    # not to be scored
    Special("for-processing", "Raw detector data.", ("FOR_PROCESSING",), edit=make.raw_detector),
    Special("tomosynthesis", "A volume of three slices.", ("TOMOSYNTHESIS", "MULTI_FRAME"), edit=make.tomosynthesis),
    Special("multi-frame", "Three frames in one mammogram.", ("MULTI_FRAME",), edit=make.stacked),
    Special("not-a-mammogram", "Says that it is a CT slice.", ("NOT_MAMMOGRAM",),
            edit=stating({"Modality": "CT", "SOPClassUID": CTImageStorage})),
    Special("colour", "A screenshot in colour.", ("NOT_MAMMOGRAM",), edit=make.colour),
    Special("specimen", "Says that it shows an excised specimen.", ("NOT_MAMMOGRAM",),
            edit=viewed("127457009", "Specimen")),
    Special("no-breast", "Exposed without a breast.", ("NO_BREAST",), draw=pictures.air),
    Special("presentation-contradictory", "MONOCHROME1, to be shown by IDENTITY.", ("PRESENTATION_CONTRADICTORY",),
            style=replace(STYLES[0], monochrome1=True), edit=stating({"PresentationLUTShape": "IDENTITY"})),
    # side, view, orientation
    Special("side-missing", "Does not say which breast.", ("SIDE_MISSING",), edit=stating({"ImageLaterality": None})),
    Special("side-contradictory", "Names both breasts.", ("SIDE_CONTRADICTORY",), edit=stating({"Laterality": "R"})),
    Special("view-missing", "Names no view.", ("VIEW_MISSING",),
            edit=stating({"ViewPosition": None, "ViewCodeSequence": None})),
    Special("view-contradictory", "A view by code, another in words.", ("VIEW_CONTRADICTORY",),
            edit=viewed("399368009", "medio-lateral oblique")),
    Special("upside-down", "Stored from below, and says so.", draw=pictures.upside_down,
            edit=stating({"PatientOrientation": ["A", "L"]})),
    Special("orientation-contradictory", "Says that the chest wall lies on the other side.", ("ORIENTATION",),
            edit=stating({"PatientOrientation": ["P", "L"]})),
    # picture and exposure
    Special("breast-cut", "Larger than the detector.", ("BREAST_CUT",), draw=pictures.too_large),
    Special("over-exposed", "Most of the breast is white.", ("EXPOSURE",), draw=pictures.over_exposed,
            style=STYLES[1]),
    Special("tube-voltage", "Taken at 80 kV.", ("EXPOSURE",), edit=stating({"KVP": 80})),
    Special("aborted", "The exposure was aborted.", ("EXPOSURE",), edit=stating({"ExposureStatus": "ABORTED"})),
    Special("spacing-missing", "States no pixel spacing.", ("SPACING_MISSING",),
            edit=stating({"PixelSpacing": None, "ImagerPixelSpacing": None})),
    Special("body-part", "Says that it shows the chest.", ("BODY_PART",), edit=stating({"BodyPartExamined": "CHEST"})),
    # how it is to be shown
    Special("no-voi", "States no window and no LUT.", ("NO_VOI",),
            edit=stating({"WindowCenter": None, "WindowWidth": None})),
    Special("several-windows", "States three windows.", ("SEVERAL_VOI",), style=_SIGMOID),
    Special("several-tables", "States three LUTs and three windows.", ("SEVERAL_VOI",), style=_TABLES),
    Special("voi-not-stored", "Asked for a tenth window.", ("SEVERAL_VOI", "VOI_INDEX"), style=_SIGMOID,
            settings=IngestSettings(voi_index=9)),
    # modalities beside MG
    Special("modality-dx", "Says DX.", ("NOT_MAMMOGRAM",),
            edit=stating({"Modality": "DX", "SOPClassUID": DigitalXRayImageStorageForPresentation})),
    Special("modality-dx-admitted", "Says DX, which is admitted.", ("MODALITY_ADMITTED",),
            edit=stating({"Modality": "DX", "SOPClassUID": DigitalXRayImageStorageForPresentation}),
            settings=IngestSettings(admit_modalities=("MG", "DX"))),
    # lossy compression; coders of 16 bits need room above the largest value for what they change
    Special("lossy-jpeg-baseline", "JPEG Baseline, 8 bits.", syntax=JPEGBaseline8Bit, style=_BYTES),
    Special("lossy-jpeg-extended", "JPEG Extended, 12 bits.", syntax=JPEGExtended12Bit),
    Special("lossy-jpeg-ls", "JPEG-LS Near-Lossless.", syntax=JPEGLSNearLossless, style=STYLES[2]),
    Special("lossy-jpeg-2000", "JPEG 2000.", syntax=JPEG2000),
    Special("lossy-htj2k", "High-Throughput JPEG 2000.", syntax=HTJ2K, style=VENDORS[4]),
    # handed in twice
    Special("duplicate-pixels", "Two images with the same pixels.", ("PIXEL_DUPLICATE",), files=2),
    Special("same-instance", "One image in two files.", ("SAME_INSTANCE",), files=2, same_instance=True),
    # not to be read
    Special("truncated", "Ends before its last third.", ("TRUNCATED",), damage=make.cut_short),
    Special("undecodable", "Its stream is garbled.", ("UNDECODABLE",), syntax=JPEG2000Lossless, damage=make.garbled),
    Special("hostile-size", "Declares 60,000 rows and columns.", ("HOSTILE_SIZE",),
            edit=stating({"Rows": 60000, "Columns": 60000})),
    Special("not-dicom", "A text under the name of an image.", ("NOT_DICOM",), damage=make.not_dicom),
    Special("absent", "Named by the manifest, and not there.", ("UNREADABLE",), written=False),
)  # fmt: skip


def write_specials(out: Path, seed: int) -> Path:
    """Write all specials, exams of one woman, and return the path of their manifest.

    Beside the manifest stands `codes.csv`: for each exam its files, the reason codes it gives beyond `COMMON`, the
    settings it needs for that, and what is special. The same seed gives the same bytes.

    Args:
        out: folder, made where it does not exist.
        seed: seed, not negative.
    """
    out.mkdir(parents=True, exist_ok=True)
    patient = next(one for one in (Patient.draw(seed, number) for number in range(60)) if _suits(one))
    drawn = draw_tissue(patient, SIDE, VIEW)
    place = np.argwhere(np.ones_like(drawn.picture) if drawn.mask is None else drawn.mask).mean(axis=0)
    rows = []
    for special in SPECIALS:
        picture = annotate(special.draw(drawn.picture, (int(place[0]), int(place[1]))), SIDE, VIEW)
        rows += _write(out, patient, special, picture)
    _write_codes(out / "codes.csv")
    return write_manifest(out / "manifest.csv", rows)


def _suits(patient: Patient) -> bool:
    """A left breast of common density and ordinary size, with a mass."""
    breast, finding = patient.breasts[SIDE], patient.findings.get(SIDE)
    return breast.density in "BC" and 75 < breast.depth_mm < 100 and finding is not None and "mass" in finding.kind


def _write(out: Path, patient: Patient, special: Special, picture: Field) -> list[ManifestRow]:
    """Write the files of one special."""
    rows = []
    for number, path in enumerate(special.paths, start=1):
        header = _header(patient, special, 1 if special.same_instance else number)
        ds = phantom_dataset(header, picture)
        special.edit(ds)
        if special.written:
            save_mammogram(out / path, ds, special.syntax)
            (out / path).write_bytes(special.damage((out / path).read_bytes()))
        rows.append(_row(patient, special, header, path))
    return rows


def _header(patient: Patient, special: Special, number: int) -> Header:
    return Header(
        key=f"medproto-phantom/{patient.seed}/special/{special.name}",
        patient=f"phantom-{patient.seed}-specials",
        study_date=patient.study_date,
        age_years=patient.age_years,
        style=special.style,
        syntax=special.syntax,
        side=SIDE,
        view=VIEW,
        number=number,
    )


def _row(patient: Patient, special: Special, header: Header, path: str) -> ManifestRow:
    """What is true of the image, whatever its header says."""
    shown = patient.findings[SIDE] if special.draw in (pictures.as_it_is, pictures.upside_down) else None
    return ManifestRow(
        path=path,
        patient=header.patient,
        exam=f"{header.patient}-{special.name}",
        image=Path(path).stem,
        side=SIDE,
        view=VIEW,
        label=patient.findings[SIDE].label,
        finding=None if shown is None else shown.kind,
        density=patient.breasts[SIDE].density,
        vendor=special.style.model,
        age_years=patient.age_years,
        source="medproto phantom, special",
        licence="Apache-2.0 (synthetic)",
    )


def _write_codes(path: Path) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["files", "codes", "settings", "what"])
    for special in SPECIALS:
        changed = special.settings.model_dump(exclude_defaults=True)
        settings = "; ".join(f"{name}: {value}" for name, value in changed.items())
        writer.writerow([";".join(special.paths), ";".join(special.codes), settings, special.what])
    path.write_bytes(buffer.getvalue().encode())
