"""What every adaptor of a published archive gives: the archive's images as manifest rows, and what is not there."""

from __future__ import annotations

from dataclasses import dataclass

from medproto.datasets.manifest import ManifestRow


@dataclass(frozen=True)
class Listing:
    """The images of an archive as its tables describe them.

    Args:
        rows: one for each image, sorted; paths relative to the archive's folder, posix; `split` is the official one or
            None.
        absent: how many images the tables name and the folder does not hold; with tables only they are in `rows`.
        remarks: what a user should know of this archive, a sentence each, without names of patients or files.
    """

    rows: tuple[ManifestRow, ...]
    absent: int
    remarks: tuple[str, ...] = ()
