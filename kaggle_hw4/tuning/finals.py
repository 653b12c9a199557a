"""How the finalists compare, the winner's recipe, and the record of it in the study."""

import statistics
from collections.abc import Iterable

import optuna

from kaggle_hw4.artifact import commit, write_text
from kaggle_hw4.errors import DataError
from kaggle_hw4.run_manifest import Record
from kaggle_hw4.tuning.finalists import Finalist, Scores, group_of
from kaggle_hw4.tuning.plan import Plan

KEY = "finals"  # the user attribute of a study


class Standing(Record):
    """A candidate's objective over `n` folds and seeds: mean and standard deviation.

    The leads are over the baseline, positive where the candidate is better: `search_lead` on the
    fold and seed of the search, `final_lead` on the `pairs` of fold and seed that the search did
    not use (None without any). The difference of the two is selection bias.
    """

    trial: int
    baseline: bool
    search_value: float
    mean: float
    deviation: float
    n: int
    search_lead: float
    final_lead: float | None
    standard_error: float | None  # of final_lead; None for a single pair
    pairs: int
    runs: str = ""  # the name of the folder of its runs


class Finals(Record):
    """The candidates, best first, over `folds` folds with each of `seeds`.

    `variant` is the path of the winner's recipe; None where the baseline won.
    """

    candidates: tuple[Standing, ...]
    folds: int
    seeds: tuple[int, ...]
    variant: str | None = None

    @property
    def winner(self) -> Standing:
        return self.candidates[0]

    @property
    def baseline(self) -> Standing:
        return next(standing for standing in self.candidates if standing.baseline)


def name_winner(plan: Plan, candidates: Iterable[Finalist], scores: dict[int, Scores]) -> Finals:
    """Rank the candidates by their mean over all folds and seeds; those without scores drop out.

    Raises DataError where the baseline has none.
    """
    trained = [candidate for candidate in candidates if candidate.trial in scores]
    baseline = next((candidate for candidate in trained if candidate.baseline), None)
    if baseline is None:
        raise DataError("the baseline does not train on every fold", "see `hw4 train`")
    standings = [standing_of(plan, candidate, baseline, scores) for candidate in trained]
    standings.sort(key=lambda standing: -plan.objective.sign * standing.mean)
    return Finals(candidates=tuple(standings), folds=plan.folds.count, seeds=tuple(plan.seeds))


def standing_of(
    plan: Plan, candidate: Finalist, baseline: Finalist, scores: dict[int, Scores]
) -> Standing:
    """A candidate's mean, and its lead over the baseline, paired by fold and seed."""
    sign, searched = plan.objective.sign, (plan.fold, plan.seeds[0])
    values, reference = scores[candidate.trial], scores[baseline.trial]
    pairs = [sign * (value - reference[key]) for key, value in values.items() if key != searched]
    return Standing(
        trial=candidate.trial,
        baseline=candidate.baseline,
        search_value=candidate.search_value,
        mean=statistics.fmean(values.values()),
        deviation=statistics.stdev(values.values()) if len(values) > 1 else 0.0,
        n=len(values),
        search_lead=sign * (candidate.search_value - baseline.search_value),
        final_lead=statistics.fmean(pairs) if pairs else None,
        standard_error=statistics.stdev(pairs) / len(pairs) ** 0.5 if len(pairs) > 1 else None,
        pairs=len(pairs),
        runs=group_of(plan, candidate),
    )


def write_winner(
    plan: Plan, trials: int, candidates: Iterable[Finalist], finals: Finals
) -> str | None:
    """Write the winner as `pipelines/variants/<variant>_tuned.toml`, with its provenance.

    `trials` is how many the study has. Returns the path; None, and nothing is written, when the
    baseline won.
    """
    winner, baseline = finals.winner, finals.baseline
    if winner.baseline:
        return None
    header = (
        f"{plan.variant}, tuned: trial {winner.trial} of {trials} of the study {plan.name}, "
        f"on corpus {plan.corpus.hash}.",
        f"Validation by {plan.objective.name} on {plan.folds.name} ({plan.folds.hash}), mean ± "
        f"standard deviation of {winner.n} runs ({finals.folds} folds, {len(finals.seeds)} seeds):",
        f"{winner.mean:.4f} ± {winner.deviation:.4f}, the baseline {plan.variant} "
        f"{baseline.mean:.4f} ± {baseline.deviation:.4f}. No Kaggle score.",
        f"Written by `hw4 tune` ({plan.variant}, {plan.trials} trials), at commit {commit()}.",
    )
    recipe = next(each.recipe for each in candidates if each.trial == winner.trial)
    comment = "".join(f"# {line}\n" for line in header)
    write_text(plan.tuned, f"{comment}\n{recipe.to_toml()}")
    return str(plan.tuned)


def write_finals(study: optuna.Study, finals: Finals) -> None:
    study.set_user_attr(KEY, finals.model_dump(mode="json"))


def read_finals(study: optuna.Study) -> Finals | None:
    """The finals of a study; None where they have not ended yet."""
    values = study.user_attrs.get(KEY)
    return None if values is None else Finals.model_validate(values)
