"""What the runs of benchmarks/pretraining.py get right, and the gains between them."""

from collections.abc import Sequence

import numpy as np
from ladder_corpus import LadderCorpus
from ladder_report import Hits, step
from scipy.special import log_softmax

from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.inference.weights import read_weights
from kaggle_hw4.models.build import build_model
from kaggle_hw4.runs import Run

Results = dict[str, list[tuple[Hits, Hits, Hits]]]  # by name: seen-session, session, unseen


def intro(seconds: float, teachers: int) -> str:
    return (
        f"Written by benchmarks/pretraining.py. Boss, shrunk as on the ladder, in {seconds:g} s of "
        "one core; three seeds, seed *i* holds out session fold *i* of 6. A pretraining takes a "
        "quarter of that time, and the training after it what is left. "
        f"{teachers} such Boss label the test set, or teach a student, which takes as long as one "
        f"of them, and are compared with one Boss in {teachers + 1} times the time. Accuracies are "
        "balanced, mean ± standard deviation over the seeds; gains are in points, paired, ± "
        "standard error of a bootstrap over seeds and speakers. Unseen: the test set, scored after "
        "all the training was finished."
    )


def evaluate(case: LadderCorpus, runs: Sequence[Run]) -> tuple[Hits, Hits, Hits]:
    """What runs of one fold, blended, get right in seen sessions, held-out ones and unseen ones,
    each utterance alone.
    """
    corpus, folds, fold = case.corpus, case.folds, runs[0].fold
    seen, held_out = folds.seen_session(fold), folds.validation(fold)
    sets = (
        (seen, corpus.labels[seen]),
        (held_out, corpus.labels[held_out]),
        (corpus.test, case.speaker),
    )
    totals = [np.zeros((len(rows), len(corpus.speakers))) for rows, _ in sets]
    for run in runs:
        recipe = run.recipe()
        model = build_model(recipe, len(corpus.speakers), corpus.n_mels)
        read_weights(run.folder / f"{recipe.predict.weights}.safetensors", model)
        plan = recipe.predict.model_copy(update={"spreading_neighbours": 0})
        for total, (rows, _) in zip(totals, sets, strict=True):
            total += log_softmax(predict_logits(model, case.store, rows, plan), axis=1)
    first, second, third = (
        Hits(total.argmax(1) == labels, labels)
        for total, (_, labels) in zip(totals, sets, strict=True)
    )
    return first, second, third


def gain(results: Results, name: str, baseline: str | None, kind: int) -> str:
    """In points, with its standard error, in one of the three sets."""
    if baseline in (None, name):
        return ""
    above, below = ([hits[kind] for hits in results[each]] for each in (name, baseline))
    return points(*step(above, below))


def points(gain: float, error: float) -> str:
    return f"{100 * gain:+.1f} ± {100 * error:.1f}"
