"""What may be asked of a room, each question behind the action it belongs to (`audit.access`)."""

from __future__ import annotations

from audit import bundles as bundles_of
from audit import priors, prototypes, queries, trace
from audit import worklist as listing
from audit.access import guarded, require
from audit.entries import RESULT_KINDS, Entry
from audit.filters import LedgerFilter
from audit.room import Room
from audit.room import verify_room as verify_whole
from medproto.errors import EntryNotFound

_WITHOUT_SCORE = {"refusal", "failure"}

worklist_page = guarded("worklist", listing.worklist_page)
worklist_counts = guarded("worklist", listing.worklist_counts)
worklist_next = guarded("worklist", listing.worklist_next)
synthetic_among = guarded("worklist", listing.synthetic_among)
scored_among = guarded("worklist", listing.scored_among)
refusals = guarded("worklist", queries.refusals)
prediction = guarded("exam", queries.prediction)
picture = guarded("exam", queries.picture)
pictures = guarded("exam", queries.pictures)
prior_exam = guarded("exam", priors.prior_exam)
reviews = guarded("exam", queries.reviews)
bundles = guarded("about", bundles_of.bundles)
model_card = guarded("about", bundles_of.model_card)
known_prototypes = guarded("trace", bundles_of.known_prototypes)
training_patch = guarded("trace", bundles_of.training_patch)
checkpoint_of = guarded("ledger", queries.checkpoint_of)
trace_entry = guarded("trace", trace.trace_entry)
trace_prototype = guarded("trace", prototypes.trace_prototype)
prototype_uses = guarded("trace", prototypes.prototype_uses)
complaints = guarded("trace", prototypes.complaints)
verify_room = guarded("verify", verify_whole)


def ledger_page(room: Room, which: LedgerFilter | None = None, offset: int = 0, limit: int = 50) -> queries.LedgerPage:
    """Some entries of the ledger, newest first; exams that were refused or failed belong to the worklist too."""
    kinds = {which.kind, *which.kinds} - {None} if which is not None else set()
    require(room, "worklist" if kinds and kinds <= _WITHOUT_SCORE else "ledger")
    return queries.ledger_page(room, which, offset, limit)


def _entry_of(room: Room, number: int) -> Entry:
    """The entry of that number, of whatever kind; EntryNotFound where there is none."""
    return room.ledger.entry(number)


def _outcome_of(room: Room, number: int) -> Entry:
    """What became of one scoring: a prediction, a refusal or a failure; EntryNotFound for any other entry."""
    entry = room.ledger.entry(number)
    if entry.kind not in RESULT_KINDS:
        raise EntryNotFound(f"entry {number}: is of kind {entry.kind}, expected the result of a scoring")
    return entry


entry_of = guarded("ledger", _entry_of)
outcome_of = guarded("worklist", _outcome_of)
