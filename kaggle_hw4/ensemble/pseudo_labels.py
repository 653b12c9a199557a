"""Which test utterances an ensemble is sure enough of to train others on them (Lee 2013).

An ensemble that confirms its own mistakes gets no better. What guards against it: every member has
to agree, the blend has to be sure, and no speaker gets more utterances than the test set is likely
to have of it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from kaggle_hw4.ensemble.combine import Scores, mean_log_probability, uniform
from kaggle_hw4.metrics import Ints


@dataclass(frozen=True)
class Chosen:
    """The places (k,) of the utterances chosen, in rising order, with their labels (k,); how many
    all members agreed on, and how many of these the blend was sure of.
    """

    places: Ints
    labels: Ints
    agreed: int
    confident: int


def choose_pseudo_labels(logp: Scores, confidence: float, most: int) -> Chosen:
    """Of calibrated log-probabilities (M, N, C): the utterances that all M members give the same
    speaker, whose probability in the uniform blend is at least `confidence`; of a speaker the
    `most` likely ones.
    """
    blend = softmax(mean_log_probability(logp, uniform(len(logp))), axis=1)
    label, probability = blend.argmax(1), blend.max(1)
    agreed = (logp.argmax(2) == label).all(0)
    confident = agreed & (probability >= confidence)
    places = [
        own[np.argsort(-probability[own], kind="stable")[:most]]
        for speaker in range(blend.shape[1])
        for own in [np.flatnonzero(confident & (label == speaker))]
    ]
    chosen = np.sort(np.concatenate(places))
    return Chosen(chosen, label[chosen], int(agreed.sum()), int(confident.sum()))
