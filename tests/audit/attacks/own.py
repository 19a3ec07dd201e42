"""A ledger of the suite's own, made in a folder, with all that anybody may know of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from audit.database import read_url
from audit.room import KEYS, LEDGER_FILE, open_room
from tests.audit.attacks.copies import Copier, copier_of
from tests.audit.attacks.history import known_of, make_history
from tests.audit.factory import BUNDLE_ID


def own_copier(folder: Path, url: str | None = None, bundle: tuple[Path, str] | None = None, seed: int = 1) -> Copier:
    """Copies of a ledger made here.

    Args:
        folder: an empty folder that the suite may fill.
        url: an empty PostgreSQL database that the suite may have; SQLite without one.
        bundle: a bundle and its id, which the predictions then name.
    """
    home, scratch = folder / "work" / "home", folder / "scratch"
    for directory in (home.parent, scratch):
        directory.mkdir(parents=True)
    open_room(home, url, create=True).close()
    shutil.copytree(home / KEYS, folder / "stolen")
    path, bundle_id = bundle or (None, BUNDLE_ID)
    make_history(home, url, bundle_id)
    known = known_of(home, url, folder / "anchors.txt", folder / "stolen", path)
    return copier_of(home, read_url(url or home / LEDGER_FILE), known, scratch, seed)
