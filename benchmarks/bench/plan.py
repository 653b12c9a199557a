"""What a run of the benchmark measures, and at which sizes."""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from kaggle_hw4.precision import TENSOR_CORES, cuda_has_bf16, fastest_precision

LADDER = (  # `shrunk` in benchmarks/ladder.py makes boss as small
    "segments.batch_size=32",
    "schedule.steps=700",
    "schedule.warmup_steps=70",
    "schedule.validate_every=700",
    "loss.margin_warmup_steps=117",
    "large_margin_fine_tuning.steps=0",
    "optimizer.ema_decay=0.99",
    "optimizer.learning_rate=0.003",
    "networks.0.dropout=0.05",
    "networks.0.d_model=64",
    "networks.0.n_layers=2",
    "networks.0.d_ffn=128",
    "networks.0.kernel_size=15",
    "networks.0.d_embedding=64",
)
POOLING = ("networks.0.pooling=self_attention",)  # as at the baseline
ONE_NETWORK = (*POOLING, "networks.0.count=1")
THREE_NETWORKS = (*POOLING, "networks.0.count=3")
TINY = (  # for the tests
    "segments.batch_size=4",
    "segments.frames=24",
    "networks.0.d_model=8",
    "networks.0.n_layers=1",
    "networks.0.d_ffn=16",
)


@dataclass(frozen=True)
class Case:
    """A training whose step is timed."""

    name: str
    variant: str
    settings: tuple[str, ...] = ()
    speakers: int = 600
    one: "Case | None" = None  # the same with one network, to be measured in turn with it


BOSS = Case("one Boss network", "boss", ONE_NETWORK)
BOSS_OF_THREE = Case("Boss of three networks", "boss", THREE_NETWORKS, one=BOSS)
SIMPLE = Case("simple", "simple")
LADDER_ONE = Case("one Boss network, ladder's size", "boss", (*LADDER, *ONE_NETWORK), 60)
LADDER_BOSS = Case(
    "Boss of three networks, ladder's size",
    "boss",
    (*LADDER, *THREE_NETWORKS),
    speakers=60,
    one=LADDER_ONE,
)
CASES = (
    BOSS,
    BOSS_OF_THREE,
    SIMPLE,
    Case("strong", "strong"),
    LADDER_ONE,
    LADDER_BOSS,
)
QUICK_BOSS = Case(BOSS.name, "boss", (*ONE_NETWORK, *TINY), 4)
QUICK_CASES = (
    QUICK_BOSS,
    Case(BOSS_OF_THREE.name, "boss", (*THREE_NETWORKS, *TINY), 4, one=QUICK_BOSS),
)


@dataclass(frozen=True)
class Plan:
    """Sizes and repetitions. The defaults are the document's; QUICK is for the tests."""

    build: Path  # what is kept between runs: the package at the baseline
    files: Path = Path()  # what is written meanwhile
    device: str = "cpu"
    precisions: tuple[str, ...] = ("float32",)
    cases: tuple[Case, ...] = CASES
    rounds: int = 5
    min_seconds: float = 0.4  # seconds of a sample: short steps are timed several at a time
    utterances: int = 64_666
    speakers: int = 600
    patience: float = 300.0  # seconds after which the stages of the data are repeated no more
    in_process: bool = False  # whether the stages of the data share this process
    rate_megabytes: int = 2048
    block: dict[str, int] = field(default_factory=lambda: {"B": 64, "T": 100, "d": 256, "ffn": 512})
    workers: int = 8  # of the sample's loader
    sample_steps: int = 100  # of a sample of the sample's loop
    curve_rounds: int = 3
    sizes: dict[str, tuple[int, ...]] = field(
        default_factory=lambda: {
            "frames": (50, 100, 200, 400),
            "d_model": (64, 128, 256, 512),
            "speakers": (150, 600, 2400, 9600),
            "networks": (1, 2, 4),
            "utterances": (1000, 4000, 16_000, 60_000),
            "files": (1000, 4000, 16_000),
            "members": (2, 4, 8, 16),
        }
    )
    curve_settings: tuple[str, ...] = ("segments.batch_size=16",)
    ensemble_rows: int = 6_000
    ensemble_classes: int = 600


def quick(build: Path, device: str = "cpu") -> Plan:
    return Plan(
        build=build,
        device=device,
        cases=QUICK_CASES,
        rounds=1,
        min_seconds=0.0,
        utterances=150,
        speakers=6,
        in_process=True,
        rate_megabytes=1,
        block={"B": 2, "T": 10, "d": 8, "ffn": 16},
        workers=0,
        sample_steps=1,
        curve_rounds=1,
        sizes={
            "frames": (24, 48),
            "d_model": (8, 16),
            "speakers": (4, 8),
            "networks": (1, 2),
            "utterances": (20, 40),
            "files": (75,),
            "members": (2, 3),
        },
        curve_settings=TINY,
        ensemble_rows=40,
        ensemble_classes=5,
    )


def precisions(device: str) -> list[str]:
    """Those that pay on the device: float32, and on a CPU what `--precision auto` chooses there."""
    if device != "cuda":
        return list(dict.fromkeys(["float32", fastest_precision(torch.device(device))]))
    bf16 = ["bf16"] if cuda_has_bf16() else []
    fp16 = ["fp16"] if torch.cuda.get_device_capability() >= TENSOR_CORES else []
    return ["float32", *bf16, *fp16]
