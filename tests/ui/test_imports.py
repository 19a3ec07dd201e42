"""What `ui` may load, and that none of its files hides a package."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ui
from ui.server import settings

UI = Path(ui.__file__).parent
MODULES = sorted(".".join(path.relative_to(UI.parent).with_suffix("").parts) for path in UI.rglob("*.py"))


def run(code: str, cwd: Path) -> str:
    """Output of a fresh interpreter."""
    environment = {**os.environ, "PYTHONPATH": str(UI.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_page_loads_torch(tmp_path: Path) -> None:
    names = [name for name in MODULES if not name.endswith("__init__")]
    code = f"import importlib, sys\nfor n in {names!r}: importlib.import_module(n)\nprint('torch' in sys.modules)"
    assert run(code, tmp_path).strip() == "False"


def test_no_page_speaks_sql_or_torch_itself() -> None:
    named = [
        path.name for path in UI.rglob("*.py") if any(w in path.read_text() for w in ("sqlalchemy", "import torch"))
    ]
    assert named == []


@pytest.mark.parametrize(
    "path", sorted({*UI.glob("*.py"), *(p for p in UI.iterdir() if p.is_dir())}), ids=lambda p: p.stem
)
def test_no_file_of_ui_hides_a_package(path: Path) -> None:
    if path.name.startswith(("__", ".")):
        return
    spec = importlib.util.find_spec(path.stem)
    assert spec is None or str(UI) in str(spec.origin)


def test_the_server_listens_on_loopback_with_xsrf_and_without_telemetry_or_tracebacks() -> None:
    given = settings(8501, "127.0.0.1", ("localhost", "127.0.0.1"))
    assert given["server.address"] == "127.0.0.1"
    assert given["server.allowedHosts"] == ["localhost", "127.0.0.1"]
    assert given["server.enableXsrfProtection"] is True
    assert given["browser.gatherUsageStats"] is False
    assert given["client.showErrorDetails"] == "none"
