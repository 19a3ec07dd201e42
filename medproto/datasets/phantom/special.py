"""What a special is: one exam beside the cohort that the input gate has something to say about, and how it is made.

`phantom_specials.py` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
)

from medproto.config import IngestSettings
from medproto.datasets.dicom_file import code_item
from medproto.datasets.phantom.distortions import Distortion, as_it_is
from medproto.datasets.phantom.styles import STYLES, Style

Edit = Callable[[Dataset], None]
Damage = Callable[[bytes], bytes]


def leave_header(ds: Dataset) -> None:
    """Leave the header as it is."""


def leave_bytes(data: bytes) -> bytes:
    """The file as it is."""
    return data


@dataclass(frozen=True)
class Special:
    """One exam of a single view, and what is special about it.

    Args:
        name: exam and stem of its file names.
        what: one sentence on what is special.
        codes: reason codes that reading the exam gives, beyond those of every special (`COMMON`).
        style: vendor style.
        syntax: transfer syntax.
        draw: what becomes of the picture, before it is annotated.
        edit: what becomes of the header.
        damage: what becomes of the file's bytes.
        files: how often the image is written.
        same_instance: whether several files carry the same SOP Instance UID.
        written: whether the file is there; else the manifest names one that is not.
        settings: with which the codes occur.
    """

    name: str
    what: str
    codes: tuple[str, ...] = ()
    style: Style = STYLES[0]
    syntax: UID = ExplicitVRLittleEndian
    draw: Distortion = as_it_is
    edit: Edit = leave_header
    damage: Damage = leave_bytes
    files: int = 1
    same_instance: bool = False
    written: bool = True
    settings: IngestSettings = IngestSettings()  # noqa: RUF009 - frozen

    @property
    def paths(self) -> tuple[str, ...]:
        """File names, named by what is special."""
        if self.files == 1:
            return (f"{self.name}.dcm",)
        return tuple(f"{self.name}-{number}.dcm" for number in range(1, self.files + 1))


def stating(elements: Mapping[str, object]) -> Edit:
    """The edit that states these elements; None deletes one."""

    def edit(ds: Dataset) -> None:
        for keyword, value in elements.items():
            if value is not None:
                setattr(ds, keyword, value)
            elif keyword in ds:
                delattr(ds, keyword)

    return edit


def modified(value: str, meaning: str, elements: Mapping[str, object]) -> Edit:
    """The edit that adds a view modifier (PS3.16 CID 4015) and states these elements."""

    def edit(ds: Dataset) -> None:
        ds.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([code_item(value, meaning, "SCT")])
        stating(elements)(ds)

    return edit


def viewed(value: str, meaning: str) -> Edit:
    """The edit that replaces the coded view (PS3.16 CID 4014) and leaves the one in words."""

    def edit(ds: Dataset) -> None:
        ds.ViewCodeSequence = Sequence([code_item(value, meaning, "SCT")])

    return edit


def raw_detector(ds: Dataset) -> None:
    """FOR PROCESSING: intensities, which fall with what is in the way, and no way to show them (PS3.3 A.26)."""
    picture = np.frombuffer(ds.PixelData, "<u2") / 4095
    intensity = np.rint(16000 * np.exp(-3.5 * picture)).astype("<u2")
    ds.SOPClassUID, ds.PresentationIntentType = DigitalMammographyXRayImageStorageForProcessing, "FOR PROCESSING"
    ds.PixelData, ds.BitsStored, ds.HighBit = intensity.tobytes(), 14, 13
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LIN", 1
    stating({"WindowCenter": None, "WindowWidth": None, "PresentationLUTShape": None})(ds)


def stacked(ds: Dataset) -> None:
    """Three frames instead of one."""
    ds.NumberOfFrames = 3
    ds.PixelData = ds.PixelData * 3


def tomosynthesis(ds: Dataset) -> None:
    """A volume of three slices; side and window stand in its functional groups alone (PS3.3 A.55)."""
    stacked(ds)
    ds.SOPClassUID = BreastTomosynthesisImageStorage
    ds.ImageType = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"]
    anatomy, window, group = Dataset(), Dataset(), Dataset()
    anatomy.FrameLaterality = ds.ImageLaterality
    anatomy.AnatomicRegionSequence = ds.AnatomicRegionSequence
    window.WindowCenter, window.WindowWidth = ds.WindowCenter, ds.WindowWidth
    group.FrameAnatomySequence, group.FrameVOILUTSequence = Sequence([anatomy]), Sequence([window])
    ds.SharedFunctionalGroupsSequence = Sequence([group])
    stating({"ImageLaterality": None, "WindowCenter": None, "WindowWidth": None})(ds)


def colour(ds: Dataset) -> None:
    """The grey picture as RGB of 8 bits, as a screenshot has it."""
    grey = (np.frombuffer(ds.PixelData, "<u2") >> 4).astype(np.uint8)
    ds.PixelData = np.repeat(grey, 3).tobytes()
    ds.SamplesPerPixel, ds.PlanarConfiguration, ds.PhotometricInterpretation = 3, 0, "RGB"
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds["PixelData"].VR = "OB"


def cut_short(data: bytes) -> bytes:
    """The file without its last third."""
    return data[: -len(data) // 3]


def garbled(data: bytes) -> bytes:
    """The file with the start of its JPEG 2000 stream overwritten (SOC and SIZ, ISO/IEC 15444-1 A.4)."""
    return data.replace(b"\xff\x4f\xff\x51", b"\0\0\0\0", 1)


def not_dicom(data: bytes) -> bytes:
    """A text under the name of an image."""
    return b"SYNTHETIC: a text under the name of a DICOM file.\n"
