"""The commands: what they print, where, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from audit.cli import app
from audit.room import Room
from audit.service import prediction


def run(home: Path, *arguments: str) -> Result:
    """One command on this home."""
    return CliRunner().invoke(app, [*arguments, "--home", str(home)])


def test_verify_prints_numbered_guarantees_and_what_it_cannot_see(home: Path) -> None:
    result = run(home, "verify")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split(".")[0] for line in lines[:9]] == [str(n) for n in range(1, 10)]
    assert lines[-1].startswith("verified: 11 entries, 11 checkpoints, root ")
    assert any(line.startswith("cannot see: Whoever holds the live signing key") for line in lines)
    assert "9. not checked" in result.stdout
    assert "9. holds" in run(home, "verify").stdout


def test_verify_as_json_says_the_same(home: Path) -> None:
    result = json.loads(run(home, "verify", "--json").stdout)
    assert (result["verified"], result["size"], len(result["guarantees"])) == (True, 11, 10)


def test_list_shows_entries_newest_first(home: Path) -> None:
    result = run(home, "list", "--kind", "prediction")
    assert result.exit_code == 0
    assert "3 entries match" in result.stdout
    assert "exam-5feceb66ffc86f38" in result.stdout


def test_show_prints_the_body_and_its_checkpoint(home: Path) -> None:
    result = run(home, "show", "9")
    assert result.exit_code == 0
    assert '"verdict": "agree"' in result.stdout
    assert "\n9\n" in result.stdout
    assert "— medproto/" in result.stdout


def test_trace_prints_every_prototype(home: Path, room: Room) -> None:
    result = run(home, "trace", "3")
    assert result.exit_code == 0
    for match in prediction(room, 3)[1].matches:
        assert match.prototype_id in result.stdout
        assert match.source.patch in result.stdout
    result = run(home, "trace", "--prototype", prediction(room, 3)[1].matches[0].prototype_id)
    assert result.exit_code == 0
    assert "not flagged" in result.stdout


def test_trace_wants_one_of_both(home: Path) -> None:
    assert run(home, "trace").exit_code == 2
    assert run(home, "trace", "3", "--prototype", "p0").exit_code == 2


def test_key_prints_the_public_key_and_no_other(home: Path) -> None:
    result = run(home, "key")
    assert result.stdout == (home / "keys" / "ledger.pub").read_text()
    assert run(home, "verify", "--public-key", result.stdout.strip()).exit_code == 0


def test_init_makes_a_room_once(tmp_path: Path) -> None:
    for _ in range(2):
        result = run(tmp_path / "new", "init")
        assert result.exit_code == 0
        assert "a ledger of 1 entries" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "99"), "entry 99: there is none of that number"),
        (("trace", "2"), "entry 2: is of kind intent, expected a prediction"),
        (("verify", "--anchors", "/nowhere/anchors.txt"), "anchors: cannot read anchors.txt"),
        (("verify", "--public-key", "nonsense"), "key: expected name+hash+base64"),
        (("verify", "--ledger", "postgresql://nobody@127.0.0.1:1/x?connect_timeout=2"), "cannot be reached"),
    ],
)
def test_what_cannot_be_done_is_one_line_on_standard_error(home: Path, arguments: tuple[str, ...], words: str) -> None:
    result = run(home, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_home_that_is_not_there_cannot_be_verified(tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere", "verify")
    assert result.exit_code == 2
    assert "medproto audit init" in result.stderr


def test_the_audit_trail_loads_no_torch() -> None:
    code = "import audit.service, audit.ledger, audit.trace, audit.cli, sys; "
    code += "sys.exit(' '.join({'torch', 'numpy', 'alembic', 'streamlit', 'reportlab'} & set(sys.modules)) or 0)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_verify_draws_its_bars_on_a_terminal_alone(home: Path) -> None:
    command = [sys.executable, "-m", "medproto", "audit", "verify", "--home", str(home)]
    piped = subprocess.run(command, check=True, capture_output=True, text=True)
    assert piped.stderr == ""
    ours, theirs = os.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=theirs, text=True)
        os.close(theirs)
        seen = terminal.read(65536).decode()
    assert "entries" in seen
    assert "11/11" in seen
    assert done.stdout.splitlines()[-1] == piped.stdout.splitlines()[-1]
