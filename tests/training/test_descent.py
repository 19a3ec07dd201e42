"""Stage 1: what may change does, what is frozen does not, and the same seed gives the same weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from medproto.errors import ConfigError, TrainingError
from medproto.training.descent import descend
from medproto.training.pace import pace
from medproto.training.settings import Costs, Stage
from tests.factories import input_set, tiny_model

ALL = {"backbone": 1e-2, "add_on": 1e-2, "prototypes": 1e-2}
LABELS = [0, 1] * 6


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    """This processor."""
    return Fabric(accelerator="cpu", devices=1)


def run(
    fabric: Fabric, rates: dict[str, float], seed: int = 0, epochs: int = 2
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """The state after a short stage on a fresh network, and its history."""
    model = tiny_model()
    stage = Stage.model_validate({"name": "test", "epochs": epochs, "learning_rates": rates, "batch": 5, "variants": 2})
    history = descend(model, input_set(LABELS), stage, Costs(), (fabric, seed, None))
    return {name: value.clone() for name, value in model.state_dict().items()}, history


def changed(state: dict[str, Tensor]) -> set[str]:
    """Names of the tensors that differ from those of a fresh network."""
    return {name for name, value in tiny_model().state_dict().items() if not torch.equal(value, state[name])}


def test_joint_stage_changes_all_groups_but_no_statistics_and_no_last_layer(fabric: Fabric) -> None:
    state, _ = run(fabric, ALL)
    moved = changed(state)
    assert {name.split(".")[0] for name in moved} == {"backbone", "add_on", "prototypes"}
    assert not {name for name in moved if "running_" in name or "num_batches" in name}
    assert {name for name in state if "running_mean" in name}


@pytest.mark.parametrize(
    "rates, prefixes",
    [
        ({"prototypes": 1e-2}, {"prototypes"}),
        ({"add_on": 1e-2, "prototypes": 1e-2}, {"add_on", "prototypes"}),
        ({"backbone": 1e-2}, {"backbone"}),
    ],
)
def test_group_without_a_rate_is_frozen(fabric: Fabric, rates: dict[str, float], prefixes: set[str]) -> None:
    state, _ = run(fabric, rates)
    assert {name.split(".")[0] for name in changed(state)} == prefixes


@pytest.mark.parametrize("rates", [ALL, {"add_on": 1e-2, "prototypes": 1e-2}])
def test_same_seed_gives_the_same_weights(fabric: Fabric, rates: dict[str, float]) -> None:
    torch.manual_seed(1)
    first, history = run(fabric, rates, seed=3)
    torch.manual_seed(2)
    again, same_history = run(fabric, rates, seed=3)
    other, _ = run(fabric, rates, seed=4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert history == same_history
    assert not torch.equal(first["prototypes"], other["prototypes"])


def test_loss_that_is_no_number_ends_the_stage_by_name(fabric: Fabric) -> None:
    with pytest.raises(TrainingError, match=r"stage 'test', epoch \d: the loss is not finite, expected a number"):
        run(fabric, {"add_on": 1e30, "prototypes": 1e30}, epochs=3)


def test_class_without_training_images_is_an_error(fabric: Fabric) -> None:
    stage = Stage(name="test", epochs=1, learning_rates={"prototypes": 1e-2}, batch=4)
    with pytest.raises(
        TrainingError, match=r"classes: got \[4, 0\] training images, expected at least one of each class"
    ):
        descend(tiny_model(), input_set([0] * 4), stage, Costs(), (fabric, 0, None))


def test_history_holds_every_cost_of_every_epoch_and_the_descent_descends(fabric: Fabric) -> None:
    _, history = run(fabric, {"add_on": 1e-2, "prototypes": 1e-2}, epochs=15)
    assert len(history) == 15
    for row in history:
        total = row["cross_entropy"] + 0.8 * row["cluster"] - 0.08 * row["separation"] + 1e-4 * row["l1"]
        total += 0.05 * row["diversity"] + 0.5 * row["outside"] + 0.2 * row["anchor"] + 1.0 * row["cells"]
        assert row["total"] == pytest.approx(total, rel=1e-4)
    assert history[-1]["total"] < history[0]["total"]


def test_margin_cost_counts_by_its_coefficient_and_sets_the_classes_apart(fabric: Fabric) -> None:
    stage = Stage(name="apart", epochs=15, learning_rates={"add_on": 1e-2, "prototypes": 1e-2}, batch=12, variants=1)
    without, counted, wide = (
        descend(tiny_model(), input_set(LABELS), stage, costs, (fabric, 0, None))
        for costs in (Costs(), Costs(margin=5.0), Costs(margin_width=2.0))
    )
    # the first step of the only batch of an epoch sees the same network whatever the costs
    assert counted[0]["margin"] == without[0]["margin"]
    assert counted[0]["total"] == pytest.approx(without[0]["total"] + 5.0 * without[0]["margin"])
    assert wide[0]["margin"] == pytest.approx(without[0]["margin"] + 1.0)
    assert counted[-1]["margin"] < without[-1]["margin"] - 0.05


def test_progress_counts_the_steps(fabric: Fabric) -> None:
    steps: list[tuple[int, int]] = []
    stage = Stage(name="test", epochs=2, learning_rates=ALL, batch=5)
    run_of = (fabric, 0, lambda done, total: steps.append((done, total)))
    descend(tiny_model(), input_set(LABELS), stage, Costs(), run_of)
    assert steps == [(i, 6) for i in range(1, 7)]


def test_what_lies_far_from_the_breast_changes_no_weight(fabric: Fabric) -> None:
    data = input_set(LABELS)
    breast, darker = data.breast.clone(), data.images.clone()
    breast[:, :, 32:] = 0
    # A cell of the left half sees at most 7 px beyond its centre: column 48 and on is out of its reach.
    darker[:, :, :, 48:] = 0
    stage = Stage(name="test", epochs=2, learning_rates={"add_on": 1e-2, "prototypes": 1e-2}, batch=4, variants=1)
    states = []
    for images in (data.images, darker):
        model = tiny_model()
        descend(model, replace(data, images=images, breast=breast), stage, Costs(), (fabric, 0, None))
        states.append(model.state_dict())
    assert all(torch.allclose(states[0][name], states[1][name], atol=1e-6) for name in states[0])


def after(fabric: Fabric, labels: list[int], stage: Stage) -> dict[str, Tensor]:
    """The state of a fresh network after that stage."""
    model = tiny_model()
    descend(model, input_set(labels), stage, Costs(), (fabric, 3, None))
    return model.state_dict()


@pytest.mark.parametrize("rates", [ALL, {"add_on": 1e-2, "prototypes": 1e-2}, {"prototypes": 1e-2}])
def test_accumulated_batches_step_as_one_large_batch_does(fabric: Fabric, rates: dict[str, float]) -> None:
    stage = Stage(name="large", epochs=2, learning_rates=rates, batch=8, optimizer="sgd")
    small = stage.model_copy(update={"batch": 2, "accumulate": 4})
    # 11 images: the last step is of three, the last batch of one
    large, summed = (after(fabric, [0, 0, 1] * 3 + [0, 1], each) for each in (stage, small))
    assert changed(large)
    for name, value in large.items():
        assert torch.allclose(value, summed[name], rtol=0, atol=1e-6), name


def test_clipped_step_is_no_longer_than_rate_times_norm(fabric: Fabric) -> None:
    stage = Stage(name="one", epochs=1, learning_rates={"prototypes": 1.0}, batch=99, optimizer="sgd", momentum=0.0)
    before = tiny_model().prototypes.detach()
    free = after(fabric, LABELS, stage)["prototypes"] - before
    clipped = after(fabric, LABELS, stage.model_copy(update={"clip_norm": 1e-3}))["prototypes"] - before
    assert float(free.norm()) > 1e-2
    assert float(clipped.norm()) == pytest.approx(1e-3, rel=1e-3)


def test_balanced_classes_are_told_apart_by_nothing_but_how_often_they_come(fabric: Fabric) -> None:
    rates = {"add_on": 1e-2, "prototypes": 1e-2}
    stage = Stage(name="rare", epochs=2, learning_rates=rates, batch=4, balanced=True)
    weighted = stage.model_copy(update={"balanced": False})
    labels = [0] * 9 + [1] * 3
    assert not torch.equal(after(fabric, labels, stage)["prototypes"], after(fabric, labels, weighted)["prototypes"])
    with pytest.raises(TrainingError, match=r"classes: got \[4, 0\] training images"):
        after(fabric, [0] * 4, stage)


def test_schedules_are_arithmetic() -> None:
    stage = Stage(name="test", epochs=11, learning_rates=ALL, schedule="step")
    steps = 7
    paces = [pace(stage, done / (11 * steps)) for done in range(11 * steps)]
    assert paces == [1.0] * 35 + [0.1] * 35 + [pytest.approx(0.01)] * 7
    cosine = stage.model_copy(update={"schedule": "cosine"})
    assert [pace(cosine, done) for done in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.525, 0.05])
    assert pace(stage.model_copy(update={"schedule": "constant"}), 0.9) == 1.0


def test_memory_that_does_not_suffice_is_said_in_one_sentence(fabric: Fabric) -> None:
    model = tiny_model()

    def greedy(*_: object) -> None:
        torch.empty(1 << 60, dtype=torch.uint8)

    model.backbone.register_forward_pre_hook(greedy)
    stage = Stage(name="joint", epochs=1, learning_rates=ALL, batch=4)
    with pytest.raises(TrainingError, match=r"stage 'joint': the memory does not suffice for batches of 4, expected"):
        descend(model, input_set(LABELS), stage, Costs(), (fabric, 0, None))


def test_layers_up_to_a_stride_stay_frozen_while_the_others_move(fabric: Fabric) -> None:
    model = tiny_model(stride=16)
    before = {name: value.clone() for name, value in model.backbone.named_parameters()}
    stage = Stage(name="upper half", epochs=2, learning_rates=ALL, batch=4, frozen_to_stride=8)
    descend(model, input_set(LABELS), stage, Costs(), (fabric, 0, None))
    applied = model.backbone.layers_to(8)
    assert 0 < applied < len(model.backbone.layers)
    upper = {id(parameter) for parameter in model.backbone.parameters_after(applied)}
    for name, parameter in model.backbone.named_parameters():
        assert torch.equal(parameter, before[name]) == (id(parameter) not in upper), name


def test_frozen_stride_that_no_layer_ends_at_is_named(fabric: Fabric) -> None:
    model = tiny_model()
    stage = Stage(name="all", epochs=1, learning_rates=ALL, batch=4, frozen_to_stride=16)
    with pytest.raises(ConfigError, match="frozen_to_stride: got 16, expected one of the strides below the cut: none"):
        descend(model, input_set(LABELS), stage, Costs(), (fabric, 0, None))
