"""What the functional groups of an only frame say is heeded as if the header said it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import MultiFrameGrayscaleWordSecondaryCaptureImageStorage

from medproto.errors import RefusedImage
from medproto.ingest.reading import read_mammogram
from tests.ingest.factory import write

SHARED, EACH = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
RESCALED = {"RescaleSlope": "2", "RescaleIntercept": "-100", "RescaleType": "US"}
WINDOWED = {"WindowCenter": "3000", "WindowWidth": "5000", "VOILUTFunction": "LINEAR_EXACT"}
NO_WINDOW = {"WindowCenter": None, "WindowWidth": None}


def group(macro: str, elements: dict[str, Any]) -> Dataset:
    """A functional group of one macro."""
    item, holder = Dataset(), Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    setattr(holder, macro, Sequence([item]))
    return holder


def framed(path: Path, shared: list[Dataset], each: list[Dataset], **elements: Any) -> Path:
    """A mammogram as multi-frame secondary capture of one frame."""
    kind = {"SOPClassUID": MultiFrameGrayscaleWordSecondaryCaptureImageStorage, "NumberOfFrames": 1}
    merged = Dataset()
    for one in shared:
        merged.update(one)
    own = Dataset()
    for one in each:
        own.update(one)
    return write(path, **kind, **elements, **{SHARED: Sequence([merged]), EACH: Sequence([own])})


@pytest.mark.parametrize("swap", [False, True])
def test_rescale_and_window_of_the_only_frame_are_applied(tmp_path: Path, swap: bool) -> None:
    plain = read_mammogram(write(tmp_path / "plain.dcm", **RESCALED, **WINDOWED))
    groups = [
        [group("PixelValueTransformationSequence", RESCALED)],
        [group("FrameVOILUTSequence", WINDOWED)],
    ]
    shared, each = reversed(groups) if swap else groups
    path = framed(tmp_path / "a.dcm", shared, each, **NO_WINDOW)
    found = read_mammogram(path)
    assert found.pixels_sha256 == plain.pixels_sha256
    assert found.voi == plain.voi
    frame = highdicom.imread(path).get_frame(1, apply_voi_transform=True, dtype=np.float64)
    assert np.abs(found.pixels - frame).max() < 1e-6


def test_a_frame_that_says_otherwise_than_the_header_is_refused(tmp_path: Path) -> None:
    same = framed(tmp_path / "a.dcm", [], [group("FrameVOILUTSequence", WINDOWED)], **WINDOWED)
    assert "centre 3000" in read_mammogram(same).voi
    other = framed(tmp_path / "b.dcm", [], [group("FrameVOILUTSequence", WINDOWED)])
    with pytest.raises(RefusedImage, match="its frame's FrameVOILUTSequence differs from the rest of the header"):
        read_mammogram(other)
