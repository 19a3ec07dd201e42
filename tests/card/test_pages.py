"""Both renderings of a card, and its folder."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from medproto.bundle import load_bundle
from medproto.card.folder import MARKDOWN, PAGE, write_card
from medproto.card.html import html
from medproto.card.make import make_card
from medproto.card.markdown import PICTURES, markdown
from medproto.errors import InputError
from tests.card.factory import Page, Written, edited, markdown_tables, run
from tests.factories import Trained

ROOT = Path(__file__).resolve().parent.parent.parent
HOSTILE = "a|b <script>alert(1)</script> `x` *y* [z](http://z) \\ & &amp; _w_ # v"


def test_both_renderings_hold_the_same_tables(written: Written) -> None:
    page = Page((written.folder / PAGE).read_text(encoding="utf-8"))
    tables = markdown_tables((written.folder / MARKDOWN).read_text(encoding="utf-8"))
    plain, gallery = tables[:-1], tables[-1]
    assert [[row for row in table if set(row) != {"---"}] for table in plain] == page.tables
    assert len(page.tables) > 20
    assert len(gallery) - 2 == len(page.images) == 6


def test_names_become_no_markup(trained: Trained, tmp_path: Path) -> None:
    bundle = load_bundle(edited(trained, tmp_path / "bundle", name=HOSTILE, data_name=HOSTILE, data_licence=HOSTILE))
    card = make_card(bundle, None)
    text = markdown(card)
    assert all(len({len(row) for row in table}) == 1 for table in markdown_tables(text))
    assert ["data set", HOSTILE] in [row for table in markdown_tables(text) for row in table]
    assert "<script" not in text.replace("\\<", "")
    page = Page(html(card))
    assert "script" not in page.tags
    assert ["data set", HOSTILE] in [row for table in page.tables for row in table]


def test_pictures_are_the_patches_of_the_bundle(written: Written) -> None:
    patches = {entry.source.patch for entry in written.trained.bundle().manifest.prototypes}
    files = {f"{PICTURES}/{path.name}": path.read_bytes() for path in (written.folder / PICTURES).iterdir()}
    named = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (written.folder / MARKDOWN).read_text(encoding="utf-8"))
    assert sorted(named) == sorted(files)
    assert {hashlib.sha256(content).hexdigest() for content in files.values()} == patches
    page = Page((written.folder / PAGE).read_text(encoding="utf-8"))
    assert {hashlib.sha256(content).hexdigest() for content in page.images} == patches


def test_every_training_patch_tells_its_size(written: Written) -> None:
    text = (written.folder / MARKDOWN).read_text(encoding="utf-8")
    for entry in written.trained.bundle().manifest.prototypes:
        box = entry.source.box
        # Pixels of the tiny cohort are half a millimetre wide.
        high, wide = (box.bottom - box.top) / 2, (box.right - box.left) / 2
        assert f"| {high:.1f} x {wide:.1f} mm |" in text


def test_the_page_loads_nothing_and_names_no_path(written: Written) -> None:
    text = (written.folder / PAGE).read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|@import|url\(|src=\"(?!data:)", text)
    for place in (str(written.trained.manifest.path.parent), str(written.folder), "tiny.pt"):
        assert place not in text + (written.folder / MARKDOWN).read_text(encoding="utf-8")


def test_a_card_written_before_is_replaced_and_nothing_else_is(written: Written, tmp_path: Path) -> None:
    card, folder = written.card(), tmp_path / "card"
    write_card(folder, card)
    write_card(folder, replace(card, title="Another"))
    assert (folder / MARKDOWN).read_text(encoding="utf-8").startswith("# Another\n")
    (folder / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="got a place that holds something else"):
        write_card(folder, card)
    with pytest.raises(InputError, match="got a place that holds something else"):
        write_card(folder / "mine.txt", card)
    with pytest.raises(InputError, match=r"^out: the folder cannot be written \(file exists\)$"):
        write_card(folder / "mine.txt" / "card", card)
    assert (folder / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_a_full_disk_is_one_sentence_and_leaves_nothing(trained: Trained, tmp_path: Path) -> None:
    """A process that may write no larger file meets the very error of a full disk, but for its number."""
    command = [sys.executable, "-m", "medproto", "card", str(trained.bundle_path), "--out", str(tmp_path / "card")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert (done.returncode, done.stderr) == (2, "out: the folder cannot be written (file too large)\n")
    assert list(tmp_path.iterdir()) == []


def test_the_same_bundle_and_evaluation_give_the_same_bytes(written: Written, tmp_path: Path) -> None:
    run("card", str(written.trained.bundle_path), "--evaluation", str(written.evaluation), "--out", str(tmp_path / "c"))
    for name in (MARKDOWN, PAGE):
        assert (tmp_path / "c" / name).read_bytes() == (written.folder / name).read_bytes()
