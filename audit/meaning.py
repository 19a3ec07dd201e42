"""What entries mean beside their bytes: intents and answers, pictures, anchors, and the order of their times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from audit.entries import RESULT_KINDS, Entry
from audit.findings import MAX_FAULTS, Found
from audit.heads import Heads
from audit.holdings import Holdings

#: Kinds whose entries name files of the evidence store.
_WITH_FILES: Final = ("prediction", "review", "bundle registered", "evaluation run")


class Meaning:
    """Guarantees 6 and 7 over the entries of one pass, and what is to be noticed of them.

    Args:
        found: takes what is wrong and what is to be noticed.
        heads: told of every anchor that an entry names.
        holdings: the pictures; None where nobody looks at them.
        base: number of the last entry that is not read.
    """

    def __init__(self, found: Found, heads: Heads, holdings: Holdings | None, base: int) -> None:
        self._found, self._heads, self._holdings, self._base = found, heads, holdings, base
        self._intents: set[int] = set()

    def of(self, entry: Entry, late: bool) -> None:
        """Ask what this entry means; `late` says that it is dated before the one before it.

        The quick reading leaves out the kinds in `audit.pieces.SILENT`.
        """
        notices = self._found.notices
        if late and len(notices) < MAX_FAULTS:
            notices.append(f"entry {entry.number}: dated before the entry before it; the clock was set back.")
        if entry.kind == "checkpoint anchored":
            self._heads.anchored(entry)
        elif entry.kind == "intent":
            self._intents.add(entry.number)
        elif entry.kind in RESULT_KINDS and entry.refers_to is not None:
            self._answer(entry.number, entry.refers_to)
        if entry.kind in _WITH_FILES and self._holdings is not None:
            for sentence in self._holdings.faults(entry):
                self._found.fault(7, entry.number, sentence)
            if len(notices) < MAX_FAULTS:
                notices += self._holdings.notices(entry)

    def unanswered(self) -> Iterator[str]:
        """Notices of intents that nothing answered."""
        for number in sorted(self._intents):
            yield f"entry {number}: an intent without a result; the scoring was cut short and nothing was shown."

    def _answer(self, number: int, intent: int) -> None:
        if intent in self._intents:
            self._intents.discard(intent)
        elif intent not in self._found.faulty and intent > self._base:
            self._found.fault(6, number, f"entry {number}: answers entry {intent}, which is no open intent.")
