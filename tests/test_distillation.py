"""Distillation: a student learns labels and its teachers' soft targets, of its own fold only."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import softmax

from benchmarks.many_speakers import member_logits
from kaggle_hw4.data.batches import Batch
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds, write_folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.errors import DataError, RecipeError, UsageError
from kaggle_hw4.execution.sources import find_sources
from kaggle_hw4.inference.embed import WHOLE
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.inference.weights import read_weights
from kaggle_hw4.logits import LowRankLogits, dense
from kaggle_hw4.models.build import build_model
from kaggle_hw4.progress import no_bar
from kaggle_hw4.project import Project
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.run_manifest import FoldTable, TeacherLogits
from kaggle_hw4.stages.teach import _write, mean_of, teach, teacher_of
from kaggle_hw4.targets.teacher import TeacherHeader, path_of, read_teacher, write_teacher
from kaggle_hw4.training.loop import train_run
from kaggle_hw4.training.loss import batch_loss
from kaggle_hw4.training.sources import (
    LowRankTargets,
    Sources,
    Teacher,
    make_batches,
    soft_targets,
)
from kaggle_hw4.workspace import Workspace
from tests.conftest import TINY, Silent, job, tiny, trained
from tests.test_cli import SETTINGS, run
from tests.test_cli import workspace as workspace  # the fixture

PLAIN = ("augment.mixup=0.0", "loss.margin=0.0", "loss.label_smoothing=0.0", "loss.scale=1.0")


def student(teacher: str, *settings: str) -> Recipe:
    return tiny("boss", f"distillation.teacher={teacher}", *settings)


def taught(workspace: Path, corpus: Corpus, folds: Folds, transductive: bool = False) -> str:
    """The name of a teacher of two seeds on fold 0."""
    write_folds(workspace / "folds", folds, corpus)
    for seed in (0, 1):
        trained(tiny("boss"), corpus, folds, workspace / "runs", seed=seed)
    teach(Workspace(workspace), [workspace / "runs"], None, [0], transductive)
    return teacher_of([workspace / "runs"], None)


def test_the_loss_is_the_mix_of_labels_and_soft_targets() -> None:
    torch.manual_seed(0)
    logits, teacher, labels = torch.randn(3, 5), torch.randn(3, 5), torch.tensor([0, 4, 2])
    recipe = student("0" * 16, *PLAIN, "distillation.temperature=3.0", "distillation.weight=0.3")
    soft, x, whole = (teacher / 3).softmax(1), torch.zeros(3, 2, 4), torch.ones(3)
    batch = Batch(x, None, labels, labels, whole, soft)
    taught = -9 * (soft * (logits / 3).log_softmax(1)).sum(1)
    expected = 0.7 * F.cross_entropy(logits, labels) + 0.3 * taught.mean()
    assert torch.allclose(batch_loss(logits, batch, recipe, None), expected)
    known = torch.tensor([1.0, 0.0, 1.0])
    partly = Batch(x, None, labels, labels, whole, soft, known)
    hard = F.cross_entropy(logits, labels, reduction="none")
    expected = (0.7 * hard * known + 0.3 * taught).mean()
    assert torch.allclose(batch_loss(logits, partly, recipe, None), expected)
    no_teacher = Batch(x, None, labels, labels, whole)
    plain = batch_loss(logits, no_teacher, tiny("boss", *PLAIN), None)
    assert torch.allclose(plain, F.cross_entropy(logits, labels))


def test_a_teacher_is_the_mean_of_its_members_on_the_rows_of_the_fold(
    workspace: Path, corpus: Corpus, folds: Folds
) -> None:
    name = taught(workspace, corpus, folds)
    table = read_teacher(path_of(workspace / "teachers", name, 0, False))
    rows, store = folds.training(0), FrameStore(corpus, torch.device("cpu"))
    assert table.ids == tuple(corpus.ids[row] for row in rows)
    logits = []
    for seed in (0, 1):
        parts = job(tiny("boss"), corpus, folds, workspace / "runs", seed=seed)
        model = build_model(parts.recipe, 4)
        read_weights(parts.run.folder / "ema.safetensors", model)
        logits.append(predict_logits(model, store, rows, WHOLE))
    assert np.allclose(table.logits, np.mean(logits, axis=0), atol=1e-5)
    assert len(table.header.members) == 2
    assert not table.header.transductive


@pytest.mark.parametrize("mixup_with", ["any", "same_speaker"])
def test_a_batch_has_the_soft_targets_of_its_segments(
    workspace: Path, corpus: Corpus, folds: Folds, mixup_with: str
) -> None:
    name = taught(workspace, corpus, folds, transductive=True)
    mixup = ("augment.mixup=0.5", f"augment.mixup_with={mixup_with}")
    recipe = student(name, "distillation.transductive=true", *mixup)
    parts = job(recipe, corpus, folds, workspace / "runs")
    sources = find_sources(Workspace(workspace), parts.run, recipe, corpus, folds)
    batches = make_batches(
        FrameStore(corpus, torch.device("cpu")), folds, recipe, parts.run, sources
    )
    assert {*batches.rows} == {*folds.training(0), *corpus.test}
    whole = recipe.model_copy(update={"augment": recipe.augment.model_copy(update={"mixup": 0.0})})
    plain = make_batches(batches.store, folds, whole, parts.run, sources)
    unlabelled = 0
    for step in range(20):
        batch = batches.at(step)
        assert torch.allclose(batch.soft.sum(1), torch.ones(len(batch.soft)), atol=1e-5)
        assert (batch.labels >= 0).all()
        unlabelled += int((batch.labelled == 0).sum())
        if (alone := batch.share == 1).any():
            assert torch.equal(batch.labels[alone], plain.at(step).labels[alone])
            assert torch.equal(batch.labelled[alone], plain.at(step).labelled[alone])
    assert unlabelled
    teacher = sources.teacher
    table = soft_targets(
        teacher.rows, teacher.logits, recipe.distillation.temperature, len(corpus.ids)
    )
    assert not table[folds.validation(0)].any()


def test_a_teacher_of_another_fold_is_refused(
    workspace: Path, corpus: Corpus, folds: Folds
) -> None:
    name = taught(workspace, corpus, folds)
    place, recipe = Workspace(workspace), student(name)
    with pytest.raises(UsageError, match="has not been trained on fold 1"):
        teach(place, [workspace / "runs"], None, [1], False)
    other = job(recipe, corpus, folds, workspace / "runs", fold=1).run
    with pytest.raises(DataError, match="there is no teacher"):
        find_sources(place, other, recipe, corpus, folds)
    path = path_of(place.teachers, name, 0, False)
    path.with_name("fold1.safetensors").write_bytes(path.read_bytes())
    with pytest.raises(DataError, match="was made on fold 0, not on 1"):
        find_sources(place, other, recipe, corpus, folds)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="not the logits of a teacher"):
        read_teacher(path)


def test_pseudo_labels_need_a_teacher_that_knows_the_test_set() -> None:
    both = (f"pseudo_labels.labels={'0' * 16}", f"distillation.teacher={'0' * 16}")
    with pytest.raises(RecipeError, match=r"distillation.transductive = true"):
        tiny("boss", *both)
    assert tiny("boss", *both, "distillation.transductive=true").pseudo_labels


def test_the_chain_from_teachers_to_a_student_in_the_ledger(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("split", "--folds", "2", "--by", "session") == 0
    assert run("train", "boss", "--seed", "0", "--seed", "1", *SETTINGS) == 0
    teacher = ("--teacher", "boss", "-s", "distillation.weight=0.9")
    capsys.readouterr()
    assert run("train", "strong", *SETTINGS, *teacher, "--json") == 0
    [trained] = json.loads(capsys.readouterr().out)
    record = trained["learned_from"]["teacher"]
    assert not record["transductive"]
    assert [name.rpartition("-")[2] for name in record["members"]] == ["seed0", "seed1"]
    on_test = ("-s", "distillation.transductive=true")
    assert run("train", "strong", *SETTINGS, *teacher, *on_test, "--json") == 0
    [other] = json.loads(capsys.readouterr().out)
    assert other["learned_from"]["teacher"]["transductive"]
    assert run("ensemble", workspace / "runs", "--json") == 0
    members = json.loads(capsys.readouterr().out)["members"]
    marks = [member["transductive"] for member in members if "learned_from" in member]
    assert sorted(marks) == [False, True]


def test_from_python_the_same_stages(workspace: Path, corpus: Corpus, folds: Folds) -> None:
    write_folds(workspace / "folds", folds, corpus)
    project = Project(workspace)
    [start] = project.pretrain("boss", "vae", steps=2, settings=[*TINY, "schedule.steps=2"])
    settings = [*TINY, f"start.initialise_from={start.run.name}"]
    teachers = project.train("boss", settings, seeds=(0, 1))
    [labels] = project.pseudo_label(teachers, confidence=0.01)
    [student] = project.train(
        "strong",
        [*TINY, "distillation.transductive=true"],
        pseudo_labels=labels.path.parent,
        teachers=teachers,
    )
    learned = student.manifest.learned_from
    assert learned.names == (
        f"pseudo-labels {labels.path.parent.name}",
        f"teacher {learned.teacher.teacher}",
    )
    assert learned.pseudo_labels.utterances == len(labels.table.labels)
    assert learned.transductive


def test_a_teacher_of_many_speakers_is_kept_with_low_rank_and_read_a_batch_at_a_time(
    tmp_path: Path, corpus: Corpus, folds: Folds
) -> None:
    many = replace(corpus, speakers=tuple(f"id{i:05}" for i in range(5000)))
    recipe = tiny("boss", "networks.d_embedding=2")  # for the fold's 14 rows
    members = [trained(recipe, many, folds, tmp_path / "runs", seed=k) for k in (0, 1)]
    store, rows, path = FrameStore(many, torch.device("cpu")), folds.training(0), tmp_path / "t"
    _write(path, members, folds, store, False, "float32", no_bar)
    table, logits = read_teacher(path), []
    for member in members:
        model = build_model(recipe, 5000)
        read_weights(member.folder / "ema.safetensors", model)
        logits.append(dense(predict_logits(model, store, rows, WHOLE)))
    expected = np.mean(logits, axis=0)
    np.testing.assert_allclose(dense(table.logits), expected, atol=1e-4)
    assert path.stat().st_size < 0.5 * expected.nbytes

    # The student's targets are those of the matrix, and 0 for rows that the teacher has not.
    recipe = student("0" * 16, "distillation.temperature=2.0")
    what = {"members": ("a",), "sha256": table.sha256, "transductive": False}
    record = TeacherLogits(teacher="0" * 16, **what)
    sources = Sources(teacher=Teacher(rows, table.logits, record))
    parts = job(recipe, many, folds, tmp_path / "students")
    targets = make_batches(store, folds, recipe, parts.run, sources).soft
    assert isinstance(targets, LowRankTargets)
    probabilities = np.zeros((len(many.ids), 5000), np.float32)
    probabilities[rows] = softmax(expected / 2, axis=1)
    every = torch.arange(len(many.ids))
    np.testing.assert_allclose(targets[every].numpy(), probabilities, atol=1e-5)
    manifest = train_run(*parts, store.device, Silent(), sources=sources)
    assert np.isfinite(manifest.validation.loss)


def test_a_teacher_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    table = FoldTable(name="session2", by="session", count=2, hash="b")
    kept = {"corpus": "a", "folds": table, "fold": 0, "members": ("m",), "weights": ("w",)}
    header = TeacherHeader(**kept, transductive=False, made_by={}, format=3)
    write_teacher(tmp_path / "t", header, ["u"], np.zeros((1, 2), np.float32))
    with pytest.raises(DataError, match="another version of hw4 wrote it"):
        read_teacher(tmp_path / "t")


def test_a_mean_with_a_matrix_in_it_is_a_matrix() -> None:
    low = member_logits(np.arange(2000), 5000, 0)
    mean = mean_of([low, low.dense(), low], low.shape)
    assert isinstance(mean, np.ndarray)
    np.testing.assert_allclose(mean, low.dense(), atol=1e-3)
    assert isinstance(mean_of([low, low], low.shape), LowRankLogits)
    assert isinstance(mean_of([low] * 9, low.shape), np.ndarray), "factors would be larger"
