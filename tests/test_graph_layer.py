"""Graph layers: which frames have an edge; GCN and GAT against their formulas, frame by frame."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kaggle_hw4.models.build import build_model
from kaggle_hw4.models.graph import EdgeAttention, EdgeMean, GraphLayer, frame_graph
from tests.conftest import tiny
from tests.test_models import batch

T = 12


def edges_of(mask: Tensor | None = None, count: int = 2) -> tuple[Tensor, Tensor]:
    """Frames (2, T, 8), and the graph (2, T, T) of them."""
    x = torch.randn(2, T, 8, generator=torch.Generator().manual_seed(0))
    return x, frame_graph(x, mask, 1, count)


def test_edges_are_symmetric_and_lead_to_neighbours_in_time_and_to_oneself() -> None:
    _, edges = edges_of()
    assert torch.equal(edges, edges.transpose(1, 2))
    t = torch.arange(T)
    assert edges[:, (t[:, None] - t).abs() <= 1].all()


def test_edges_lead_to_the_most_similar_frames_beyond() -> None:
    x, edges = edges_of()
    for i in range(T):
        far = [j for j in range(T) if abs(i - j) > 1]
        far.sort(key=lambda j: -float(F.cosine_similarity(x[0, i], x[0, j], dim=0)))
        assert edges[0, i, far[:2]].all()
    assert int(edges[0].sum()) <= T * (3 + 2 * 2)


def test_no_edge_leads_into_the_padding() -> None:
    mask = torch.arange(T) < torch.tensor([[T], [5]])
    x, edges = edges_of(mask)
    assert torch.equal(edges[1, 5:], torch.eye(T, dtype=torch.bool)[5:])
    assert torch.equal(edges[1, :5, :5], frame_graph(x[1:, :5], None, 1, 2)[0])


def test_a_lone_frame_has_an_edge_to_itself() -> None:
    assert frame_graph(torch.randn(1, 1, 8), None, 2, 8).tolist() == [[[True]]]


def test_a_gcn_is_the_first_order_formula() -> None:
    x, edges = edges_of()
    layer = EdgeMean(8)
    for n in range(2):
        neighbours = edges[n].float() - torch.eye(T)  # A, whose self loops the formula adds
        looped = neighbours + torch.eye(T)
        root = torch.diag(looped.sum(1) ** -0.5)
        expected = (root @ looped @ root @ x[n] @ layer.linear.weight.T + layer.linear.bias).relu()
        torch.testing.assert_close(layer(x, edges)[n], expected, atol=1e-6, rtol=0)


@torch.no_grad()
def test_a_gat_attends_to_the_frames_that_it_has_an_edge_to() -> None:
    x, edges = edges_of()
    layer = EdgeAttention(8, 2)
    y = layer(x, edges)
    for i in range(T):
        near = edges[0, i].nonzero().flatten().tolist()
        for head in range(2):
            part = slice(4 * head, 4 * head + 4)
            values = layer.linear(x[0])[:, part]
            query, key = layer.of_query[head, 0], layer.of_key[head, 0]
            raw = [float(values[i] @ query + values[j] @ key) for j in near]
            scores = [math.exp(s if s > 0 else 0.2 * s) for s in raw]
            mean = sum(s * values[j] for s, j in zip(scores, near, strict=True)) / sum(scores)
            torch.testing.assert_close(y[0, i, part], F.elu(mean), atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", ["zoo/gat", "zoo/gcn"])
def test_a_graph_without_a_residual_is_its_sum_over_edges(variant: str) -> None:
    config = tiny(variant).networks[0]
    torch.manual_seed(0)
    added = GraphLayer(config, 0).eval()
    alone = GraphLayer(config.model_copy(update={"residual": False}), 0).eval()
    alone.load_state_dict(added.state_dict())
    x, mask = torch.randn(3, 50, 16), batch()[1]
    torch.testing.assert_close(x + alone(x, mask), added(x, mask))


@torch.no_grad()
@pytest.mark.parametrize("variant", ["zoo/gat", "zoo/gcn"])
def test_graphs_one_at_a_time_or_all_at_once(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = GraphLayer(tiny(variant).networks[0], 0).eval()
    x, mask = torch.randn(3, 50, 16), batch()[1]
    results = []
    for pairs in (50**2, 3 * 50**2):
        monkeypatch.setattr("kaggle_hw4.models.graph.CACHED", pairs)
        results.append(layer(x, mask))
    torch.testing.assert_close(*results, atol=1e-5, rtol=0)


def test_the_readout_is_over_all_layers() -> None:
    model = build_model(tiny("zoo/gcn", "networks.n_layers=3"), 5)
    x, mask = batch()
    assert model.networks[0].encoder(x, mask)[0].shape == (3, 50, 3 * 16)
