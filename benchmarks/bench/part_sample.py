"""The sample notebook's own way against ours, and other people's Conformer blocks against ours."""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.bench import current, sample
from benchmarks.bench.blocks import LucidrainsBlock, TorchaudioBlock
from benchmarks.bench.files import OfficialFolder
from benchmarks.bench.frames import Utterances, random_utterances
from benchmarks.bench.machine import seconds
from benchmarks.bench.plan import Plan
from benchmarks.bench.results import Part, interleave

SEGMENTS, FRAMES = 3, 300  # of test-time averaging, as Boss predicts
HEADS, KERNEL, DROPOUT = 4, 31, 0.2


def measure_sample(plan: Plan, dataset: OfficialFolder) -> list[Part]:
    """Training steps and predictions of `simple`, both ways, on a warm cache."""
    with warnings.catch_warnings():  # of eight workers on fewer cores
        warnings.simplefilter("ignore")
        return [measure_loop(plan, dataset), measure_inference(plan, dataset)]


def measure_loop(plan: Plan, dataset: OfficialFolder) -> Part:
    part = Part("`simple`: the sample notebook's training loop", LOOP_TEXT)
    utterances = random_utterances(plan.utterances, plan.speakers)
    theirs = sample.SampleTraining(dataset.path, plan.speakers, plan.workers)
    count = plan.sample_steps
    calls: dict[str, Callable[[], float]] = {
        "the sample's loop": lambda: seconds(lambda: theirs.steps(count)) / count
    }
    for precision in plan.precisions:
        training = current.Training("simple", (), precision, utterances)
        calls[f"ours: {precision}"] = partial(time_steps, training, count)
    measured = interleave(calls, plan.rounds)
    part.add(measured)
    for precision in plan.precisions:
        ours = measured[f"ours: {precision}"]
        name = f"times the steps of the sample's loop, {precision}"
        part.compare(name, measured["the sample's loop"], ours, "≥ 3")
    return part


def time_steps(training: current.Training, count: int) -> float:
    return seconds(lambda: training.steps(count)) / count


def measure_inference(plan: Plan, dataset: OfficialFolder) -> Part:
    """Whole utterances, and averages over segments: ours and in batches of one, same answers."""
    part = Part(f"`simple`: prediction of {dataset.tests:,} utterances", INFERENCE_TEXT)
    model = current.classifier("simple", (), plan.speakers)
    theirs = sample.Classifier(plan.speakers).eval()
    theirs.load_state_dict(current.sample_weights(model))
    utterances = test_utterances(dataset, plan.speakers)
    cuts = {
        int(n): current.segments_of(int(n), SEGMENTS, FRAMES) for n in np.unique(utterances.lengths)
    }
    loader = partial(sample.test_batches, dataset.path, plan.workers)
    ways: dict[str, Callable[[], np.ndarray]] = {
        "whole utterances: batches of one": lambda: sample.infer(theirs, loader()).numpy(),
        "whole utterances: ours": lambda: current.predict(model, utterances),
        "averaging: batches of one": (
            lambda: sample.infer_segments(theirs, loader(), cuts).numpy()
        ),
        "averaging: ours": lambda: current.predict(model, utterances, SEGMENTS, FRAMES),
    }
    answers: dict[str, np.ndarray] = {}

    def timed(name: str) -> float:
        return seconds(lambda: answers.update({name: ways[name]()}))

    measured = interleave({name: partial(timed, name) for name in ways}, plan.rounds)
    part.add(measured)
    for name, target in (("whole utterances", ""), ("averaging", "≥ 10")):
        pair = [f"{name}: batches of one", f"{name}: ours"]
        part.text += " " + same_answers(name, *(answers[each] for each in pair))
        part.compare(f"{name}: times as fast", *(measured[each] for each in pair), target)
    return part


def same_answers(name: str, theirs: np.ndarray, ours: np.ndarray) -> str:
    """A sentence on how near they are; AssertionError where an answer differs."""
    worst = float(np.abs(theirs - ours).max())
    assert worst < 1e-4, f"{name}: logits differ by {worst}"
    # Two classes whose logits are equal in float32 may stand in either order.
    rows = np.flatnonzero(theirs.argmax(1) != ours.argmax(1))
    ties = [
        abs(theirs[row, theirs[row].argmax()] - theirs[row, ours[row].argmax()]) for row in rows
    ]
    assert all(gap < 2 * worst for gap in ties), f"{name}: {len(rows)} answers differ"
    same = len(ours) - len(rows)
    return f"{name.capitalize()}: {same:,} equal answers, logits within {worst:.0e}."


def test_utterances(dataset: OfficialFolder, speakers: int) -> Utterances:
    """The test utterances of `dataset` in memory, float32: the frames that the sample loads."""
    rows = dataset.rows[-dataset.tests :]
    frames = torch.cat([torch.load(dataset.path / name) for name, _, _ in rows])
    lengths = np.array([n for _, n, _ in rows], np.int64)
    ids = tuple(name for name, _, _ in rows)
    labels = np.full(len(rows), -1)
    return Utterances(speakers, ids, labels, lengths, np.cumsum(lengths) - lengths, frames)


def measure_blocks(plan: Plan) -> Part:
    """Forward and backward of one Conformer block in training mode."""
    B, T, d, ffn = (plan.block[key] for key in ("B", "T", "d", "ffn"))
    text = (
        f"B {B}, T {T}, d_model {d}, {HEADS} heads, ffn {ffn}, kernel {KERNEL}, dropout {DROPOUT}"
    )
    part = Part("A Conformer block, forward and backward", f"{text}; {BLOCK_TEXT}")
    size = {"d_model": d, "n_heads": HEADS, "d_ffn": ffn, "kernel_size": KERNEL}
    torchaudio = TorchaudioBlock(d, HEADS, ffn, KERNEL, DROPOUT)
    lucidrains = LucidrainsBlock(d, HEADS, ffn, KERNEL, DROPOUT)
    full = torch.ones(B, T, dtype=torch.bool)
    x = torch.randn(B, T, d)
    blocks: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]] = {
        "torchaudio's way": (lambda x: torchaudio(x, ~full), x.transpose(0, 1).contiguous()),
        "lucidrains' way": (lambda x: lucidrains(x, full), x),
        "ours": (current.conformer_block({**size, "dropout": DROPOUT}), x),
    }
    calls = {
        f"{name}: {precision}": partial(forward_backward, block, given, precision)
        for precision in plan.precisions
        for name, (block, given) in blocks.items()
    }
    measured = interleave(calls, 3 * plan.rounds)
    part.add(measured)
    for precision in plan.precisions:
        for name in ("torchaudio's way", "lucidrains' way"):
            pair = measured[f"{name}: {precision}"], measured[f"ours: {precision}"]
            part.compare(f"{name} ÷ ours, {precision}", *pair, "≥ 1.5")
    return part


def forward_backward(
    block: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, precision: str
) -> float:
    x = x.clone().requires_grad_()

    def both() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            out = block(x)
        out.backward(torch.ones_like(out))

    return seconds(both)


LOOP_TEXT = (
    "Seconds of a step: 32 crops of 128 frames, 600 speakers. Theirs reads a file for each crop, "
    "with a DataLoader of eight workers, which may use every core of the machine; all files are in "
    "the page cache. Between two of its turns its workers fill their queues."
)
INFERENCE_TEXT = (
    f"Seconds of all of them. *Averaging* is the mean of the logits of {SEGMENTS} segments of "
    f"{FRAMES} frames. Theirs loads a file an utterance with eight workers, and each utterance or "
    "segment is a batch of its own; ours has the frames in memory."
)
BLOCK_TEXT = (
    "each way has its own layout and mask: torchaudio's (T, B, D) and a padding mask, lucidrains' "
    "a mask of real frames, ours what a training gives it for batches without padding."
)
