"""Mutated files give a finding, or the picture that the plain pipeline makes of the same bytes: never anything else."""

from __future__ import annotations

import dataclasses
import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import uid
from rich.console import Console

from medproto.errors import MedprotoError, UnreadableImage
from medproto.ingest.mammogram import Mammogram
from medproto.ingest.reading import read_mammogram
from tests.fuzz.__main__ import report_faults, table
from tests.fuzz.anatomy import closed, elements, fragments, opened, with_fragments
from tests.fuzz.campaign import ADMITTED, SETTINGS, Case, Outcome, compare, judge, make_case, run_campaign, run_cases
from tests.fuzz.mutations import HEADER_MUTATIONS, extreme_numbers
from tests.fuzz.reference import reference
from tests.fuzz.seeds import Seed, made_seeds, real_files, real_seeds
from tests.fuzz.stream_mutations import STREAM_MUTATIONS

#: How long the slice of the campaign runs that is part of the suite.
SLICE_S = 60.0
SEEDS = made_seeds()


def named(seed: Seed) -> str:
    """What a seed is, for test ids."""
    return f"{uid.UID(seed.syntax).keyword}-{seed.name}"


@pytest.fixture(scope="module")
def real() -> list[Seed]:
    """Seeds of the real files that are there."""
    shared = Path(os.environ.get("MEDPROTO_SHARED", Path(__file__).parents[3] / "shared"))
    data = next((one for one in (shared, shared / "data") if (one / "dicom").is_dir()), None)
    return real_seeds(real_files(data, None))


@pytest.fixture
def whole(tmp_path: Path) -> Mammogram:
    """A seed as it is read."""
    (tmp_path / "whole.dcm").write_bytes(SEEDS[1].data)
    return read_mammogram(tmp_path / "whole.dcm", SETTINGS)


@pytest.mark.parametrize("seed", SEEDS, ids=named)
def test_every_whole_file_is_read_as_the_plain_pipeline_reads_it(tmp_path: Path, seed: Seed) -> None:
    (tmp_path / "a.dcm").write_bytes(seed.data)
    assert compare(seed.data, read_mammogram(tmp_path / "a.dcm", SETTINGS)) == ""


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_every_real_file_is_read_as_the_plain_pipeline_reads_it(tmp_path: Path, real: list[Seed]) -> None:
    read = 0
    for seed in real:
        (tmp_path / "a.dcm").write_bytes(seed.data)
        if int(pydicom.dcmread(io.BytesIO(seed.data)).get("NumberOfFrames") or 1) == 1:
            assert compare(seed.data, read_mammogram(tmp_path / "a.dcm", SETTINGS)) == "", named(seed)
            read += 1
    if not read:
        pytest.skip("no real file is here: set MEDPROTO_SHARED")


def test_all_seeds_are_different_and_of_every_syntax() -> None:
    assert len({seed.data for seed in SEEDS}) == len(SEEDS)
    assert len({seed.syntax for seed in SEEDS}) == 16


@pytest.mark.parametrize("seed", SEEDS, ids=named)
def test_a_file_taken_apart_comes_together_again(seed: Seed) -> None:
    file = opened(seed.data, seed.syntax)
    again = opened(closed(file), seed.syntax)
    assert again == file
    tags = [int(one.tag) for one in pydicom.dcmread(io.BytesIO(seed.data))]
    assert [one.tag for one in elements(file)] == tags
    pieces = fragments(file)
    if pieces is not None:
        assert opened(with_fragments(file, pieces), seed.syntax) == file


def test_a_case_is_the_same_every_time_and_another_with_another_seed() -> None:
    first, again = [make_case(number, 1, SEEDS) for number in range(60)], made_seeds()
    assert first == [make_case(number, 1, again) for number in range(60)]
    assert first != [make_case(number, 2, SEEDS) for number in range(60)]
    assert sum(case.data != case.seed.data for case in first) > 50


def test_every_mutation_of_every_seed_can_be_made() -> None:
    names = set()
    for number in range(1500):
        names.add(make_case(number, 3, SEEDS).mutation)
    assert names == {mutation.__name__ for mutation in (*HEADER_MUTATIONS, *STREAM_MUTATIONS, extreme_numbers)}


def test_a_single_pixel_that_is_off_is_found(whole: Mammogram) -> None:
    pixels = whole.pixels.copy()
    pixels[80, 20] += np.float32(1e-5)
    off = dataclasses.replace(whole, pixels=pixels)
    assert compare(SEEDS[1].data, off) == "1 pixels differ, by up to 1e-05"
    cut = dataclasses.replace(whole, pixels=pixels[:-1])
    assert compare(SEEDS[1].data, cut).startswith("shape (159, 120)")
    nothing = dataclasses.replace(whole, pixels=np.full_like(pixels, np.nan))
    assert compare(SEEDS[1].data, nothing) == "pixels are not in [0, 1]"


def test_a_file_that_the_plain_pipeline_cannot_read_must_not_be_admitted(whole: Mammogram) -> None:
    assert "the plain pipeline raises" in compare(SEEDS[1].data[:-100], whole)


def test_the_plain_pipeline_finds_what_a_stored_value_is() -> None:
    bounds = reference(SEEDS[1].data, np.ones((160, 120), np.bool_))
    stored = pydicom.dcmread(io.BytesIO(SEEDS[1].data)).pixel_array
    # PS3.3 C.11.2.1.2.1 with centre 2048 and width 4096
    np.testing.assert_allclose(bounds.low, (stored - 2047.5) / 4095 + 0.5, atol=1e-12)


@pytest.mark.parametrize("width", ["1e-320", "5e-324"])
def test_the_narrowest_window_shows_its_centre_halfway(tmp_path: Path, width: str) -> None:
    dataset = pydicom.dcmread(io.BytesIO(SEEDS[1].data))
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = "2048", width, "LINEAR_EXACT"
    stored = dataset.pixel_array.copy()
    stored[0, :3] = (2047, 2048, 2049)
    dataset.PixelData = stored.tobytes()
    dataset.save_as(tmp_path / "a.dcm")
    bounds = reference((tmp_path / "a.dcm").read_bytes(), np.ones((dataset.Rows, dataset.Columns), np.bool_))
    assert (
        bounds.low[0, :3].tolist() == read_mammogram(tmp_path / "a.dcm", SETTINGS).pixels[0, :3].tolist() == [0, 0.5, 1]
    )


def test_a_foreign_exception_and_a_difference_between_both_ways_are_faults(tmp_path: Path) -> None:
    def panics(path: Path) -> Mammogram:
        raise ZeroDivisionError("nothing to see")

    def refuses(path: Path) -> Mammogram:
        raise UnreadableImage("no", "UNREADABLE")

    case = Case(7, SEEDS[1], "none", SEEDS[1].data)
    assert "foreign ZeroDivisionError" in judge(case, tmp_path / "a.dcm", panics).fault
    assert judge(case, tmp_path / "a.dcm", refuses).fault == "here admitted, sandboxed UNREADABLE: no"
    assert judge(case, tmp_path / "a.dcm", lambda path: read_mammogram(path, SETTINGS)).fault == ""


def test_the_campaign_in_processes_gives_what_one_process_gives() -> None:
    alone = list(run_cases(range(44), 5, SEEDS))
    together: list[Outcome] = []
    run_campaign(44, 5, SEEDS, 2, together.append)
    assert sorted(together) == alone


def test_the_report_counts_and_keeps_what_was_read_wrongly(tmp_path: Path) -> None:
    good = Outcome(0, uid.RLELossless, "exact", "truncate", ADMITTED)
    outcomes = [good, good._replace(number=1, result="TRUNCATED"), good._replace(number=2, fault="2 pixels differ")]
    console = Console(file=io.StringIO(), width=1000)
    console.print(table("mutation", outcomes, lambda one: one.mutation))
    kept: list[int] = []

    def keep(outcome: Outcome) -> Path:
        kept.append(outcome.number)
        return tmp_path / "2.dcm"

    assert report_faults(console, outcomes, keep) == 1
    assert report_faults(console, outcomes[:2], keep) == 0
    assert kept == [2]
    said = console.file.getvalue()
    assert "3 files, 1 read wrongly" in said
    assert "2 pixels differ" in said


@pytest.mark.parametrize(
    "chance_seed, number, syntax, name",
    [
        (5, 1983, uid.JPEGLosslessSV1, "views"),
        (5, 8188, uid.JPEGLossless, "rescaled"),
        (6, 1174, uid.JPEG2000Lossless, "plain"),
        (11, 445, uid.JPEGLossless, "rescaled"),
        (11, 4524, uid.ImplicitVRLittleEndian, "voi-luts"),
    ],
)
def test_a_file_that_was_once_read_wrongly_is_refused(
    tmp_path: Path, chance_seed: int, number: int, syntax: uid.UID, name: str
) -> None:
    seed = next(one for one in SEEDS if (one.syntax, one.name) == (syntax, name))
    path = tmp_path / "a.dcm"
    path.write_bytes(make_case(number, chance_seed, [seed]).data)
    with pytest.raises(MedprotoError, match=r"restart interval|Huffman table|No breast|does not hold the picture"):
        read_mammogram(path, SETTINGS)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(600)
def test_mutated_files_give_a_finding_or_the_plain_pipelines_picture(
    real: list[Seed], record_property: Callable[[str, object], None]
) -> None:
    end = time.monotonic() + SLICE_S
    outcomes: list[Outcome] = []
    for outcome in run_cases(range(10_000), 1, SEEDS + real):
        outcomes.append(outcome)
        if time.monotonic() > end:
            break
    admitted = sum(outcome.result == ADMITTED for outcome in outcomes)
    record_property("mutated files", f"{len(outcomes)} in {SLICE_S:g} s, {admitted} admitted")
    assert [outcome for outcome in outcomes if outcome.fault] == []
    assert admitted > 0
    assert len({outcome.result for outcome in outcomes}) > 3
