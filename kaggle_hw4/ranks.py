"""One training by several processes, the ranks of torch.distributed; or by a single one.

Every rank draws the same global batch and computes on its own rows of it. Sums over ranks make the
gradients, and the moments of BatchNorm, those of the global batch: all ranks have the same weights
after every step, and how many there are changes results by rounding alone.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from kaggle_hw4.device import choose_device
from kaggle_hw4.errors import DataError, LostRank, UsageError
from kaggle_hw4.torchrun import Process, this_process

T = TypeVar("T")
TIMEOUT = timedelta(minutes=10)  # for a rank that is there and does not answer
POLL = 0.05  # seconds between two looks at whether all ranks have started
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
RESUME = "the same command resumes it from its checkpoint, on any number of processes"


class Ranks:
    """A single process: nothing is divided, and nothing is exchanged."""

    rank, count = 0, 1

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which alone writes."""
        return self.rank == 0

    def rows(self, size: int) -> slice:
        """The rows of a batch of `size` that are this rank's, divided as evenly as possible."""
        return slice(self.rank * size // self.count, (self.rank + 1) * size // self.count)

    def own(self, batch: T) -> T:
        """The rows of a batch, a dataclass of tensors, that are this rank's."""
        return batch

    def weigh(self, mean: Tensor, size: int) -> Tensor:  # noqa: ARG002
        """A mean over this rank's rows as its part of that over all `size` rows of a batch: the sum
        over ranks is the global mean.
        """
        return mean

    def total(self, values: Sequence[Tensor]) -> Sequence[Tensor]:
        """The sums over ranks of tensors of one dtype."""
        return values

    def move_to_first(self, sums: Tensor) -> Tensor:
        """The total of `sums` on the first rank, 0 on the others."""
        return sums

    def stack(self, x: Tensor) -> Tensor:
        """The x (…) of every rank, (ranks, …), with its gradient."""
        return x.unsqueeze(0)

    def agree(self, signal: int | None, due: bool) -> tuple[int | None, bool]:
        """The signal that any rank was sent, and whether on any something is due."""
        return signal, due

    def from_first(self, make: Callable[[], bytes]) -> bytes:
        """What `make` returns on the first rank, the only one that calls it."""
        return make()

    def check_same(self, name: str) -> None:
        """Raise DataError unless all ranks are to train `name`."""

    def wait(self) -> None:
        """Until all ranks are here."""


ALONE = Ranks()


class JoinedRanks(Ranks):
    """One of several processes, in torch.distributed's default group.

    LostRank where another one has ended, or does not answer.
    """

    def __init__(self, rank: int, count: int) -> None:
        self.rank, self.count = rank, count

    def own(self, batch: T) -> T:
        values = vars(batch)
        size = len(next(iter(values.values())))
        if size < self.count:
            raise UsageError(f"a batch of {size} segments cannot be divided over {self.count}")
        rows = self.rows(size)
        own: dict[str, Any] = {k: None if v is None else v[rows] for k, v in values.items()}
        of_rank: T = replace(batch, **own)  # type: ignore[type-var]
        return of_rank

    def weigh(self, mean: Tensor, size: int) -> Tensor:
        rows = self.rows(size)
        share: float = (rows.stop - rows.start) / size
        return mean * share

    def total(self, values: Sequence[Tensor]) -> Sequence[Tensor]:
        sums = torch.cat([value.reshape(-1) for value in values])
        _all_reduce(sums)
        parts = torch.split(sums, [value.numel() for value in values])
        return [part.view(value.shape) for part, value in zip(parts, values, strict=True)]

    def move_to_first(self, sums: Tensor) -> Tensor:
        [total] = self.total([sums])
        return total if self.is_first else torch.zeros_like(total)

    def stack(self, x: Tensor) -> Tensor:
        stacked: Tensor = Stack.apply(x, self.rank, self.count)  # type: ignore[no-untyped-call]
        return stacked

    def agree(self, signal: int | None, due: bool) -> tuple[int | None, bool]:
        # On the CPU, so that nothing waits for a GPU.
        votes = torch.tensor([signal or 0, due], dtype=torch.int32)
        _all_reduce(votes, dist.ReduceOp.MAX)
        number, any_due = votes.tolist()
        return number or None, bool(any_due)

    def from_first(self, make: Callable[[], bytes]) -> bytes:
        data = make() if self.is_first else b""
        size = torch.tensor([len(data)])
        with _connected():
            dist.broadcast(size, src=0)
        values = torch.from_numpy(np.frombuffer(data, np.uint8).copy())
        if not self.is_first:
            values = torch.empty(int(size), dtype=torch.uint8)
        with _connected():
            dist.broadcast(values, src=0)
        return values.numpy().tobytes()

    def check_same(self, name: str) -> None:
        first = self.from_first(name.encode).decode()
        if first != name:
            raise DataError(
                f"process {self.rank} would train {name}, the first one {first}",
                "give all of them the same command, recipe, corpus and fold table",
            )

    def wait(self) -> None:
        self.agree(None, False)


class Stack(torch.autograd.Function):
    """The x of every rank, (ranks, …); the gradients of all ranks flow back to it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rank: int, count: int) -> Tensor:
        ctx.rank = rank
        stacked = x.new_zeros(count, *x.shape)
        stacked[rank] = x
        _all_reduce(stacked)
        return stacked

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        total = gradient.clone(memory_format=torch.contiguous_format)
        _all_reduce(total)
        return total[ctx.rank], None, None


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Yield the ranks that torchrun has started, on devices called `device`."""
    process = this_process()
    kind = choose_device(device).type
    if kind not in BACKENDS:
        raise UsageError(f"{kind}: several processes train on CPUs or CUDA", parameter="device")
    if kind == "cuda":
        _take_card(process)
    rank, count = process.rank, process.count
    with _connected():
        [store, *_] = next(rendezvous("env://", timeout=TIMEOUT))
        store = meet(store, rank, count)
        dist.init_process_group(
            BACKENDS[kind], store=store, rank=rank, world_size=count, timeout=TIMEOUT
        )
    yield JoinedRanks(rank, count)
    # Not after an error: it would wait for the others.
    with _connected():
        leave(store, rank, count)
        dist.destroy_process_group()


def meet(store: Store, rank: int, count: int) -> Store:
    """The part of torchrun's store that is for these processes alone.

    torchrun keeps one store over its restarts, with the addresses of processes that were lost; and
    hosts may count restarts differently. So the first rank opens a new part and welcomes every
    other rank into it; they ask at the part that is the newest until they are welcome.
    """
    own = uuid4().hex
    if rank == 0:
        part = PrefixStore(own, store)
        store.set("part", own)
        keys = [f"hello/{other}" for other in range(1, count)]
        _poll(lambda: part.check(keys) or None)
        for key in keys:
            part.set(f"welcome/{part.get(key).decode()}", "")
        return part

    def ask() -> Store | None:
        if not store.check(["part"]):
            return None
        part = PrefixStore(store.get("part").decode(), store)
        part.set(f"hello/{rank}", own)
        return part if part.check([f"welcome/{own}"]) else None

    return _poll(ask)


def leave(store: Store, rank: int, count: int) -> None:
    """Return when all ranks are here; on the first one when the others have returned.

    A rank that ends closes its connections, and what it sent last may still be on its way: torchrun
    would then take one that waits for it as lost. The first rank may be the host of the store.
    """
    store.set(f"here/{rank}", "")
    _poll(lambda: store.check([f"here/{other}" for other in range(count)]) or None)
    if rank:
        store.set(f"gone/{rank}", "")
    else:
        _poll(lambda: store.check([f"gone/{other}" for other in range(1, count)]) or None)


def _poll(look: Callable[[], T | None]) -> T:
    """What `look` returns in the end; RuntimeError after TIMEOUT. A signal ends it at once."""
    until = time.monotonic() + TIMEOUT.total_seconds()
    while (value := look()) is None:
        if time.monotonic() > until:
            raise RuntimeError("not all processes have started")
        time.sleep(POLL)
    return value


def _take_card(process: Process) -> None:
    """A CUDA card for each process of this host."""
    cards = torch.cuda.device_count()
    if process.local_rank >= cards:
        raise UsageError(f"this machine has {cards} CUDA devices", "start a process for each")
    torch.cuda.set_device(process.local_rank)


def _all_reduce(values: Tensor, operation: Any = dist.ReduceOp.SUM) -> None:
    with _connected():
        dist.all_reduce(values, operation)


@contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        rank = this_process().rank
        what = f"process {rank} cannot train on: another one has ended, or does not answer"
        raise LostRank(what, RESUME) from error
