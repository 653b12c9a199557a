"""The sample notebook's own way of training and prediction against ours."""

import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.bench import current, sample
from benchmarks.bench.files import OfficialFolder
from benchmarks.bench.frames import Utterances, random_utterances
from benchmarks.bench.limit import products_of, seconds_alone
from benchmarks.bench.machine import seconds
from benchmarks.bench.plan import Plan
from benchmarks.bench.results import Part, interleave
from kaggle_hw4.precision import DTYPES

PRODUCTS = "products alone"
SEGMENTS, FRAMES = 3, 300  # of test-time averaging, as Boss predicts
PAUSE = 1.0  # seconds after which the sample's workers have filled their queues


def measure_loop(plan: Plan, dataset: OfficialFolder) -> Part:
    """Training steps of `simple`, both ways, on a warm cache."""
    part = Part("`simple`: the sample notebook's training loop", LOOP_TEXT)
    utterances = random_utterances(plan.utterances, plan.speakers)
    with warnings.catch_warnings():  # of more workers than cores
        warnings.simplefilter("ignore")
        theirs = sample.SampleTraining(dataset.path, plan.speakers, plan.workers, plan.device)
    count = plan.sample_steps

    def time_theirs() -> float:
        took = seconds(lambda: theirs.steps(count)) / count
        time.sleep(PAUSE)
        return took

    calls: dict[str, Callable[[], float]] = {"the sample's loop": time_theirs}
    for precision in plan.precisions:
        training = current.Training("simple", (), precision, utterances, plan.device)
        calls[f"ours: {precision}"] = partial(time_steps, training, count)
    made = products_of(partial(theirs.steps, 1))  # the model is the same
    for precision in plan.precisions:
        alone = partial(seconds_alone, made, DTYPES[precision], plan.device)
        calls[f"{PRODUCTS}: {precision}"] = alone
    measured = interleave(calls, plan.rounds)
    part.add(measured)
    loop = measured["the sample's loop"]
    for precision in plan.precisions:
        name, ours = f"times the steps of the sample's loop, {precision}", f"ours: {precision}"
        limit = loop.median / measured[f"{PRODUCTS}: {precision}"].median
        part.compare(name, loop, measured[ours], "≥ 3", limit)
    return part


def time_steps(training: current.Training, count: int) -> float:
    return seconds(lambda: training.steps(count)) / count


def measure_inference(plan: Plan, dataset: OfficialFolder, whole: bool) -> Part:
    """Logits of whole utterances, or means over segments: ours and in batches of one."""
    kind = "of whole utterances" if whole else "averaged over segments"
    part = Part(f"`simple`: prediction of {dataset.tests:,} utterances, {kind}", INFERENCE_TEXT)
    model = current.classifier("simple", (), plan.speakers, plan.device)
    theirs = sample.Classifier(plan.speakers).eval().to(plan.device)
    theirs.load_state_dict(current.sample_weights(model))
    utterances, segments = test_utterances(dataset, plan.speakers), (0, 1)
    infer = partial(sample.infer, theirs)
    if not whole:
        part.text += f" An answer is the mean of {SEGMENTS} segments of {FRAMES} frames."
        segments = (SEGMENTS, FRAMES)
        lengths = np.unique(utterances.lengths)
        cuts = {int(n): current.segments_of(int(n), *segments) for n in lengths}
        infer = partial(sample.infer_segments, theirs, cuts)
    answers: dict[str, np.ndarray] = {}

    def batches_of_one() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            batches = sample.test_batches(dataset.path, plan.workers)
            return seconds(lambda: answers.update(theirs=infer(batches).numpy()))

    def ours() -> float:
        predict = partial(current.predict, model, utterances, *segments)
        return seconds(lambda: answers.update(ours=predict()))

    made = products_of(ours)
    calls = {"batches of one": batches_of_one, "ours": ours}
    calls[f"{PRODUCTS}: float32"] = partial(seconds_alone, made, torch.float32, plan.device)
    measured = interleave(calls, plan.rounds, warm=False)
    part.add(measured)
    part.text += " " + same_answers(answers["theirs"], answers["ours"])
    name = f"{kind}: ours, times as fast as batches of one"
    one, together, alone = measured.values()
    part.compare(name, one, together, "" if whole else "≥ 10", one.median / alone.median)
    return part


def same_answers(theirs: np.ndarray, ours: np.ndarray) -> str:
    """A sentence on how near they are; AssertionError where an answer differs."""
    worst = float(np.abs(theirs - ours).max())
    assert worst < 1e-4, f"logits differ by {worst}"
    # Two classes whose logits are equal in float32 may stand in either order.
    rows = np.flatnonzero(theirs.argmax(1) != ours.argmax(1))
    ties = [
        abs(theirs[row, theirs[row].argmax()] - theirs[row, ours[row].argmax()]) for row in rows
    ]
    assert all(gap < 2 * worst for gap in ties), f"{len(rows)} answers differ"
    same = len(ours) - len(rows)
    return f"{same:,} of {len(ours):,} answers are equal, and all logits within {worst:.0e}."


def test_utterances(dataset: OfficialFolder, speakers: int) -> Utterances:
    """The test utterances of `dataset` in memory, float32: the frames that the sample loads."""
    rows = dataset.rows[-dataset.tests :]
    frames = torch.cat([torch.load(dataset.path / name) for name, _, _ in rows])
    lengths = np.array([n for _, n, _ in rows], np.int64)
    ids = tuple(name for name, _, _ in rows)
    labels = np.full(len(rows), -1)
    return Utterances(speakers, ids, labels, lengths, np.cumsum(lengths) - lengths, frames)


LOOP_TEXT = (
    "Seconds of a step: 32 crops of 128 frames, 600 speakers. Theirs reads a file for each crop, "
    "with a DataLoader of eight workers, which may use every core of the machine; all files are in "
    "the page cache. After its turn its workers fill their queues, and then wait for the next one."
)
INFERENCE_TEXT = (
    "Seconds of all of them. Theirs loads a file an utterance with eight workers, and each "
    "utterance or segment is a batch of its own; ours has the frames in memory, and moves them to "
    "the device within its time. Both compute in float32."
)
