"""Settings as frozen models: YAML in, values only, an unknown key is an error that names the allowed ones."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys refused, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class IngestSettings(Settings):
    """How DICOM files become mammograms."""

    #: Modalities scored as mammograms; anything beyond MG is admitted with a finding.
    admit_modalities: tuple[str, ...] = ("MG",)
    #: Which of several VOI LUTs or windows is used, counted from 0 in the order LUTs, then windows.
    voi_index: int = 0
    #: Larger images are refused before any pixel is decoded.
    max_pixels: int = 64_000_000
    #: Larger files, and deflated files that inflate to more, are refused unread.
    max_file_bytes: int = 1_000_000_000
    #: A file in the sandbox that takes longer is given up, in seconds.
    file_seconds: Annotated[float, Field(gt=0)] = 10.0
    #: What reading one file in the sandbox may take up, in bytes of address space beyond a started worker's.
    worker_bytes: Annotated[int, Field(ge=64 * 1024**2)] = 2 * 1024**3
