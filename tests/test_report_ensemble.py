"""How a blend grows with its members, on all utterances or a sample of them."""

from pathlib import Path

import pytest

from kaggle_hw4.data.corpus import open_corpus
from kaggle_hw4.kaggle.ledger import Entry, Ledger
from kaggle_hw4.report import ensemble
from kaggle_hw4.stages.ensemble import labels_of
from kaggle_hw4.workspace import Workspace
from tests.report_workspace import chain

__all__ = ["chain"]


def blended(chain: Path) -> Entry:
    entries = Ledger(chain / "submissions").entries()
    return next(entry for entry in entries if entry.version == "Strong+Boss_V1")


def test_the_last_step_of_the_greedy_path_is_the_uniform_blend_of_all(chain: Path) -> None:
    entry = blended(chain)
    labels = labels_of(open_corpus(chain / "packed"))
    growth = ensemble.grow(Workspace.at(chain), entry.created, labels)
    uniform = entry.created.candidates["uniform"]["accuracy"]
    assert growth.greedy[-1].accuracy.accuracy == pytest.approx(uniform)
    assert growth.sizes[-1].mean == pytest.approx(uniform)
    assert growth.greedy[0].accuracy.accuracy == pytest.approx(growth.sizes[0].highest)
    assert growth.n == 36


def test_where_logits_do_not_fit_a_sample_of_the_utterances_is_blended(
    chain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = blended(chain)
    labels = labels_of(open_corpus(chain / "packed"))
    monkeypatch.setattr(ensemble, "LOGITS", 36 * 4 * 2 * 4 // 2)
    growth = ensemble.grow(Workspace.at(chain), entry.created, labels)
    assert growth.n == 12
    assert len(growth.greedy) == 2
