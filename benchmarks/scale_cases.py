"""One case of `make scale`, alone in its process so that its peak memory is its own.

    python -m benchmarks.scale_cases NAME SIZE

Prints a line of JSON: the seconds of processor time of what is measured, the process's largest
resident set in GB, and what else the case counts. Everything is synthetic.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.bench.current import Training, classifier, corpus_of
from benchmarks.bench.files import write_official
from benchmarks.bench.frames import random_utterances
from benchmarks.many_speakers import member_logits, write_run
from kaggle_hw4.data.channel import ChannelStatistics
from kaggle_hw4.data.corpus import Corpus, open_corpus, pack
from kaggle_hw4.data.density import estimate_share
from kaggle_hw4.data.leakage import find_leakage_pairs
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.data.sessions import MIN_SESSIONS, cluster_sessions
from kaggle_hw4.data.shift import measure_unseen
from kaggle_hw4.ensemble.blend import blend
from kaggle_hw4.ensemble.members import find_members
from kaggle_hw4.inference import neighbours
from kaggle_hw4.inference.embed import WHOLE
from kaggle_hw4.inference.fusion import fuse, learn_within
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.inference.spreading import spread_labels
from kaggle_hw4.logits import MANY, AnyLogits, Logits, LowRankLogits, dense, encode, tensors_of
from kaggle_hw4.metrics import evaluate
from kaggle_hw4.runs import find_runs
from kaggle_hw4.stages.teach import mean_of
from kaggle_hw4.training.sources import soft_targets

Figures = dict[str, float]

STEPS, UTTERANCES = 2, 2000  # of a training
PREDICTED = 4000  # utterances
SMALL = ("networks.n_layers=1", "networks.d_model=32", "networks.d_ffn=32", "networks.n_heads=2")
TAUGHT, TEMPERATURE = 4000, 2.0  # utterances of a teacher
MEMBERS, FOLDS, OOF = 4, 2, 2000  # of an ensemble; a quarter as many test utterances
PER_SPEAKER, PER_SESSION, BANDS = 100, 10, 40  # utterances, mel bands
WIDTH, NEIGHBOURS = 256, 6  # of embeddings; of label spreading
SPREAD, SPREAD_SPEAKERS = 30_000, 200  # utterances that labels are spread over; speakers


def seconds(work: Callable[[], object]) -> float:
    """Of processor time, since other work may share the machine."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def step(speakers: int) -> Figures:
    """A training step of Boss at full size: 64 segments of 200 frames."""
    training = Training("boss", (), "float32", random_utterances(UTTERANCES, speakers))
    training.steps(1)
    took = seconds(lambda: training.steps(STEPS)) / STEPS
    return {"seconds": took, "parameters": training.parameters}


def prediction(speakers: int) -> Figures:
    """Boss's head behind a small encoder: 3 segments of 4,000 utterances, evaluated and written."""
    model = classifier("boss", SMALL, speakers)
    tests = replace(random_utterances(PREDICTED, speakers), labels=np.full(PREDICTED, -1))
    store = FrameStore(corpus_of(tests), torch.device("cpu"))
    config = WHOLE.model_copy(update={"segments": 3, "frames": [30]})
    labels = np.arange(PREDICTED) % speakers

    def predict() -> int:
        values = predict_logits(model, store, store.corpus.test, config)
        evaluate(values, labels)
        return len(encode(Logits(store.corpus.ids, values)))

    written: list[int] = []
    took = seconds(lambda: written.append(predict()))
    return {"seconds": took, "disk": written[0] / 1e9, "matrix": 4e-9 * PREDICTED * speakers}


def ensemble(speakers: int, as_matrix: bool = False) -> Figures:
    """A uniform, a greedy and a log-linear blend of 4 members, of which the best is chosen."""
    y = np.random.default_rng(0).integers(0, speakers, OOF)
    with TemporaryDirectory() as name:
        disk = sum(
            write_run(Path(name), y, speakers, member, fold, FOLDS, as_matrix or speakers < 4096)
            for member in range(MEMBERS)
            for fold in range(FOLDS)
        )
        before = memory()
        truth = {f"u{i:07}": int(label) for i, label in enumerate(y)}
        took = seconds(lambda: blend(find_members(find_runs([Path(name)])), truth))
    return {"seconds": took, "disk": disk / 1e9, "before": before}


def teacher(speakers: int) -> Figures:
    """The mean of 4 members' logits, and the targets of a student's 16 batches."""
    y = np.random.default_rng(0).integers(0, speakers, TAUGHT)
    kind: Callable[[LowRankLogits], AnyLogits] = dense if speakers < MANY else lambda logits: logits
    members = [kind(member_logits(y, speakers, member)) for member in range(MEMBERS)]
    batches = np.random.default_rng(1).integers(0, TAUGHT, (16, 64))
    disk = []

    def teach() -> None:
        logits = mean_of(members, (TAUGHT, speakers))
        disk.append(sum(tensor.nbytes for tensor in tensors_of(logits).values()))
        targets = soft_targets(np.arange(TAUGHT), logits, TEMPERATURE, TAUGHT)
        for rows in batches:
            targets[torch.from_numpy(rows)]

    took = seconds(teach)
    return {"seconds": took, "disk": disk[0] / 1e9, "matrix": 4e-9 * TAUGHT * speakers}


def self_training(speakers: int) -> Figures:
    """A set's own analysis, of 4,000 embeddings, and its logits added to those of a network."""
    y = np.random.default_rng(0).integers(0, speakers, PREDICTED)
    low = member_logits(y, speakers, 0)
    logits = low.dense() if speakers < MANY else low
    whole, embeddings = np.arange(PREDICTED), torch.from_numpy(low.parts[0].factors)

    def train() -> None:
        part = learn_within([(whole, whole)], embeddings, logits)
        fuse(logits, [part], (0.5, 0.2))

    return {"seconds": seconds(train), "before": memory()}


def with_channels(utterances: int) -> tuple[Corpus, np.ndarray]:
    """A corpus in memory whose sessions have channels, and the session of each training row."""
    corpus = corpus_of(random_utterances(utterances, max(2, utterances // PER_SPEAKER)))
    random, n = np.random.default_rng(0), len(corpus.labels)
    number = np.where(
        corpus.labels < 0, 10**6 + np.arange(n) // 2, np.arange(n) // len(corpus.speakers)
    )
    number = (corpus.labels + 1) * 10**7 + number // PER_SESSION
    _, session = np.unique(number, return_inverse=True)
    rooms = random.normal(0, 1, (session.max() + 1, 2 * BANDS))
    descriptor = (rooms[session] + random.normal(0, 0.5, (n, 2 * BANDS))).astype(np.float32)
    half = descriptor[:, :BANDS]
    channels = ChannelStatistics(half, half, half, descriptor)
    return replace(corpus, channels=channels), session[corpus.train]


def sessions(utterances: int) -> Figures:
    """Guessed sessions: Ward's clusters of each speaker, 100 utterances each."""
    corpus, _ = with_channels(utterances)
    labels, descriptors = corpus.labels[corpus.train], corpus.channels.descriptor[corpus.train]
    quiet: Callable[[int, int], None] = lambda *_: None  # noqa: E731
    return {"seconds": seconds(lambda: cluster_sessions(descriptors, labels, MIN_SESSIONS, quiet))}


def shift(utterances: int) -> Figures:
    """How much of the test set is in unseen sessions."""
    corpus, _ = with_channels(utterances)
    return {"seconds": seconds(lambda: measure_unseen(corpus))}


def density(utterances: int) -> Figures:
    """How many utterances of a session stand together in the test set."""
    corpus, session = with_channels(utterances)
    return {"seconds": seconds(lambda: estimate_share(corpus, session))}


def duplicates(utterances: int) -> Figures:
    """Near-duplicates and nearest channels of each speaker."""
    corpus, _ = with_channels(utterances)
    return {"seconds": seconds(lambda: find_leakage_pairs(corpus, lambda *_: None))}


def points_of(utterances: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings and channels of sessions of ten utterances."""
    generator = torch.Generator().manual_seed(0)
    session = torch.arange(utterances) // PER_SESSION

    def around(width: int, spread: float) -> torch.Tensor:
        centres = torch.randn(int(session[-1]) + 1, width, generator=generator)
        return centres[session] + spread * torch.randn(utterances, width, generator=generator)

    return around(WIDTH, 1.0), around(2 * BANDS, 0.5)


def spreading(utterances: int) -> Figures:
    """Label spreading's nearest neighbours, exactly."""
    points = joined(*points_of(utterances))
    rows = torch.arange(utterances)
    return {"seconds": seconds(lambda: neighbours.exact_nearest(points, rows, NEIGHBOURS))}


def joined(embeddings: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
    parts = [neighbours.directions(each) for each in (embeddings, channels)]
    return torch.cat(parts, 1) / 2**0.5


def approximate(utterances: int) -> Figures:
    """The same with clusters; and of a sample, which exact neighbours are found. Up to SPREAD
    utterances, how many labels another spreading would give them.
    """
    embeddings, channels = points_of(utterances)
    points, rows = joined(embeddings, channels), torch.arange(0, utterances, -(-utterances // 500))
    result: list[tuple[torch.Tensor, torch.Tensor]] = []
    took = seconds(lambda: result.append(neighbours.approximate_nearest(points, NEIGHBOURS)))
    exact = neighbours.exact_nearest(points, rows, NEIGHBOURS)[1]
    recall = (result[0][1][rows][:, :, None] == exact[:, None, :]).any(1).float().mean()
    figures = {"seconds": took, "recall": float(recall), "before": memory()}
    if utterances > SPREAD:
        return figures
    # Noisy logits of a speaker for every three sessions.
    speaker = torch.arange(utterances) // (3 * PER_SESSION) % SPREAD_SPEAKERS
    logits = torch.randn(utterances, SPREAD_SPEAKERS, generator=torch.Generator().manual_seed(1))
    logits[torch.arange(utterances), speaker] += 2.5
    spread = []
    for limit in (utterances, 0):
        neighbours.EXACT = limit
        spread.append(spread_labels(logits, embeddings, channels.numpy(), NEIGHBOURS))
    changed = (spread[0].argmax(1) != spread[1].argmax(1)).float().mean()
    return figures | {"labels": float(changed)}


def packing(utterances: int) -> Figures:
    """Packing and opening; the official files are random numbers."""
    with TemporaryDirectory() as name:
        dataset, packed = Path(name) / "dataset", Path(name) / "packed"
        folder = write_official(dataset, utterances, max(2, utterances // PER_SPEAKER))
        took = seconds(lambda: pack(folder.path, packed))
        opening = seconds(lambda: open_corpus(packed))
        disk = sum(path.stat().st_size for path in packed.iterdir())
    return {"seconds": took, "opening": opening, "disk": disk / 1e9}


CASES: dict[str, Callable[[int], Figures]] = {
    case.__name__: case
    for case in (
        step, prediction, ensemble, teacher, self_training, spreading, approximate,
        sessions, shift, density, duplicates, packing,
    )
}  # fmt: skip
CASES["ensemble_of_matrices"] = partial(ensemble, as_matrix=True)


def memory() -> float:
    """GB of the largest resident set so far; getrusage would count the parent's, before exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


def main(name: str, size: str) -> None:
    torch.set_num_threads(1)
    figures = CASES[name](int(size))
    print(json.dumps({"size": int(size), "memory": memory()} | figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
