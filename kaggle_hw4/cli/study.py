"""A study and its cost as text."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaggle_hw4.cli.output import page, table
from kaggle_hw4.pace import in_words
from kaggle_hw4.workspace import shown

if TYPE_CHECKING:
    from kaggle_hw4.tuning.estimate import CostEstimate
    from kaggle_hw4.tuning.finals import Finals, Standing
    from kaggle_hw4.tuning.summary import StudySummary

WIDTH = 4  # trials in a table


def render_cost(cost: "CostEstimate", trials: int, jobs: int) -> str:
    """The estimate of `hw4 tune --dry-run`."""
    return (
        f"step    {cost.step:.3f} s, mean of {cost.measured} recipes (slowest "
        f"{cost.slowest_step:.3f} s); validation {cost.validation:.1f} s\n"
        f"trial   {in_words(cost.trial)} without pruning; with pruning, about "
        f"{cost.trained_share:.0%} of all steps are trained\n"
        f"search  {in_words(cost.search)}: {trials} trials, {jobs} in parallel\n"
        f"finals  {in_words(cost.finals)}: {cost.final_runs} runs\n"
        f"total   {in_words(cost.total)}"
    )


def render_summary(summary: "StudySummary") -> Any:
    """Counts, best trials, edges, failures and finals, one below the other."""
    trials = summary.trials
    head = (
        f"{summary.study}: {trials.finished} trials finished ({trials.complete} complete, "
        f"{trials.pruned} pruned, {trials.failed} failed), {trials.running} running, "
        f"{trials.waiting} waiting; {trials.retried} crashed and were retried"
    )
    parts = [head, _best(summary), *_edges(summary), *_failures(summary)]
    if summary.finals:
        parts += [_finals(summary.finals), *_winner(summary.finals), *_runs(summary)]
    return page(*parts)


def _best(summary: "StudySummary") -> Any:
    """A column for each of the best trials, a row for each parameter, the important ones first."""
    best, importances = summary.best[:WIDTH], summary.importances
    names = list(dict.fromkeys([*importances, *(name for t in best for name in t.params)]))
    columns = ("parameter", "importance>", *(f"trial {t.trial}>" for t in best))
    values = (summary.fingerprint.objective, "", *(f"{t.value:.4f}" for t in best))
    rows: list[tuple[object, ...]] = [values]
    for name in names:
        share = f"{importances[name]:.2f}" if name in importances else ""
        rows.append((name, share, *(_cell(t.params.get(name)) for t in best)))
    return table(columns, rows)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def _edges(summary: "StudySummary") -> Iterator[str]:
    for edge in summary.edges:
        yield (
            f"the best {edge.parameter} is the {edge.edge} that the space allows "
            f"({_cell(edge.value)}): widen the space"
        )


def _failures(summary: "StudySummary") -> Iterator[str]:
    for failure in summary.failures:
        yield f"trial {failure.trial} failed: {failure.reason}"


def _finals(finals: "Finals") -> Any:
    """A row for each finalist; the lead is the paired one on folds and seeds not searched on."""
    columns = ("finals", "search>", "mean>", "sd>", "runs>", "lead>", "se>")
    rows = [
        (
            f"trial {standing.trial}" + (" (baseline)" if standing.baseline else ""),
            f"{standing.search_value:.4f}",
            f"{standing.mean:.4f}",
            f"{standing.deviation:.4f}",
            standing.n,
            "" if standing.final_lead is None else f"{standing.final_lead:+.4f}",
            "" if standing.standard_error is None else f"{standing.standard_error:.4f}",
        )
        for standing in finals.candidates
    ]
    return table(columns, rows)


def _winner(finals: "Finals") -> list[str]:
    """The winner, and how much of its lead over the baseline is selection bias."""
    winner = finals.winner
    if winner.baseline:
        return ["no finalist beats the baseline: no variant is written"]
    path = "" if finals.variant is None else f", {shown(Path(finals.variant))}"
    return [f"winner: trial {winner.trial}{path}", _lead(winner)]


def _runs(summary: "StudySummary") -> Iterator[str]:
    """Where the finalists' runs are: an ensemble of runs/* leaves them out."""
    for trial, folder in summary.runs.items():
        yield f"runs of trial {trial}: {shown(folder)}"


def _lead(winner: "Standing") -> str:
    if winner.final_lead is None:
        return "only the fold and seed of the search: its lead may be selection bias alone"
    error = "" if winner.standard_error is None else f" ± {winner.standard_error:.4f}"
    others = f"{winner.pairs} other{'s' * (winner.pairs != 1)}"
    return (
        f"lead over the baseline: {winner.search_lead:+.4f} on the fold and seed of the search, "
        f"{winner.final_lead:+.4f}{error} on {others}; the difference, "
        f"{winner.search_lead - winner.final_lead:+.4f}, is selection bias"
    )
