"""Chapter 8: the spectral side of graph networks, and what depth does to their nodes."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.lecture.claims import Claim, accuracy, mean_and_spread, small
from benchmarks.lecture.lab import Lab, captured
from benchmarks.lecture.pictures import Labels
from kaggle_hw4.models.build import build_model
from kaggle_hw4.models.graph import EdgeMean
from kaggle_hw4.report.plots import Series, lines

DEPTHS = (1, 2, 4, 8)
KINDS = {
    "GCN": ("zoo/gcn", False),
    "GCN, residual": ("zoo/gcn", True),
    "GAT": ("zoo/gat", False),
    "GAT, residual": ("zoo/gat", True),
}
DEEPEST = 16
UTTERANCES = 12


def chain(T: int) -> Tensor:
    """The edges (T, T) of frames in a row, with self loops."""
    t = torch.arange(T)
    return (t[:, None] - t).abs() <= 1


@torch.inference_mode()
def spectral(_lab: Lab) -> Claim:
    """The Laplacian of frames in a row, its eigenvectors, and GCN as gather, average, linear."""
    T = 50
    weights = chain(T).double() - torch.eye(T).double()
    laplacian = torch.diag(weights.sum(1)) - weights
    values, vectors = torch.linalg.eigh(laplacian)
    t, k = torch.arange(T).double() + 0.5, torch.arange(T).double()
    cosines = F.normalize(torch.cos(torch.pi * t[:, None] * k / T), dim=0)
    likeness = (vectors * cosines).sum(0).abs().min()
    # A filter of first order reaches one edge far; a filter of all frequencies, any node.
    local = vectors @ torch.diag(1 - values / 4) @ vectors.t()
    free = vectors @ torch.diag((values > 1).double()) @ vectors.t()
    reach = [int((matrix[T // 2].abs() > 1e-9).sum()) for matrix in (local, free)]
    layer = EdgeMean(8)
    x = torch.randn(1, T, 8, generator=torch.Generator().manual_seed(0))
    edges = chain(T)[None]
    degrees = edges.float().sum(-1)
    averaged = torch.stack([
        sum(x[0, j] / (degrees[0, i] * degrees[0, j]).sqrt() for j in range(T) if edges[0, i, j])
        for i in range(T)
    ])  # fmt: skip
    by_hand = F.relu(averaged @ layer.linear.weight.t() + layer.linear.bias)
    change = float((by_hand - layer(x, edges)[0]).abs().max())
    rows = (
        ("frames in a row: smallest |cosine| of an eigenvector with its cosine of the DCT",
         f"{float(likeness):.6f}"),
        ("nodes that a filter of first order reaches", str(reach[0])),
        (f"nodes that a filter free in all frequencies reaches, of {T}", str(reach[1])),
        ("GCN's layer, less gather, average and linear by hand", small(change)),
    )  # fmt: skip
    return Claim(
        "spectral",
        "Fourier analysis by the Laplacian's eigenvectors is not local; GCN is its first-order "
        "approximation: gather neighbours and oneself, average, a linear layer",
        "the eigenvectors of frames in a row are the discrete cosines, a first-order filter "
        "reaches neighbours alone, and GCN's layer is the sum computed by hand to 1e-5",
        bool(likeness > 0.999999 and reach[0] == 3 and reach[1] > 3 and change < 1e-5),
        ("what", "value"),
        rows,
    )


def likeness(nodes: Tensor) -> float:
    """The mean cosine of every two nodes of an utterance (T, D)."""
    unit = F.normalize(nodes, dim=1)
    T = len(nodes)
    return float((unit.sum(0).square().sum() - T) / (T * (T - 1)))


@torch.inference_mode()
def likeness_by_layer(lab: Lab, name: str, residual: bool, seed: int) -> list[float]:
    """The likeness of nodes behind the stem and behind each of many layers, untrained."""
    torch.manual_seed(seed)
    recipe = lab.recipe(name, n_layers=DEEPEST, residual=residual, aggregation=False)
    model = build_model(recipe, len(lab.corpus.speakers), lab.corpus.n_mels).eval()
    encoder = model.networks[0].encoder
    sums = np.zeros(DEEPEST + 1)
    for x in lab.test[:UTTERANCES]:
        with captured(*encoder.layers) as calls:
            model.embed(x[None], None)
        nodes = [calls[0][0][0], *(output for _, output in calls)]
        sums += [likeness(each[0]) for each in nodes]
    return list(sums / UTTERANCES)


def smoothing(lab: Lab) -> tuple[Claim, str]:
    """Likeness of nodes against depth, with random weights: what the averaging alone does."""
    curves = {
        kind: np.array([likeness_by_layer(lab, name, residual, s) for s in lab.seeds])
        for kind, (name, residual) in KINDS.items()
    }
    shown = (0, 1, 2, 4, 8, 16)
    rows = [
        (kind, *(mean_and_spread(values[:, depth]) for depth in shown))
        for kind, values in curves.items()
    ]
    depths = np.arange(DEEPEST + 1)
    svg = lines(
        Labels("smoothing", "Likeness of nodes by depth", "", "layers", "mean cosine of two nodes"),
        [
            Series(kind, depths, v.mean(0), v.min(0), v.max(0))
            for kind, v in curves.items()
        ],
    )  # fmt: skip
    bare = curves["GCN"].mean(0)
    return Claim(
        "smoothing",
        "Averaging makes nodes alike as depth grows (over-smoothing)",
        "without a residual, the mean cosine of two nodes of a GCN is above 0.95 at 16 layers, "
        "higher than behind 2, and higher than with a residual",
        bool(bare[-1] > max(0.95, bare[2], curves["GCN, residual"].mean(0)[-1])),
        ("layers", *(str(depth) for depth in shown)),
        tuple(rows),
        "smoothing",
        "Mean cosine of two frames behind so many layers of random weights; band: over seeds.",
    ), svg  # fmt: skip


def depth(lab: Lab) -> Claim:
    """Accuracy of trained GCNs and GATs by their depth, and of a readout over all layers."""
    rows, hits = [], {}
    for kind, (name, residual) in KINDS.items():
        for readout in (False, True):
            hits[kind, readout] = [
                lab.hits(lab.train(name, n_layers=n, residual=residual, aggregation=readout))
                for n in DEPTHS
            ]
            label = f"{kind}, {'readout over all layers' if readout else 'last layer'}"
            rows.append((label, *(accuracy(each) for each in hits[kind, readout])))
    bare, read = (hits["GCN", readout] for readout in (False, True))
    return Claim(
        "depth",
        "A readout over all layers keeps what deep layers lose",
        "the GCN of eight layers without residual is more accurate with a readout over all layers "
        "than from the last alone, and the last alone is worse than of two layers",
        bool(read[3].mean() > bare[3].mean() and bare[3].mean() < bare[1].mean()),
        ("layers", *(str(n) for n in DEPTHS)),
        tuple(rows),
    )
