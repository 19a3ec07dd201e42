"""Which way up the stored picture lies, from Patient Orientation (PS3.3 C.7.6.1.1.1): what contradicts is not used.

Upright means the head's side up, or in a view from above or below the lateral side (PS3.17, hanging of mammograms).
"""

from __future__ import annotations

from typing import NamedTuple

from pydicom.dataset import Dataset

from medproto.ingest.gate import finding
from medproto.ingest.header import texts
from medproto.ingest.mammogram import Side
from medproto.ingest.views import Naming
from medproto.records import GateFinding

#: Views along the body's axis, in which left and right of the patient run along the columns.
AXIAL = frozenset({"CC", "FB", "XCCL", "XCCM"})
#: Side of the picture where the chest wall lies if the rows run to that direction.
CHEST_WALLS: dict[str, Side] = {"A": "left", "P": "right"}


class Lie(NamedTuple):
    """Whether the stored picture lies upside down, and what was found on the way."""

    upside_down: bool
    findings: tuple[GateFinding, ...]


def judge_lie(header: Dataset, naming: Naming, chest_wall: Side) -> Lie:
    """How the picture lies, where the header says so and agrees with the picture and the view.

    Args:
        naming: side and view of the image.
        chest_wall: side of the stored picture where the chest wall was seen.
    """
    directions = texts(header, "PatientOrientation")
    if len(directions) != 2 or not all(directions) or not set("".join(directions)) <= set("APLRHF"):
        # not said, or an archive's own words
        return Lie(False, ())
    along_rows, down_columns = directions
    if along_rows[0] not in CHEST_WALLS:
        return Lie(False, (finding("ORIENTATION", "by the header it lies on its side"),))
    if CHEST_WALLS[along_rows[0]] != chest_wall:
        seen = f"the chest wall is seen on the {chest_wall}, the header says {CHEST_WALLS[along_rows[0]]}"
        return Lie(False, (finding("ORIENTATION", seen),))
    if naming.view is None:
        return Lie(False, ())
    return _judge_columns(down_columns, naming)


def _judge_columns(down_columns: str, naming: Naming) -> Lie:
    """Whether columns that run to that direction run upwards."""
    axial = naming.view in AXIAL
    # an oblique view runs to the foot and aside at once, such as FL
    known = set(down_columns) & set("LR" if axial else "HF")
    if len(known) != 1:
        return Lie(False, (finding("ORIENTATION", f"its columns cannot run as the header says in {naming.view}"),))
    if axial:
        # the lateral side of the left breast is left: columns that run there begin at the medial side
        return Lie(known == {naming.laterality}, ())
    return Lie(known == {"H"}, ())
