"""A check's report in words and tables, as the console shows it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from medproto.datasets.check.check import COUNTED, NOT_STATED, CheckReport, Count
from medproto.datasets.check.findings import CheckFinding

#: How many places of a finding are listed; JSON holds all.
_SHOWN = 5
#: Values beyond so many share a line.
_VALUES = 20


def shown(report: CheckReport) -> Iterator[RenderableType]:
    """What is printed of a report, from the top down."""
    total = report.total
    yield Text(f"{total.rows} images (or regions) of {total.exams} exams of {total.patients} patients")
    yield _counts(report)
    silent = [name for name in COUNTED if set(report.counts[name]) == {NOT_STATED} and "," not in name]
    if silent:
        yield Text(f"The manifest says nothing of: {', '.join(silent)}.")
    if not report.files_read:
        yield Text("No file was read.")
    if not report.findings:
        yield Text("Nothing is wrong with it.", style="green")
        return
    yield _findings(report)
    errors = sum(finding.severity == "error" for finding in report.findings)
    yield Text(f"{_kinds(errors)} of error, {_kinds(len(report.findings) - errors)} of warning.", style="bold")


def _kinds(number: int) -> str:
    return f"{number} kind{'' if number == 1 else 's'}"


def _counts(report: CheckReport) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "", "images", "exams", "patients"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, values in report.counts.items():
        if set(values) == {NOT_STATED}:
            continue
        most = sorted(values.items(), key=lambda item: -item[1].rows)
        kept = dict(most[:_VALUES])
        for place, (value, count) in enumerate((value, values[value]) for value in values if value in kept):
            table.add_row(*_line("" if place else name, value, count))
        if len(most) > len(kept):
            left = sum(count.rows for _, count in most[_VALUES:])
            table.add_row("", f"{len(most) - len(kept)} other values", str(left), "", "")
        table.add_section()
    return table


def _line(name: str, value: str, count: Count) -> tuple[Text | str, ...]:
    return Text(name, style="bold"), Text(value), str(count.rows), str(count.exams), str(count.patients)


def _findings(report: CheckReport) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("finding", no_wrap=True)
    table.add_column("times", justify="right", no_wrap=True)
    table.add_column("what, and where (the header is row 1)", overflow="fold")
    for finding in report.findings:
        style = "red" if finding.severity == "error" else "yellow"
        what = Text(f"{finding.sentence}: {_places(finding)}")
        table.add_row(Text(finding.severity, style=style), finding.code, str(len(finding.places)), what)
    return table


def _places(finding: CheckFinding) -> str:
    """The first places in words; rows that stand alone and say no more are listed together."""
    shown = finding.places[:_SHOWN]
    alone = [str(place.rows[0]) for place in shown if len(place.rows) == 1 and not place.detail]
    words = [f"{'rows' if len(alone) > 1 else 'row'} {', '.join(alone)}"] if alone else []
    for place in shown:
        rows = ", ".join(map(str, place.rows[:_SHOWN])) + (", ..." if len(place.rows) > _SHOWN else "")
        if len(place.rows) > 1 or place.detail:
            detail = f" ({place.detail})" if place.detail else ""
            words.append(f"{'rows' if len(place.rows) > 1 else 'row'} {rows}{detail}")
    more = len(finding.places) - _SHOWN
    return "; ".join(words) + (f"; and {more} more" if more > 0 else "")
