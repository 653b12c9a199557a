"""The zoo, measured: `make zoo`. Every kind of encoder, alone and as a member of an ensemble.

Each recipe of pipelines/variants/zoo, and strong and boss beside them, shrunk by the ladder's rule,
one network of each kind, from three seeds that hold out a session fold each: in equal steps, and in
equal seconds of a core. Every utterance is predicted by itself. truth.csv scores the unseen
sessions after all the training is finished; what is chosen is chosen by session validation.
Finished runs are not trained again, those of a part (`--recipes`) neither. Writes docs/zoo.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ladder import (
    BATCH,
    SEEDS,
    Trained,
    cost_of,
    make_parser,
    placement_of,
    recipe_of,
    steps_in,
    train_all,
)
from ladder_corpus import LadderCorpus
from linear_probe import probe
from scipy.special import log_softmax
from zoo_report import BASE, INTRODUCTION, Member, Predicted, section

from kaggle_hw4.ensemble.weights import temperature
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.runs import Run
from kaggle_hw4.workspace import shipped

ZOO = tuple(f"zoo/{path.stem}" for path in sorted(shipped("pipelines/variants/zoo").glob("*.toml")))


@dataclass(frozen=True)
class TrainedAlone(Trained):
    """One network of each kind, whose utterances are predicted each by itself."""

    def settings(self, recipe: Recipe) -> tuple[str, ...]:
        alone = "predict.self_training=false", "predict.spreading_neighbours=0"
        return (*super().settings(recipe), *alone)


def main() -> None:
    parser = make_parser(__doc__, Path("docs/zoo.md"), ZOO, "beside strong and boss")
    arguments = parser.parse_args()
    names = [*BASE, *(name for name in arguments.recipes if name not in BASE)]
    parts = [INTRODUCTION]
    for described in arguments.corpus:
        case = LadderCorpus.open(*described, "cpu")
        parts += [case.heading()]
        probed = Member.of("linear probe", [probe_of(case, seed) for seed in SEEDS])
        for title, rows in budgets(case, names, arguments.seconds):
            train_all(case, rows, placement_of(arguments))
            parts += section(title, [*(member_of(case, row) for row in rows), probed])
            arguments.out.write_text("\n".join(parts), encoding="utf-8")


def budgets(
    case: LadderCorpus, names: Sequence[str], times: Sequence[float]
) -> Iterator[tuple[str, list[Trained]]]:
    """A title, and what is trained under it: equal steps, then each of the times."""
    if case.steps:
        title = f"{case.steps:,} steps of {BATCH} segments each"
        yield title, [TrainedAlone(name, 1, case.steps) for name in names]
    for seconds in times:
        rows: list[Trained] = [
            TrainedAlone(name, 1, steps_in(seconds, cost_of(case, name))) for name in names
        ]
        yield f"About {seconds:g} s of one core each", rows


def member_of(case: LadderCorpus, row: Trained) -> Member:
    """What the runs of a recipe predict, from every seed."""
    recipe, inputs = recipe_of(case, row), [case.corpus.hash, case.folds.hash]
    stem = case.place.variant(row.name).stem
    runs = [Run.of(case.place.runs, stem, recipe, inputs, seed, seed) for seed in SEEDS]
    return Member.of(
        row.name,
        [predicted(case, run) for run in runs],
        parameters=runs[0].manifest().parameters,
        seconds=cost_of(case, row.name).run(row.steps, row.steps),
        steps=row.steps,
    )


def predicted(case: LadderCorpus, run: Run) -> Predicted:
    """The log-probabilities of a run for the three sets, calibrated on its session validation."""
    names = ("seen_session", "oof", "test")
    return calibrated(case, run.fold, [run.read_logits(name).values for name in names])


def probe_of(case: LadderCorpus, fold: int) -> Predicted:
    """The linear probe in the place of a network, trained on the same utterances."""
    sets = (case.folds.seen_session(fold), case.folds.validation(fold), case.corpus.test)
    return calibrated(case, fold, probe(case.corpus, case.folds.training(fold), sets))


def calibrated(case: LadderCorpus, fold: int, logits: Sequence[np.ndarray]) -> Predicted:
    """Log-probabilities at the temperature that suits session validation best, as in
    `hw4 ensemble`: in a mean of raw logits the largest scale would decide.
    """
    labels, folds = case.corpus.labels, case.folds
    held_out = labels[folds.validation(fold)]
    scale = temperature(logits[1], held_out)
    seen, session, unseen = (log_softmax(values / scale, axis=1) for values in logits)
    return Predicted(
        seen_session=(seen, labels[folds.seen_session(fold)]),
        session=(session, held_out),
        unseen=(unseen, case.speaker),
    )


if __name__ == "__main__":
    main()
