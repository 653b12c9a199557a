"""Everything that a report shows, read from a workspace; nothing in it is changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from kaggle_hw4.data.corpus import Corpus, open_corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.errors import Hw4Error
from kaggle_hw4.kaggle.ledger import Entry, Ledger
from kaggle_hw4.report.board import BoardReport, describe_board
from kaggle_hw4.report.comparison import ModelComparison, choose_pairs, compare_groups
from kaggle_hw4.report.cost import CostReport, describe_cost
from kaggle_hw4.report.data import DataReport, describe_data, read_tables
from kaggle_hw4.report.ensemble import EnsembleReport, describe_ensemble
from kaggle_hw4.report.groups import Group, RunList, comparable, ladder_order, read_runs
from kaggle_hw4.report.models import Mistakes, ModelRow, describe_model, find_mistakes
from kaggle_hw4.report.predictions import GroupPredictions, read_predictions, rows_by_id
from kaggle_hw4.report.probe import Attention, Plane, has_attention, map_embeddings, read_attention
from kaggle_hw4.report.study import StudyReport, read_study
from kaggle_hw4.report.subject import Subject
from kaggle_hw4.tuning.server import noted_address
from kaggle_hw4.tuning.storage import list_studies
from kaggle_hw4.workspace import Workspace

T = TypeVar("T")

GROUPS = 12  # whose logits are read
STUDIES = 5


@dataclass(frozen=True)
class Absent:
    """Why a section has nothing to show, and the command that makes it."""

    reason: str
    command: str = ""


@dataclass(frozen=True)
class ModelsReport:
    """`best` is the group that the mistakes are those of."""

    models: tuple[ModelRow, ...]
    left_out: tuple[str, ...]
    mistakes: Mistakes
    attentive: str  # the group whose utterances are shown
    attention: tuple[Attention, ...]
    plane: Plane | None


@dataclass(frozen=True)
class ComparisonReport:
    comparisons: tuple[ModelComparison, ...]


@dataclass(frozen=True)
class StudiesReport:
    studies: tuple[StudyReport, ...]
    problems: tuple[str, ...]


Result = (
    BoardReport
    | ComparisonReport
    | ModelsReport
    | DataReport
    | EnsembleReport
    | StudiesReport
    | CostReport
    | Absent
)
NO_CORPUS = Absent("There is no corpus in this workspace.", "hw4 data pack Dataset")
NO_RUNS = Absent("There is no finished run.", "hw4 train")


class Collector:
    """Reads each artifact once, for all sections of a report."""

    def __init__(self, workspace: Workspace, subject: Subject) -> None:
        self.workspace, self.subject = workspace, subject

    def section(self, name: str) -> Result:
        """The results of one section; `Absent` where something is missing or damaged."""
        collect: Callable[[], Result] = getattr(self, f"_{name}")
        try:
            return collect()
        except Hw4Error as error:
            return Absent(f"This part cannot be shown: {error.what}.", error.then)
        except OSError as error:
            return Absent(f"{error.filename or name} cannot be read: {error.strerror or error}.")

    @cached_property
    def runs(self) -> RunList:
        return read_runs(self.subject.runs)

    @cached_property
    def corpus(self) -> Corpus | None:
        """The corpus; None where there is none. DataError for a damaged one."""
        return open_corpus(self.workspace.corpus) if self.workspace.corpus.is_dir() else None

    @cached_property
    def predictions(self) -> tuple[list[GroupPredictions], list[str]]:
        """Those of the groups that can be compared, and why the others cannot."""
        kept, left_out = self._predictions_of(self.runs.groups)
        return kept, [*self.runs.problems, *left_out]

    def _predictions_of(self, runs: Sequence[Group]) -> tuple[list[GroupPredictions], list[str]]:
        assert self.corpus is not None
        rows = rows_by_id(self.corpus)
        groups, left_out = comparable(runs, self.corpus.hash)
        best = sorted(groups, key=lambda group: -group.accuracy)[:GROUPS]
        left_out += [f"{g.name} is not among the best {GROUPS}." for g in groups if g not in best]
        kept = []
        for group in (group for group in groups if group in best):
            try:
                kept.append(read_predictions(group, self.corpus, rows))
            except (Hw4Error, OSError, KeyError) as error:
                left_out.append(f"{group.name} cannot be read: {error}.")
        return kept, left_out

    @cached_property
    def tables(self) -> tuple[list[Folds], list[str]]:
        assert self.corpus is not None
        return read_tables(self.workspace.folds, self.corpus, self.runs.groups)

    def _board(self) -> Result:
        absent = Absent("The ledger has no submission yet.", "hw4 ensemble runs/*")
        return describe_board(self.workspace) or absent

    def _comparison(self) -> Result:
        if self.corpus is None:
            return NO_CORPUS
        groups, wanted = self._groups_to_compare()
        pairs = [(groups[i], groups[k]) for i, k in choose_pairs(groups, wanted)]
        compared = [compare_groups(first, second, self.corpus) for first, second in pairs]
        kept = tuple(comparison for comparison in compared if comparison)
        absent = Absent(
            "A comparison needs two recipes that were trained on the same fold table.",
            "hw4 train",
        )
        return ComparisonReport(kept) if kept else absent

    def _groups_to_compare(self) -> tuple[list[GroupPredictions], set[str]]:
        """Those of the subject and, where it is a run, the others of the workspace; the names of
        the groups that have to be in a comparison.
        """
        own = self.predictions[0]
        if not self.subject.alone:
            return own, set()
        names = {each.group.name for each in own}
        tables = {each.group.table for each in own}
        rest = read_runs([self.workspace.runs]).groups
        others = [group for group in rest if group.name not in names and group.table in tables]
        both = [*own, *self._predictions_of(others)[0]]
        return sorted(both, key=lambda each: ladder_order(each.group)), names

    def _models(self) -> Result:
        if self.corpus is None:
            return NO_CORPUS
        groups, left_out = self.predictions
        if not groups:
            return Absent(" ".join(left_out), NO_RUNS.command) if left_out else NO_RUNS
        best = max(groups, key=lambda each: each.validation.accuracy().accuracy)
        mistakes = find_mistakes(best, self.corpus)
        attentive, utterances = best, mistakes.utterances
        if others := [each for each in groups if has_attention(each.group)]:
            attentive = max(others, key=lambda each: each.validation.accuracy().accuracy)
            utterances = find_mistakes(attentive, self.corpus).utterances
        return ModelsReport(
            tuple(describe_model(each) for each in groups),
            tuple(left_out),
            mistakes,
            attentive.group.name,
            read_attention(attentive.group, utterances, self.corpus),
            self._plane(best, mistakes),
        )

    def _plane(self, best: GroupPredictions, mistakes: Mistakes) -> Plane | None:
        assert self.corpus is not None
        tables = [table for table in self.tables[0] if table.hash == best.group.table]
        session = tables[0].session if tables and tables[0].by == "session" else None
        labels = mistakes.labels or tuple(range(len(self.corpus.speakers)))
        return map_embeddings(best.group.runs[0].run, labels, self.corpus, session)

    def _data(self) -> Result:
        if self.corpus is None:
            return NO_CORPUS
        return describe_data(self.corpus, *self.tables)

    def _ensemble(self) -> Result:
        entry = self._version()
        labels = None
        if self.corpus is not None:
            train = self.corpus.train
            labels = {self.corpus.ids[row]: int(self.corpus.labels[row]) for row in train}
        report = describe_ensemble(self.workspace, entry, labels) if entry else None
        absent = Absent("No submission was blended by hw4 yet.", "hw4 ensemble runs/*")
        return report or absent

    def _version(self) -> Entry | None:
        """The version of the subject, else the one with the most members; the latest of those."""
        entries = Ledger(self.workspace.submissions).entries()
        if self.subject.version:
            return next(e for e in entries if e.version == self.subject.version)
        created = [entry for entry in entries[::-1] if entry.created]
        return max(created, key=lambda e: len(e.created.members) if e.created else 0, default=None)

    def _study(self) -> Result:
        listed = list_studies(self.workspace.studies)
        names = [self.subject.study] if self.subject.study else listed[:STUDIES]
        studies, problems = [], []
        for folder in (self.workspace.studies / name for name in names):
            try:
                studies.append(read_study(folder, self._url(folder)))
            except Hw4Error as error:
                problems.append(str(error))
        absent = Absent("There is no study.", "hw4 tune")
        return StudiesReport(tuple(studies), tuple(problems)) if names else absent

    def _url(self, folder: Path) -> str | None:
        """Of the server that a study is on, where the report was given it."""
        on_server = self.subject.study is not None or noted_address(folder) is not None
        return self.subject.storage if on_server else None

    def _cost(self) -> Result:
        groups, unfinished = {"": self.runs.groups}, [*self.runs.unfinished]
        for study in self.subject.studies:
            own = read_runs([study / "runs"])
            groups[study.name] = own.groups
            unfinished += own.unfinished
        if not any(groups.values()) and not unfinished:
            return NO_RUNS
        return describe_cost(groups, unfinished)
