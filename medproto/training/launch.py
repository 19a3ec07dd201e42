"""Where a run computes: its device, its precision, and the processes that torchrun started for it.

Alone, a run takes one device. Under torchrun every process takes one of its own, and they are joined here; what they
share is told in `medproto.training.processes`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric

from medproto.training.settings import Precision

#: What torchrun tells every process that it starts.
TOLD = frozenset({"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"})


def start_fabric(precision: Precision = "32-true") -> Fabric:
    """The device and precision of a run, joined with the other processes that torchrun started, if any."""
    told = os.environ
    if not set(told) >= TOLD:
        return Fabric(accelerator="auto", devices=1, precision=precision)
    local, world = int(told["LOCAL_WORLD_SIZE"]), int(told["WORLD_SIZE"])
    fabric = Fabric(accelerator="auto", devices=local, num_nodes=world // local, strategy="ddp", precision=precision)
    fabric.launch()
    return fabric


@contextmanager
def repeatable(wanted: bool) -> Iterator[None]:
    """Have torch take deterministic algorithms alone; it raises where an operation has none.

    On the processor all of a run is deterministic without it. CUDA's matrix products also need a workspace of fixed
    size, which must be asked for before the first of them.
    """
    before = torch.are_deterministic_algorithms_enabled()
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted or before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def is_first(told: Mapping[str, str] = os.environ) -> bool:
    """Whether this process writes files and reports: it runs alone, or torchrun gave it rank 0."""
    return told.get("RANK", "0") == "0" or not set(told) >= TOLD
