"""The JSON of `medproto evaluate --out` as a model card reads it: by key, for what is not there yet or no longer."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from medproto.card.records import NOT_DEFINED, NOT_MEASURED, Part, Table
from medproto.errors import InputError
from medproto.evaluation.classification import Interval

EVALUATION = "evaluation.json"
#: A longer row of figures is counted, not shown.
LISTED = 12
#: Keys of a value with its interval, and of a share of all that there are, whose place needs none.
_INTERVAL = ("value", "low", "high")
_SHARE = {"share", "count", "of"}


@dataclass(frozen=True)
class Measured:
    """A part of an evaluation; `place` says which in messages.

    Every reader gives None, or nothing, for a key that is absent or null.

    Raises:
        InputError: what stands there is of another kind than asked for.
    """

    content: Mapping[str, object]
    place: str = ""

    def __contains__(self, key: str) -> bool:
        """Whether there is such a key, be it null."""
        return key in self.content

    def part(self, key: str) -> Measured | None:
        """The part under a key."""
        value = self.content.get(key)
        if value is None:
            return None
        return Measured(value, self._at(key)) if isinstance(value, dict) else self._wrong(key, "keys and values")

    def parts(self, key: str) -> tuple[Measured, ...]:
        """The parts listed under a key."""
        value = self.content.get(key) or []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self._wrong(key, "a list of keys and values")
        return tuple(Measured(one, f"{self._at(key)}.{place}") for place, one in enumerate(value))

    def lines(self, key: str) -> tuple[str, ...]:
        """The texts listed under a key."""
        value = self.content.get(key) or []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self._wrong(key, "a list of texts")
        return tuple(value)

    def text(self, key: str) -> str:
        """A text that has to be there."""
        value = self.content.get(key)
        return value if isinstance(value, str) else self._wrong(key, "a text")

    def count(self, key: str) -> int:
        """A whole number that has to be there."""
        value = self.content.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else self._wrong(key, "a whole number")

    def interval(self, key: str) -> Interval | None:
        """A measured value; one without an interval, such as a share of all there are, is taken as its own limits."""
        value = self.content.get(key)
        if value is None:
            return None
        if isinstance(value, dict):
            value = value if _is_interval(value) else value.get("share")
        limits = [value[name] for name in _INTERVAL] if isinstance(value, dict) else [value] * 3
        numbers = [float(one) for one in limits if isinstance(one, int | float) and not isinstance(one, bool)]
        return Interval(*numbers) if len(numbers) == 3 else self._wrong(key, "a number, or one with its interval")

    def figure(self, key: str) -> str:
        """A measured value as text, with its interval where it has one."""
        if key not in self.content:
            return NOT_MEASURED
        return NOT_DEFINED if self.content[key] is None else _text(self.content[key])

    def shown(self, name: str = "measure") -> tuple[Part, ...]:
        """All of it, whatever it holds: a table of its figures, then those of its parts; parts of the same keys, and
        those of a list, are rows of one table."""
        single, tables = list[tuple[str, str]](), list[Part]()
        for key, value in self.content.items():
            words = _words(key)
            below = words if name == "measure" else f"{name}: {words}"
            if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
                tables.append(_table(below, [(str(place), one) for place, one in enumerate(value, start=1)]))
            elif not isinstance(value, dict) or _is_figure(value):
                single.append((words, _text(value)))
            elif _alike(value):
                tables.append(_table(below, [(_words(one), part) for one, part in value.items()]))
            else:
                tables += Measured(value).shown(below)
        return (Table((name, "value"), tuple(single)), *tables) if single else tuple(tables)

    def _at(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def _wrong(self, key: str, expected: str) -> NoReturn:
        got = "nothing" if self.content.get(key) is None else "something else"
        raise InputError(f"evaluation: got {got} at {self._at(key)!r}, expected {expected}")


@dataclass(frozen=True)
class Evaluated:
    """An evaluation of the card's bundle; `sha256` is that of the JSON's bytes."""

    measured: Measured
    sha256: str


def read_evaluation(path: Path, bundle_id: str) -> Evaluated:
    """Read what `medproto evaluate BUNDLE MANIFEST --out FOLDER` wrote: its JSON, or the folder that holds it.

    Raises:
        InputError: it cannot be read, is no such JSON, or is of another bundle.
    """
    try:
        content = (path / EVALUATION if path.is_dir() else path).read_bytes()
    except OSError as err:
        raise InputError(
            f"evaluation: cannot be read ({(err.strerror or 'input/output error').lower()}), expected {EVALUATION} or "
            "its folder"
        ) from None
    try:
        found = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise InputError(f"evaluation: got no readable JSON, expected the {EVALUATION} that was written") from None
    if not isinstance(found, dict) or not isinstance(found.get("bundle_id"), str):
        raise InputError(f"evaluation: got JSON without 'bundle_id', expected the {EVALUATION} that was written")
    if found["bundle_id"] != bundle_id:
        raise InputError(
            f"evaluation: got one of bundle {_short(found['bundle_id'])}, expected one of bundle {_short(bundle_id)}, "
            "which the card is of"
        )
    return Evaluated(Measured(found), hashlib.sha256(content).hexdigest())


def _short(bundle_id: str) -> str:
    """The start of a bundle's id; of anything else nothing is repeated."""
    return f"{bundle_id[:12]}…" if re.fullmatch("[0-9a-f]{64}", bundle_id) else "with another kind of id"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _is_interval(value: Mapping[str, object]) -> bool:
    return set(value) == set(_INTERVAL)


def _alike(value: Mapping[str, object]) -> bool:
    """Whether these are parts that all have the same keys, and figures alone."""
    parts = [one for one in value.values() if isinstance(one, dict)]
    figures = all(not isinstance(one, dict) or _is_figure(one) for part in parts for one in part.values())
    return len(parts) == len(value) > 1 and figures and all(set(part) == set(parts[0]) for part in parts)


def _table(name: str, parts: Sequence[tuple[str, Mapping[str, object]]]) -> Table:
    keys = tuple(dict.fromkeys(key for _, part in parts for key in part))
    rows = tuple((title, *(_text(part.get(key)) for key in keys)) for title, part in parts)
    return Table((name, *map(_words, keys)), rows)


def _words(key: str) -> str:
    return key.replace("_", " ")


def _is_figure(value: Mapping[str, object]) -> bool:
    return _is_interval(value) or set(value) == _SHARE


def _text(value: object) -> str:
    if value is None:
        return NOT_DEFINED
    if isinstance(value, dict):
        if _is_interval(value):
            return f"{_text(value['value'])} ({_text(value['low'])} to {_text(value['high'])})"
        if set(value) == _SHARE:
            return f"{_text(value['share'])} ({_text(value['count'])} of {_text(value['of'])})"
        return ", ".join(f"{_words(key)} {_text(one)}" for key, one in value.items())
    if isinstance(value, list):
        return f"{len(value)} values" if len(value) > LISTED else ", ".join(map(_text, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
