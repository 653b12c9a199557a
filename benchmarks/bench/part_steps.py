"""A training step: against the baseline, against its own products, and what feeding it takes."""

import math
from collections.abc import Callable
from functools import partial

from benchmarks.bench.machine import copy_rate
from benchmarks.bench.plan import Case, Plan
from benchmarks.bench.results import Measurement, Part, interleave
from benchmarks.bench.versions import BASELINE, Version, open_versions

SLOWEST = {"one Boss network": "≥ 1.6", "bf16": "≥ 3", "ladder's size": "≥ 2"}
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
    one, three = plan.cases[:2]
    try:
        for case in plan.cases:
            calls = start_case(versions, case, plan)
            if case == one:
                calls |= product_calls(versions, plan, limit)
            if case == three:
                calls |= start_case({"current": versions["current"]}, one, plan)
            measured = interleave(calls, plan.rounds)
            steps.add({k: m for k, m in measured.items() if k.startswith(case.name)})
            compare_versions(steps, case, measured, plan)
            if case == one:
                compare_products(limit, case, measured, plan)
            if case == three:
                compare_networks(several, one, three, measured, plan)
            measure_feeding(feeding, versions["current"], case, plan)
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


def product_calls(versions: dict[str, Version], plan: Plan, part: Part) -> Calls:
    """Record the products of a step of the first case, and calls that replay them.

    They are the baseline's where it is there: that a later version saves a product, or makes it
    faster, is then to its credit.
    """
    name = "baseline" if "baseline" in versions else "current"
    version, key = versions[name], label(plan.cases[0], name, "float32")
    recorded = version.ask("record", key=key, precisions=list(plan.precisions))
    gflop = ", ".join(f"{kind} {value:.1f}" for kind, value in recorded["gflop"].items())
    total = sum(recorded["gflop"].values())
    part.text += f" {recorded['products']} products, {total:.1f} GFLOP: {gflop}."

    def replay(precision: str) -> float:
        seconds = version.ask("replay", key=f"{key}/{precision}")["seconds"]
        for kind, value in seconds.items():
            KINDS.setdefault(f"{kind} products: {precision}", []).append(value)
        return float(sum(seconds.values()))

    KINDS.clear()
    return {f"products alone: {p}": partial(replay, p) for p in plan.precisions}


KINDS: dict[str, list[float]] = {}  # the seconds of each kind of product, round by round


def compare_versions(part: Part, case: Case, measured: dict[str, Measurement], plan: Plan) -> None:
    old = measured.get(label(case, "baseline", ""))
    if old is None:
        return
    for precision in plan.precisions:
        new = measured[label(case, "current", precision)]
        target = ""
        if plan.device == "cpu":
            small = "≥ 2" if "ladder" in case.name else ""
            full = {"float32": "≥ 1.6", "bf16": "≥ 3"}[precision]
            target = full if case == plan.cases[0] else small
        part.compare(f"{case.name}, {precision}: times the steps of {BASELINE}", old, new, target)


def compare_products(part: Part, case: Case, measured: dict[str, Measurement], plan: Plan) -> None:
    part.add({k: m for k, m in measured.items() if k.startswith("products")})
    for name, samples in KINDS.items():
        part.measurements.append(Measurement(name, "s", tuple(samples[1:])))
    for precision in plan.precisions:
        step = measured[label(case, "current", precision)]
        products = measured[f"products alone: {precision}"]
        target = "≤ 1.6" if precision == "float32" and plan.device == "cpu" else ""
        part.compare(f"step ÷ products alone, {precision}", step, products, target)
    if plan.device == "cpu":
        size = plan.rate_megabytes // 2
        part.add(interleave({"memory: a copy": partial(copy_rate, size)}, plan.rounds, "GB/s"))


def compare_networks(
    part: Part, one: Case, three: Case, measured: dict[str, Measurement], plan: Plan
) -> None:
    for precision in plan.precisions:
        pair = [measured[label(case, "current", precision)] for case in (three, one)]
        part.add({m.name: m for m in pair})
        target = "≤ 2.4" if plan.device == "cpu" else ""
        part.compare(f"Boss of three ÷ one network, {precision}", *pair, target)


def measure_feeding(part: Part, version: Version, case: Case, plan: Plan) -> None:
    """The share of a step that drawing, gathering and augmenting its batch takes."""
    step, plain = label(case, "current", plan.precisions[-1]), f"{case.name}: plain"
    settings = (*case.settings, "augment.noise=0.0")
    start_training(
        version, plain, Case(plain, case.variant, settings, case.speakers), "float32", plan
    )
    steps = start_training(version, step, case, plan.precisions[-1], plan)
    count = steps.args[1]

    def feed(key: str) -> float:
        return float(version.ask("feed", key=key, count=max(count, 5))["seconds"])

    calls = {
        f"{case.name}: step": steps,
        f"{case.name}: batch, not augmented": partial(feed, plain),
        f"{case.name}: batch, as the recipe augments it": partial(feed, step),
    }
    measured = interleave(calls, plan.rounds)
    part.add(measured)
    whole, *batches = measured.values()
    target = "≤ 0.02" if case == plan.cases[0] else ""
    for batch in batches:
        part.compare(f"{batch.name} ÷ step", batch, whole, target)


STEPS_TEXT = (
    "Seconds of a whole step: drawing the batch, forward, backward, AdamW, the EMA. Each version "
    "has a process of its own and steps in turn with the others."
)
LIMIT_TEXT = (
    "Every matrix product and convolution of a step, forward and backward, with the shapes and "
    "strides that it has there, made again on random numbers with nothing in between."
)
FEEDING_TEXT = "Of 56,666 training utterances, whose frames are in memory."
