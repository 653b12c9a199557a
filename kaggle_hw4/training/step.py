"""One training step: each network's gradient, then AdamW and the EMA of the weights."""

from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from kaggle_hw4.data.batches import Batch
from kaggle_hw4.data.segments import DROPOUT
from kaggle_hw4.models.norm import share_batches
from kaggle_hw4.models.parallel import ParallelNetworks
from kaggle_hw4.ranks import ALONE, Ranks
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.training.checkpoint import TrainingState
from kaggle_hw4.training.graphs import (
    Function,
    Graphs,
    Inputs,
    Outputs,
    Record,
    cuda_recorder,
    in_branches,
)
from kaggle_hw4.training.loss import batch_loss, margin_at
from kaggle_hw4.training.optimizer import learning_rate


class Step:
    """The training step of `recipe`, which takes `state` one step on.

    On a CUDA device the gradients come from graphs, which `record` makes, and nothing in a step
    waits for the device. Of several `ranks` each has its rows of the batch, and no graphs.
    """

    figures: ClassVar = ("loss", "accuracy")  # what `loss_of` returns

    def __init__(
        self,
        state: TrainingState[Any],
        recipe: Recipe,
        record: Record | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.state, self.recipe, self.ranks = state, recipe, ranks
        self.device = state.since_report.device
        self.parameters = [list(network.parameters()) for network in state.model.networks]
        share_model(state.model, ranks, recipe.segments.batch_size)
        if self.device.type == "cuda" and ranks.count == 1:
            record = record or cuda_recorder()
        self.gradients: Function = (
            Graphs(self.run_gradients, record) if record else self.run_gradients
        )

    def __call__(self, batch: object) -> None:
        """Forward, backward, AdamW and the EMA of the weights on one batch, a dataclass of
        tensors.
        """
        state, config = self.state, self.recipe.optimizer
        state.model.train()
        figures, *own = self.gradients([*vars(batch).values(), self._margin()])
        gradients = self.ranks.total(own)
        for parameter, gradient in zip(chain(*self.parameters), gradients, strict=True):
            parameter.grad = gradient

        # Each network's gradient is clipped by itself.
        state.scaler.unscale_(state.optimizer)
        if config.clip_norm:
            for parameters in self.parameters:
                torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)

        # The weights, and their moving average.
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(state.place, config, self.recipe.schedule)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
        state.average.update(config.ema_decay, state.step)

        # Figures are summed on the device: nothing waits for it until a report is due.
        state.step += 1
        state.since_report += figures
        state.steps_since_report += 1

    def _margin(self) -> Tensor | None:
        if not self.recipe.has_margin:
            return None
        return torch.full((), margin_at(self.recipe, self.state.place), device=self.device)

    def run_gradients(self, inputs: Inputs) -> Outputs:
        """The means of the networks' figures (2,), then the gradient of each parameter."""
        networks = zip(self.state.model.networks, self.parameters, strict=True)
        parts = in_branches([partial(self._gradients_of, *each, inputs) for each in networks])
        figures = torch.stack([part[0] for part in parts]).mean(0)
        return [figures, *chain(*(part[1:] for part in parts))]

    def _gradients_of(
        self, network: nn.Module, parameters: Sequence[Tensor], inputs: Inputs
    ) -> Outputs:
        """The same of one network, trained as if it were alone."""
        size = self.recipe.segments.batch_size
        loss, figure = (self.ranks.weigh(mean, size) for mean in self.loss_of(network, inputs))
        gradients = torch.autograd.grad(self.state.scaler.scale(loss), parameters)
        laid_out = [gradient.contiguous() for gradient in gradients]  # as AdamW's kernel reads them
        return [torch.stack([loss.detach(), figure]), *laid_out]

    def loss_of(self, network: nn.Module, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """The mean loss of one network on a batch, with its graph, and its accuracy."""
        *tensors, margin = inputs
        batch = Batch(*tensors)  # type: ignore[arg-type]
        logits = self.state.model.logits_of(network, batch.features, batch.mask)
        loss = batch_loss(logits, batch, self.recipe, margin)
        return loss, (logits.detach().argmax(-1) == batch.labels).float().mean()


def share_model(model: ParallelNetworks[Any], ranks: Ranks, size: int) -> None:
    """Let dropouts and BatchNorms of `model` be those of a batch of `size` rows on all ranks."""
    if ranks.count > 1:
        rows = ranks.rows(size)
        model.draws.first, model.draws.own = rows.start, rows.stop - rows.start
        model.draws.size = size
        share_batches(model, ranks)


def seed_step(state: TrainingState[Any], seed: int) -> None:
    """Seed what draws the dropout, and torch's generators: the fine structure of noise."""
    state.model.draws.seed, state.model.draws.step = seed, state.step
    seeds = np.random.SeedSequence([seed, DROPOUT, state.step])
    torch.manual_seed(int(seeds.generate_state(1)[0]))
