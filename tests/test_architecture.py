"""How the source hangs together: imports go one way, records stay light, files stay small."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: From the top down: each may import itself and what comes after it.
LAYERS = ("ui", "audit", "medproto")
#: The modules that put the layers together.
COMPOSITION = {
    "medproto/__main__.py",
    "medproto/cli.py",
    "medproto/demo.py",
    "medproto/score_worker.py",
    "medproto/registering.py",
}
#: Modules that speak to a terminal.
TERMINAL = COMPOSITION | {"audit/cli.py", "audit/report_cli.py"}
LONGEST_FILE_LINES = 300
FORBIDDEN_STEMS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
#: Whole packages that take long to load, or that a layer has no business with.
HEAVY = {"torch", "torchvision", "timm", "monai", "lightning_fabric", "sklearn", "skimage"}
DATABASES = {"sqlalchemy", "sqlite3", "psycopg", "alembic"}
#: Modules that the layers above import, and that must load at once.
LIGHT = ("medproto.records", "medproto.errors", "medproto.config", "medproto.summary")


def sources(*folders: str) -> list[str]:
    """Every Python file of these folders, relative to the root."""
    return sorted(path.relative_to(ROOT).as_posix() for name in folders for path in (ROOT / name).rglob("*.py"))


def tree(path: str) -> ast.Module:
    """The file, parsed."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), path)


def imported(module: ast.Module) -> Iterator[str]:
    """Every package that is imported anywhere in a module, function bodies included, by its full dotted name."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # Relative imports are absent by style: a name says where it comes from.
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages(path: str) -> set[str]:
    """Top-level packages that a file imports."""
    return {name.partition(".")[0] for name in imported(tree(path))}


def loaded_after(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after running `code`."""
    show = "import sys; print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", f"{code}\n{show}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_all_three_layers_have_sources() -> None:
    assert all(sources(layer) for layer in LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_down_only(layer: str) -> None:
    above = set(LAYERS[: LAYERS.index(layer)])
    wrong = {path: packages(path) & above for path in sources(layer) if path not in COMPOSITION}
    assert {path: found for path, found in wrong.items() if found} == {}


def test_only_the_command_line_imports_the_command_line() -> None:
    composed = {path.removesuffix(".py").replace("/", ".") for path in COMPOSITION}
    wrong = [path for path in sources(*LAYERS) if path not in COMPOSITION and composed & set(imported(tree(path)))]
    assert wrong == []


def test_no_product_module_imports_tests_or_benchmarks() -> None:
    assert [path for path in sources(*LAYERS) if packages(path) & {"tests", "benchmarks", "pytest"}] == []


def test_the_screens_import_neither_torch_nor_a_database() -> None:
    assert [path for path in sources("ui") if packages(path) & (HEAVY | DATABASES)] == []


def test_the_audit_trail_imports_no_torch() -> None:
    assert [path for path in sources("audit") if packages(path) & HEAVY] == []


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_import_neither_torch_nor_numpy(name: str) -> None:
    assert packages(f"{name.replace('.', '/')}.py") & (HEAVY | DATABASES | {"numpy", "pydicom", "PIL"}) == set()


def test_package_files_hold_a_docstring_and_no_import() -> None:
    for path in sources(*LAYERS):
        if not path.endswith("__init__.py"):
            continue
        module = tree(path)
        assert ast.get_docstring(module), path
        assert packages(path) <= {"__future__"}, path


def test_audit_trail_and_report_load_without_torch() -> None:
    whole = [path for path in sources("audit") if "/migrations/" not in path and not path.endswith("__init__.py")]
    names = ", ".join(path.removesuffix(".py").replace("/", ".") for path in whole)
    loaded = loaded_after(f"import medproto, medproto.records, {names}")
    assert {"medproto", "audit", "reportlab"} <= loaded
    assert loaded & HEAVY == set()


def test_the_command_line_and_the_reader_load_without_torch() -> None:
    loaded = loaded_after("import medproto.cli, medproto.datasets.archives.indexing, medproto.ingest.inspection")
    assert {"medproto", "audit", "pydicom"} <= loaded
    assert loaded & (HEAVY - {"skimage"}) == set()


def test_light_modules_load_without_numpy() -> None:
    assert loaded_after(f"import {', '.join(LIGHT)}") & (HEAVY | {"numpy"}) == set()


@pytest.mark.parametrize("layer", LAYERS)
def test_nothing_prints_outside_the_command_line(layer: str) -> None:
    offenders = [
        f"{path}:{node.lineno}"
        for path in sources(layer)
        if path not in TERMINAL
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "pprint"}
    ]
    assert offenders == []


@pytest.mark.parametrize("layer", LAYERS)
def test_no_file_is_longer_than_one_sitting(layer: str) -> None:
    lines = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in sources(layer)}
    assert {path: count for path, count in lines.items() if count > LONGEST_FILE_LINES} == {}


def test_no_file_is_a_drawer_for_everything() -> None:
    everywhere = sources(*LAYERS, "tests", "benchmarks")
    assert [path for path in everywhere if Path(path).stem.lower() in FORBIDDEN_STEMS] == []


def test_every_module_says_what_it_is_for() -> None:
    assert [path for path in sources(*LAYERS) if not ast.get_docstring(tree(path))] == []
