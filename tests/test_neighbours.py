"""Nearest utterances beyond a size: the same in any run, nearly all that exact ones are."""

import sys

import pytest
import torch

from kaggle_hw4.errors import UsageError
from kaggle_hw4.inference import neighbours
from kaggle_hw4.inference.neighbours import approximate_nearest, exact_nearest, find_nearest

SESSIONS, EACH, WIDTH, COUNT = 200, 10, 24, 6


@pytest.fixture(scope="module")
def points() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(SESSIONS, WIDTH, generator=generator).repeat_interleave(EACH, 0)
    noise = 0.3 * torch.randn(SESSIONS * EACH, WIDTH, generator=generator)
    return torch.nn.functional.normalize(centres + noise)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few utterances are too many already."""
    monkeypatch.setattr(neighbours, "EXACT", 100)


def test_exact_neighbours_of_some_rows_are_those_of_all(points: torch.Tensor) -> None:
    rows = torch.tensor([5, 1999, 0])
    some, every = exact_nearest(points, rows, 3), find_nearest(points, points, 3)
    assert torch.equal(some[1], exact_nearest(points, torch.arange(2000), 3)[1][rows])
    assert (rows[:, None] // EACH == some[1] // EACH).all()
    assert every[1].shape == (2000, 3)


def test_without_faiss_the_error_names_the_extra(
    points: torch.Tensor, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UsageError, match="faiss, which is missing") as error:
        find_nearest(points, points, COUNT)
    assert "kaggle_hw4[large]" in error.value.then


def test_approximate_neighbours_are_nearly_the_exact_ones(points: torch.Tensor) -> None:
    pytest.importorskip("faiss")
    similarity, nearest = approximate_nearest(points, COUNT)
    expected = exact_nearest(points, torch.arange(len(points)), COUNT)[1]
    assert (nearest[:, :, None] == expected[:, None, :]).any(1).float().mean() > 0.98
    assert (nearest != torch.arange(len(points))[:, None]).all()
    assert (similarity[:, :-1] >= similarity[:, 1:]).all()
    again = approximate_nearest(points, COUNT)
    assert torch.equal(again[0], similarity)
    assert torch.equal(again[1], nearest)


def test_clusters_with_too_few_utterances_are_compared_exactly(
    points: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("faiss")
    monkeypatch.setattr(neighbours, "PROBED", 1)
    monkeypatch.setattr(neighbours, "LEARNED", 2)
    monkeypatch.setattr(neighbours, "LISTS", 20)
    nearest = approximate_nearest(points, 15)[1]
    assert (nearest >= 0).all()


def test_identical_utterances_are_neighbours_and_not_their_own() -> None:
    pytest.importorskip("faiss")
    same = torch.nn.functional.normalize(torch.ones(300, 4))
    nearest = approximate_nearest(same, 3)[1]
    assert (nearest != torch.arange(300)[:, None]).all()
