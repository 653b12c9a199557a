"""A training step: against the baseline, against its own products, and what feeding it takes."""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from benchmarks.bench.machine import copy_rate
from benchmarks.bench.plan import BOSS, LADDER_ONE, SIMPLE, Case, Plan
from benchmarks.bench.results import Measurement, Part, interleave
from benchmarks.bench.versions import BASELINE, Version, open_versions

FED = (BOSS, SIMPLE, LADDER_ONE)  # the cases whose feeding is measured: the batches of all
Calls = dict[str, Callable[[], float]]


def measure_steps(plan: Plan) -> list[Part]:
    """Steps of every case in both versions; products, several networks and feeding beside them."""
    versions = open_versions(plan.build, plan.device, plan.utterances)
    steps = Part(f"A training step, against commit {BASELINE}", STEPS_TEXT)
    limit = Part("A step of one Boss network, against its products alone", LIMIT_TEXT)
    several = Part("Several networks", "Both were measured interleaved, in the current version.")
    feeding = Part("Feeding", FEEDING_TEXT)
    if "baseline" not in versions:
        steps.text += f" The history of this checkout has no {BASELINE}: it is left out."
    first = plan.cases[0]
    try:
        for case in plan.cases:
            calls = start_case(versions, case, plan)
            products = Products(versions, case, plan)
            calls |= products.calls
            if case.one:
                calls |= start_case({"current": versions["current"]}, case.one, plan)
            measured = interleave(calls, plan.rounds, warm=False)  # `start` has made a step
            steps.add({k: m for k, m in measured.items() if k.startswith(f"{case.name}: ")})
            compare_versions(steps, case, measured, plan)
            if case == first:
                products.add_to(limit, measured)
                compare_products(limit, case, measured, plan)
            if case.one:
                compare_networks(several, case.one, case, measured, plan)
            if case in FED or plan.in_process:
                step = calls[label(case, "current", plan.precisions[-1])]
                measure_feeding(feeding, versions["current"], case, step, plan)
            for version in versions.values():
                version.ask("drop")
    finally:
        for version in versions.values():
            version.close()
    return [steps, limit, several, feeding]


def start_case(versions: dict[str, Version], case: Case, plan: Plan) -> Calls:
    """Start a training of `case` in every version and precision; calls that time its steps."""
    calls: Calls = {}
    for name, version in sorted(versions.items()):
        for precision in plan.precisions if name == "current" else ("float32",):
            key = label(case, name, precision)
            calls[key] = start_training(version, key, case, precision, plan)
    return calls


def label(case: Case, version: str, precision: str) -> str:
    return f"{case.name}: {BASELINE if version == 'baseline' else precision}"


def start_training(
    version: Version, key: str, case: Case, precision: str, plan: Plan
) -> Callable[[], float]:
    """A call that times a step, or as many as make a sample long enough."""
    answer = version.ask(
        "start",
        key=key,
        variant=case.variant,
        settings=list(case.settings),
        precision=precision,
        speakers=case.speakers,
    )
    count = max(1, math.ceil(plan.min_seconds / answer["seconds"]))
    return partial(version.steps, key, count)


class Products:
    """The recorded products of a step, and the seconds of each kind of them, turn by turn.

    They are the baseline's where it is there: that a later version saves a product, or makes it
    faster, is then to its credit.
    """

    def __init__(self, versions: dict[str, Version], case: Case, plan: Plan) -> None:
        name = "baseline" if "baseline" in versions else "current"
        self.version, self.key = versions[name], label(case, name, "float32")
        recorded = self.version.ask("record", key=self.key, precisions=list(plan.precisions))
        self.count, self.gflop = recorded["products"], recorded["gflop"]
        self.kinds: dict[str, list[float]] = defaultdict(list)
        self.calls = {f"products alone: {p}": partial(self.replay, p) for p in plan.precisions}

    def replay(self, precision: str) -> float:
        seconds = self.version.ask("replay", key=f"{self.key}/{precision}")["seconds"]
        for kind, value in seconds.items():
            self.kinds[f"{kind} products: {precision}"].append(value)
        return float(sum(seconds.values()))

    def add_to(self, part: Part, measured: dict[str, Measurement]) -> None:
        """The seconds of all and of each kind, and what kinds there are."""
        part.add({name: measured[name] for name in self.calls})
        for name, samples in self.kinds.items():
            part.measurements.append(Measurement(name, "s", tuple(samples)))
            gflop = self.gflop[name.split()[0]]
            rates = tuple(gflop / value for value in samples)
            part.measurements.append(Measurement(f"{name}, rate", "GFLOP/s", rates))
        gflop = ", ".join(f"{kind} {value:.1f}" for kind, value in self.gflop.items())
        total = sum(self.gflop.values())
        part.text += f" {self.count} products, {total:.1f} GFLOP: {gflop}."


def compare_versions(part: Part, case: Case, measured: dict[str, Measurement], plan: Plan) -> None:
    old = measured.get(label(case, "baseline", ""))
    if old is None:
        return
    for precision in plan.precisions:
        new = measured[label(case, "current", precision)]
        target, limit = "", measured[f"products alone: {precision}"]
        if plan.device == "cpu":
            small = "≥ 2" if "ladder" in case.name else ""
            full = {"float32": "≥ 1.6", "bf16": "≥ 3"}.get(precision, "")
            target = full if case == plan.cases[0] else small
        name = f"{case.name}, {precision}: times the steps of {BASELINE}"
        part.compare(name, old, new, target, old.median / limit.median)


def compare_products(part: Part, case: Case, measured: dict[str, Measurement], plan: Plan) -> None:
    for precision in plan.precisions:
        step = measured[label(case, "current", precision)]
        products = measured[f"products alone: {precision}"]
        target = "≤ 1.6" if precision == "float32" and plan.device == "cpu" else ""
        part.compare(f"step ÷ products alone, {precision}", step, products, target, 1.0)
    size = max(1, plan.rate_megabytes // 2)
    copy = partial(copy_rate, size, plan.device)
    part.add(interleave({"memory: a copy": copy}, plan.rounds, "GB/s"))


def compare_networks(
    part: Part, one: Case, three: Case, measured: dict[str, Measurement], plan: Plan
) -> None:
    for precision in plan.precisions:
        pair = [measured[label(case, "current", precision)] for case in (three, one)]
        part.add({m.name: m for m in pair})
        target = "≤ 2.4" if plan.device == "cpu" and one == plan.cases[0] else ""
        limit = measured[f"products alone: {precision}"].median / pair[1].median
        part.compare(f"{three.name} ÷ {one.name}, {precision}", *pair, target, limit)


def measure_feeding(
    part: Part, version: Version, case: Case, step: Callable[[], float], plan: Plan
) -> None:
    """The share of a step that drawing, gathering and augmenting its batch takes."""
    plain = replace(
        case, name=f"{case.name}, plain", settings=(*case.settings, "augment.noise=0.0")
    )
    start_training(version, plain.name, plain, plan.precisions[-1], plan)

    def feed(key: str) -> float:
        return float(version.ask("feed", key=key, count=20)["seconds"])

    own = partial(feed, label(case, "current", plan.precisions[-1]))
    calls = {
        f"{case.name}: step": step,
        f"{case.name}: batch, not augmented": partial(feed, plain.name),
        f"{case.name}: batch, as the recipe augments it": own,
    }
    measured = interleave(calls, plan.rounds)
    part.add(measured)
    whole, *batches = measured.values()
    target = "≤ 0.02" if case == plan.cases[0] else ""
    for batch in batches:
        part.compare(f"{batch.name} ÷ step", batch, whole, target)


STEPS_TEXT = (
    "Seconds of a whole step: drawing the batch, forward, backward, AdamW, the EMA. Each version "
    "has a process of its own and steps in turn with the others. On a CPU, the old one has float32 "
    "alone: whatever the precision of the current one, it is compared with that."
)
LIMIT_TEXT = (
    "Every matrix product and convolution of a step, forward and backward, with the shapes and "
    "strides that it has there, made again on random numbers with nothing in between."
)
FEEDING_TEXT = "Of 56,666 training utterances, whose frames are in memory."
