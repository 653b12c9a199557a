"""Chapter 8: the spectral side of graph networks, and what depth does to their nodes."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from benchmarks.lecture.claims import Claim, accuracy, difference, small
from benchmarks.lecture.lab import Lab
from benchmarks.lecture.pictures import Labels
from benchmarks.smoothing import by_layer, dirichlet_energy, mean_cosine
from kaggle_hw4.models.build import build_model
from kaggle_hw4.models.graph import EdgeMean, frame_graph
from kaggle_hw4.padding import mean_of, zero_padding
from kaggle_hw4.report.plots import Series, lines

DEPTHS = (2, 6)
KINDS = {
    "GCN": ("zoo/gcn", False),
    "GCN, residual": ("zoo/gcn", True),
    "GAT": ("zoo/gat", False),
    "GAT, residual": ("zoo/gat", True),
}
TRAINED = (("GCN", False), ("GCN", True))  # readout
DEEPEST = 16
SHOWN = (0, 1, 2, 4, 8, 16)
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
        ("frames in a row: least absolute cosine of an eigenvector with that of the DCT",
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


Layers = npt.NDArray[np.float64]  # (DEEPEST + 1, 2): mean cosine and energy behind each layer


def padded(lab: Lab) -> tuple[Tensor, Tensor]:
    """Some test utterances (B, T, n_mels) and their mask."""
    utterances = lab.test[:UTTERANCES]
    lengths = torch.tensor([len(x) for x in utterances])
    x = pad_sequence(utterances, batch_first=True)
    return x, torch.arange(x.shape[1]) < lengths[:, None]


@torch.inference_mode()
def alike_by_layer(lab: Lab, name: str, residual: bool, seed: int) -> Layers:
    """How alike frames are behind the stem and behind each of many layers, untrained."""
    torch.manual_seed(seed)
    recipe = lab.recipe(name, n_layers=DEEPEST, residual=residual, aggregation=False)
    model = build_model(recipe, len(lab.corpus.speakers), lab.corpus.n_mels).eval()
    [network] = model.networks
    return np.array(by_layer(network, *padded(lab)))


@torch.inference_mode()
def alike_by_averaging(lab: Lab) -> Layers:
    """The same of D^-½ A D^-½ applied again and again to the frames, without any weights."""
    x, mask = padded(lab)
    x = zero_padding(x - mean_of(x, mask).unsqueeze(1), mask)
    edges = frame_graph(x, mask, time_neighbours=2, feature_neighbours=8).float()
    scale = edges.sum(-1).rsqrt()
    matrix, behind = edges * scale.unsqueeze(1) * scale.unsqueeze(2), [x]
    for _ in range(DEEPEST):
        behind.append(matrix @ behind[-1])
    centred = [each - each[mask].mean(0) for each in behind]
    return np.array([(mean_cosine(each, mask), dirichlet_energy(each, mask)) for each in centred])


def measure_all(lab: Lab) -> dict[str, npt.NDArray[np.float64]]:
    """By kind of network: (seeds, DEEPEST + 1, 2)."""
    values = {
        kind: np.array([alike_by_layer(lab, name, residual, seed) for seed in lab.seeds])
        for kind, (name, residual) in KINDS.items()
    }
    return {"averaging, no weights": alike_by_averaging(lab)[None]} | values


def smoothing(lab: Lab) -> tuple[Claim, str]:
    """How alike frames are by depth, with random weights: what the averaging does."""
    values = measure_all(lab)
    rows = [
        (kind, *(f"{each.mean(0)[n, 0]:.2f}, {each.mean(0)[n, 1]:.2f}" for n in SHOWN))
        for kind, each in values.items()
    ]
    depths = np.arange(DEEPEST + 1)
    labels = Labels(
        "smoothing", "Likeness of frames by depth", "", "layers", "mean cosine of two frames"
    )
    svg = lines(
        labels,
        [
            Series(kind, depths, v[..., 0].mean(0), v[..., 0].min(0), v[..., 0].max(0))
            for kind, v in values.items()
        ],
    )
    bare = [values[kind].mean(0) for kind in ("averaging, no weights", "GCN", "GAT")]
    return Claim(
        "smoothing",
        "Averaging makes nodes alike as depth grows (over-smoothing)",
        "for averaging alone, and for a GCN and a GAT without residual, two frames have a higher "
        "mean cosine behind 16 layers than behind 2, and neighbours differ less",
        all(each[16, 0] > each[2, 0] and each[16, 1] < each[2, 1] for each in bare),
        ("layers: mean cosine, energy", *(str(depth) for depth in SHOWN)),
        tuple(rows),
        "smoothing",
        "Mean cosine of two frames of an utterance behind so many layers of random weights; band: "
        "over seeds.",
    ), svg


def residual(lab: Lab) -> Claim:
    """Whether a residual keeps frames apart."""
    values, rows, kept = measure_all(lab), [], []
    for kind in ("GCN", "GAT"):
        bare, added = (values[k].mean(0)[-1] for k in (kind, f"{kind}, residual"))
        kept.append(added[0] < bare[0] and added[1] > bare[1])
        cells = [f"{number:.2f}" for pair in zip(bare, added, strict=True) for number in pair]
        rows.append((kind, *cells))
    return Claim(
        "residual",
        "A residual keeps nodes apart in deep stacks",
        "behind 16 layers, with a residual, two frames have a lower mean cosine and neighbours "
        "differ more, in a GCN and in a GAT",
        all(kept),
        ("network", "cosine without", "with residual", "energy without", "with residual"),
        tuple(rows),
    )


def depth(lab: Lab) -> Claim:
    """Accuracy of trained GCNs by their depth, and of a readout over all layers."""
    rows, hits = [], {}
    for kind, readout in TRAINED:
        name, residual = KINDS[kind]
        hits[kind, readout] = [
            lab.hits(lab.train(name, n_layers=n, residual=residual, aggregation=readout))
            for n in DEPTHS
        ]
        label = f"{kind}, {'readout over all layers' if readout else 'last layer'}"
        rows.append((label, *(accuracy(each) for each in hits[kind, readout])))
    bare, read = (hits["GCN", readout] for readout in (False, True))
    lost = difference(bare[-1], bare[0], lab.speakers)
    gained = difference(read[-1], bare[-1], lab.speakers)
    rows += [
        (f"GCN, last layer: {DEPTHS[-1]} layers less {DEPTHS[0]}, points", "", str(lost)),
        (f"GCN, {DEPTHS[-1]} layers: readout less last layer, points", "", str(gained)),
    ]
    return Claim(
        "depth",
        "Depth costs a graph network accuracy, and a readout over all layers keeps it",
        "the GCN of six layers without residual is below that of two by more than two standard "
        "errors, and with a readout over all layers above itself by as much",
        lost.is_loss and gained.is_gain,
        ("layers", *(str(n) for n in DEPTHS)),
        tuple(rows),
    )
