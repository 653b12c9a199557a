"""How costs grow: with utterances, frames, width, speakers, networks and members."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks.bench import current
from benchmarks.bench.files import OfficialFolder, remove
from benchmarks.bench.frames import random_utterances
from benchmarks.bench.machine import ROOT, seconds
from benchmarks.bench.part_corpus import run_stage
from benchmarks.bench.part_steps import start_training
from benchmarks.bench.plan import ONE_NETWORK, Case, Plan
from benchmarks.bench.results import Curve, Measurement, Part, interleave
from benchmarks.bench.versions import InProcess, Version
from benchmarks.ensemble import FOLDS, write_run

STAGES = {"pack": "packing", "open": "opening", "split": "splitting"}
SETTINGS = {
    "frames": "segments.frames={}",
    "d_model": "networks.0.d_model={}",
    "networks": "networks.0.count={}",
}


def measure_curves(plan: Plan, dataset: OfficialFolder, corpus: Part | None) -> Part:
    """All curves; `corpus` has the largest sizes of packing, opening and splitting."""
    part = Part("How costs grow", TEXT)
    part.curves += step_curves(plan)
    part.curves.append(prediction_curve(plan))
    part.curves += file_curves(plan, dataset, corpus)
    part.curves.append(ensemble_curve(plan))
    return part


def step_curves(plan: Plan) -> list[Curve]:
    """A training step of a Boss network, against each size by itself."""
    version = (
        InProcess(plan.device, plan.utterances)
        if plan.in_process
        else Version("current", ROOT, plan.device, plan.utterances)
    )
    curves = []
    try:
        for name in ("frames", "d_model", "speakers", "networks"):
            calls = {}
            for size in plan.sizes[name]:
                case = sized(name, size, plan)
                calls[f"step, {name} {size}"] = start_training(
                    version, case.name, case, plan.precisions[-1], plan
                )
            curves.append(curve_of("a training step", name, plan.sizes[name], calls, plan))
            version.ask("drop")
    finally:
        version.close()
    return curves


def sized(name: str, size: int, plan: Plan) -> Case:
    settings = [*ONE_NETWORK, *plan.curve_settings]
    if name in SETTINGS:
        settings.append(SETTINGS[name].format(size))
    speakers = size if name == "speakers" else plan.speakers
    return Case(f"{name} {size}", "boss", tuple(settings), speakers)


def curve_of(
    name: str,
    size: str,
    sizes: Sequence[int],
    calls: dict[str, Callable[[], float]],
    plan: Plan,
) -> Curve:
    measured = interleave(calls, plan.curve_rounds, warm=False)
    return Curve(name, size, tuple(sizes), tuple(measured.values()))


def prediction_curve(plan: Plan) -> Curve:
    """`simple`, a segment of 128 frames of every utterance."""
    model, calls = current.classifier("simple", (), plan.speakers), {}
    for size in plan.sizes["utterances"]:
        utterances = random_utterances(size, plan.speakers)
        tests = replace(utterances, labels=np.full(size, -1))
        predict = partial(current.predict, model, tests, segments=1, frames=128)
        calls[f"prediction, {size} utterances"] = partial(seconds, predict)
    return curve_of("prediction", "utterances", plan.sizes["utterances"], calls, plan)


def file_curves(plan: Plan, dataset: OfficialFolder, corpus: Part | None) -> list[Curve]:
    """Packing, opening and splitting of the first speakers, and of all from `corpus`."""
    costs: dict[str, list[Measurement]] = {name: [] for name in STAGES.values()}
    for size in plan.sizes["files"]:
        folder = dataset.part(plan.files / f"dataset-{size}", size)
        workspace = plan.files / "workspace"
        for stage, name in STAGES.items():
            took = run_stage(stage, folder.path, workspace, plan)["seconds"]
            costs[name].append(Measurement(f"{name}, {size} utterances", "s", (took,)))
        remove(folder.path)
        remove(workspace)
    sizes = list(plan.sizes["files"])
    if corpus:
        sizes.append(len(dataset.rows))
        for measurement in corpus.measurements:
            if measurement.name in costs:
                costs[measurement.name].append(measurement)
    return [Curve(name, "utterances", tuple(sizes), tuple(all_)) for name, all_ in costs.items()]


def ensemble_curve(plan: Plan) -> Curve:
    """Blending members of five folds each."""
    folder, rows, classes = plan.files / "members", plan.ensemble_rows, plan.ensemble_classes
    y = np.random.default_rng(0).integers(0, classes, rows)
    calls: dict[str, Callable[[], float]] = {}
    for members in plan.sizes["members"]:
        for member in range(members):
            for fold in range(FOLDS):
                write_run(folder / str(members), y, member, fold, rows // 7, classes)
        blend = partial(current.blend_members, folder / str(members), y)
        calls[f"ensemble, {members} members"] = partial(seconds, blend)
    curve = curve_of("an ensemble", "members", plan.sizes["members"], calls, plan)
    remove(folder)
    return curve


TEXT = (
    "Costs at several sizes, everything else alike, and the exponent of the power law through "
    "their medians: least squares in logarithms, ± its standard error. Training steps are those of "
    "one Boss network with batches of 16 segments; *prediction* is of `simple`, a segment of 128 "
    "frames an utterance; *ensembles* are of six thousand rows of 600 classes."
)
