"""The model that scores imports, as its manifest tells it: known before it has scored anything here."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from audit.service import KnownBundle
from medproto.errors import BundleError
from ui.importing import BUNDLE_VARIABLE

_COUNTED: Final = ("patients", "exams", "images")


def loaded_bundle() -> KnownBundle | None:
    """What the manifest of the loaded bundle says; None where none is loaded. Its files are not looked at.

    Raises:
        BundleError: the manifest is absent, or not one of a bundle.
    """
    folder = os.environ.get(BUNDLE_VARIABLE)
    if not folder:
        return None
    try:
        content = Path(folder, "manifest.json").read_bytes()
        told = json.loads(content)
        names = [str(told[name]) for name in ("name", "data_licence", "data_name")]
        splits = {str(name): _counts(split) for name, split in ((told.get("data") or {}).get("splits") or {}).items()}
        synthetic = bool(told["synthetic"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise BundleError(
            "bundle: the manifest of the loaded one is absent or damaged, expected that of a bundle"
        ) from err
    name, licence, data = names
    return KnownBundle(hashlib.sha256(content).hexdigest(), name, licence, False, data, synthetic, splits or None)


def _counts(split: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(split[name]) for name in _COUNTED}
