"""Pseudo-labels: of the test set, agreed on, sure, balanced; one round measured before the next."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds, write_folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.ensemble.pseudo_labels import choose_pseudo_labels
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.execution.sources import find_sources
from kaggle_hw4.run_manifest import LearnedFrom, PseudoLabels
from kaggle_hw4.stages.pseudo_label import LabelRequest, next_round, pseudo_label
from kaggle_hw4.targets.pseudo_labels import read_pseudo_labels
from kaggle_hw4.training.sources import make_batches
from kaggle_hw4.workspace import Workspace
from tests.conftest import job, manifest_of, tiny, trained
from tests.test_cli import SETTINGS, run
from tests.test_cli import workspace as workspace  # the fixture

SURE = LabelRequest(confidence=0.05, most=1)


def labelled(workspace: Path, corpus: Corpus, folds: Folds) -> tuple[str, Path]:
    """The name of the pseudo-labels of two seeds of fold 0, and their file."""
    write_folds(workspace / "folds", folds, corpus)
    longer = ("schedule.steps=80", "schedule.validate_every=80", "segments.frames=60")
    recipe = tiny("boss", *longer, "optimizer.learning_rate=0.005", "segments.batch_size=8")
    for seed in (0, 1):
        trained(recipe, corpus, folds, workspace / "runs", seed=seed)
    [result] = pseudo_label(Workspace(workspace), [workspace / "runs"], SURE)
    return result.path.parent.name, result.path


def test_all_members_agree_and_the_blend_is_sure() -> None:
    # Utterance 0: agreed and sure. 1: sure, but not agreed. 2: agreed, not sure. 3: as 0, surer.
    first = np.array([[9, 0, 0], [9, 0, 0], [0.2, 0.1, 0], [20, 0, 0]], np.float32)
    second = np.array([[9, 0, 0], [0, 1, 0], [0.2, 0.1, 0], [20, 0, 0]], np.float32)
    logp = log_softmax(np.stack([first, second]), axis=2)
    chosen = choose_pseudo_labels(logp, 0.9, most=5)
    assert chosen.places.tolist() == [0, 3]
    assert chosen.labels.tolist() == [0, 0]
    assert (chosen.agreed, chosen.confident) == (3, 2)
    assert choose_pseudo_labels(logp, 0.9, most=1).places.tolist() == [3]
    assert not len(choose_pseudo_labels(logp[:, :3], 1.0, most=1).places)


def test_no_speaker_gets_more_than_its_share() -> None:
    logits = np.random.default_rng(0).normal(size=(1, 200, 4)).astype(np.float32) * 5
    logits[..., 0] += 8
    logp = log_softmax(logits, axis=2)
    counts = np.bincount(choose_pseudo_labels(logp, 0.5, most=7).labels, minlength=4)
    assert counts.max() == 7


def test_they_are_of_the_test_set_and_the_validation_stays(
    workspace: Path, corpus: Corpus, folds: Folds
) -> None:
    name, path = labelled(workspace, corpus, folds)
    table = read_pseudo_labels(path)
    assert table.labels
    assert set(table.labels) <= {corpus.ids[row] for row in corpus.test}
    assert max(np.unique(list(table.labels.values()), return_counts=True)[1]) == 1
    recipe = tiny("boss", f"pseudo_labels.labels={name}", "augment.mixup_with=same_speaker")
    parts = job(recipe, corpus, folds, workspace / "runs")
    sources = find_sources(Workspace(workspace), parts.run, recipe, corpus, folds)
    store = FrameStore(corpus, torch.device("cpu"))
    batches = make_batches(store, folds, recipe, parts.run, sources)
    added = {*batches.rows} - {*folds.training(0)}
    assert {corpus.ids[row] for row in added} == set(table.labels)
    assert not {*batches.rows} & {*folds.validation(0)}
    speakers = {corpus.ids[row]: corpus.speakers[batches.labels[row]] for row in added}
    assert speakers == dict(table.labels)
    assert (corpus.labels[corpus.test] == -1).all()
    assert all((batches.at(step).labels >= 0).all() for step in range(9))


def test_a_table_of_another_fold_or_with_a_training_row_is_refused(
    workspace: Path, corpus: Corpus, folds: Folds
) -> None:
    name, path = labelled(workspace, corpus, folds)
    recipe, place = tiny("boss", f"pseudo_labels.labels={name}"), Workspace(workspace)
    other = job(recipe, corpus, folds, workspace / "runs", fold=1)
    with pytest.raises(DataError, match="there are no pseudo-labels"):
        find_sources(place, other.run, recipe, corpus, folds)
    path.with_name("fold1.json").write_bytes(path.read_bytes())
    with pytest.raises(DataError, match="was made on fold 0, not on 1"):
        find_sources(place, other.run, recipe, corpus, folds)
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"confidence": 0.5}))
    with pytest.raises(DataError, match="changed after it was written"):
        read_pseudo_labels(path)
    labels = {corpus.ids[corpus.train[0]]: corpus.speakers[0]}
    table = read_pseudo_labels(path.with_name("fold1.json"))
    forged = table.model_copy(update={"labels": labels}).sealed()
    path.write_text(forged.model_dump_json())
    run = job(recipe, corpus, folds, workspace / "runs").run
    with pytest.raises(DataError, match="is not in the test set"):
        find_sources(place, run, recipe, corpus, folds)


def test_a_round_that_did_not_help_is_the_last() -> None:
    record = PseudoLabels(labels="0" * 16, seal="", utterances=4, round=1, validation=0.7)
    plain = manifest_of({})
    student = plain.model_copy(update={"learned_from": LearnedFrom(pseudo_labels=record)})
    assert next_round([plain, plain], 0.1) == 1
    assert next_round([student, plain], 0.71) == 2
    with pytest.raises(UsageError, match=r"round 1 of pseudo-labels did not help: .*0.70000"):
        next_round([student, student], 0.7)


def test_the_chain_from_labels_to_the_ledger(
    workspace: Path, corpus: Corpus, folds: Folds, capsys: pytest.CaptureFixture[str]
) -> None:
    name, _ = labelled(workspace, corpus, folds)
    assert run("pseudo-label", "boss", "--confidence", "0.05", "--most", "1") == 0
    assert f"--pseudo-labels {name}" in capsys.readouterr().err
    assert run("ensemble", workspace / "runs") == 0
    assert run("pseudo-label", "Boss_V1", "--confidence", "0.05", "--most", "1") == 0
    assert f"--pseudo-labels {name}" in capsys.readouterr().err
    assert run("train", "boss", "--pseudo-labels", f"pseudo-labels/{name}", *SETTINGS) == 0
    capsys.readouterr()
    assert run("ensemble", workspace / "runs", "--json") == 0
    members = json.loads(capsys.readouterr().out)["members"]
    marked = [member for member in members if "learned_from" in member]
    assert len(members) == 3
    assert [member["learned_from"] for member in marked] == [[f"pseudo-labels {name}"]]
    assert marked[0]["transductive"]
    assert run("ensemble", workspace / "runs") == 0
    assert f"learned from pseudo-labels {name}, and the test set's own" in capsys.readouterr().out
    assert run("pseudo-label", f"{workspace}/runs", "--confidence", "2") == 2


def test_one_member_agrees_with_nobody(workspace: Path, corpus: Corpus, folds: Folds) -> None:
    write_folds(workspace / "folds", folds, corpus)
    trained(tiny("boss"), corpus, folds, workspace / "runs")
    with pytest.raises(UsageError, match="is alone"):
        pseudo_label(Workspace(workspace), [workspace / "runs"], SURE)
