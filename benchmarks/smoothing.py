"""Over-smoothing: do the frames of an utterance become alike with depth?

    python benchmarks/smoothing.py WORKSPACE [--utterances 20] [RUN …]

For graph networks of zoo/gcn and zoo/gat with many layers, before training, with and without the
residual, and for the finished runs that are named, layer by layer: the mean cosine between two
frames of an utterance, and the Dirichlet energy between a frame and the next. 1 and 0: all alike.
What is the same in all frames of all utterances is taken off before, as a linear layer could.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kaggle_hw4.data.corpus import open_corpus
from kaggle_hw4.data.segments import FrameStore, Segments
from kaggle_hw4.inference.weights import read_weights
from kaggle_hw4.models.build import build_model
from kaggle_hw4.models.classifier import SpeakerNetwork
from kaggle_hw4.padding import Mask, zero_padding
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.runs import Run
from kaggle_hw4.workspace import Workspace

LAYERS = 16
SHOWN = (0, 1, 2, 4, 8, 16)  # 0: what the stem gives to the first layer
FRAMES = 300  # of each utterance, at the most


def mean_cosine(x: Tensor, mask: Mask) -> float:
    """The mean cosine between two different real frames of x (B, T, D), over utterances."""
    real = zero_padding(torch.nn.functional.normalize(x.double(), dim=-1), mask)
    n = torch.full((len(x),), x.shape[1]) if mask is None else mask.sum(1)
    pairs = real.sum(1).square().sum(-1) - n  # each of n frames is at a cosine of 1 to itself
    several = n > 1
    return float((pairs[several] / (n * (n - 1))[several]).mean())


def dirichlet_energy(x: Tensor, mask: Mask) -> float:
    """The mean squared difference of two frames in a row, over twice the mean square of a frame: 0
    where all are alike, 1 where they are unrelated.
    """
    x = x.double()
    both = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
    pairs = both[:, 1:] & both[:, :-1]
    difference = (x[:, 1:] - x[:, :-1]).square().sum(-1)[pairs].mean()
    return float(difference / (2 * x.square().sum(-1)[both].mean()))


@torch.inference_mode()
def by_layer(network: SpeakerNetwork, features: Tensor, mask: Mask) -> list[tuple[float, float]]:
    """Both measures of the stem's output and of that of each layer, less the mean of all frames."""
    encoder = network.encoder
    x, mask = encoder.stem(network.frontend(features, mask), mask)
    outputs = [x]
    for layer in encoder.layers:
        outputs.append(layer(outputs[-1], mask))
    real = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
    centred = [each - each[real].mean(0) for each in outputs]
    return [(mean_cosine(each, mask), dirichlet_energy(each, mask)) for each in centred]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--utterances", type=int, default=20)
    arguments = parser.parse_args()
    place = Workspace.at(arguments.workspace)
    corpus = open_corpus(place.corpus)
    rows = corpus.test[:: max(1, len(corpus.test) // arguments.utterances)]
    cut = Segments(rows, np.zeros_like(rows), np.minimum(corpus.lengths[rows], FRAMES))
    features, mask = FrameStore(corpus, torch.device("cpu")).gather(cut)
    print("| | " + " | ".join(f"layer {n}" for n in SHOWN) + " |")
    print("|---" * (len(SHOWN) + 1) + "|")
    for variant in ("zoo/gcn", "zoo/gat"):
        for residual in ("false", "true"):
            settings = [f"networks.n_layers={LAYERS}", f"networks.residual={residual}"]
            recipe = read_recipe(place.variant(variant), [*settings, "networks.aggregation=false"])
            torch.manual_seed(0)
            model = build_model(recipe, len(corpus.speakers), corpus.n_mels).eval()
            name = f"{variant}, {'with' if residual == 'true' else 'no'} residual, untrained"
            print(line(name, by_layer(model.networks[0], features, mask)))
    for run in map(Run, arguments.runs):
        model = build_model(run.recipe(), len(corpus.speakers), corpus.n_mels).eval()
        read_weights(run.folder / "ema.safetensors", model)
        print(line(run.name, by_layer(model.networks[0], features, mask)))


def line(name: str, values: list[tuple[float, float]]) -> str:
    cells = [f"{values[n][0]:.2f}, {values[n][1]:.2g}" if n < len(values) else "" for n in SHOWN]
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
