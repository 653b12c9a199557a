"""A process with one version of the package, which makes training steps when it is asked to.

    python -m benchmarks.bench.worker current|baseline DEVICE UTTERANCES

Reads requests from stdin and answers each on stdout; both are JSON, a line each. The versions take
turns, so that whatever else the machine does slows all of them down.
"""

import importlib
import json
import sys
from typing import Any

import torch

from benchmarks.bench.frames import Utterances, random_utterances
from benchmarks.bench.limit import Recorder, Replay
from benchmarks.bench.machine import seconds

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Answer = dict[str, Any]


class Worker:
    """The trainings and the recorded products of a version, by the key that the client chose."""

    def __init__(self, version: str, device: str, count: int) -> None:
        self.engine = importlib.import_module(f"benchmarks.bench.{version}")
        self.device, self.count = device, count
        self.trainings: dict[str, Any] = {}
        self.replays: dict[str, Replay] = {}
        self.utterances: dict[int, Utterances] = {}

    def start(
        self, key: str, variant: str, settings: list[str], precision: str, speakers: int
    ) -> Answer:
        if speakers not in self.utterances:
            self.utterances = {speakers: random_utterances(self.count, speakers)}
        utterances = self.utterances[speakers]
        training = self.engine.Training(variant, settings, precision, utterances, self.device)
        self.trainings[key] = training
        took = seconds(lambda: training.steps(1))
        if took < 1:  # else the first step's own costs are a small part of it
            took = seconds(lambda: training.steps(1))
        return {"parameters": training.parameters, "seconds": took}

    def steps(self, key: str, count: int) -> Answer:
        return {"seconds": seconds(lambda: self.trainings[key].steps(count)) / count}

    def feed(self, key: str, count: int) -> Answer:
        return {"seconds": seconds(lambda: self.trainings[key].feed(count)) / count}

    def record(self, key: str, precisions: list[str]) -> Answer:
        """Record the products of a step; a replay in each of the precisions is then `key/it`."""
        with Recorder() as recorder:
            self.trainings[key].steps(1)
        for name in precisions:
            replay = Replay.of(recorder.products, DTYPES[name], self.device)
            self.replays[f"{key}/{name}"] = replay
            replay.seconds()  # to warm up
        return {"gflop": replay.gflop(), "products": sum(recorder.products.values())}

    def replay(self, key: str) -> Answer:
        return {"seconds": self.replays[key].seconds()}

    def drop(self) -> Answer:
        self.trainings.clear()
        self.replays.clear()
        return {}


def main(version: str, device: str, count: str) -> None:
    worker = Worker(version, device, int(count))
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(worker, request.pop("call"))(**request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
