"""The prototype layer, forward and backward, against the plain one: time, and what it takes of memory at its peak."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.pairs import compare
from benchmarks.published.layer import plain_similarities
from medproto.model.similarity import distance_maps, log_similarity, nearest_cells

#: Views, rows, columns, prototypes, and the goals of time and of memory, or none.
SIZES = ((4, 48, 24, 20, 0.55, 0.5), (16, 7, 7, 2000, None, None), (80, 7, 7, 2000, 0.75, 0.5))
CHANNELS = 128


def prototype_layer(views: int, rows: int, columns: int, prototypes: int, goals: tuple[float | None, ...]) -> None:
    """Distance, pooling and similarity, forward and backward."""
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(views, CHANNELS, rows, columns, generator=generator).requires_grad_(True)
    vectors = torch.rand(prototypes, CHANNELS, generator=generator).requires_grad_(True)

    def train(layer: Callable[[Tensor, Tensor], Tensor]) -> None:
        torch.autograd.grad(layer(features, vectors).sum(), (features, vectors))

    time_goal, memory_goal = goals
    name = f"{views} x {CHANNELS} x {rows} x {columns}, P {prototypes}"
    compare(f"prototype layer, {name}", lambda: train(_ours), lambda: train(plain_similarities), time_goal)
    mine, theirs = (peak_bytes(lambda layer=layer: train(layer)) for layer in (_ours, plain_similarities))
    wanted = "" if memory_goal is None else f"  (goal {memory_goal})"
    label = "  its tensors at their peak, gradients with them"
    print(f"{label:<58} {mine / 2**20:9.1f} MiB {theirs / 2**20:9.1f} MiB  ratio {mine / theirs:.3f}{wanted}")


def peak_bytes(work: Callable[[], object]) -> int:
    """The most that tensors allocated during the work held at one time, by the allocator's own events."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        work()
    peak = held = 0
    kineto = record.profiler.kineto_results
    for event in sorted((e for e in kineto.events() if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def maps(views: int, rows: int, columns: int, prototypes: int) -> None:
    """Similarity maps of every prototype against the direct sum of squares, one prototype after the other."""
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(views, CHANNELS, rows, columns, generator=generator)
    vectors = torch.rand(prototypes, CHANNELS, generator=generator)

    def plain() -> None:
        torch.stack([(features - vector.view(1, -1, 1, 1)).square().sum(dim=1) for vector in vectors], dim=1)

    name = f"exact maps, {views} x {CHANNELS} x {rows} x {columns}, P {prototypes}"
    compare(name, lambda: distance_maps(features, vectors), plain)


def _ours(features: Tensor, prototypes: Tensor) -> Tensor:
    return log_similarity(nearest_cells(features, prototypes)[0])


def main() -> None:
    """Run on two threads."""
    torch.set_num_threads(2)
    for views, rows, columns, prototypes, *goals in SIZES:
        prototype_layer(views, rows, columns, prototypes, tuple(goals))
    maps(4, 48, 24, 20)


if __name__ == "__main__":
    main()
