"""The margin acts on the target logit, in the loss alone."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from kaggle_hw4.data.batches import Batch
from kaggle_hw4.recipe import LossConfig
from kaggle_hw4.training.loss import apply_margin, batch_loss, margin_at, margin_losses
from tests.conftest import tiny


def loss_of(**keys: Any) -> LossConfig:
    plain = {"margin": 0.2, "margin_type": "am", "margin_warmup_steps": 100, "scale": 30.0}
    return LossConfig.model_validate({**plain, "label_smoothing": 0.0, **keys})


COSINES, LABELS = torch.tensor([[0.9, 0.1, -0.2]]), torch.tensor([0])


def test_the_margin_lowers_the_true_cosine_alone() -> None:
    expected = F.cross_entropy(30 * COSINES - torch.tensor([[6.0, 0, 0]]), LABELS, reduction="none")
    torch.testing.assert_close(
        margin_losses(30 * COSINES, LABELS, loss_of(), torch.tensor(0.2)), expected
    )
    plain = F.cross_entropy(30 * COSINES, LABELS, reduction="none")
    torch.testing.assert_close(
        margin_losses(30 * COSINES, LABELS, loss_of(), torch.tensor(0.0)), plain
    )


def test_the_angular_margin_turns_the_true_speaker_away() -> None:
    turned = COSINES.clone()
    turned[0, 0] = math.cos(math.acos(0.9) + 0.3)
    expected = F.cross_entropy(30 * turned, LABELS, reduction="none")
    actual = margin_losses(30 * COSINES, LABELS, loss_of(margin_type="aam"), torch.tensor(0.3))
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("margin_type", ["am", "aam"])
@pytest.mark.parametrize("cosine", [1.0, -1.0])
def test_a_margin_has_a_finite_slope_at_the_ends(margin_type: str, cosine: float) -> None:
    logits = torch.tensor([[cosine, 0.0, -0.5]], requires_grad=True)
    margin_losses(
        30 * logits, LABELS, loss_of(margin_type=margin_type), torch.tensor(0.3)
    ).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_an_angular_margin_never_helps() -> None:
    cosine = torch.linspace(-1, 1, 201)[:, None]
    assert (
        apply_margin(30 * cosine, loss_of(margin_type="aam"), torch.tensor(0.4)) <= 30 * cosine
    ).all()


def test_the_margin_grows_and_is_larger_while_fine_tuning() -> None:
    recipe = tiny(
        "boss", "schedule.steps=100", "loss.margin=0.2", "loss.margin_warmup_steps=40",
        "large_margin_fine_tuning.steps=20", "large_margin_fine_tuning.margin=0.5",
    )  # fmt: skip
    actual = [margin_at(recipe, step) for step in (0, 20, 40, 79, 80, 99)]
    assert actual == [0, 0.1, 0.2, 0.2, 0.5, 0.5]
    at_once = tiny("boss", "loss.margin=0.2", "loss.margin_warmup_steps=0")
    assert margin_at(at_once, 0) == 0.2


def test_a_mixed_segment_learns_both_of_its_speakers() -> None:
    recipe = tiny("boss", "augment.mixup=1.0", "loss.margin=0.0")
    logits, x = torch.tensor([[3.0, 1.0, 0.0]]), torch.zeros(1, 4, 40)
    batch = Batch(x, x[..., 0] == 0, LABELS, LABELS + 1, torch.tensor([0.75]))
    both = [float(F.cross_entropy(logits, LABELS + i)) for i in range(2)]
    expected = 0.75 * both[0] + 0.25 * both[1]
    assert float(batch_loss(logits, batch, recipe, None)) == pytest.approx(expected)
