"""Recurrent layers: Elman, Jordan, LSTM and GRU, in one direction or in both."""

from typing import Any

import torch
from torch import Tensor, nn

from kaggle_hw4.models.dropout import Dropout
from kaggle_hw4.networks import RecurrentConfig, RnnConfig
from kaggle_hw4.padding import Mask


class RecurrentLayer(nn.Module):
    """LayerNorm → recurrence over time, with a residual: (B, T, D) → (B, T, D).

    With two directions each has half of the width. A layer's gradient has to pass through as many
    steps as there are frames: the residual spares it those of the layers above, and LayerNorm keeps
    the input of tanh and sigmoid where they have a slope. float32 in every precision, because a
    state is a sum over hundreds of steps.
    """

    def __init__(self, config: RecurrentConfig, _index: int) -> None:
        super().__init__()
        recurrence = recurrence_of(config)
        units = config.d_model // (2 if config.bidirectional else 1)
        self.norm = nn.LayerNorm(config.d_model)
        self.forwards = recurrence(config.d_model, units)
        self.backwards = recurrence(config.d_model, units) if config.bidirectional else None
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            normed = self.norm(x.float())
            # Padding stands behind the real frames, so that no state of theirs has seen it.
            y = self.forwards(normed)[0]
            if self.backwards is not None:
                back = self.backwards(reverse(normed, mask))[0]
                y = torch.cat([y, reverse(back, mask)], -1)
        return self.dropout.add(x, y)


def reverse(x: Tensor, mask: Mask) -> Tensor:
    """Each utterance of x (B, T, D) from its last real frame to its first; padding stays behind.

    What a packed sequence does, without the lengths on the host: a GPU need not be waited for.
    """
    if mask is None:
        return x.flip(1)
    t, length = torch.arange(x.shape[1], device=x.device), mask.sum(1, keepdim=True)
    order = torch.where(t < length, length - 1 - t, t)
    return x.gather(1, order.unsqueeze(-1).expand_as(x))


class FlatWeights(nn.RNNBase):
    """Keeps its weights where cuDNN reads them, in one piece of memory, when it is copied."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.flatten_parameters()


class Elman(FlatWeights, nn.RNN):
    """h[t] = tanh(W x[t] + U h[t-1] + b): the hidden layer is fed back (Elman 1990)."""

    def __init__(self, d_in: int, units: int) -> None:
        super().__init__(d_in, units, batch_first=True)


class Lstm(FlatWeights, nn.LSTM):
    """A cell behind an input, a forget and an output gate (Hochreiter & Schmidhuber 1997)."""

    def __init__(self, d_in: int, units: int) -> None:
        super().__init__(d_in, units, batch_first=True)


class Gru(FlatWeights, nn.GRU):
    """A state behind a reset and an update gate (Cho et al. 2014)."""

    def __init__(self, d_in: int, units: int) -> None:
        super().__init__(d_in, units, batch_first=True)


class Jordan(nn.Module):
    """h[t] = tanh(W x[t] + U y[t-1] + b), y[t] = tanh(V h[t] + c): the output is fed back (Jordan
    1986). (B, T, d_in) → (B, T, units), and the last output, as PyTorch's recurrences return it.

    The output has to be non-linear: were it linear, U V would be one matrix, and this an Elman
    network. W x is computed for all frames at once; what is left to the loop is what is serial.
    """

    def __init__(self, d_in: int, units: int) -> None:
        super().__init__()
        self.input = nn.Linear(d_in, units)
        self.feedback = nn.Linear(units, units, bias=False)
        self.output = nn.Linear(units, units)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        feedback, to_output, bias = (
            self.feedback.weight.t(),
            self.output.weight.t(),
            self.output.bias,
        )
        y = x.new_zeros(len(x), len(bias))
        outputs = []
        for frame in self.input(x).unbind(1):
            hidden = torch.addmm(frame, y, feedback).tanh()
            y = torch.addmm(self.output.bias, hidden, to_output).tanh()
            outputs.append(y)
        return torch.stack(outputs, 1), y


def recurrence_of(config: RecurrentConfig) -> type[Elman | Jordan | Lstm | Gru]:
    """The module, of (d_in, units), that passes over the frames in one direction."""
    if isinstance(config, RnnConfig):
        return Jordan if config.feedback == "output" else Elman
    return Lstm if config.encoder == "lstm" else Gru
