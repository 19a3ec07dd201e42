"""`docs/verify_proof.py` on what the commands wrote: real files pass, and every altered one fails."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.cli import app
from audit.room import open_room
from tests.audit.attacking import SIZE
from tests.audit.proving import VERIFIER, altered, dumped, every, some, verified_alone, verifier


def vkey(home: Path) -> str:
    """The public key as the auditor was given it."""
    return (home / "keys" / "ledger.pub").read_text().strip()


@pytest.fixture
def proof(home: Path, tmp_path: Path) -> Path:
    """Proof of entry 9, the review, and that the ledger extends its checkpoint of size 6."""
    path = tmp_path / "proof.json"
    done = CliRunner().invoke(app, ["prove", "9", "--size", "6", "-o", str(path), "--home", str(home)])
    assert done.exit_code == 0, done.output
    return path


def exported(home: Path, path: Path, since: int) -> Path:
    """An export from this entry on."""
    done = CliRunner().invoke(app, ["export", "--since", str(since), "-o", str(path), "--home", str(home)])
    assert done.exit_code == 0, done.output
    return path


def test_the_verifier_needs_python_and_cryptography_alone() -> None:
    tree = ast.parse(VERIFIER.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    named = {
        n
        for node in nodes
        for n in ([node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
    }
    assert {str(name).partition(".")[0] for name in named} - set(sys.stdlib_module_names) == {"cryptography"}


def test_a_proof_is_verified_alone(proof: Path, home: Path, tmp_path: Path) -> None:
    code, words = verified_alone(proof, vkey(home))
    assert (code, f"entry 9 of {SIZE}" in words, 'kind "review"' in words) == (0, True, True)
    assert "begin with the 6 under root" in words
    assert "Not proved: that what the entries say is true" in words
    with open_room(tmp_path / "other", create=True) as other:
        code, words = verified_alone(proof, other.public_key.vkey)
    assert (code, words) == (1, "NOT PROVED: ValueError: the file names other keys than given\n")
    assert verified_alone(proof, "nonsense")[0] == 2
    assert verified_alone(tmp_path / "nowhere", vkey(home))[0] == 2


def test_every_character_of_a_proof_counts(proof: Path, home: Path, tmp_path: Path) -> None:
    run, content = verifier(), json.loads(proof.read_text(encoding="utf-8"))
    key, file, count = vkey(home), tmp_path / "altered.json", 0
    assert run(proof, key) == 0
    for other in altered(content, every):
        file.write_text(dumped(other), encoding="utf-8")
        assert run(file, key) in (1, 2), other
        count += 1
    assert count > 1000
    for name in content:
        file.write_text(dumped({field: value for field, value in content.items() if field != name}), encoding="utf-8")
        assert run(file, key) in (1, 2), name
    file.write_text(dumped(content | {"comment": ""}), encoding="utf-8")
    assert run(file, key) == 1
    file.write_text(proof.read_text(encoding="utf-8") * 2, encoding="utf-8")
    assert run(file, key) == 1


@pytest.mark.parametrize("since", [1, 7])
def test_an_export_is_verified_alone_and_every_field_counts(since: int, home: Path, tmp_path: Path) -> None:
    path, key, file = exported(home, tmp_path / "export.jsonl", since), vkey(home), tmp_path / "altered.jsonl"
    code, words = verified_alone(path, key)
    assert (code, f"as entries {since} to {SIZE}" in words) == (0, True), words
    run, lines = verifier(), path.read_text(encoding="utf-8").splitlines(keepends=True)
    assert run(path, key) == 0
    for place, line in enumerate(lines):
        for other in altered(json.loads(line), some):
            file.write_text("".join([*lines[:place], dumped(other), *lines[place + 1 :]]), encoding="utf-8")
            assert run(file, key) in ((1, 2) if place == 0 else (1,)), other


def test_lines_of_an_export_cannot_be_left_out_swapped_or_doubled(home: Path, tmp_path: Path) -> None:
    path, key, file = exported(home, tmp_path / "export.jsonl", 1), vkey(home), tmp_path / "altered.jsonl"
    run, lines = verifier(), path.read_text(encoding="utf-8").splitlines(keepends=True)
    for place in range(len(lines)):
        shorter = [*lines[:place], *lines[place + 1 :]]
        doubled = [*lines[: place + 1], *lines[place:]]
        swapped = [*lines[:place], *reversed(lines[place : place + 2]), *lines[place + 2 :]]
        for other in (shorter, doubled, *([swapped] if place < len(lines) - 1 else [])):
            file.write_text("".join(other), encoding="utf-8")
            assert run(file, key) != 0, place
        file.write_text("".join(lines[:place]), encoding="utf-8")
        assert run(file, key) != 0, place


def test_an_export_cut_short_with_its_end_adapted_fails(home: Path, tmp_path: Path) -> None:
    path, key = exported(home, tmp_path / "export.jsonl", 1), vkey(home)
    *lines, _, _, end = path.read_text(encoding="utf-8").splitlines(keepends=True)
    adapted = dumped(json.loads(end) | {"checkpoints": SIZE - 1})
    path.write_text("".join([*lines, adapted]), encoding="utf-8")
    assert verified_alone(path, key) == (1, "NOT PROVED: ValueError: entries are missing\n")
