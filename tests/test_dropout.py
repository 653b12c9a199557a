"""Dropout draws what (seed, step, place, row) say, at the rate asked for; means stay."""

import pytest
import torch

from kaggle_hw4.models.build import build_model
from kaggle_hw4.models.dropout import Draws, Dropout, share_draws
from tests.conftest import VARIANTS, ZOO, tiny


def dropout(probability: float, seed: int = 0, step: int = 0, place: int = 0) -> Dropout:
    module = Dropout(probability).train()
    module.draws, module.place = Draws(seed, step), place
    return module


@pytest.mark.parametrize("probability", [0.05, 0.2, 0.5])
def test_so_many_are_dropped_and_the_mean_stays(probability: float) -> None:
    y = dropout(probability)(torch.ones(64, 1000))
    assert (y == 0).float().mean().item() == pytest.approx(probability, abs=0.006)
    assert y.mean().item() == pytest.approx(1, abs=0.01)
    assert len(y.unique()) == 2


def test_draws_change_with_seed_step_and_place() -> None:
    x = torch.ones(4, 100)
    drawn = [dropout(0.5)(x), dropout(0.5, seed=1)(x), dropout(0.5, step=1)(x)]
    drawn.append(dropout(0.5, place=1)(x))
    for i, once in enumerate(drawn):
        assert not any(torch.equal(once, other) for other in drawn[i + 1 :])
    assert torch.equal(dropout(0.5)(x), drawn[0])


@pytest.mark.parametrize("width", [32, 33, 100])
def test_a_row_is_drawn_alike_with_fewer_rows_behind_it(width: int) -> None:
    x = torch.ones(5, 3, width)
    assert torch.equal(dropout(0.5)(x)[:2], dropout(0.5)(x[:2]))


def test_rows_differ() -> None:
    y = dropout(0.5)(torch.ones(2, 100))
    assert not torch.equal(y[0], y[1])


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_adding_is_dropping_and_adding_also_backwards(weight: float) -> None:
    x, y = (torch.randn(3, 40, requires_grad=True) for _ in range(2))
    fused = dropout(0.3).add(x, y, weight)
    plain = x + weight * dropout(0.3)(y)
    torch.testing.assert_close(fused, plain)
    expected = torch.autograd.grad(plain.square().sum(), (x, y))
    torch.testing.assert_close(torch.autograd.grad(fused.square().sum(), (x, y)), expected)


@pytest.mark.parametrize("probability", [0.0, 0.9])
def test_nothing_is_dropped_at_evaluation_or_at_a_rate_of_zero(probability: float) -> None:
    module, x = dropout(probability), torch.randn(3, 40)
    if probability:
        module.eval()
    assert torch.equal(module(x), x)
    assert torch.equal(module.add(x, x, 0.5), 1.5 * x)


@pytest.mark.parametrize("variant", [*VARIANTS, *ZOO])
def test_every_dropout_of_a_model_has_a_place_of_its_own(variant: str) -> None:
    model = build_model(tiny(variant, "networks.count=2"), 4)
    dropouts = [module for module in model.modules() if isinstance(module, Dropout)]
    assert sorted(each.place for each in dropouts) == list(range(len(dropouts)))
    assert all(each.draws is model.draws for each in dropouts)
    assert share_draws(model) == Draws()
