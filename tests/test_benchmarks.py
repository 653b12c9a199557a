"""Every benchmark still fits the package that it measures; `make bench` in its quick form."""

import importlib
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.bench.__main__ import DEFAULT_PARTS, main
from benchmarks.bench.blocks import TorchaudioBlock
from benchmarks.bench.limit import Recorder
from benchmarks.bench.plan import LADDER
from benchmarks.bench.results import fit_exponent, interval
from kaggle_hw4.execution.placement import Placement
from kaggle_hw4.models.build import count_parameters
from kaggle_hw4.models.conformer import ConformerLayer
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.training.measure import Cost
from kaggle_hw4.workspace import shipped

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PARTS = [*DEFAULT_PARTS, "whole"]
BOSS = shipped("pipelines/variants/boss.toml")


@pytest.mark.parametrize("name", sorted(path.stem for path in BENCHMARKS.glob("*.py")))
def test_a_benchmark_can_be_imported(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    assert importlib.import_module(name).__doc__


@pytest.mark.parametrize(
    ("words", "placement"),
    [
        ((), Placement("local", 2, threads=1)),
        (("--jobs", "3"), Placement("local", 3, threads=1)),
        (("--on", "local"), Placement("local", threads=1)),
        (("--on", "ray://h:1"), Placement("ray", address="h:1", threads=1)),
        (
            ("--on", "slurm", "--slurm", "partition=gpu", "--slurm", "time=60"),
            Placement("slurm", None, ("partition=gpu", "time=60"), threads=1),
        ),
    ],
)
def test_the_ladder_and_the_zoo_are_trained_where_they_are_asked_to_be_with_a_thread_a_run(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], placement: Placement
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    ladder = importlib.import_module("ladder")
    assert importlib.import_module("zoo").placement_of is ladder.placement_of
    parser = ladder.make_parser("A benchmark.", Path("x.md"), (), "")
    arguments = parser.parse_args(["--corpus", "n", "w", "t", "0", *words])
    assert ladder.placement_of(arguments) == placement


def test_a_placement_keeps_to_the_threads_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    with Placement(jobs=2, threads=1).executor("w") as executor:
        assert (executor.jobs, executor.threads) == (2, 1)  # type: ignore[attr-defined]
    with Placement(jobs=2).executor("w") as executor:
        assert executor.threads == 4  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the quick form of every part has written."""
    build, threads = tmp_path_factory.mktemp("bench"), torch.get_num_threads()
    main(["--quick", "--parts", ",".join(PARTS), "--build", str(build)])
    torch.set_num_threads(threads)
    return build


@pytest.fixture
def parts(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "performance.json").read_text())["parts"]


def test_make_bench_measures_what_issue_14_asks_for(parts: list[dict[str, Any]]) -> None:
    targets = {r["name"]: r["target"] for part in parts for r in part["ratios"] if r["target"]}
    expected = {
        "step ÷ products alone, float32": "≤ 1.6",
        "Boss of three networks ÷ one Boss network, float32": "≤ 2.4",
        "times the steps of the sample's loop, float32": "≥ 3",
        "averaged over segments: ours, times as fast as batches of one": "≥ 10",
        "torchaudio's way ÷ ours, float32": "≥ 1.5",
        "lucidrains' way ÷ ours, float32": "≥ 1.5",
    }
    assert targets.items() >= expected.items()
    limits = {r["name"]: r["limit"] for part in parts for r in part["ratios"]}
    assert all(limits[name] for name in expected if " way ÷ " not in name)
    curves = {(c["name"], c["size"]) for part in parts for c in part["curves"]}
    assert {size for _, size in curves} == {
        "frames", "d_model", "speakers", "networks", "utterances", "members"
    }  # fmt: skip


def test_every_stage_of_the_data_states_its_share_of_memory_or_disk(
    parts: list[dict[str, Any]],
) -> None:
    [part] = [part for part in parts if part["title"].startswith("Packing")]
    shares = {r["name"] for r in part["ratios"] if ": share of the " in r["name"]}
    assert shares == {
        "packing: share of the disk's rate",
        "opening: share of the disk's rate",
        "channel description: share of the memory's rate",
        "near-duplicate search: share of the memory's rate",
    }


def test_every_median_and_ratio_follows_from_its_samples(parts: list[dict[str, Any]]) -> None:
    for part in parts:
        samples = {m["name"]: m["samples"] for m in part["measurements"]}
        for measurement in part["measurements"]:
            assert measurement["median"] == statistics.median(measurement["samples"])
        for ratio in part["ratios"]:
            if {ratio["numerator"], ratio["denominator"]} <= samples.keys():
                pairs = zip(samples[ratio["numerator"]], samples[ratio["denominator"]], strict=True)
                assert ratio["samples"] == [a / b for a, b in pairs]


def test_the_page_names_the_machine_and_every_section(
    folder: Path, parts: list[dict[str, Any]]
) -> None:
    page = (folder / "performance.md").read_text()
    assert f"| torch | {torch.__version__} |" in page
    assert all(f"## {part['title']}\n" in page for part in parts)
    assert [p.name for p in folder.iterdir() if "files-" in p.name] == [], "files are removed"


def test_without_a_cuda_device_bench_gpu_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    main(["--device", "cuda"])
    assert capsys.readouterr().out == "no CUDA device here\n"


def test_the_ladders_size_is_the_ladders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    ladder = importlib.import_module("ladder")
    assert set(LADDER) == set(ladder.shrunk(read_recipe(BOSS), 700))


@pytest.mark.parametrize("networks", [1, 3])
def test_the_networks_of_a_row_are_trained_and_predicted_within_its_seconds(
    networks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    cost = Cost(step=0.1, validation=2.0, prediction=10.0, memory=0)
    steps = importlib.import_module("ladder").steps_in(600.0, cost, networks)
    assert 595 < networks * cost.run(steps, steps) <= 600


def test_the_best_peer_may_have_several_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A half, a quarter and an eighth of the answers wrong: a rung makes half of the last peer's
    errors.
    """
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    report = importlib.import_module("ladder_report")

    def result(name: str, networks: int, wrong: int) -> Any:
        run = report.Hits(np.arange(16) >= wrong, np.arange(16) % 2)
        sets = report.Sets.of([(run, run, run)] * 2)
        return report.Result(name, networks, 1, 1.0, 1, sets, sets, sets)

    peer = "peers/viesuki"
    text = report.summary([result("boss", 1, 2), result(peer, 1, 8), result(peer, 3, 4)])
    assert f"Errors of boss, divided by those of the best peer ({peer}, 3 networks): 0.50" in text


def test_a_linear_layer_is_three_products() -> None:
    x, layer = torch.randn(5, 7, requires_grad=True), torch.nn.Linear(7, 3)
    with Recorder() as recorder:
        layer(x).sum().backward()
    flop = sum(count * product.flop for product, count in recorder.products.items())
    assert (sum(recorder.products.values()), flop) == (3, 3 * 2 * 5 * 7 * 3)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_prediction_has_the_products_of_its_linear_layers_too(mode: Any) -> None:
    x, layer, wide = torch.randn(1, 5, 8), torch.nn.Linear(8, 8), torch.randn(1, 2, 5, 4)
    with mode(), Recorder() as recorder:
        layer(x)
        torch.nn.functional.scaled_dot_product_attention(wide, wide, wide)
    flop = {product.kind: 0.0 for product in recorder.products}
    for product, count in recorder.products.items():
        flop[product.kind] += count * product.flop
    assert flop == {"linear": 2 * 5 * 8 * 8, "attention": 2 * 2 * 5 * 5 * 8}


def test_torchaudios_block_has_the_parameters_of_ours() -> None:
    [config] = read_recipe(BOSS).networks
    ours = ConformerLayer(config, 0)
    theirs = TorchaudioBlock(config.d_model, config.n_heads, config.d_ffn, config.kernel_size, 0.2)
    assert count_parameters(theirs) == count_parameters(ours)


def test_an_exponent_is_that_of_the_power_law() -> None:
    slope, error = fit_exponent([1, 10, 100], [3, 300, 30_000])
    assert slope == pytest.approx(2)
    assert error == pytest.approx(0, abs=1e-9)


def test_the_interval_of_a_median_leaves_out_what_95_percent_do_not_need() -> None:
    assert interval([3, 1, 2]) == (1, 3)
    assert interval(range(20)) == (5, 14)  # the usual table of the sign test
