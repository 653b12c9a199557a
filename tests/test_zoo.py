"""The zoo's benchmark: what an ensemble gains, over-smoothing, and the linear probe."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.models.build import build_model
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.workspace import shipped
from tests.conftest import tiny

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ZOO = sorted(shipped("pipelines/variants/zoo").glob("*.toml"))
LABELS = np.repeat(np.arange(10), 8)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def member(report: Any, name: str, right: np.ndarray) -> Any:
    """Three runs that get those utterances right, and give the next class elsewhere."""
    predicted = np.where(right, LABELS, (LABELS + 1) % 10)
    values = np.log(0.02 + 0.8 * np.eye(10)[predicted])
    labelled = (values, LABELS)
    return report.Member.of(name, [report.Predicted(labelled, labelled, labelled)] * 3)


def test_a_member_that_knows_what_the_others_do_not_brings_a_gain(load: Any) -> None:
    report, random = load("zoo_report"), np.random.default_rng(0)
    half = random.random(80) < 0.5
    base = [member(report, "strong", half), member(report, "boss", half)]
    knows = member(report, "knows", ~half)
    runs = [
        report.Predicted(*((3 * values, labels) for values, labels in vars(run).values()))
        for run in knows.runs
    ]
    sure = report.Member.of("sure", runs)  # and of the other half
    assert report.mean(base, "unseen") == pytest.approx(half.mean())
    assert report.gain([*base, base[0]], base, "unseen") == "+0.0 (+0.0 to +0.0)"
    assert report.gain([*base, sure], base, "unseen") != "+0.0 (+0.0 to +0.0)"
    assert report.disagreement(base[0], base[1]) == 0
    assert report.disagreement(base[0], sure) == 1


def test_the_best_ensemble_is_chosen_by_session_validation(load: Any) -> None:
    report = load("zoo_report")
    good, bad = np.arange(80) % 4 > 0, np.zeros(80, bool)
    members = [member(report, n, r) for n, r in (("strong", bad), ("boss", bad), ("lstm", good))]
    assert [m.name for m in report.choose(members)] == ["lstm"]
    text = "\n".join(report.section("title", members))
    assert "- lstm: session 0.750, unseen 0.750" in text
    assert "**+75.0 (+" in text


def test_frames_that_are_alike_have_a_cosine_of_one_and_no_energy(load: Any) -> None:
    smoothing = load("smoothing")
    alike = torch.randn(2, 1, 8).expand(2, 20, 8)
    assert smoothing.mean_cosine(alike, None) == pytest.approx(1)
    assert smoothing.dirichlet_energy(alike, None) == 0
    random = torch.randn(2, 4000, 8)
    assert smoothing.mean_cosine(random, None) == pytest.approx(0, abs=0.02)
    assert smoothing.dirichlet_energy(random, None) == pytest.approx(1, abs=0.05)
    x, mask = torch.randn(1, 9, 8), torch.arange(12) < torch.tensor([[9]])
    padded = torch.nn.functional.pad(x, (0, 0, 0, 3), value=5)
    for measure in (smoothing.mean_cosine, smoothing.dirichlet_energy):
        assert measure(padded, mask) == pytest.approx(measure(x, None))


def test_a_deep_gcn_makes_frames_alike_and_a_residual_keeps_them_apart(load: Any) -> None:
    smoothing, energy = load("smoothing"), {}
    x = torch.randn(4, 60, 40)
    for residual in ("false", "true"):
        torch.manual_seed(0)
        settings = ("networks.n_layers=8", f"networks.residual={residual}", "networks.d_model=64",
                    "networks.d_embedding=64", "networks.aggregation=false")  # fmt: skip
        model = build_model(tiny("zoo/gcn", *settings), 5).eval()
        energy[residual] = [e for _, e in smoothing.by_layer(model.networks[0], x, None)]
    assert energy["false"][0] == energy["true"][0] > 0.9
    assert energy["false"][8] < 0.5 * energy["true"][8]


def test_the_linear_probe_predicts_every_speaker(load: Any, corpus: Corpus, folds: Folds) -> None:
    probe = load("linear_probe").probe
    rows = folds.training(0)
    logits = probe(corpus, rows, [rows, corpus.test])
    assert [values.shape for values in logits] == [(len(rows), 4), (len(corpus.test), 4)]
    assert (logits[0].argmax(1) == corpus.labels[rows]).mean() > 0.9


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_the_ladders_rule_shrinks_a_recipe_of_the_zoo(load: Any, path: Path) -> None:
    whole = read_recipe(path)
    recipe = read_recipe(path, load("ladder").shrunk(whole, 100))
    for small, network in zip(recipe.networks, whole.networks, strict=True):
        assert (4 * small.d_model, 4 * small.d_embedding) == (network.d_model, network.d_embedding)
        assert small.n_layers == (3 if network.encoder == "ecapa" else 2)
    assert recipe.schedule.steps == 100


def test_zoo_report_leaves_out_nothing_that_was_trained(load: Any) -> None:
    assert tuple(f"zoo/{path.stem}" for path in ZOO) == load("zoo").ZOO
