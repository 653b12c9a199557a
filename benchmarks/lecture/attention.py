"""Chapters 3 to 5: self-attention by its matrices, order, truncation and heads."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.lecture.claims import Claim, accuracy, difference, small
from benchmarks.lecture.lab import FRAMES, Lab, captured
from benchmarks.lecture.pictures import Labels, image
from kaggle_hw4.models.attention import SelfAttention
from kaggle_hw4.report.plots import Series, lines

POSITIONS = {"none": "zoo/transformer", "sinusoidal": "zoo/sinusoidal", "rotary": "zoo/rotary"}
LENGTHS = (600, 1200, 2400, 4800, 7193)  # the last: the competition's longest utterance
WINDOW = 50


def shuffled(x: Tensor, random: np.random.Generator) -> Tensor:
    return x[random.permutation(len(x))]


def reversed_(x: Tensor, _random: np.random.Generator) -> Tensor:
    return x.flip(0)


def swapped(x: Tensor, _random: np.random.Generator) -> Tensor:
    """Every two neighbouring frames in each other's place."""
    even = len(x) // 2 * 2
    pairs = x[:even].unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
    return torch.cat([pairs, x[even:]])


def relative_change(first: Tensor, second: Tensor) -> float:
    """The mean distance of embeddings, over the norm of the first."""
    return float(((first - second).norm(dim=1) / first.norm(dim=1)).mean())


def matrices(x: Tensor, attention: SelfAttention) -> tuple[Tensor, Tensor]:
    """The weights (heads, T, T) and output (T, D) of self-attention, by the notes' formulas."""
    T, D = x.shape
    q, k, v = (x @ attention.qkv.weight.t() + attention.qkv.bias).chunk(3, dim=1)
    d = D // attention.n_heads
    q, k, v = (part.view(T, attention.n_heads, d).transpose(0, 1) for part in (q, k, v))
    weights = (q @ k.transpose(1, 2) / d**0.5).softmax(-1)
    heads = (weights @ v).transpose(0, 1).reshape(T, D)
    return weights, heads @ attention.out.weight.t() + attention.out.bias


@torch.inference_mode()
def formulas(lab: Lab) -> tuple[Claim, str]:
    """The formulas of the notes against hw4's layer, and a picture of the weights."""
    model = lab.train("zoo/transformer")[0]
    layers = [m for m in model.modules() if isinstance(m, SelfAttention)]
    with captured(*layers) as calls:
        model.embed(lab.longest[None], None)
    by_hand = [matrices(c[0][0][0], layer) for layer, c in zip(layers, calls, strict=True)]
    changes = [
        float((out - call[1][0]).abs().max()) for (_, out), call in zip(by_hand, calls, strict=True)
    ]
    weights = by_hand[-1][0]
    T = weights.shape[1]
    effective = (-(weights * weights.clamp_min(1e-12).log()).sum(-1)).exp().mean(1)
    head = int(effective.argmin())  # the most selective one
    rows = [(f"layer {i + 1}: largest difference", small(c)) for i, c in enumerate(changes)]
    rows += [
        (f"frames that head {h + 1} of the last layer attends to, of {T}", f"{float(e):.0f}")
        for h, e in enumerate(effective)
    ]
    labels = Labels("attention", "Attention weights", "", "key, seconds", "query, seconds")
    return Claim(
        "matrices",
        "Q, K, V = I·W, A′ = softmax(QKᵀ/√d), O = A′V, computed by hand, are hw4's layer",
        "the outputs are equal to 1e-4",
        max(changes) < 1e-4,
        ("what", "value"),
        tuple(rows),
        "attention",
        "The weights A′ of the most selective head of the last layer, over a test utterance: "
        "each row is a query and sums to 1; yellow is much, in logarithms.",
    ), image(labels, weights[head].clamp_min(1e-5).log().numpy())


def order(lab: Lab) -> Claim:
    """Embeddings and accuracy when the frames of every test utterance are shuffled."""
    rows, changes = [], {}
    for positions, name in POSITIONS.items():
        models = lab.train(name)
        plain = lab.hits(models)
        mixed, back = lab.hits(models, after=shuffled), lab.hits(models, after=reversed_)
        pairs = [(lab.embed(m), lab.embed(m, after=shuffled)) for m in models]
        changes[positions] = max(relative_change(*pair) for pair in pairs)
        cells = (small(changes[positions]), accuracy(plain), accuracy(mixed), accuracy(back))
        loss = difference(mixed, plain, lab.speakers)
        rows.append((f"`{name}`", *cells, str(loss)))
    return Claim(
        "order",
        "Without positions, attention cannot tell orders apart",
        "shuffled frames give the same embedding, to 1e-5 of its length, without positions, and "
        "another one, by 1 % of it at least, with them",
        changes.pop("none") < 1e-5 and min(changes.values()) > 0.01,
        ("recipe", "change of the embedding", "in order, %", "shuffled, %", "reversed, %",
         "shuffled less in order, points"),
        tuple(rows),
    )  # fmt: skip


def positions_help(lab: Lab) -> Claim:
    """What positions are worth: on whole utterances, and on as many frames as were trained on."""
    rows = []
    for kind in ("sinusoidal", "rotary"):
        gains = []
        for change in (None, beginning):
            with_positions, without = (
                lab.hits(lab.train(POSITIONS[each]), after=change) for each in (kind, "none")
            )
            gains.append(str(difference(with_positions, without, lab.speakers)))
        rows.append((kind, *gains))
    return Claim(
        "positions",
        "A positional vector may help or not",
        "there is nothing to be true or false; the gain of each kind over none, in points",
        None,
        ("positions", "whole utterances", f"their first {FRAMES} frames"),
        tuple(rows),
    )


def beginning(x: Tensor, _random: np.random.Generator) -> Tensor:
    """As many frames as a training segment has."""
    return x[:FRAMES]


class LargestTensor(TorchDispatchMode):
    """Remembers the largest tensor that is made meanwhile, in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, tuple | list) else (out,):
            if isinstance(value, Tensor):
                self.bytes = max(self.bytes, value.untyped_storage().nbytes())
        return out


def truncation(_lab: Lab) -> tuple[Claim, str]:
    """Time and largest tensor of one attention layer by the length of an utterance."""
    torch.manual_seed(0)
    layers = {
        "all frames": SelfAttention(64, 4, 0.1, rotary=False),
        f"{WINDOW} on each side": SelfAttention(64, 4, 0.1, rotary=False, window=WINDOW),
    }
    seconds = {name: [time_of(layer, T) for T in LENGTHS] for name, layer in layers.items()}
    memory = {name: [largest_of(layer, T) for T in LENGTHS] for name, layer in layers.items()}
    rows = [
        (
            f"{T:,}",
            *(f"{seconds[n][i]:.2f}" for n in layers),
            *(megabytes(memory[n][i]) for n in layers),
        )
        for i, T in enumerate(LENGTHS)
    ]
    slopes = [slope(values[name]) for values in (seconds, memory) for name in layers]
    rows.append(("exponent of the length", *(f"{value:.2f}" for value in slopes)))
    svg = lines(
        Labels("truncation", "Seconds by length", "", "frames", "seconds, forward and backward"),
        [Series(name, LENGTHS, values) for name, values in seconds.items()],
    )
    heads = [f"s, {name}" for name in layers] + [f"MB, {name}" for name in layers]
    return Claim(
        "truncation",
        "Attention's cost grows with the square of the length; truncated, with the length",
        "the exponents of the length, of time and of the largest tensor, are nearer to 2 than to 1 "
        "for all frames, and nearer to 1 for a window",
        min(slopes[0], slopes[2]) > 1.5 and max(slopes[1], slopes[3]) < 1.5,
        ("frames", *heads),
        tuple(rows),
        "truncation",
        "A training step of one layer of width 64 with four heads, by the length of the utterance.",
    ), svg


def step_of(layer: SelfAttention, T: int) -> Callable[[], None]:
    x = torch.randn(1, T, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    return lambda: layer(x, None).square().mean().backward()


def time_of(layer: SelfAttention, T: int, tries: int = 5) -> float:
    """The least of some forward and backward passes in training, in seconds."""
    step, times = step_of(layer.train(), T), []
    for _ in range(tries):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return min(times)


def largest_of(layer: SelfAttention, T: int) -> int:
    with LargestTensor() as largest:
        step_of(layer.train(), T)()
    return largest.bytes


def megabytes(value: float) -> str:
    return f"{value / 1e6:,.1f}"


def slope(values: list[float]) -> float:
    """The exponent of the length that the last values grow with."""
    return float(np.polyfit(np.log(LENGTHS[1:]), np.log(values[1:]), 1)[0])


@torch.inference_mode()
def heads(lab: Lab) -> Claim:
    """A trained layer with its heads, and as one head of the same weights; shared values."""
    models = lab.train("zoo/transformer")
    several = lab.hits(models)
    before = [lab.embed(m) for m in models]
    layers = [m for model in models for m in model.modules() if isinstance(m, SelfAttention)]
    count = layers[0].n_heads
    for layer in layers:
        layer.n_heads = 1
    single, after = lab.hits(models), [lab.embed(m) for m in models]
    for layer in layers:
        layer.n_heads = count
    change = np.mean([relative_change(*pair) for pair in zip(before, after, strict=True)])
    q, k, v = shared_values()
    scores = (q @ k.transpose(1, 2)) / q.shape[-1] ** 0.5
    large = scores.sum(0)  # the dot product of the concatenated queries and keys
    linear = float(((scores @ v).sum(0) - large @ v).abs().max())
    softmax = float(((scores.softmax(-1) @ v).mean(0) - large.softmax(-1) @ v).abs().max())
    own = scores @ torch.stack([v, v.flip(0), -v, v.roll(1, 0)])
    own_large = large @ torch.stack([v, v.flip(0), -v, v.roll(1, 0)])
    loss = difference(single, several, lab.speakers)
    rows = (
        (f"trained model, {count} heads joined to one: change of embedding", small(float(change))),
        ("the same: accuracy with its heads, %", accuracy(several)),
        ("the same: accuracy as one head, %", accuracy(single)),
        ("the same: difference, points", str(loss)),
        ("random q and k, shared values, no softmax: largest difference", small(linear)),
        ("random q and k, shared values, softmax: largest difference", small(softmax)),
        ("random q and k, own values, no softmax: largest difference",
         small(float((own - own_large).abs().max()))),
    )  # fmt: skip
    return Claim(
        "heads",
        "Because softmax is not linear, splitting before it is not the same as one large head",
        "a trained model's embeddings change by more than 1 % of their length; and with values "
        "that are shared by the heads the difference is gone without the softmax",
        bool(change > 0.01 and linear < 1e-4 < softmax),
        ("what", "value"),
        rows,
    )


def shared_values() -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys (4, 30, 8) of four heads, and values (30, 8) that they share."""
    random = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 4, 30, 8, generator=random)
    return q, k, torch.randn(30, 8, generator=random)
