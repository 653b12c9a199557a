"""hw4 pretrain."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaggle_hw4.cli.options import (
    AsJson,
    Device,
    NamedVariant,
    Precision,
    Root,
    Seeds,
    Settings,
    SplitName,
    StopAfter,
    Variant,
    choice,
    one_variant,
    stopping,
)
from kaggle_hw4.cli.output import percent, plain, show, table
from kaggle_hw4.cli.training import Fold, FoldList, chosen_folds
from kaggle_hw4.progress import live
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.stages.pretrain import FinishedPretraining

OBJECTIVES = ("masked", "cbow", "skip_gram", "autoencoder", "vae", "counts")


def add_to(app: typer.Typer) -> None:
    app.command("pretrain")(pretrain_command)


def pretrain_command(
    variant: Variant = None,
    named: NamedVariant = None,
    objective: Annotated[
        str, choice(*OBJECTIVES, text="What is predicted from what; docs/pretraining.md.")
    ] = "masked",
    steps: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Steps; else a quarter of the variant's."),
    ] = None,
    transductive: Annotated[
        bool, typer.Option("--transductive", help="Train on the test set's frames, too.")
    ] = False,
    fold: Fold = None,
    folds: FoldList = None,
    seed: Seeds = None,
    split: SplitName = None,
    settings: Settings = None,
    stop_after: StopAfter = None,
    device: Device = "auto",
    precision: Precision = "auto",
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Train a variant's encoders without labels.

    A training begins from them with -s start.initialise_from=NAME. What the fold holds out is not
    trained on. An interrupted pretraining resumes from its checkpoint.

    Example: hw4 pretrain boss --objective masked --fold 0
    """
    from kaggle_hw4.stages.pretrain import PretrainingAsked, pretrain

    name = one_variant(variant, named, "hw4 pretrain boss")
    asked = PretrainingAsked(
        variant=name,
        objective=objective,
        steps=steps,
        transductive=transductive,
        settings=tuple(settings or ()),
        split=split,
        folds=chosen_folds(fold or [], folds),
        seeds=tuple(seed or [0]),
        device=device,
        precision=precision,
    )
    with stopping(stop_after), live("pretrain") as monitor:
        runs = pretrain(Workspace.at(workspace), asked, monitor)
    value = [
        {"run": each.run.name, "folder": str(each.run.folder), **plain(each.manifest)}
        for each in runs
    ]
    group = runs[0].run.folder.parent.name
    then = f"hw4 train {name} -s start.initialise_from={group}"
    show(value, as_json, lambda: _render(runs), then)


def _render(runs: "list[FinishedPretraining]") -> Any:
    rows = [
        (
            each.run.name,
            each.manifest.folds.name,
            f"{each.manifest.loss:.3f}",
            percent(each.manifest.explained),
            "training and test set" if each.manifest.transductive else "training set",
            f"{each.manifest.seconds:.0f} s",
        )
        for each in runs
    ]
    columns = ("pretraining", "folds", "loss>", "explained>", "frames of", "trained>")
    return table(columns, rows)
