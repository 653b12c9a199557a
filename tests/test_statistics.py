"""Second-order statistics of bands, their discriminant analysis, and its fusion with a network."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.inference.discriminant import SHRINKAGE, Discriminant
from kaggle_hw4.inference.embed import statistics_of
from kaggle_hw4.inference.fusion import Analyses, fit_weights, fuse, likeliest_weights
from kaggle_hw4.inference.logits import Task, predict_sets
from kaggle_hw4.inference.refine import Statistics
from kaggle_hw4.logits import LowRankLogits
from kaggle_hw4.models.second_order import RIDGE, BandCorrelations, LogCovariance
from kaggle_hw4.training.measure import measure
from tests.conftest import tiny, trained

CPU = torch.device("cpu")
CLASSES = 5
WEIGHTS = (0.7, 0.2, 0.1)
KINDS = (BandCorrelations, LogCovariance)
Kind = type[BandCorrelations] | type[LogCovariance]


def bands(frames: int = 90) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(7, 7, generator=generator)
    return torch.randn(2, frames, 7, generator=generator) @ mixing


def points(n: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Classes whose utterances differ most where the classes do not."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % CLASSES
    centres = torch.randn(CLASSES, 6, generator=generator)
    noise = torch.randn(n, 6, generator=generator) * torch.tensor([9.0, 9, 1, 1, 1, 1])
    turned = torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q
    return (centres[labels] + noise) @ turned, labels


def test_the_correlations_are_those_of_numpy() -> None:
    x = bands()
    actual = BandCorrelations(7).embed(x, None)[0].numpy()
    frames = x[0].double().numpy()
    correlation = np.corrcoef(frames.T)[np.triu_indices(7, 1)]
    speed = (frames[2:] - frames[:-2]).std(0)
    expected = np.concatenate([np.log(frames.std(0)), np.log(speed), np.arctanh(correlation)])
    np.testing.assert_allclose(actual, expected, atol=2e-4)


def test_the_exponential_of_a_log_covariance_is_the_covariance() -> None:
    x = bands()
    diagonal, above, _ = LogCovariance(7).embed(x, None)[0].double().split([7, 21, 7])
    logarithm = diagonal.diag()
    logarithm[*torch.triu_indices(7, 7, 1)] = above / 2**0.5  # twice in the matrix
    logarithm = logarithm + logarithm.triu(1).T
    expected = np.cov(x[0].double().numpy().T, bias=True)
    expected += RIDGE * expected.diagonal().mean() * np.eye(7)
    np.testing.assert_allclose(logarithm.matrix_exp(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_no_statistic(kind: Kind) -> None:
    x, statistics = bands(), kind(7)
    padded = torch.cat([x, torch.full((2, 30, 7), torch.nan)], 1)
    mask = torch.arange(120).expand(2, -1) < 90
    torch.testing.assert_close(statistics.embed(padded, mask), statistics.embed(x, None))


@pytest.mark.parametrize("kind", KINDS)
def test_a_channel_changes_no_statistic(kind: Kind) -> None:
    x, statistics = bands(), kind(7)
    moved = x + torch.linspace(-4, 4, 7)
    torch.testing.assert_close(
        statistics.embed(moved, None), statistics.embed(x, None), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_utterances_of_a_few_frames_have_finite_statistics(kind: Kind, frames: int) -> None:
    x = torch.ones(2, 4, 7)
    mask = torch.arange(4).expand(2, -1) < frames
    assert kind(7).embed(x, mask).isfinite().all()
    assert kind(7).embed(x[:, :frames], None).isfinite().all()


def test_the_analysis_is_scikit_learns() -> None:
    x, labels = points()
    z = (x - x.mean(0)) / x.std(0, correction=0)
    # Its shrinkage is towards the mean variance, too; it takes log priors, which are equal here.
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE)
    within = z - torch.stack([z[labels == c].mean(0) for c in range(CLASSES)])[labels]
    assert within.std(0).max() / within.std(0).min() < 3  # each class' own scale is alike
    expected = theirs.fit(z.numpy(), labels.numpy()).decision_function(z.numpy())
    actual = Discriminant.fit(x, labels, CLASSES).logits(x).numpy()
    assert (actual.argmax(1) == expected.argmax(1)).mean() > 0.98


def test_what_differs_within_classes_counts_little() -> None:
    x, labels = points()
    near = torch.cdist(x, torch.stack([x[labels == c].mean(0) for c in range(CLASSES)])).argmin(1)
    analysis = Discriminant.fit(x, labels, CLASSES)
    accuracy = (analysis.logits(x).argmax(1) == labels).float().mean()
    assert accuracy > (near == labels).float().mean() + 0.2
    own = analysis.coordinates(x)
    assert own.shape == (400, CLASSES)


def test_a_class_without_points_is_not_chosen() -> None:
    x, labels = points()
    analysis = Discriminant.fit(x, labels, CLASSES + 1)
    logits = analysis.logits(x)
    assert logits.isfinite().all()
    assert (logits.argmax(1) < CLASSES).all()


def test_classes_of_one_point_are_distinguished() -> None:
    x = torch.randn(CLASSES, 6, generator=torch.Generator().manual_seed(0))
    logits = Discriminant.fit(x, torch.arange(CLASSES), CLASSES).logits(x)
    assert logits.isfinite().all()
    assert logits.argmax(1).tolist() == list(range(CLASSES))


def test_a_fusion_listens_to_whom_is_right() -> None:
    """Each of the three in turn, while the others are noise."""
    x, labels = points()
    noise, y = torch.randn(400, 6, generator=torch.Generator().manual_seed(1)), labels.numpy()
    wrong = noise[:, :CLASSES].numpy()
    right = wrong + 9 * np.eye(CLASSES, dtype=np.float32)[y]
    for best, (logits, *both) in enumerate(
        [(right, noise, noise), (wrong, x, noise), (wrong, noise, x)]
    ):
        parts = Analyses.fit(both, labels, CLASSES).parts(both)
        weights = fit_weights(logits, parts, y)
        assert min(weights) >= 0
        assert np.argmax(weights) == best


def test_the_weights_are_those_of_the_least_loss() -> None:
    random = np.random.default_rng(0)
    parts, labels = random.normal(size=(3, 200, CLASSES)), random.integers(CLASSES, size=200)
    parts[0, np.arange(200), labels] += 2
    parts[1, np.arange(200), labels] += 1

    def loss(weights: np.ndarray) -> float:
        logp = log_softmax(np.tensordot(weights, parts, 1), axis=1)
        return float(-logp[np.arange(200), labels].mean())

    best = np.array(likeliest_weights(parts, labels))
    for change in 0.05 * np.eye(3):
        assert loss(best) < loss(best + change)
        assert loss(best) < loss(np.maximum(best - change, 0)) or best @ change == 0


def test_a_fusion_of_low_rank_is_that_of_the_matrix() -> None:
    x, labels = points()
    random = np.random.default_rng(0)
    factors = random.normal(size=(400, 3)).astype(np.float32)
    vectors = random.normal(size=(CLASSES, 3)).astype(np.float32)
    both = (x, x + 1)
    parts = Analyses.fit(both, labels, CLASSES).parts(both)
    low = fuse(LowRankLogits.of(factors, vectors), parts, WEIGHTS)
    assert isinstance(low, LowRankLogits)
    np.testing.assert_allclose(low.dense(), fuse(factors @ vectors.T, parts, WEIGHTS), atol=1e-4)


def test_no_analysis_knows_the_labels_of_what_it_predicts(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    recipe = tiny("boss")
    task = Task(trained(recipe, corpus, folds, tmp_path), folds, recipe.predict)
    session = np.zeros(len(corpus.ids), np.int64)
    session[corpus.train] = folds.session
    for name, rows in task.sets(corpus).items():
        labelled = task.labelled(corpus, name)
        assert not set(rows) & set(labelled), name
        assert set(labelled) <= set(corpus.train)
    held_out, known = task.sets(corpus)["oof"], task.labelled(corpus, "oof")
    assert not set(session[held_out]) & set(session[known])


def test_the_analyses_are_of_the_rows_they_are_asked_for(corpus: Corpus) -> None:
    store, rows = FrameStore(corpus, CPU), corpus.train[::2]
    analyses = Statistics(store).analyses(rows)
    labels = torch.from_numpy(corpus.labels[rows])
    for analysis, points_of in zip(analyses.both, statistics_of(store, rows), strict=True):
        expected = Discriminant.fit(points_of, labels, len(corpus.speakers))
        actual = analysis.logits(points_of)
        torch.testing.assert_close(actual, expected.logits(points_of), rtol=1e-3, atol=1e-2)


def test_a_run_is_predicted_with_the_weights_of_its_validation(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    recipe = tiny("boss", "predict.statistics=true", "predict.spreading_neighbours=0")
    run = trained(recipe, corpus, folds, tmp_path)
    store, task = FrameStore(corpus, CPU), Task(run, folds, recipe.predict)
    plain = Task(run, folds, recipe.predict.model_copy(update={"statistics": False}))
    models = [task.load_model(corpus, "float32") for _ in range(2)]
    predicted = predict_sets([task, plain], models, store)
    fused, alone = (each.logits for each in predicted)
    statistics, rows = Statistics(store), folds.validation(run.fold)
    known = statistics.analyses(task.labelled(corpus, "oof")).parts(statistics.at(rows))
    weights = fit_weights(alone["oof"], known, corpus.labels[rows])
    parts = statistics.analyses(corpus.train).parts(statistics.at(corpus.test))
    np.testing.assert_array_equal(fused["test"], fuse(alone["test"], parts, weights))
    np.testing.assert_array_equal(fused["test"], run.read_logits("test").values)
    fusion = run.manifest().fusion
    assert [each.fusion for each in predicted] == [fusion, None]
    assert fusion is not None and fusion.values == weights


def test_the_estimate_counts_the_statistics(
    corpus: Corpus, folds: Folds, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*arguments: object) -> list[torch.Tensor]:
        time.sleep(0.5)
        return statistics_of(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("kaggle_hw4.training.measure.statistics_of", slow)
    store, recipe = FrameStore(corpus, CPU), tiny("boss", "predict.statistics=true")
    assert measure(recipe, folds, 0, store, "float32").prediction > 0.5
    assert measure(tiny("boss"), folds, 0, store, "float32").prediction < 0.5
