"""Cross-entropy with a margin on the target logit; the margin is here and nowhere else."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kaggle_hw4.data.batches import Batch
from kaggle_hw4.recipe import LossConfig, Recipe


def margin_at(recipe: Recipe, place: float) -> float:
    """The margin at a place in the schedule, which is the step unless the schedule is stretched:
    grown from 0 over the warm-up, larger while fine-tuning.

    A full margin on random embeddings teaches nothing.
    """
    if recipe.is_fine_tuning(place):
        return recipe.large_margin_fine_tuning.margin
    warmup = min(recipe.loss.margin_warmup_steps, recipe.schedule.steps // 2)
    return recipe.loss.margin * (min(1.0, place / warmup) if warmup else 1.0)


def batch_loss(logits: Tensor, batch: Batch, recipe: Recipe, margin: Tensor | None) -> Tensor:
    """The mean loss of a batch; a mixed segment has each of its two speakers' in proportion.

    With a teacher it is that of the labels and that of its probabilities, weighted (Hinton et al.
    2015); a segment without a label has the teacher's part alone.
    """
    losses = margin_losses(logits, batch.labels, recipe.loss, margin)
    if recipe.augment.mixup:
        other = margin_losses(logits, batch.partner_labels, recipe.loss, margin)
        losses = batch.share * losses + (1 - batch.share) * other
    if batch.soft is None or recipe.distillation is None:
        return losses.mean()
    config = recipe.distillation
    if batch.labelled is not None:
        losses = batch.labelled * losses
    taught = soft_losses(logits, batch.soft, config.temperature)
    return ((1 - config.weight) * losses + config.weight * taught).mean()


def soft_losses(logits: Tensor, soft: Tensor, temperature: float) -> Tensor:
    """Cross-entropies (B,) of logits (B, C) with a teacher's probabilities (B, C), both of them at
    a temperature; times its square, which keeps the gradient's size. float32.
    """
    log_probabilities = (logits.float() / temperature).log_softmax(-1)
    return -(temperature**2) * (soft * log_probabilities).sum(-1)


def margin_losses(
    logits: Tensor, labels: Tensor, config: LossConfig, margin: Tensor | None
) -> Tensor:
    """Cross-entropies (B,) of logits (B, C) = scale · cosine, the label's after `margin`.

    On the cosine: cos θ - m (AM-Softmax, Wang et al. 2018). On the angle: cos(θ + m) (ArcFace,
    Deng et al. 2019), m in radians; none is plain cross-entropy. float32.
    """
    logits = logits.float()
    if margin is not None:
        own = labels[:, None]
        with_margin = apply_margin(logits.gather(1, own), config, margin)
        logits = logits.scatter(1, own, with_margin)
    return F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing, reduction="none")


def apply_margin(logits: Tensor, config: LossConfig, margin: Tensor) -> Tensor:
    """The target logits after the margin, a tensor of no dimensions on their device."""
    if config.margin_type == "am":
        return logits - config.scale * margin
    # The slope of the sine is infinite at a cosine of 1, so the cosine is kept a little below.
    cosine = (logits / config.scale).clamp(-1 + 1e-6, 1 - 1e-6)
    turned = cosine * margin.cos() - (1 - cosine.square()).sqrt() * margin.sin()
    # Beyond θ = π - m, cos(θ + m) would grow again: a straight line continues it.
    straight = cosine - margin * margin.sin()
    return config.scale * torch.where(cosine > -margin.cos(), turned, straight)
