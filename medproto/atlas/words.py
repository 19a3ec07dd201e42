"""What the numbers of a prototype say, in plain sentences and nothing but the numbers."""

from __future__ import annotations

from collections.abc import Sequence

from medproto.atlas.records import Atlas, Portrait, Tilt
from medproto.neighbourhood import SPLIT_WORDS, Share, neighbours_sentence


def percent(share: float) -> str:
    """A share in words, with a decimal where it is small."""
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"


def of(share: Share) -> str:
    """A share with its counts: `3 of 8`."""
    return f"{share.hits} of {share.total}"


def sentence(portrait: Portrait, atlas: Atlas) -> str:
    """One prototype summed up."""
    around = [neighbours_sentence(each, portrait.prototype_class) for each in portrait.neighbourhoods]
    parts = [*around, _firing(portrait, atlas), _deciding(portrait), *_twins(portrait), *_tilts(portrait.tilts)]
    return " ".join(parts)


def _firing(portrait: Portrait, atlas: Atlas) -> str:
    if not portrait.fired_own.hits + portrait.fired_others.hits:
        return f"In none of the {atlas.exams} exams was it among the {atlas.top} strongest contributions."
    own, others = portrait.fired_own, portrait.fired_others
    exams = [f"{of(own)} {portrait.prototype_class} exams"] * bool(own.total)
    exams += [f"{of(others)} others"] * bool(others.total)
    return f"It was among the {atlas.top} strongest contributions in {' and '.join(exams)}."


def _deciding(portrait: Portrait) -> str:
    said = f"It made {percent(portrait.decided)} of all contributions"
    if portrait.moved is None:
        return f"{said}."
    if portrait.moved < 0:
        return f"{said} and worked against the differences between the exams' margins."
    return f"{said} and {percent(portrait.moved)} of the differences between the exams' margins."


def _twins(portrait: Portrait) -> list[str]:
    found = []
    for kin, word in ((portrait.same_class, "of its own class"), (portrait.other_classes, "of another class")):
        names = [each.prototype_id for each in kin if each.twin]
        if names:
            found.append(f"It hardly differs from {' and '.join(names)}, {word}.")
    return found


def _tilts(tilts: Sequence[Tilt]) -> list[str]:
    clear = sorted((tilt for tilt in tilts if tilt.clear), key=lambda tilt: -abs(tilt.spread))
    if not clear:
        return []
    named = [f"{'higher' if tilt.difference > 0 else 'lower'} for {tilt.attribute} {tilt.group}" for tilt in clear[:3]]
    more = f" and {len(clear) - 3} groups more" if len(clear) > 3 else ""
    return [f"Among images of one class its similarity is {', '.join(named)}{more}."]


def measured_on(atlas: Atlas) -> str:
    """Where firing, deciding and tilt come from."""
    said = (
        f"Firing, share and tilt were measured on the {SPLIT_WORDS[atlas.split]} split: {atlas.exams} exams of "
        f"{atlas.patients} patients, {atlas.images} images."
    )
    if atlas.seen:
        said += " Patients whose patches are prototypes are among them, so these figures flatter."
    return said


def tilts_told(atlas: Atlas) -> str:
    """How many intervals of tilt leave zero out, and how many would by chance."""
    if not atlas.tilts_tested:
        return "Subgroup tilt was not measured: the manifest names no two groups of ten patients each."
    return (
        f"Of {atlas.tilts_tested} intervals of subgroup tilt {atlas.tilts_clear} leave zero out; about "
        f"{round(atlas.tilts_tested * 0.05)} would if no prototype had a tilt."
    )


def table(atlas: Atlas) -> str:
    """All prototypes as a Markdown table."""
    splits = list(dict.fromkeys(around.split for each in atlas.portraits for around in each.neighbourhoods))
    head = ["prototype", *(f"purity, {split}" for split in splits), "fired, own class", "fired, others", "share"]
    head += ["moved", "twins", "tilts"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for each in atlas.portraits:
        purity = {around.split: of(around.purity) for around in each.neighbourhoods}
        cells = [each.prototype_id, *(purity.get(split, "none") for split in splits)]
        cells += [of(each.fired_own), of(each.fired_others), percent(each.decided)]
        cells += ["none" if each.moved is None else f"{each.moved:.1%}", str(len(each.twins))]
        lines.append("| " + " | ".join([*cells, str(sum(tilt.clear for tilt in each.tilts))]) + " |")
    return "\n".join([measured_on(atlas), tilts_told(atlas), "", *lines])
