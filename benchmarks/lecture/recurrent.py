"""Chapters 6 and 7: what a recurrence remembers, and the gates of an LSTM over time."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.lecture.claims import Claim, small
from benchmarks.lecture.lab import Lab, captured
from benchmarks.lecture.pictures import Labels, log10, over_frames
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.report.plots import Series, lines

RECURRENT = {
    "Elman": "zoo/elman",
    "Jordan": "zoo/jordan",
    "GRU": "zoo/gru",
    "LSTM": "zoo/lstm",
    "bidirectional LSTM": "zoo/bilstm",
}
REACH = 60  # frames on each side of the middle one
UTTERANCES = 24
SMALLEST = 1e-8  # that is drawn, of the gradient at the frame itself
FADED = 0.01  # of the gradient at the frame itself


def forgetting(lab: Lab) -> tuple[Claim, str]:
    """The gradient of a state with respect to the frames around it, on test utterances."""
    sensitivity = {
        kind: np.mean([influence(m, lab) for m in lab.train(name)], axis=0)
        for kind, name in RECURRENT.items()
    }
    offsets = np.arange(-REACH, REACH + 1)
    rows, reach = [], {}
    for kind, values in sensitivity.items():
        relative = values / values[REACH]
        back = relative[:REACH][::-1]  # one frame before, two before, …
        faded = np.flatnonzero(back < FADED)
        reach[kind] = int(faded[0]) + 1 if len(faded) else REACH + 1
        cells = [f"{100 * back[k - 1]:.2g} %" for k in (5, 20, REACH)]
        ahead = f"{100 * relative[REACH + 20]:.2g} %"
        last = f"> {REACH}" if reach[kind] > REACH else str(reach[kind])
        rows.append((f"{kind} (`{RECURRENT[kind]}`)", *cells, last, ahead))
    svg = lines(
        Labels(
            "memory", "What a state remembers", "", "frame, seen from the state's own",
            "log10 of the gradient",
        ),
        [
            Series(kind, offsets[shown], log10(values[shown] / values[REACH]))
            for kind, values in sensitivity.items()
            for shown in [values > SMALLEST * values[REACH]]
        ],
    )  # fmt: skip
    return Claim(
        "forgetting",
        "RNNs forget: long memories fade",
        f"in Elman's and Jordan's networks the gradient has fallen below {100 * FADED:g} % "
        f"within {REACH} frames",
        max(reach["Elman"], reach["Jordan"]) <= REACH,
        ("network", "5 frames before", "20 before", f"{REACH} before",
         "frames until 1 %", "20 frames after"),
        tuple(rows),
        "memory",
        "The gradient of the state at a frame with respect to the input of the frames around it, "
        "in percent of that of its own frame (logarithms; means over test utterances and seeds, "
        "first layer). What comes after is seen by the bidirectional network alone.",
    ), svg  # fmt: skip


def influence(model: SpeakerClassifier, lab: Lab) -> npt.NDArray[np.float64]:
    """Norms (2 · REACH + 1,) of the gradient of the first layer's state in the middle of an
    utterance with respect to the layer's input at the frames around it.
    """
    layer = model.networks[0].encoder.layers[0]
    norms = []
    for x in sorted(lab.test, key=len)[-UTTERANCES:]:
        middle = len(x) // 2
        with torch.no_grad(), captured(layer.norm) as calls:
            model.embed(x[None], None)
        inputs = calls[0][1].clone().requires_grad_()
        state = states(layer, inputs)[0, middle]
        direction = torch.randn(len(state), generator=torch.Generator().manual_seed(0))
        (gradient,) = torch.autograd.grad(state @ direction, inputs)
        padded = np.pad(gradient[0].norm(dim=1).numpy(), REACH, constant_values=np.nan)
        norms.append(padded[middle : middle + 2 * REACH + 1])
    return np.asarray(np.nanmean(norms, axis=0))


def states(layer: torch.nn.Module, inputs: Tensor) -> Tensor:
    """The states (B, T, units) of a recurrent layer, of both directions if it has two."""
    forwards = layer.forwards(inputs)[0]
    if layer.backwards is None:
        return forwards
    return torch.cat([forwards, layer.backwards(inputs.flip(1))[0].flip(1)], -1)


def lstm_by_hand(x: Tensor, lstm: torch.nn.LSTM) -> tuple[Tensor, dict[str, Tensor]]:
    """The outputs (T, units) of an LSTM on x (T, D), by the notes' formulas, and its gates."""
    W, U = lstm.weight_ih_l0, lstm.weight_hh_l0
    bias = lstm.bias_ih_l0 + lstm.bias_hh_l0
    h = cell = x.new_zeros(lstm.hidden_size)
    outputs, gates = [], []
    for frame in x:
        z_input, z_forget, z, z_output = (W @ frame + U @ h + bias).chunk(4)
        store, keep, show = (part.sigmoid() for part in (z_input, z_forget, z_output))
        cell = keep * cell + store * z.tanh()
        h = show * cell.tanh()
        outputs.append(h)
        gates.append(torch.stack([store, keep, show]))
    stacked = torch.stack(gates)  # (T, 3, units)
    named = {name: stacked[:, k] for k, name in enumerate(("input", "forget", "output"))}
    return torch.stack(outputs), named


@torch.inference_mode()
def gates(lab: Lab) -> tuple[Claim, str]:
    """The gates of the first layer over an utterance, by hand, against PyTorch's output."""
    differences, rows, curves = [], [], {}
    for k, model in enumerate(lab.train("zoo/lstm")):
        layer = model.networks[0].encoder.layers[0]
        with captured(layer.forwards) as calls:
            model.embed(lab.longest[None], None)
        outputs, named = lstm_by_hand(calls[0][0][0][0], layer.forwards)
        differences.append(float((outputs - calls[0][1][0][0]).abs().max()))
        loud = lab.longest.mean(1).numpy()
        for name, values in named.items():
            unit = values[:, values.std(0).argmax()].numpy()  # the one that moves most
            cells = (
                f"{float(values.mean()):.2f}",
                f"{unit.min():.2f} to {unit.max():.2f}",
                f"{np.corrcoef(unit, loud)[0, 1]:+.2f}",
            )
            rows.append((f"{name} gate, seed {lab.seeds[k]}", *cells))
            if k == 0:
                curves[f"{name} gate"] = unit
    rows.append(("largest difference from PyTorch's output", small(max(differences)), "", ""))
    labels = Labels("gates", "LSTM gates over time", "", "seconds", "gate: 0 shut, 1 open")
    return Claim(
        "gates",
        "Input, output and forget gates decide what is stored, read and dropped",
        "the gates computed by hand from the weights give PyTorch's output to 1e-5",
        max(differences) < 1e-5,
        ("gate", "mean opening", "the unit that moves most", "its correlation with loudness"),
        tuple(rows),
        "gates",
        "For each gate of the first layer the unit that moves most, below the utterance's frames.",
    ), over_frames(labels, lab.longest.numpy(), curves)
