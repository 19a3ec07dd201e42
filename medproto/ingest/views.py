"""Which breast and which view: coded sequences first, then text, then the quirks of known archives.

A contradiction is a finding and leaves the value unknown; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from medproto.ingest.gate import finding
from medproto.ingest.header import items, number, text, texts
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
#: PS3.16 CID 4014 also holds the radiograph of an excised specimen: no view of a breast.
SPECIMENS = frozenset({"127457009", "G-8310"})
#: View Position in words: the terms above, the axillary tail, and the short forms of exaggerated views.
VIEW_WORDS = {**{view: view for view in VIEWS.values()}, "AT": "AT", "XCC": "XCCL"}
#: The views that networks are trained on.
STANDARD = frozenset({"CC", "MLO"})
#: PS3.16 CID 4015, View Modifier for Mammography, those with a finding of their own.
MODIFIERS = {
    "399163009": "MAGNIFICATION", "R-102D6": "MAGNIFICATION",
    "399055006": "SPOT_COMPRESSION", "R-102D7": "SPOT_COMPRESSION",
    "399209000": "IMPLANT", "R-102D5": "IMPLANT",
}  # fmt: skip
#: Those that make a view a special one, in words. Nipple in profile is none: every good view shows it so.
SPECIAL_MODIFIERS = {
    "399161006": "cleavage", "R-102D2": "cleavage",
    "399011000": "axillary tail", "R-102D1": "axillary tail",
    "442580003": "axillary tissue", "R-40AB2": "axillary tissue",
    "399197002": "rolled lateral", "R-102D3": "rolled lateral",
    "399226006": "rolled medial", "R-102D4": "rolled medial",
    "414493004": "rolled inferior", "R-102CA": "rolled inferior",
    "415670009": "rolled superior", "R-102C9": "rolled superior",
    "399110001": "tangential", "R-102C2": "tangential",
    "441752004": "anterior compression", "P2-00161": "anterior compression",
    "442593008": "infra-mammary fold", "R-40ABE": "infra-mammary fold",
}  # fmt: skip
#: PS3.3 C.8.11.7.1.4: how value 3 of Image Type names the pictures of a stereotactic biopsy begins.
BIOPSY = ("STEREO_", "PREFIRE", "POSTFIRE", "POSTBIOPSY", "POSTMARKER", "TOMO_SCOUT")
#: PS3.16 CID 244, Laterality: SNOMED CT and SRT.
SIDES: dict[str, Laterality] = {"24028007": "R", "G-A100": "R", "7771000": "L", "G-A101": "L"}
#: Larger than this is a magnification view: contact views lie between 1.0 and about 1.1.
MAGNIFIED = 1.3
#: Ditto, values 4 and 5: pictures of contrast-enhanced mammography that show no plain breast.
CONTRAST = {
    "SUBTRACTION": "contrast subtraction",
    "ADDITION": "contrast addition",
    "HIGH_ENERGY": "high-energy exposure",
}


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
        findings=(*findings, *_specials(header), *_unusual(header, views)),
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
    for _, side in _words(header):
        yield from _side(side)


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
    """Views in words."""
    yield from (view for view, _ in _words(header))


def _words(header: Dataset) -> Iterator[tuple[str, str]]:
    """View and side, empty where none, of each view in words: `MLO`, or with its side `LMLO` or `L MLO`.

    CBIS-DDSM writes them into Patient Orientation.
    """
    for keyword in ("ViewPosition", "PatientOrientation"):
        word = text(header, keyword)
        if word in VIEW_WORDS:
            yield VIEW_WORDS[word], ""
        elif word[:1] in ("L", "R") and (rest := word[1:].lstrip(" _")) in VIEW_WORDS and rest != "AT":
            # LAT is lateral in every dialect of radiography
            yield VIEW_WORDS[rest], word[0]


def _specials(header: Dataset) -> Iterator[GateFinding]:
    """Magnification, spot compression, implant, partial view: from view modifiers and from their own elements."""
    codes = {MODIFIERS[code] for code in _modifiers(header) if code in MODIFIERS}
    if number(header, "EstimatedRadiographicMagnificationFactor", 1.0) > MAGNIFIED:
        codes.add("MAGNIFICATION")
    if text(header, "BreastImplantPresent") == "YES":
        codes.add("IMPLANT")
    # PS3.3 C.8.11.7.1.3; CBIS-DDSM's crops say so in words alone
    partial = text(header, "PartialView") == "YES" or items(header, "PartialViewCodeSequence")
    if partial or text(header, "SeriesDescription") == "CROPPED IMAGES":
        codes.add("PARTIAL_VIEW")
    for code in sorted(codes):
        yield finding(code)


def _unusual(header: Dataset, views: list[str]) -> Iterator[GateFinding]:
    """Views that networks are not trained on, and pictures of specimens."""
    words = {SPECIAL_MODIFIERS[code] for code in _modifiers(header) if code in SPECIAL_MODIFIERS}
    words |= set(views) - STANDARD
    kinds = texts(header, "ImageType")
    if len(kinds) > 2 and kinds[2].startswith(BIOPSY):
        words.add("biopsy guidance")
    words |= {CONTRAST[kind] for kind in kinds if kind in CONTRAST}
    for word in sorted(words):
        yield finding("SPECIAL_VIEW", word)
    coded = {text(item, "CodeValue") for item in items(header, "ViewCodeSequence")}
    if coded & SPECIMENS or text(header, "ViewPosition") == "SPECIMEN":
        yield finding("NOT_MAMMOGRAM", "it shows an excised specimen")


def _modifiers(header: Dataset) -> Iterator[str]:
    """Code of every view modifier."""
    for view in items(header, "ViewCodeSequence"):
        for modifier in items(view, "ViewModifierCodeSequence"):
            yield text(modifier, "CodeValue")
