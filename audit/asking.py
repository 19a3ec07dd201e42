"""What may be asked of a room, each question behind the action it belongs to (`audit.access`)."""

from __future__ import annotations

from audit import bundles as bundles_of
from audit import prototypes, queries, room, trace
from audit import worklist as listing
from audit.access import guarded
from audit.entries import Entry
from audit.room import Room

worklist = guarded("worklist", listing.worklist)
worklist_page = guarded("worklist", listing.worklist_page)
worklist_counts = guarded("worklist", listing.worklist_counts)
refusals = guarded("worklist", queries.refusals)
prediction = guarded("exam", queries.prediction)
picture = guarded("exam", queries.picture)
reviews = guarded("exam", queries.reviews)
bundles = guarded("about", bundles_of.bundles)
ledger_page = guarded("ledger", queries.ledger_page)
checkpoint_of = guarded("ledger", queries.checkpoint_of)
trace_entry = guarded("trace", trace.trace_entry)
trace_prototype = guarded("trace", prototypes.trace_prototype)
prototype_uses = guarded("trace", prototypes.prototype_uses)
verify_room = guarded("verify", room.verify_room)


def _entry_of(of: Room, number: int) -> Entry:
    """The entry of that number, of whatever kind; EntryNotFound where there is none."""
    return of.ledger.entry(number)


entry_of = guarded("ledger", _entry_of)
