"""What the processes of one run share: each has a contiguous part of every list of images, in the order of ranks.

Alone, every function gives back what it was given. Processes are started by torchrun and joined by lightning-fabric;
nothing here starts or ends them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributed as world


def count() -> int:
    """How many processes take part."""
    return world.get_world_size() if world.is_available() and world.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0; the first writes files and reports."""
    return world.get_rank() if count() > 1 else 0


def own_share(length: int, of_rank: int | None = None) -> slice:
    """This process's part of a list of that length; parts differ by one at most, earlier ones are longer."""
    which = rank() if of_rank is None else of_rank
    size, longer = divmod(length, count())
    start = which * size + min(which, longer)
    return slice(start, start + size + (which < longer))


def own(values: Tensor) -> Tensor:
    """This process's part of values that every process has, shape (V, ...); alone, the very tensor."""
    return values if count() == 1 else values[own_share(len(values))]


def gathered(part: Tensor, length: int) -> Tensor:
    """The whole of which every process has its `own_share`, shape (length, ...), the same bits in all of them.

    It has no gradients, and lies where the part does.
    """
    if count() == 1:
        return part.detach()
    shares = [own_share(length, which) for which in range(count())]
    sizes = [share.stop - share.start for share in shares]
    padded = part.new_zeros(max(sizes), *part.shape[1:], device=_talks_on(part))
    padded[: len(part)] = part.detach()
    parts = [torch.empty_like(padded) for _ in sizes]
    world.all_gather(parts, padded)
    return torch.cat([each[:size] for each, size in zip(parts, sizes, strict=True)]).to(part.device)


def _talks_on(part: Tensor) -> torch.device:
    """NCCL sends what lies on an accelerator alone; gloo sends from anywhere."""
    return torch.device("cuda", torch.cuda.current_device()) if world.get_backend() == "nccl" else part.device


def add_up(values: Tensor) -> None:
    """Replace a tensor by its sum over all processes."""
    if count() > 1:
        world.all_reduce(values)
