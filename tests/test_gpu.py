"""On a CUDA device: the same weights give the same answers, in bf16 as near as it gets."""

from pathlib import Path

import numpy as np
import pytest
import torch

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.inference.predict import WHOLE, predict_logits
from kaggle_hw4.models.build import build_model
from kaggle_hw4.training.loop import train_run
from tests.conftest import VARIANTS, Silent, job, tiny

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_cuda_predicts_what_the_cpu_predicts(corpus: Corpus, variant: str) -> None:
    torch.manual_seed(0)
    model = build_model(tiny(variant), 4)
    rows = corpus.train
    cpu = predict_logits(model, FrameStore(corpus, torch.device("cpu")), rows, WHOLE)
    store = FrameStore(corpus, torch.device("cuda"))
    cuda = predict_logits(model.cuda(), store, rows, WHOLE)
    scale = np.abs(cpu).max()
    assert np.abs(cpu - cuda).max() < 0.05 * scale  # bf16 has three digits


@pytest.mark.parametrize("variant", VARIANTS)
def test_cuda_trains_to_the_end(corpus: Corpus, folds: Folds, tmp_path: Path, variant: str) -> None:
    parts = job(tiny(variant), corpus, folds, tmp_path)
    manifest = train_run(*parts, torch.device("cuda"), Silent())
    assert manifest.training.device == "cuda"
    assert np.isfinite(parts.run.read_logits("test").values).all()
