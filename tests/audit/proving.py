"""The stand-alone verifier, run as an auditor runs it, and as a function where it is run a thousand times."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

VERIFIER = Path(__file__).resolve().parents[2] / "docs" / "verify_proof.py"


def verified_alone(file: Path, *keys: str) -> tuple[int, str]:
    """Exit code and words of the verifier in a process that sees neither this folder nor any environment variable."""
    olds = [word for key in keys[1:] for word in ("--old-key", key)]
    command = [sys.executable, "-I", str(VERIFIER), str(file), "--key", keys[0], *olds]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={}, cwd="/")
    assert done.stderr == ""
    return done.returncode, done.stdout


def verifier() -> Callable[[Path, str], int]:
    """The verifier's exit code for a file and a key, in this process."""
    spec = importlib.util.spec_from_file_location("verify_proof", VERIFIER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(file: Path, key: str) -> int:
        before, sys.argv = sys.argv, ["verify_proof.py", str(file), "--key", key]
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                return int(module.main())
        finally:
            sys.argv = before

    return run


def altered(value: Any, places: Callable[[int], list[int]]) -> Iterator[Any]:
    """The value with one thing in it altered at a time: one character of a text, at these places, or one number.

    Args:
        places: which characters of a text of that length are exchanged.
    """
    if isinstance(value, dict):
        for name, item in value.items():
            yield from ({**value, name: other} for other in altered(item, places))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from ([*value[:place], other, *value[place + 1 :]] for other in altered(item, places))
        yield from ([*value[:place], *value[place + 1 :]] for place in range(len(value)))
        yield [*value, "0" * 64]
    elif isinstance(value, str):
        yield from (value[:at] + ("0" if value[at] != "0" else "1") + value[at + 1 :] for at in places(len(value)))
        yield value + " "
    elif isinstance(value, int):
        yield from (value + 1, value - 1, float(value), None)
    else:
        yield from (0, "", [], {})


def every(length: int) -> list[int]:
    """All places of a text."""
    return list(range(length))


def some(length: int) -> list[int]:
    """First, middle and last place of a text."""
    return sorted({0, length // 2, length - 1})


def dumped(value: Any) -> str:
    """One line of JSON as it is written."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"
