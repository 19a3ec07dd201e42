"""Two processes that torchrun starts come to the weights of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medproto.training import processes
from medproto.training.launch import start_fabric
from tests.training.two_processes import STAGES, fitted, trained_all

States = dict[str, dict[str, Tensor]]
ROOT = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def alone() -> States:
    """What one process comes to."""
    return trained_all(start_fabric())


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> list[States]:
    """What each of two processes comes to."""
    folder = tmp_path_factory.mktemp("processes")
    command = [*TORCHRUN, "-m", "tests.training.two_processes", str(folder)]
    run = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", STAGES)
def test_two_processes_come_to_the_weights_of_one(alone: States, joined: list[States], name: str) -> None:
    for tensor, value in alone[name].items():
        rtol = 1e-4 if tensor == "total" else 0  # the log is steep where prototypes begin, on their own patches
        assert torch.allclose(value, joined[0][name][tensor], rtol=rtol, atol=1e-5), tensor
    # the stage did something
    assert not torch.allclose(alone[name]["start"], alone[name]["prototypes"], rtol=0, atol=1e-3)


def test_two_processes_end_with_the_prototypes_of_one(joined: list[States], tmp_path: Path) -> None:
    alone = fitted(tmp_path)
    assert torch.equal(alone["sources"], joined[0]["fit"]["sources"])
    for name, value in alone.items():
        # the log is steep where a prototype meets its patch, and the last layer is solved for what it gives
        atol = 1e-3 if name in ("similarities", "last_layer") else 1e-5
        assert torch.allclose(value, joined[0]["fit"][name], rtol=0, atol=atol), name


@pytest.mark.parametrize("name", [*STAGES, "fit"])
def test_both_processes_hold_the_same_bits(joined: list[States], name: str) -> None:
    first, second = (states[name] for states in joined)
    assert first.keys() == second.keys()
    assert [tensor for tensor, value in first.items() if not torch.equal(value, second[tensor])] == []


def test_every_process_has_a_share_and_gets_the_whole_in_its_order(joined: list[States]) -> None:
    shares = [states["gathered"]["own"].tolist() for states in joined]
    assert shares == [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9]]]
    for states in joined:
        assert states["gathered"]["whole"].tolist() == shares[0] + shares[1]


def test_alone_nothing_is_shared() -> None:
    whole = torch.arange(6.0, requires_grad=True)
    assert (processes.count(), processes.rank(), processes.own_share(5)) == (1, 0, slice(0, 5))
    assert processes.own(whole) is whole
    assert torch.equal(processes.gathered(whole, 6), whole)
    assert not processes.gathered(whole, 6).requires_grad
    with torch.no_grad():
        processes.add_up(whole)
    assert whole.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
