"""The option `--region`: which part of each image is scored, for bundles that were trained on regions."""

from __future__ import annotations

from typing import Annotated

import typer

from medproto.errors import InputError
from medproto.records import Box

Region = Annotated[
    str | None, typer.Option("--region", help="top,left,bottom,right in pixels, for a bundle trained on regions.")
]


def read_region(text: str | None) -> Box | None:
    """The region that was given, in original pixels; InputError where the text names none."""
    if text is None:
        return None
    try:
        top, left, bottom, right = (float(part) for part in text.split(","))
        return Box(top=top, left=left, bottom=bottom, right=right)
    except ValueError as err:
        raise InputError(
            f"region: got {text!r}, expected top,left,bottom,right in pixels with a positive area"
        ) from err
