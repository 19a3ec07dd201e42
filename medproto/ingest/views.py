"""Which breast and which view: coded sequences first, then text, then the quirks of known archives.

A contradiction is a finding and leaves the value unknown; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from medproto.ingest.gate import finding
from medproto.ingest.header import items, number, text
from medproto.records import GateFinding, Laterality

#: PS3.16 CID 4014, View for Mammography: SNOMED CT and the older SRT codes -> View Position (PS3.3 C.8.11.7.1.4).
VIEWS = {
    "399162004": "CC", "R-10242": "CC",
    "399368009": "MLO", "R-10226": "MLO",
    "399260004": "ML", "R-10224": "ML",
    "399352003": "LM", "R-10228": "LM",
    "399099002": "LMO", "R-10230": "LMO",
    "399196006": "FB", "R-10244": "FB",
    "399188001": "SIO", "R-102D0": "SIO",
    "441555000": "ISO", "R-40AAA": "ISO",
    "399192008": "XCCL", "R-1024A": "XCCL",
    "399101009": "XCCM", "R-1024B": "XCCM",
}  # fmt: skip
#: View Position text beyond the standard's own terms.
VIEW_WORDS = {**{view: view for view in VIEWS.values()}, "AT": "AT", "RCC": "CC", "LCC": "CC",
              "RMLO": "MLO", "LMLO": "MLO"}  # fmt: skip
#: PS3.16 CID 4015, View Modifier for Mammography, those with a finding of their own.
MODIFIERS = {
    "399163009": "MAGNIFICATION", "R-102D6": "MAGNIFICATION",
    "399055006": "SPOT_COMPRESSION", "R-102D7": "SPOT_COMPRESSION",
    "399209000": "IMPLANT", "R-102D5": "IMPLANT",
}  # fmt: skip
#: PS3.16 CID 244, Laterality: SNOMED CT and SRT.
SIDES: dict[str, Laterality] = {"24028007": "R", "G-A100": "R", "7771000": "L", "G-A101": "L"}
#: Larger than this is a magnification view: contact views lie between 1.0 and about 1.1.
MAGNIFIED = 1.3


@dataclass(frozen=True)
class Naming:
    """Side and view of an image as far as the header is sure, with what was found on the way."""

    laterality: Laterality | None
    view: str | None
    findings: tuple[GateFinding, ...]


def name_image(header: Dataset) -> Naming:
    """Side, view and the findings that the header's words on both give."""
    sides = sorted(set(_sides(header)))
    views = sorted({*_coded_views(header), *_written_views(header)})
    findings: list[GateFinding] = []
    if len(sides) > 1:
        findings.append(finding("SIDE_CONTRADICTORY", " and ".join(sides)))
    elif not sides:
        findings.append(finding("SIDE_MISSING"))
    if len(views) > 1:
        findings.append(finding("VIEW_CONTRADICTORY", " and ".join(views)))
    elif not views:
        findings.append(finding("VIEW_MISSING"))
    return Naming(
        laterality=sides[0] if len(sides) == 1 else None,
        view=views[0] if len(views) == 1 else None,
        findings=(*findings, *_specials(header)),
    )


def _sides(header: Dataset) -> Iterator[Laterality]:
    """Every side the header states: anatomy sequences of image and frames, then the two text elements."""
    anatomies = [header, *items(header, "SharedFunctionalGroupsSequence")]
    anatomies += items(header, "PerFrameFunctionalGroupsSequence")
    for group in anatomies:
        for anatomy in items(group, "FrameAnatomySequence"):
            # PS3.3 C.7.6.16.2.8: tomosynthesis states its side here
            yield from _side(text(anatomy, "FrameLaterality"))
    for region in items(header, "AnatomicRegionSequence"):
        for modifier in items(region, "AnatomicRegionModifierSequence"):
            if (code := text(modifier, "CodeValue")) in SIDES:
                yield SIDES[code]
    yield from _side(text(header, "ImageLaterality"))
    yield from _side(text(header, "Laterality"))
    if (word := text(header, "ViewPosition")) in ("RCC", "RMLO", "LCC", "LMLO"):
        yield from _side(word[0])


def _side(word: str) -> Iterator[Laterality]:
    if word in ("L", "LEFT"):
        yield "L"
    elif word in ("R", "RIGHT"):
        yield "R"


def _coded_views(header: Dataset) -> Iterator[str]:
    for item in items(header, "ViewCodeSequence"):
        if (code := text(item, "CodeValue")) in VIEWS:
            yield VIEWS[code]


def _written_views(header: Dataset) -> Iterator[str]:
    """Views in words; CBIS-DDSM writes them into Patient Orientation."""
    words = text(header, "ViewPosition"), text(header, "PatientOrientation")
    yield from [VIEW_WORDS[word] for word in words if word in VIEW_WORDS][:1]


def _specials(header: Dataset) -> Iterator[GateFinding]:
    """Magnification, spot compression, implant, partial view: from view modifiers and from their own elements."""
    codes = {
        MODIFIERS[code]
        for view in items(header, "ViewCodeSequence")
        for modifier in items(view, "ViewModifierCodeSequence")
        if (code := text(modifier, "CodeValue")) in MODIFIERS
    }
    if number(header, "EstimatedRadiographicMagnificationFactor", 1.0) > MAGNIFIED:
        codes.add("MAGNIFICATION")
    if text(header, "BreastImplantPresent") == "YES":
        codes.add("IMPLANT")
    # CBIS-DDSM's crops say so in words alone
    if text(header, "PartialView") == "YES" or text(header, "SeriesDescription") == "CROPPED IMAGES":
        codes.add("PARTIAL_VIEW")
    for code in sorted(codes):
        yield finding(code)
