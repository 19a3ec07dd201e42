"""What the sections of an evaluation's page are built from; all text is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from medproto.evaluation.classification import Interval


def section(title: str, *parts: str) -> str:
    """A section of parts that are HTML."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def note(words: str) -> str:
    """A paragraph in small print."""
    return f'<p class="note">{escape(words)}</p>'


def figure(found: Interval | None) -> str:
    """A value with its interval, as text."""
    return "not defined" if found is None else str(found)


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Cells are text; one that warns is bold."""
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    for row in body:
        lines.append("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>")
    return f"<table>{''.join(lines)}</table>"


def _cell(text: str) -> str:
    return f'<td class="warn">{escape(text)}</td>' if "WARNING" in text else f"<td>{escape(text)}</td>"
