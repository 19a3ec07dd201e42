"""The patient's exam before this one, which a reader hangs beside it.

Records tell the day of their study moved by days that are the patient's own secret (`Prediction.study_day`), so it is
known which of two exams came first and how long before, and of none when it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit.queries import prediction
from audit.room import Room
from audit.worklist import WorklistItem, newest_of_patient
from medproto.records import Prediction

#: Of a patient's exams so many are looked at, those scored last: one identifier may stand for thousands of patients.
_CONSIDERED: Final = 24
_DAYS_A_MONTH: Final = 365.2425 / 12


@dataclass(frozen=True)
class PriorExam:
    """An earlier exam of the same patient, by its newest prediction.

    Args:
        number: entry of that prediction.
        record: the prediction.
        scored: when it was scored.
        days_before: days between the two studies; None where a record does not tell, or they are of one day, so that
            "earlier" goes by the order of scoring.
    """

    number: int
    record: Prediction
    scored: datetime
    days_before: int | None

    @property
    def words(self) -> str:
        """How much earlier, to be printed beside its pictures."""
        if self.days_before is None:
            return f"SCORED EARLIER, {self.scored:%Y-%m-%d}"
        return f"PRIOR, {_span(self.days_before)} BEFORE"


def prior_exam(room: Room, number: int, record: Prediction) -> PriorExam | None:
    """The patient's last exam before this one; None where there is none.

    Exams whose days are known come before all others: those are told apart by the order of scoring alone.

    Args:
        number: entry of the exam that is open.
        record: its prediction.
    """
    others = newest_of_patient(room, record.patient_id, _CONSIDERED)
    known = (_compared(room, item, (number, record)) for item in others if item.exam_id != record.exam_id)
    return max((exam for exam in known if exam), key=_closeness, default=None)


def _compared(room: Room, item: WorklistItem, current: tuple[int, Prediction]) -> PriorExam | None:
    """This other exam as a prior; None where it is none."""
    number, record = current
    _, other = prediction(room, item.number)
    here, there = record.study_day, other.study_day
    days = here - there if here is not None and there is not None and here != there else None
    before = item.number < number if days is None else days > 0
    return PriorExam(item.number, other, item.time, days) if before else None


def _closeness(exam: PriorExam) -> tuple[bool, int, int]:
    return exam.days_before is not None, -(exam.days_before or 0), exam.number


def _span(days: int) -> str:
    """A number of days as a reader thinks of it."""
    months = round(days / _DAYS_A_MONTH)
    if months < 2:
        return _counted(days, "DAY")
    years, rest = divmod(months, 12)
    if not years:
        return _counted(months, "MONTH")
    return _counted(years, "YEAR") + (f" {_counted(rest, 'MONTH')}" if rest else "")


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" + ("" if count == 1 else "S")
