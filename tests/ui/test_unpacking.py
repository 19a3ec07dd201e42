"""What is set aside of an upload, and what an archive may not do, whatever its bytes are."""

from __future__ import annotations

import io
import random
import struct
import time
import zipfile
from pathlib import Path

import pytest

from medproto.errors import InputError
from ui import importing
from ui.importing import set_aside
from ui.unpacking import MOST_CONTENTS_BYTES

NOT_UNPACKED = "got a zip that cannot be unpacked, expected a whole one, deflated and without a password"


def zipped(way: int = zipfile.ZIP_STORED, **members: bytes) -> io.BytesIO:
    """A zip of these members."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", way) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content


def kept(folder: Path) -> list[str]:
    """Names of the files that an import holds."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The content with some bytes changed, left out or cut off."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5))):
        place = chance.randrange(len(data))
        match chance.choice("ccclt"):
            case "c":
                data[place] = chance.randrange(256)
            case "l":
                del data[place : place + chance.randrange(40)]
            case _:
                del data[max(place, 10) :]
    return bytes(data)


def test_files_of_a_zip_lie_under_numbers_and_inside_the_import(tmp_path: Path) -> None:
    archive = zipped(**{"../../DOE^JANE.dcm": b"one", "a/b/two.dcm": b"two"})
    folder = set_aside(tmp_path, [("DOE^JANE.zip", archive), ("three.dcm", io.BytesIO(b"three"))])
    assert kept(tmp_path) == kept(folder) == ["000001.dcm", "000002.dcm", "000003.dcm"]


def test_an_archive_that_unpacks_to_too_much_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MOST_BYTES", 1000)
    with pytest.raises(InputError, match="expected less"):
        set_aside(tmp_path, [("a.zip", zipped(**{"zeros.dcm": bytes(2000)}))])
    assert kept(tmp_path) == []


def test_more_files_than_an_import_may_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MOST_FILES", 2)
    with pytest.raises(InputError, match="got more than 2 files"):
        set_aside(tmp_path, [("a.zip", zipped(**{f"{i}.dcm": b"" for i in range(3)}))])


def test_what_only_claims_to_be_a_zip_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=NOT_UNPACKED):
        set_aside(tmp_path, [("a.zip", io.BytesIO(b"no zip"))])


def test_a_damaged_zip_is_unpacked_or_one_sentence(tmp_path: Path) -> None:
    chance = random.Random(7)
    members = {f"{name}.dcm": chance.randbytes(200) * 4 for name in "abc"}
    whole = [zipped(way, **members).getvalue() for way in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
    said = set()
    for _ in range(600):
        try:
            set_aside(tmp_path, [("a.zip", io.BytesIO(mutated(chance.choice(whole), chance)))])
        except InputError as err:
            said.add(str(err))
    assert said == {f"import: {NOT_UNPACKED}"}


@pytest.mark.parametrize("way", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_archive_that_would_take_memory_to_unpack_is_not_unpacked(tmp_path: Path, way: int) -> None:
    with pytest.raises(InputError, match=NOT_UNPACKED):
        set_aside(tmp_path, [("a.zip", zipped(way, **{"a.dcm": bytes(2000)}))])
    assert kept(tmp_path) == []


@pytest.mark.parametrize(("large", "offset"), [(False, 0), (True, 0), (False, 0x06054B50)])
def test_a_table_of_contents_without_end_is_not_read(tmp_path: Path, large: bool, offset: int) -> None:
    """Each of its entries takes 46 bytes, and ten times that once it is read; the last record may look like two."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    contents = entry * (MOST_CONTENTS_BYTES // len(entry) + 1)
    size, end_64 = len(contents), b""
    if large:
        many = len(contents) // len(entry)
        end_64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, many, many, len(contents), 0)
        end_64 += struct.pack("<4sLQL", b"PK\6\7", 0, len(contents), 1)
        size = 0xFFFFFFFF
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, size, offset, 0)
    began = time.process_time()
    with pytest.raises(InputError, match="got a zip of too many files"):
        set_aside(tmp_path, [("a.zip", io.BytesIO(contents + end_64 + end))])
    assert time.process_time() - began < 0.5


def test_a_full_disk_is_left_some_room_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "LEFT_FREE_BYTES", 2**60)
    with pytest.raises(InputError, match="disk is nearly full"):
        set_aside(tmp_path, [("a.dcm", io.BytesIO(b"a"))])
    assert kept(tmp_path) == []


def test_a_place_that_takes_no_files_is_said(tmp_path: Path) -> None:
    (tmp_path / "imports").write_text("")
    with pytest.raises(InputError, match=r"the server cannot keep these files \(Not a directory\)"):
        set_aside(tmp_path, [("a.dcm", io.BytesIO(b"a"))])
