"""Black pictures in the sizes of an entry's: what pages are set with where the real ones are not at hand."""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image

from audit.entries import Entry
from medproto.errors import EvidenceMissing
from medproto.records import Prediction


def blank_pictures(entry: Entry) -> Callable[[str], bytes]:
    """SHA-256 -> a black PNG; previews and overlays as large as the real ones, so that all that is drawn lies as there.

    Raises:
        EvidenceMissing: on a call with a digest that the entry does not name.
    """
    sizes: dict[str, tuple[int, int]] = {}
    if entry.kind == "prediction":
        prediction = Prediction.model_validate(entry.payload["prediction"])
        sizes = dict.fromkeys(prediction.pictures(), (1, 1))
        for image in prediction.images:
            scale = image.preview_scale
            size = (max(round(image.columns * scale), 1), max(round(image.rows * scale), 1))
            overlays = [match.overlay for match in prediction.matches if match.image_id == image.image_id]
            sizes |= {digest: size for digest in (image.preview, *overlays) if digest}

    def picture(digest: str) -> bytes:
        if digest not in sizes:
            raise EvidenceMissing(f"evidence {digest[:12]}…: the entry does not name it")
        out = io.BytesIO()
        Image.new("L", sizes[digest]).save(out, "PNG")
        return out.getvalue()

    return picture
