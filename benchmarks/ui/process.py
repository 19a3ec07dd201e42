"""The server as a process, from outside: its memory and the time of processors it took (Linux)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """Resident memory in MB, and the part of it that is the process's own share of what it shares."""

    rss_mb: float
    pss_mb: float


def server_process() -> int:
    """Number of the process that serves the reading room, started by this one."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text("ascii").split()
    (server,) = [int(child) for child in children if b"medproto" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return server


def memory(process: int) -> Memory:
    """Its memory now."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text("ascii").splitlines()
    kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines[1:])}
    return Memory(kilobytes["Rss"] / 1024, kilobytes["Pss"] / 1024)


def busy_seconds(process: int) -> float:
    """Time of processors that it took so far."""
    fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
