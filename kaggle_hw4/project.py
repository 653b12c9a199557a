"""The Python API: a project is a folder with one corpus, and every stage is a method of it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kaggle_hw4.execution.spec import Asked, RunSpec
from kaggle_hw4.progress import bars, live
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.corpus import Corpus
    from kaggle_hw4.data.folds import Folds
    from kaggle_hw4.kaggle.leaderboard import Row
    from kaggle_hw4.report.write import ReportFile
    from kaggle_hw4.stages.compare import Comparison
    from kaggle_hw4.stages.ensemble import EnsembleResult
    from kaggle_hw4.stages.pretrain import FinishedPretraining
    from kaggle_hw4.stages.pseudo_label import Labelled
    from kaggle_hw4.stages.submit import SubmitResult
    from kaggle_hw4.stages.train import FinishedRun

Objective = Literal["masked", "cbow", "skip_gram", "autoencoder", "vae", "counts"]


def synthesise(folder: str | Path, speakers: int = 40, frames: float = 300, seed: int = 0) -> Path:
    """Write synthetic speakers in the official layout to the new `folder`; return it.

    The test set is in unseen sessions; `truth.csv`, beside `Dataset/`, has its answers. `frames` is
    the median length of an utterance, 10 ms each.
    """
    from kaggle_hw4.synth.corpus import write_corpus

    with bars() as bar:
        progress = bar("synth")
        write_corpus(Path(folder), speakers=speakers, frames=frames, seed=seed, progress=progress)
    return Path(folder)


class Project:
    """A folder with one corpus and everything made from it.

    A stage whose result exists returns it. Progress shows on a terminal and in a notebook. Errors
    are those of `kaggle_hw4.errors`. Variants, fold tables and submissions are given by name, runs
    as `train` returns them or as folders.
    """

    def __init__(self, folder: str | Path = ".") -> None:
        self.workspace = Workspace.at(Path(folder))

    @property
    def corpus(self) -> "Corpus":
        """The corpus, checked against its hashes."""
        from kaggle_hw4.stages.split import corpus_of

        with bars() as bar:
            return corpus_of(self.workspace, bar)

    def pack(
        self,
        dataset: str | Path,
        dtype: Literal["float16", "float32"] = "float16",
        replace: bool = False,
    ) -> "Corpus":
        """Check the official folder `dataset` and pack it; DataError names every problem."""
        from kaggle_hw4.data.corpus import pack

        place = self.workspace.corpus
        with bars() as bar:
            return pack(Path(dataset), place, dtype=dtype, replace=replace, bar=bar)

    def split(
        self,
        folds: int = 5,
        by: Literal["auto", "session", "utterance"] = "auto",
        seed: int = 0,
    ) -> "Folds":
        """Split the training utterances into `folds`, of guessed sessions or of utterances: as the
        test set needs it (auto), or as asked.
        """
        from kaggle_hw4.stages.split import split

        with bars() as bar:
            return split(self.workspace, by, folds, seed, bar).folds

    def pretrain(
        self,
        variant: str,
        objective: Objective = "masked",
        steps: int | None = None,
        transductive: bool = False,
        settings: Iterable[str] = (),
        folds: Sequence[int] | Literal["all"] = (0,),
        seeds: Sequence[int] = (0,),
        split: str | None = None,
    ) -> "list[FinishedPretraining]":
        """Train the encoders of `variant` without labels, or resume where it was stopped.

        Without `steps` it takes a quarter of the variant's. `transductive` trains on the test set's
        frames, too. A training begins from them with the setting start.initialise_from.
        """
        from kaggle_hw4.stages.pretrain import PretrainingAsked, pretrain

        asked = PretrainingAsked(
            variant=variant,
            objective=objective,
            steps=steps,
            transductive=transductive,
            settings=tuple(settings),
            split=split,
            folds=None if folds == "all" else folds,
            seeds=seeds,
        )
        with live() as monitor:
            return pretrain(self.workspace, asked, monitor)

    def train(
        self,
        variant: str,
        settings: Iterable[str] = (),
        folds: Sequence[int] | Literal["all"] = (0,),
        seeds: Sequence[int] = (0,),
        split: str | None = None,
        device: str = "auto",
        precision: str = "auto",
        time_limit: str | None = None,
        pseudo_labels: str | Path | None = None,
        teachers: "Iterable[FinishedRun | str | Path]" = (),
        on: str | None = None,
        jobs: int | None = None,
        slurm: Iterable[str] = (),
    ) -> "list[FinishedRun]":
        """Train `variant` on every fold with every seed, or resume where it was stopped.

        `settings` are `section.key=value`, laid over the recipe. `split` names the fold table where
        there are several. With a `time_limit`, such as 1h30m, steps and networks are chosen so that
        all is trained and predicted in it. `pseudo_labels` are trained on, too, and the soft
        targets of `teachers`, which are runs of the same folds. `on` is local, slurm, ray or
        ray://ADDRESS: there `jobs` runs are trained at a time, by default one a device, each in a
        process of its own; `slurm` are KEY=VALUE of sbatch. Else they are trained here, in turn.
        """
        from kaggle_hw4.execution.placement import find_placement
        from kaggle_hw4.stages.teach import make_teacher, source_settings
        from kaggle_hw4.stages.train import in_time, show_ended, time_given, train

        placement = find_placement(on, jobs, tuple(slurm))
        given, taught = time_given(time_limit), folders(teachers)
        labels = None if pseudo_labels is None else str(pseudo_labels)
        keys = (*settings, *source_settings(labels, taught, split))
        root = str(self.workspace.root)
        spec = RunSpec(root, variant, keys, split, device=device, precision=precision)
        asked = Asked(spec, None if folds == "all" else folds, seeds)
        if taught:
            with bars() as bar:
                make_teacher(asked, taught, bar)
        with live() as monitor, in_time([asked], given, monitor, placement) as (chosen, executor):
            watch = show_ended(monitor.bar("runs")) if placement else None
            return train(chosen[0], executor, monitor.bar, watch)

    def predict(
        self, runs: "Iterable[FinishedRun | str | Path]", settings: Iterable[str] = ()
    ) -> "list[FinishedRun]":
        """Predict finished runs anew, with `predict.key=value` laid over their recipes."""
        from kaggle_hw4.stages.predict import predict

        with bars() as bar:
            return predict(self.workspace, folders(runs), list(settings), bar=bar)

    def pseudo_label(
        self,
        runs: "Iterable[FinishedRun | str | Path]",
        confidence: float = 0.9,
        most: int | None = None,
        split: str | None = None,
    ) -> "list[Labelled]":
        """Label the test utterances that all members of an ensemble give the same speaker, and
        that their blend is sure of; up to `most` of a speaker.
        """
        from kaggle_hw4.stages.pseudo_label import LabelRequest, pseudo_label

        request = LabelRequest(confidence=confidence, most=most, split=split)
        with bars() as bar:
            return pseudo_label(self.workspace, folders(runs), request, bar)

    def ensemble(
        self,
        runs: "Iterable[FinishedRun | str | Path]",
        label: str | None = None,
        split: str | None = None,
        method: str = "auto",
    ) -> "EnsembleResult":
        """Blend finished runs into a new, versioned submission, or find it made of just these."""
        from kaggle_hw4.stages.ensemble import Request, ensemble

        request = Request(label=label, split=split, method=method)
        with bars() as bar:
            return ensemble(self.workspace, folders(runs), request, bar)

    def compare(
        self, first: "FinishedRun | str | Path", second: "FinishedRun | str | Path"
    ) -> "Comparison":
        """Two runs, or two folders of runs, each blended uniformly, on the rows of both."""
        from kaggle_hw4.stages.compare import compare

        first_folder, second_folder = folders([first, second])
        with bars() as bar:
            return compare(self.workspace, first_folder, second_folder, bar)

    def score(self, version: str | None = None, *, truth: str | Path) -> "SubmitResult":
        """Check a submission (the latest one, if none is named) and score it on a truth file."""
        from kaggle_hw4.stages.submit import submit

        return submit(self.workspace, version, "local", Path(truth))

    def board(self) -> "list[Row]":
        """The submissions with their validation and scores, best public score first."""
        from kaggle_hw4.kaggle.leaderboard import table
        from kaggle_hw4.kaggle.ledger import Ledger
        from kaggle_hw4.stages.edition import edition_of_workspace

        entries = Ledger(self.workspace.submissions).entries()
        return table(entries, edition_of_workspace(self.workspace))

    def report(
        self,
        subject: str | None = None,
        out: str | Path | None = None,
        storage: str | None = None,
    ) -> "ReportFile":
        """Write the report of the project, or of a run, a version or a study, as one HTML page.

        `storage` is the URL of the server that studies are on.
        """
        from kaggle_hw4.report.write import write_report

        with bars() as bar:
            file = None if out is None else Path(out)
            progress = bar("report")
            return write_report(self.workspace, subject, file, progress=progress, storage=storage)


def folders(runs: "Iterable[FinishedRun | str | Path]") -> list[Path]:
    """The folders of runs."""
    return [Path(run) if isinstance(run, str | Path) else run.run.folder for run in runs]
