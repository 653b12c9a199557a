"""Logits of many speakers are kept with low rank: no blend, file or prediction notices."""

import dataclasses
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from scipy.special import softmax

from benchmarks.many_speakers import member_logits, write_run
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.ensemble.blend import blend, stack_members
from kaggle_hw4.ensemble.combine import (
    UNWEIGHTED,
    LowRankScores,
    blend_scores,
    likeliest_of_mean,
    mean_log_probability,
)
from kaggle_hw4.ensemble.members import find_members
from kaggle_hw4.ensemble.pseudo_labels import choose_pseudo_labels
from kaggle_hw4.errors import DataError
from kaggle_hw4.inference.embed import WHOLE, embed_segments
from kaggle_hw4.inference.predict import average_logits, predict_logits
from kaggle_hw4.inference.spreading import NeighboursWithin
from kaggle_hw4.logits import (
    Logits,
    LowRankLogits,
    concatenate,
    decode,
    dense,
    encode,
    log_softmax,
    logits_bytes,
)
from kaggle_hw4.metrics import evaluate
from kaggle_hw4.models.build import build_model
from kaggle_hw4.runs import find_runs
from tests.conftest import tiny

SPEAKERS, ROWS, FOLDS = 5000, 120, 2
Y = np.random.default_rng(0).integers(0, SPEAKERS, ROWS)
TRUTH = {f"u{i:07}": int(label) for i, label in enumerate(Y)}


@pytest.fixture(scope="module", params=[30.0, 8.0], ids=["sharp", "flat"])
def members(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list]:
    """The same three members as matrices and with low rank."""
    folder = tmp_path_factory.mktemp("members")
    for member in range(3):
        for fold in range(FOLDS):
            for kind in ("matrix", "low rank"):
                place = folder / kind
                write_run(place, Y, SPEAKERS, member, fold, FOLDS, kind == "matrix", request.param)
    return {kind: find_members(find_runs([folder / kind])) for kind in ("matrix", "low rank")}


def test_no_probability_of_a_blend_changes_by_more_than_1e_4(members: dict[str, list]) -> None:
    """Neither in rows that members agree on nor where each is sure of another speaker."""
    stacks = [stack_members(each, TRUTH) for each in members.values()]
    np.testing.assert_allclose(stacks[0].temperatures, stacks[1].temperatures, rtol=1e-3)
    combines = [lambda x: mean_log_probability(x, np.array([0.2, 0.3, 0.5])), *UNWEIGHTED.values()]
    for combine in combines:
        a, b = (softmax(blend_scores(stack.logp, combine), axis=1) for stack in stacks)
        assert np.abs(a - b).max() < 1e-4


@pytest.mark.parametrize("method", ["log-linear", "vote"])
def test_a_blend_with_low_rank_is_that_of_the_matrices(
    members: dict[str, list], method: str
) -> None:
    a, b = (blend(each, TRUTH, method) for each in members.values())
    assert a.chosen.accuracy == pytest.approx(b.chosen.accuracy, abs=1 / ROWS)
    assert (a.test_labels == b.test_labels).mean() > 0.97  # ties of a flat row may fall either way
    np.testing.assert_allclose(a.weights, b.weights, atol=0.02)
    mixed = blend([*members["matrix"][:1], *members["low rank"][1:]], TRUTH, method)
    assert (a.test_labels == mixed.test_labels).mean() > 0.97


def test_counts_and_pseudo_labels_are_those_of_the_matrices(members: dict[str, list]) -> None:
    counts = np.bincount(np.arange(ROWS // 4) * 7 % SPEAKERS, minlength=SPEAKERS).tolist()
    a, b = (blend(each, TRUTH, "uniform", counts).test_labels for each in members.values())
    assert (a == b).mean() > 0.97
    first, second = (
        choose_pseudo_labels(stack_members(each, TRUTH).logp, 0.5, 3) for each in members.values()
    )
    assert first.places.tolist() == second.places.tolist()
    assert (first.agreed, first.confident) == (second.agreed, second.confident)


def test_the_logits_of_a_run_take_less_than_a_third_of_the_disk(tmp_path: Path) -> None:
    y = np.arange(2000) % SPEAKERS
    sizes = [write_run(tmp_path / str(k), y, SPEAKERS, 0, 0, 1, k == 0) for k in (0, 1)]
    assert sizes[1] < 0.3 * sizes[0]


def test_the_disk_that_a_run_will_need_is_that_of_its_logits() -> None:
    assert logits_bytes(8000, 600, 256) == 4 * 8000 * 600
    written = len(encode(Logits((), member_logits(np.zeros(2000, int), SPEAKERS, 0))))
    assert written == pytest.approx(logits_bytes(2000, SPEAKERS, 256), rel=0.01)


def test_low_rank_logits_are_read_back_and_another_version_is_refused(tmp_path: Path) -> None:
    values, path = member_logits(Y, SPEAKERS, 0), tmp_path / "oof.safetensors"
    path.write_bytes(encode(Logits(tuple(TRUTH), values)))
    logits = decode(path, "predict again")
    assert logits.ids == tuple(TRUTH)
    np.testing.assert_array_equal(dense(logits.values), values.dense())
    tensors = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(tensors, path, metadata={"ids": "[]", "format": "3"})
    with pytest.raises(DataError, match="another version of hw4 wrote it") as error:
        decode(path, "predict again")
    assert error.value.then == "predict again"


def test_rows_are_chosen_and_joined_as_those_of_a_matrix() -> None:
    first, second = (member_logits(Y[:9], SPEAKERS, k) for k in (0, 1))
    joined = concatenate([first, second.dense(), second[np.array([3, 1])]])
    expected = np.concatenate([first.dense(), second.dense(), second.dense()[[3, 1]]])
    rows = np.array([17, 2, 19, 0])
    np.testing.assert_allclose(dense(joined[rows]), expected[rows], atol=1e-4)
    np.testing.assert_allclose(
        dense(log_softmax(joined, 2.0)), log_softmax(expected, 2.0), atol=1e-4
    )
    labels = np.concatenate([Y[:9], Y[:9], Y[[3, 1]]])
    assert evaluate(joined, labels).loss == pytest.approx(evaluate(expected, labels).loss)


@pytest.fixture
def store(corpus: Corpus) -> FrameStore:
    """A corpus of as many speakers, hardly any of whom is there."""
    names = tuple(f"id{i:05}" for i in range(SPEAKERS))
    return FrameStore(dataclasses.replace(corpus, speakers=names), torch.device("cpu"))


@pytest.mark.parametrize("variant", ["boss", "strong", "zoo/two_kinds"])  # cosines, linear, both
@pytest.mark.parametrize("average", ["logits", "embeddings"])
def test_predictions_with_low_rank_are_those_of_the_head(
    store: FrameStore, variant: str, average: str
) -> None:
    torch.manual_seed(0)
    model, rows = build_model(tiny(variant), SPEAKERS).eval(), store.corpus.train
    config = WHOLE.model_copy(update={"segments": 2, "frames": [40], "average": average})
    values = predict_logits(model, store, rows, config)
    with torch.inference_mode():
        where, [embedded] = embed_segments([model], store, rows, config)
        expected = average_logits(model, config, embedded, where, len(rows), store.device)
    assert isinstance(values, LowRankLogits)
    np.testing.assert_allclose(values.dense(), expected, atol=1e-4)


def test_labels_are_spread_over_factors_as_over_logits(store: FrameStore) -> None:
    y = np.repeat(Y[:20], 3)
    logits, random = member_logits(y, SPEAKERS, 0), np.random.default_rng(0)
    points = random.normal(size=(20, 16))[np.arange(60) // 3] + 0.1 * random.normal(size=(60, 16))
    points = points.astype(np.float32)
    subsets = [(np.arange(40), np.arange(30)), (np.arange(20, 60), np.arange(30, 60))]
    within = NeighboursWithin.find(subsets, torch.from_numpy(points), points, 2)
    spread, expected = within.spread(logits), within.spread(logits.dense())
    assert isinstance(spread, LowRankLogits)
    np.testing.assert_allclose(spread.dense(), expected, atol=1e-4)
    assert np.abs(spread.dense() - log_softmax(logits.dense())).max() > 0.1


@pytest.mark.parametrize("setting", ["networks.sub_centres=2", 'predict.average="probabilities"'])
def test_what_is_not_linear_stays_a_matrix(store: FrameStore, setting: str) -> None:
    recipe = tiny("boss", setting, "predict.segments=1", "predict.frames=[40]")
    model = build_model(recipe, SPEAKERS).eval()
    assert isinstance(predict_logits(model, store, store.corpus.train, recipe.predict), np.ndarray)


def test_a_blend_needs_no_memory_for_all_logits() -> None:
    y = np.random.default_rng(0).integers(0, SPEAKERS, 4000)
    members = LowRankScores(tuple(member_logits(y, SPEAKERS, k) for k in range(4)))
    tracemalloc.start()
    labels = likeliest_of_mean(members, np.full(4, 0.25))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (labels == y).mean() > 0.9
    assert peak < 0.5 * 4 * np.prod(members.shape)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["step", "prediction", "ensemble"])
def test_60_000_speakers_fit_into_8_gigabytes(case: str) -> None:
    command = [sys.executable, "-m", "benchmarks.scale_cases", case, "60000"]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert float(done.stdout.split('"memory": ')[1].split(",")[0]) < 8
