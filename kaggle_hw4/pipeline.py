"""A pipeline file: the stages from a dataset to a scored submission, run where they are missing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from kaggle_hw4.errors import DataError
from kaggle_hw4.execution.spec import Asked, RunSpec
from kaggle_hw4.kaggle.submissions import LABEL
from kaggle_hw4.progress import Bar
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.settings import Count, Positive, Section, read_toml, validate
from kaggle_hw4.stages import ensemble, split, train
from kaggle_hw4.stages import submit as submit_stage
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.corpus import Corpus
    from kaggle_hw4.data.folds import Folds
    from kaggle_hw4.execution.executor import Watch
    from kaggle_hw4.execution.placement import Placement
    from kaggle_hw4.progress import Monitor


STARTING = 8.0  # seconds that ensemble and report take at least, and those of a logit more
FOLLOWING = 120 / (64_666 * 600)  # (two minutes at the competition's size: README)


class DataConfig(Section):
    dataset: str  # the official folder; relative to the workspace
    synth_speakers: Positive | None = None  # make it, synthetic, where it is missing


class SplitConfig(Section):
    by: Literal["auto", "session", "utterance"] = "auto"
    folds: Annotated[int, Field(ge=2)]
    seed: Count = 0


class TrainConfig(Section):
    variant: str
    folds: Literal["all"] | Annotated[list[Count], Field(min_length=1)] = "all"
    seeds: list[Count] = Field(default_factory=lambda: [0], min_length=1)
    settings: list[str] = Field(default_factory=list)


class EnsembleConfig(Section):
    label: Annotated[str, Field(pattern=LABEL)] | None = None


class SubmitConfig(Section):
    to: Literal["local", "web"]
    truth: str | None = None

    @model_validator(mode="after")
    def truth_is_local(self) -> "SubmitConfig":
        if (self.to == "local") != (self.truth is not None):
            raise ValueError("a truth file is what to = 'local' scores on: give both or none")
        return self


class Pipeline(Section):
    data: DataConfig
    split: SplitConfig
    train: list[TrainConfig] = Field(min_length=1)
    ensemble: EnsembleConfig = EnsembleConfig()
    submit: SubmitConfig

    @model_validator(mode="after")
    def folds_exist(self) -> "Pipeline":
        for part in self.train:
            if part.folds != "all" and max(part.folds) >= self.split.folds:
                raise ValueError(
                    f"{part.variant}: there are only folds 0 to {self.split.folds - 1}"
                )
        return self


def read_pipeline(workspace: Workspace, name: str) -> Pipeline:
    """The pipeline of that name, with everything checked that can be before hours of training."""
    path = workspace.pipeline(name)
    pipeline = validate(Pipeline, read_toml(path), path.name)
    for section in pipeline.train:
        read_recipe(workspace.variant(section.variant), section.settings)
    synthetic = pipeline.data.synth_speakers is not None
    truth = workspace.root / pipeline.submit.truth if pipeline.submit.truth else None
    if truth and not synthetic and not truth.is_file():
        raise DataError(f"{truth}: the truth file of {path.name} is missing")
    return pipeline


Say = Callable[[str, str], None]  # (stage, its result)


def prepare_data(workspace: Workspace, pipeline: Pipeline, say: Say, bar: Bar) -> "Folds":
    """Dataset → corpus → folds."""
    from kaggle_hw4.data.corpus import pack
    from kaggle_hw4.synth.corpus import write_corpus

    dataset, speakers = workspace.root / pipeline.data.dataset, pipeline.data.synth_speakers
    if speakers and not dataset.exists():
        write_corpus(dataset, speakers=speakers, progress=bar("synth"))
        say("synth", f"{speakers} speakers in {workspace.shown(dataset)}")
    corpus = pack(dataset, workspace.corpus, bar=bar)
    say("pack", f"{len(corpus.train)} training and {len(corpus.test)} test utterances")
    count, seed = pipeline.split.folds, pipeline.split.seed
    table = split.split(workspace, pipeline.split.by, count, seed, bar)
    reason = f": {table.reason}" if table.reason else ""
    say("split", f"{count} folds by {table.folds.by} in {workspace.shown(table.path)}{reason}")
    return table.folds


@dataclass(frozen=True)
class PipelineResult:
    """The submission of a pipeline, and its score."""

    ensemble: ensemble.EnsembleResult
    path: Path
    folds: int
    score: submit_stage.SubmitResult


def run_pipeline(
    workspace: Workspace,
    pipeline: Pipeline,
    folds: "Folds",
    device: str,
    precision: str,
    monitor: "Monitor",
    say: Say,
    given: train.TimeGiven | None = None,
    placement: "Placement | None" = None,
    watch: "Watch | None" = None,
) -> PipelineResult:
    """Folds → runs → submission → score; in a given time, with steps and networks chosen for it.

    The runs are trained in this process, or where `placement` says; `watch` sees how they stand.
    """
    from kaggle_hw4.kaggle.submissions import path_of

    # The runs.
    def say_trained(each: train.FinishedRun) -> None:
        validation = each.manifest.validation
        say("train", f"{each.run.name}: {validation.accuracy:.4f} of {validation.n} utterances")

    asked = runs_asked(workspace, pipeline, folds, device, precision)
    with train.in_time(asked, given, monitor, placement) as (chosen, executor):
        trained = train.train_all(chosen, executor, monitor.bar, watch, say_trained)
        runs = [each.run.folder for each in trained]

        # The submission.
        request = ensemble.Request(pipeline.ensemble.label)
        result = ensemble.ensemble(workspace, runs, request, monitor.bar)
        version = result.created.version
        say("ensemble", f"{version}: {result.created.cv[0].accuracy:.4f} out of fold")

        # Its score.
        score = _submit(workspace, pipeline.submit, version)
    path = path_of(workspace.submissions, version)
    return PipelineResult(result, path, pipeline.split.folds, score)


def runs_asked(
    workspace: Workspace, pipeline: Pipeline, folds: "Folds", device: str, precision: str
) -> list[Asked]:
    """What a pipeline trains."""
    root = str(workspace.root)
    return [
        Asked(
            RunSpec(
                root,
                section.variant,
                tuple(section.settings),
                folds.name,
                device=device,
                precision=precision,
            ),
            None if section.folds == "all" else section.folds,
            section.seeds,
        )
        for section in pipeline.train
    ]


def made_folds(workspace: Workspace, pipeline: Pipeline) -> "Folds":
    """The fold table of a pipeline whose data is prepared; DataError where it is not."""
    from kaggle_hw4.data.folds import KINDS, read_folds, table_name

    corpus, section = split.corpus_of(workspace), pipeline.split
    kinds = KINDS if section.by == split.AUTO else (section.by,)
    names = [table_name(kind, section.folds, section.seed) for kind in kinds]
    paths = [workspace.folds / f"{name}.csv" for name in names]
    for path in filter(Path.is_file, paths):
        return read_folds(path, corpus)
    raise DataError(
        "there is no fold table yet", f"`hw4 split` with {section.folds} folds makes it"
    )


def seconds_after(corpus: "Corpus", pipeline: Pipeline) -> float:
    """What ensemble and report take after the training: more with the rows and the members."""
    members = sum(len(section.seeds) for section in pipeline.train)
    return STARTING + FOLLOWING * len(corpus.ids) * len(corpus.speakers) * members


def _submit(workspace: Workspace, submit: SubmitConfig, version: str) -> submit_stage.SubmitResult:
    if outcome := submit_stage.known_outcome(workspace, version, submit.to):
        return outcome
    truth = workspace.root / submit.truth if submit.truth else None
    return submit_stage.submit(workspace, version, submit.to, truth)
