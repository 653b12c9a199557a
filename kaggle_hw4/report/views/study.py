"""Studies: history, importances, slices, pruning."""

from collections.abc import Iterator
from itertools import accumulate

from kaggle_hw4.report.canvas import Labels, make_figure
from kaggle_hw4.report.collect import StudiesReport
from kaggle_hw4.report.document import Block, Cell, Figure, Finding, Text, fixed, make_table
from kaggle_hw4.report.plots import Series, bars, lines, scatter
from kaggle_hw4.report.study import StudyReport, TrialRow

SLICES = 4  # parameters, the most important ones
CURVES = 24  # trials whose validations are drawn


def show_studies(report: StudiesReport) -> Iterator[Block]:
    yield from (Text(problem) for problem in report.problems)
    for number, study in enumerate(report.studies, 1):
        yield from _show(study, f"study-{number}")


def _show(study: StudyReport, name: str) -> Iterator[Block]:
    yield Text(counts_words(study))
    yield from (Finding(text) for text in (winner_words(study),) if text)
    for edge in study.summary.edges:
        yield Text(f"The best {edge.parameter} is the {edge.edge} allowed: widen the space.")
    if any(trial.value is not None for trial in study.trials):
        yield _history(study, name)
    if study.summary.importances:
        yield _importances(study, name)
    if any(trial.curve for trial in study.trials):
        yield _pruning(study, name)
    parameters = [*study.summary.importances][:SLICES]
    yield from (_slice(study, name, k, each) for k, each in enumerate(parameters, 1))
    yield _trials(study, name)


def counts_words(study: StudyReport) -> str:
    trials, summary = study.summary.trials, study.summary
    fingerprint = summary.fingerprint
    return (
        f"{summary.study} searches {fingerprint.variant} for validation by "
        f"{fingerprint.objective}, on fold {fingerprint.fold}: {trials.complete} trials complete, "
        f"{trials.pruned} pruned, {trials.failed} failed, {trials.running} running, "
        f"{trials.waiting} waiting."
    )


def winner_words(study: StudyReport) -> str:
    """What the finals say of the best trial; empty before they have ended."""
    finals = study.summary.finals
    if finals is None:
        return ""
    winner = finals.winner
    if winner.baseline:
        return "No finalist beats the baseline on all folds: the variant stays as it is."
    if winner.final_lead is None:
        return f"Trial {winner.trial} wins, on the fold of the search alone."
    error = "" if winner.standard_error is None else f" ± {100 * winner.standard_error:.1f}"
    return (
        f"Trial {winner.trial} leads the baseline by {100 * winner.search_lead:.1f} points on the "
        f"fold of the search and by {100 * winner.final_lead:.1f}{error} on {winner.pairs} others: "
        f"{_selection(winner.search_lead - winner.final_lead)}."
    )


def _selection(bias: float) -> str:
    return "nothing of it is selection" if bias <= 0 else f"{100 * bias:.1f} are selection"


def _history(study: StudyReport, name: str) -> Figure:
    done = [t for t in study.trials if t.state == "complete" and t.value is not None]
    pruned = [t for t in study.trials if t.state == "pruned" and t.value is not None]
    better = max if study.maximised else min
    best = list(accumulate((t.value or 0.0 for t in done), better))
    labels = Labels(
        f"{name}-history",
        f"History of {study.summary.study}",
        "The objective of each trial; a pruned one shows its last validation.",
        "trial",
        study.summary.fingerprint.objective,
        whole=True,
    )
    series = [_cloud("complete", done), _cloud("pruned", pruned)]
    series.append(Series("best so far", [t.number for t in done], best, joined=True))
    rows = [(t.number, fixed(t.value), fixed(b)) for t, b in zip(done, best, strict=True)]
    columns = ("trial", "objective", "best so far")
    drawn = scatter(labels, [each for each in series if len(each.x)])
    return make_figure(labels, drawn, columns, rows)


def _cloud(name: str, trials: list[TrialRow]) -> Series:
    return Series(name, [t.number for t in trials], [t.value or 0.0 for t in trials])


def _importances(study: StudyReport, name: str) -> Figure:
    importances = study.summary.importances
    labels = Labels(
        f"{name}-importances",
        "What mattered",
        "The importance of each parameter for the objective (PED-ANOVA); few trials say little.",
        "importance",
    )
    rows = [(parameter, fixed(share, 3)) for parameter, share in importances.items()]
    columns = ("parameter", "importance")
    drawn = bars(labels, [*importances], [*importances.values()])
    return make_figure(labels, drawn, columns, rows)


def _pruning(study: StudyReport, name: str) -> Figure:
    """The curves of some trials, those that were pruned and those that were not."""
    shown = [trial for trial in study.trials if trial.curve][:CURVES]
    groups: dict[str, list[TrialRow]] = {"complete": [], "pruned": []}
    for trial in shown:
        groups.setdefault(trial.state, []).append(trial)
    labels = Labels(
        f"{name}-pruning",
        "Validations of the trials",
        "Each line is a trial; those that were pruned end early.",
        "step",
        study.summary.fingerprint.objective,
    )
    series = [Series(state, *_joined(trials)) for state, trials in groups.items() if trials]
    rows = [
        (trial.number, trial.state, step, fixed(value))
        for trial in shown
        for step, value in trial.curve
    ]
    columns = ("trial", "state", "step", "objective")
    return make_figure(labels, lines(labels, series), columns, rows)


def _joined(trials: list[TrialRow]) -> tuple[list[float], list[float]]:
    """The curves of trials as one line, with a gap after each."""
    x: list[float] = []
    y: list[float] = []
    for trial in trials:
        x += [*(float(step) for step, _ in trial.curve), float("nan")]
        y += [*(value for _, value in trial.curve), float("nan")]
    return x, y


def _slice(study: StudyReport, name: str, number: int, parameter: str) -> Figure:
    """The objective against one parameter, numbers as they are and choices by their names."""
    trials = [t for t in study.trials if t.state == "complete" and parameter in t.params]
    values = [t.params[parameter] for t in trials]
    space = study.summary.fingerprint.space.get(parameter)
    choices = sorted({str(value) for value in values})
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    x = values if numeric else [choices.index(str(v)) for v in values]
    key = "" if numeric else ": " + ", ".join(f"{i} = {c}" for i, c in enumerate(choices))
    labels = Labels(
        f"{name}-slice-{number}",
        f"Objective against {parameter}",
        f"Complete trials{key}.",
        parameter,
        study.summary.fingerprint.objective,
    )
    rows = [
        (t.number, str(v) if not numeric else v, fixed(t.value))
        for t, v in zip(trials, values, strict=True)
    ]
    columns = ("trial", parameter, "objective")
    cloud = Series("trials", x, [t.value or 0.0 for t in trials])
    log = numeric and bool(getattr(space, "log", False))
    return make_figure(labels, scatter(labels, [cloud], log_x=log), columns, rows)


def _trials(study: StudyReport, name: str) -> Block:
    parameters = list(dict.fromkeys(key for t in study.trials for key in t.params))
    rows: list[tuple[Cell, ...]] = [
        (
            t.number,
            t.state,
            t.role or "",
            fixed(t.value),
            fixed(t.seconds, 0),
            *(_value(t.params.get(key)) for key in parameters),
        )
        for t in study.trials
    ]
    columns = ("trial", "state", "role", "objective", "seconds", *parameters)
    return make_table(f"{name}-trials", f"Trials of {study.summary.study}", columns, rows)


def _value(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
