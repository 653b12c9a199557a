"""Which test utterances an ensemble is sure enough of to train others on them (Lee 2013).

An ensemble that confirms its own mistakes gets no better. What guards against it: every member has
to agree, the blend has to be sure, and no speaker gets more utterances than the test set is likely
to have of it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from kaggle_hw4.ensemble.combine import AnyScores, mean_log_probability, score_blocks, uniform
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


def choose_pseudo_labels(logp: AnyScores, confidence: float, most: int) -> Chosen:
    """Of calibrated log-probabilities (M, N, C): the utterances that all M members give the same
    speaker, whose probability in the uniform blend is at least `confidence`; of a speaker the
    `most` likely ones.
    """
    members, n, _ = logp.shape
    label, probability = np.empty(n, np.int64), np.empty(n, logp.dtype)
    agreed = np.empty(n, np.bool_)
    for rows, block in score_blocks(logp):
        blend = softmax(mean_log_probability(block, uniform(members)), axis=1)
        label[rows], probability[rows] = blend.argmax(1), blend.max(1)
        agreed[rows] = (block.argmax(2) == label[rows]).all(0)
    confident = agreed & (probability >= confidence)
    places = [
        own[np.argsort(-probability[own], kind="stable")[:most]]
        for speaker in np.unique(label[confident])
        for own in [np.flatnonzero(confident & (label == speaker))]
    ]
    chosen = np.sort(np.concatenate([np.empty(0, np.int64), *places]))
    return Chosen(chosen, label[chosen], int(agreed.sum()), int(confident.sum()))
