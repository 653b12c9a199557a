"""On the real speech of ../shared/corpora: folds by utterance overestimate the accuracy on unseen
sessions, folds by session do not. Minutes; `make test-corpus`.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kaggle_hw4.data.corpus import Corpus, pack
from kaggle_hw4.data.folds import make_folds
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.runs import Run
from kaggle_hw4.workspace import shipped
from tests.conftest import agreement, column, trained

UNPACK = Path(__file__).parents[2] / "shared" / "corpora" / "unpack.py"
SMALL = (
    "networks.count=1",
    "predict.self_training=false",  # each utterance alone
    "predict.spreading_neighbours=0",
    "networks.d_model=64",
    "networks.d_embedding=64",
    "networks.d_ffn=128",
    "networks.n_layers=1",
    "networks.kernel_size=15",
    "networks.dropout=0.1",
    "segments.frames=128",
    "segments.batch_size=32",
    "schedule.steps=600",
    "schedule.warmup_steps=60",
    "schedule.validate_every=600",
    "optimizer.ema_decay=0.98",
    "loss.margin_warmup_steps=200",
)

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not UNPACK.exists(), reason=f"{UNPACK} is not here"),
]


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("en30")
    command = [sys.executable, UNPACK, folder, "--speakers", "30"]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def real(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return pack(speech, tmp_path_factory.mktemp("real") / "packed")


def test_session_clusters_agree_with_the_true_sessions(speech: Path, real: Corpus) -> None:
    folds = make_folds(real, "session", 5)
    assert agreement(real, folds.session, speech) > 0.6


def unseen_accuracy(run: Run, speech: Path, real: Corpus) -> float:
    truth = column(speech / "truth.csv", "Category")
    logits = run.read_logits("test")
    predicted = [real.speakers[i] for i in logits.values.argmax(1)]
    return float(np.mean([truth[i] == s for i, s in zip(logits.ids, predicted, strict=True)]))


def test_utterance_folds_overestimate_the_accuracy_on_unseen_sessions(
    speech: Path, real: Corpus, tmp_path: Path
) -> None:
    recipe = read_recipe(shipped("pipelines/variants/boss.toml"), SMALL)
    estimate, accuracy = {}, {}
    for by in ("utterance", "session"):
        run = trained(recipe, real, make_folds(real, by, 2), tmp_path / by)
        estimate[by] = run.manifest().validation.accuracy
        accuracy[by] = unseen_accuracy(run, speech, real)
    assert estimate["utterance"] - accuracy["utterance"] > 0.1
    assert abs(estimate["session"] - accuracy["session"]) < 0.1
