"""What a manifest holds, and what is wrong with it: counts, missing views, contradicting labels, leaks, broken files.

A manifest that is no manifest at all, or has a patient in two splits, never comes this far: `read_manifest` refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from medproto.config import IngestSettings
from medproto.datasets.check.files import FileFacts, Progress, key_of, look, read_files
from medproto.datasets.check.findings import CheckFinding, find
from medproto.datasets.manifest import ManifestRow, read_manifest

NOT_STATED = "not stated"
#: What is counted, by the name it is shown under; `label, split` counts each pair.
COUNTED: Mapping[str, Callable[[ManifestRow], str | None]] = {
    "label": lambda row: row.label,
    "split": lambda row: row.split,
    "label, split": lambda row: row.split and f"{row.label}, {row.split}",
    "view": lambda row: f"{row.side or '?'} {row.view or '?'}" if row.side or row.view else None,
    "density": lambda row: row.density,
    "BI-RADS": lambda row: row.birads,
    "finding": lambda row: row.finding,
    "vendor": lambda row: row.vendor,
    "site": lambda row: row.site,
    "source": lambda row: row.source,
}


@dataclass(frozen=True)
class Count:
    """How many rows (images, or regions of them) have a property; an exam or patient counts where one row has it."""

    rows: int
    exams: int
    patients: int


@dataclass(frozen=True)
class CheckReport:
    """What a manifest holds and what is wrong with it.

    Args:
        digest: SHA-256 of the manifest's bytes, in hex.
        total: of all rows.
        counts: by what is counted (`COUNTED`), then by value; `NOT_STATED` where the manifest says none. Where files
            were read, `gate warning` counts them by what the input gate warns of.
        files_read: how many files were read; 0 where only their presence was checked.
        findings: errors first, then warnings; none where the manifest is clean.
    """

    digest: str
    total: Count
    counts: Mapping[str, Mapping[str, Count]]
    files_read: int
    findings: tuple[CheckFinding, ...]

    def plain(self) -> dict[str, object]:
        """The same as plain values, for JSON."""
        return asdict(self)


def check_manifest(
    path: Path, ingest: IngestSettings | None, workers: int = 2, progress: Progress | None = None
) -> CheckReport:
    """Count and check a manifest.

    Args:
        path: the CSV.
        ingest: settings to read the files with; None checks only whether they are there.
        workers: files read at a time, each in a process of its own; 0 reads in this one.
        progress: called with files read and all files.

    Raises:
        ManifestError: it is no valid manifest, or a patient is in two splits.
    """
    manifest = read_manifest(path)
    facts = look(manifest) if ingest is None else read_files(manifest, ingest, workers, progress)
    counts = {name: _by_value(manifest.rows, value_of) for name, value_of in COUNTED.items()}
    return CheckReport(
        digest=manifest.digest,
        total=_count(manifest.rows),
        counts=counts if ingest is None else counts | {"gate warning": _by_warning(manifest.rows, facts)},
        files_read=0 if ingest is None else sum(fact.present for fact in facts.values()),
        findings=find(list(enumerate(manifest.rows, start=2)), facts),
    )


def _by_value(rows: Sequence[ManifestRow], value_of: Callable[[ManifestRow], str | None]) -> dict[str, Count]:
    groups: dict[str, list[ManifestRow]] = {}
    for row in rows:
        groups.setdefault(value_of(row) or NOT_STATED, []).append(row)
    return {value: _count(groups[value]) for value in sorted(groups)}


def _by_warning(rows: Sequence[ManifestRow], facts: Mapping[str, FileFacts]) -> dict[str, Count]:
    groups: dict[str, list[ManifestRow]] = {}
    for row in rows:
        for code in facts[key_of(row.path, row.mask)].warned:
            groups.setdefault(code, []).append(row)
    return {code: _count(groups[code]) for code in sorted(groups)}


def _count(rows: Sequence[ManifestRow]) -> Count:
    return Count(len(rows), len({row.exam for row in rows}), len({row.patient for row in rows}))
