"""AdamW gets every parameter; the rate follows the step; the EMA follows the weights."""

import pytest
import torch

from kaggle_hw4.models.build import build_model
from kaggle_hw4.training.optimizer import MovingAverage, learning_rate, make_optimizer
from tests.conftest import VARIANTS, tiny


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_optimizer_gets_every_parameter(variant: str) -> None:
    recipe = tiny(variant)
    model = build_model(recipe, 4)
    given = {
        id(p)
        for group in make_optimizer(model, recipe.optimizer).param_groups
        for p in group["params"]
    }
    assert given == {id(p) for p in model.parameters()}
    assert id(model.networks[0].head.weight) in given


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    recipe = tiny("boss", "schedule.steps=100", "schedule.warmup_steps=10")
    rates = [learning_rate(step, recipe.optimizer, recipe.schedule) for step in range(101)]
    assert rates[0] == 0.0
    assert max(rates) == rates[10] == 1e-3
    assert rates[55] == pytest.approx(5e-4)
    assert rates[100] == pytest.approx(0)


def test_ema_weights_are_the_moving_average_of_the_weights() -> None:
    """Weights, and the running statistics of BatchNorm too."""
    live = build_model(tiny("boss"), 4)
    average = MovingAverage(live)
    ema = average.model
    expected = {k: v.clone() for k, v in ema.state_dict().items() if v.is_floating_point()}
    for step in range(1000, 1003):
        for name, value in live.state_dict().items():
            if name in expected:
                value.normal_()
                expected[name] = 0.9 * expected[name] + 0.1 * value
        average.update(0.9, step)
    assert any("running_mean" in name for name in expected)
    for name, value in expected.items():
        torch.testing.assert_close(ema.state_dict()[name], value)


@pytest.mark.parametrize(("step", "kept"), [(0, 1 / 10), (8, 9 / 18), (80, 81 / 90), (1000, 0.95)])
def test_the_first_random_weights_are_soon_forgotten(step: int, kept: float) -> None:
    live = torch.nn.Linear(2, 2)
    average = MovingAverage(live)
    before = live.weight.clone()
    torch.nn.init.normal_(live.weight)
    expected = kept * before + (1 - kept) * live.weight
    average.update(0.95, step)
    torch.testing.assert_close(average.model.weight, expected)
