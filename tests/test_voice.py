"""Synthetic speech has the levels, speakers and sessions of the competition's."""

import numpy as np
import pytest

from kaggle_hw4.synth import room, voice

SPEAKERS, SESSIONS, UTTERANCES = 4, 6, 4


@pytest.fixture(scope="module")
def synthetic() -> list[list[list[room.Array]]]:
    """Features by speaker, session and utterance."""
    return [
        [[voice.utterance(0, s, r, u, 300) for u in range(UTTERANCES)] for r in range(SESSIONS)]
        for s in range(SPEAKERS)
    ]


def test_features_span_the_floor_and_stay_finite(synthetic: list[list[list[room.Array]]]) -> None:
    files = [x for speaker in synthetic for session in speaker for x in session]
    assert all(np.isfinite(x).all() and x.dtype == np.float32 for x in files)
    floor = np.log(np.float32(1e-9))
    assert min(x.min() for x in files) == pytest.approx(floor, abs=1e-5)
    assert 0.2 < np.mean([x.min() < floor + 0.01 for x in files]) < 0.8
    assert 6 < max(x.max() for x in files) < 10
    assert -4 < np.concatenate(files).mean() < 0


def test_lengths_are_log_normal_about_their_median() -> None:
    lengths = [len(voice.utterance(0, 0, 0, index, 200)) for index in range(60)]
    assert min(lengths) >= 91
    assert 170 < np.median(lengths) < 230


def test_sessions_can_be_told_apart_within_a_speaker(
    synthetic: list[list[list[room.Array]]],
) -> None:
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics import adjusted_rand_score

    truth = np.repeat(np.arange(SESSIONS), UTTERANCES)
    for speaker in synthetic:
        files = [x for session in speaker for x in session]
        descriptors = [np.percentile(x, [5, 60], axis=0).ravel() - x.mean() for x in files]
        clusters = AgglomerativeClustering(SESSIONS).fit_predict(descriptors)
        assert adjusted_rand_score(truth, clusters) > 0.4


def test_utterances_of_a_session_are_nearer_than_those_of_other_sessions(
    synthetic: list[list[list[room.Array]]],
) -> None:
    means = np.array([[[x.mean(0) for x in session] for session in s] for s in synthetic])
    within_session = means.std(axis=2).mean()
    within_speaker = means.mean(axis=2).std(axis=1).mean()
    assert within_session < 0.7 * within_speaker


def test_harmonics_are_resolved_where_they_are_far_apart() -> None:
    low, high = voice.comb(np.array([100, 250], np.float32))
    assert np.ptp(high[10:40]) > np.ptp(low[10:40]) > np.ptp(low[150:])
    assert low[20:].mean() == pytest.approx(1, abs=0.1)


def test_a_resonance_peaks_at_its_formant() -> None:
    (response,) = voice.resonance(np.array([1500.0]), np.array([80.0]))
    assert room.HZ[response.argmax()] == pytest.approx(1500, abs=40)
    assert response[0] == 1
