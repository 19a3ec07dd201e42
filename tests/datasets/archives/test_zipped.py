"""Zips are unpacked within bounds and within their folder, or refused in one sentence."""

from __future__ import annotations

import stat
import struct
import warnings
import zipfile
from pathlib import Path

import pytest

from medproto.datasets.archives.zipped import ZipBounds, unzip
from medproto.errors import InputError


def write_zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip of these members."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_what_was_packed_comes_out_and_is_not_unpacked_twice(tmp_path: Path) -> None:
    path = write_zip(
        tmp_path / "a.zip", {"a/b.dcm": b"one" * 1000, "t.csv": b"two", "__MACOSX/a/._b.dcm": b"x", "d/": b""}
    )
    folder = unzip(path, tmp_path / "out")
    assert (folder / "a" / "b.dcm").read_bytes() == b"one" * 1000
    assert sorted(one.name for one in folder.rglob("*") if one.is_file()) == ["b.dcm", "t.csv"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    before = (folder / "t.csv").stat().st_mtime_ns
    (folder / "a" / "b.dcm").write_bytes(b"on")
    unzip(path, folder)
    assert (folder / "t.csv").stat().st_mtime_ns == before
    assert (folder / "a" / "b.dcm").read_bytes() == b"one" * 1000


@pytest.mark.parametrize("name", ["../evil.dcm", "/etc/evil.dcm", "a/../../evil.dcm", "a\\..\\evil.dcm", "C:evil.dcm"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = write_zip(tmp_path / "a.zip", {"good.dcm": b"x", name: b"x"})
    with pytest.raises(InputError, match="zip: file 2 names a place outside of the archive"):
        unzip(path, tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("*.dcm"))


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.dcm")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="zip: file 1 is a link or a device"):
        unzip(tmp_path / "a.zip", tmp_path / "out")


def test_sizes_and_counts_are_bounded(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a": bytes(1_000_000), "b": bytes(1_000_000)})
    for bounds, sentence in (
        (ZipBounds(files=1), "zip: got 2 files, expected 1 to 1"),
        (ZipBounds(file_bytes=999_999), "zip: file 1 has 1000000 bytes, expected at most 999999"),
        (
            ZipBounds(ratio=10, free_bytes=0),
            "zip: it unpacks to 2000000 bytes, expected at most .* from a zip of its size",
        ),
        (ZipBounds(spare_bytes=10**18), "zip: it unpacks to 2000000 bytes, expected at most 0, the room on the disk"),
    ):
        with pytest.raises(InputError, match=sentence):
            unzip(path, tmp_path / "out", bounds)
        assert not (tmp_path / "out").exists()


def test_a_member_larger_than_it_declares_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a": bytes(100_000)})
    content = bytearray(path.read_bytes())
    size = struct.pack("<I", 100_000)
    place = content.rfind(size)
    content[place : place + 4] = struct.pack("<I", 10)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"zip: it is damaged|zip: a file holds more bytes than it declares"):
        unzip(path, tmp_path / "out")
    assert sum(one.stat().st_size for one in (tmp_path / "out").iterdir()) <= 10


def test_an_encrypted_zip_is_one_clear_sentence(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a": b"secret"}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(signature) + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="zip: it is encrypted, expected one without a password"):
        unzip(path, tmp_path / "out")


def test_damage_is_one_clear_sentence(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a": bytes(range(256)) * 40})
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="zip: it is damaged or of a kind that cannot be read"):
        unzip(path, tmp_path / "out")
    path.write_bytes(content[:100])
    with pytest.raises(InputError, match="zip: it is damaged or of a kind that cannot be read"):
        unzip(path, tmp_path / "out")


def test_a_name_twice_and_a_folder_of_other_files_are_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("a", "x")
        archive.writestr("a", "y")
    with pytest.raises(InputError, match="zip: file 2 has the name of an earlier one"):
        unzip(tmp_path / "a.zip", tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.dcm").write_text("x")
    with pytest.raises(InputError, match="zip: folder 'out' holds files that are not the zip's"):
        unzip(write_zip(tmp_path / "b.zip", {"a": b"x"}), tmp_path / "out")
