"""A pipeline file: the stages from a dataset to a scored submission, run where they are missing."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from kaggle_hw4.errors import DataError
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.kaggle.submissions import LABEL
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.settings import Count, Positive, Section, read_toml, validate
from kaggle_hw4.stages import ensemble, split, train
from kaggle_hw4.stages import submit as submit_stage
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.folds import Folds
    from kaggle_hw4.training.loop import Monitor


class Data(Section):
    dataset: str  # the official folder; relative to the workspace
    synth_speakers: Positive | None = None  # make it, synthetic, where it is missing


class Split(Section):
    by: Literal["session", "utterance"]
    folds: Annotated[int, Field(ge=2)]
    seed: Count = 0


class Train(Section):
    variant: str
    folds: Literal["all"] | Annotated[list[Count], Field(min_length=1)] = "all"
    seeds: list[Count] = Field(default_factory=lambda: [0], min_length=1)
    settings: list[str] = Field(default_factory=list)


class Ensemble(Section):
    label: Annotated[str, Field(pattern=LABEL)] | None = None


class Submit(Section):
    to: Literal["local", "web"]
    truth: str | None = None

    @model_validator(mode="after")
    def truth_is_local(self) -> "Submit":
        if (self.to == "local") != (self.truth is not None):
            raise ValueError("a truth file is what to = 'local' scores on: give both or none")
        return self


class Pipeline(Section):
    data: Data
    split: Split
    train: list[Train] = Field(min_length=1)
    ensemble: Ensemble = Ensemble()
    submit: Submit

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
    plan = validate(Pipeline, read_toml(path), path.name)
    for part in plan.train:
        read_recipe(workspace.variant(part.variant), part.settings)
    made = plan.data.synth_speakers is not None
    truth = workspace.root / plan.submit.truth if plan.submit.truth else None
    if truth and not made and not truth.is_file():
        raise DataError(f"{truth}: the truth file of {path.name} is missing")
    return plan


Say = Callable[[str, str], None]  # (stage, what became of it)


def prepare(
    workspace: Workspace, plan: Pipeline, say: Say, progress: Callable[[str], split.Progress]
) -> "Folds":
    """Dataset → packed corpus → folds."""
    from kaggle_hw4.data.corpus import pack
    from kaggle_hw4.synth.corpus import write_corpus

    dataset = workspace.root / plan.data.dataset
    if plan.data.synth_speakers and not dataset.exists():
        write_corpus(dataset, speakers=plan.data.synth_speakers, progress=progress("synth"))
        say("synth", f"{plan.data.synth_speakers} speakers in {workspace.shown(dataset)}")
    corpus = pack(dataset, workspace.corpus, progress=progress("pack"))
    say("pack", f"{len(corpus.train)} training and {len(corpus.test)} test utterances")
    by, count, seed = plan.split.by, plan.split.folds, plan.split.seed
    made = split.split(workspace, by, count, seed, progress("split"))
    say("split", f"{count} folds by {by} in {workspace.shown(made.path)}")
    return made.folds


def run_pipeline(
    workspace: Workspace, plan: Pipeline, folds: "Folds", device: str, monitor: "Monitor", say: Say
) -> dict[str, Any]:
    """Folds → runs → submission → score. Returns the submission with its score."""
    from kaggle_hw4.execution.local import InProcess
    from kaggle_hw4.kaggle.submissions import path_of

    runs = []
    for section in plan.train:
        spec = RunSpec(
            str(workspace.root),
            section.variant,
            tuple(section.settings),
            folds.name,
            device=device,
        )
        chosen = None if section.folds == "all" else section.folds
        for finished in train.train(spec, InProcess(monitor), chosen, section.seeds):
            runs.append(finished.run.folder)
            accuracy, n = finished.manifest.validation.accuracy, finished.manifest.validation.n
            say("train", f"{finished.run.name}: {accuracy:.4f} of {n} utterances")
    result = ensemble.ensemble(workspace, runs, ensemble.Request(plan.ensemble.label))
    created = result.created
    say("ensemble", f"{created.version}: {created.cv[0].accuracy:.4f} out of fold")
    return {
        **created.model_dump(exclude_unset=True),
        "new": result.new,
        "left_out": result.left_out,
        "forecast": result.forecast,
        "path": workspace.shown(path_of(workspace.submissions, created.version)),
        "folds": plan.split.folds,
        "score": _submit(workspace, plan.submit, created.version),
    }


def _submit(workspace: Workspace, submit: Submit, version: str) -> submit_stage.Outcome:
    if outcome := submit_stage.known_outcome(workspace, version, submit.to):
        return outcome
    truth = workspace.root / submit.truth if submit.truth else None
    return submit_stage.submit(workspace, version, submit.to, truth)
