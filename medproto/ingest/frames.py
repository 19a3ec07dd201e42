"""Functional groups of a multi-frame image that has one frame: what they say stands where other images have it."""

from __future__ import annotations

from pydicom.dataset import Dataset

from medproto.ingest.header import MALFORMED, items, quiet
from medproto.ingest.pixels import contradiction

#: Groups for all frames and for each.
GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
#: Macros that decide how values are shown (PS3.3 C.7.6.16.2.9 and C.7.6.16.2.10).
MACROS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")


def ungroup(header: Dataset) -> None:
    """Put the elements of the macros of the only frame into the header itself.

    Raises:
        RefusedImage: PRESENTATION_CONTRADICTORY, where the header or another group says otherwise.
    """
    for groups in GROUPS:
        for group in items(header, groups):
            for macro in MACROS:
                for item in items(group, macro):
                    _add(header, item, macro)


def _add(header: Dataset, item: Dataset, macro: str) -> None:
    with quiet():
        try:
            for element in item:
                if element.tag not in header:
                    header.add(element)
                elif header[element.tag].value != element.value:
                    raise contradiction(f"its frame's {macro} differs from the rest of the header")
        except MALFORMED as err:
            raise contradiction(f"its frame's {macro} cannot be read") from err
