"""A function of tensors as CUDA graphs: one launch instead of thousands."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

Inputs = Sequence[Tensor | None]
Outputs = Sequence[Tensor]
Function = Callable[[Inputs], Outputs]
Work = Callable[[], None]
Record = Callable[[Work], Work]  # a launch of all that the work does, without doing it now
MOST = 64  # graphs kept: each takes some megabytes of the card's memory


def cuda_recorder() -> Record:
    """Records graphs that share the memory they work in: one runs at a time."""
    pool = torch.cuda.graph_pool_handle()

    def record(work: Work) -> Work:
        graph = torch.cuda.CUDAGraph()
        with without_collection(), torch.cuda.graph(graph, pool=pool):
            work()
        return graph.replay

    return record


@contextmanager
def without_collection() -> Iterator[None]:
    """Garbage stays where it is: among it may be the graphs of a training before this one, and no
    graph can be destroyed while another is recorded.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Graphs:
    """`function` by way of graphs; its outputs have the same shapes at every call.

    A GPU waits for Python between kernels as small as ours: a step of Boss is thousands of them.
    The first call with inputs of new shapes runs `function`, which prepares the kernels; the second
    one records a graph; from then on a call is two copies and a launch. The next call writes over
    what is returned.
    """

    def __init__(self, function: Function, record: Record) -> None:
        self.function, self.record = function, record
        self.outputs: Outputs = ()  # outside the graphs' own memory
        self.graphs: dict[object, tuple[Inputs, Work]] = {}
        self.seen: set[object] = set()

    def __call__(self, inputs: Inputs) -> Outputs:
        shapes = tuple(None if each is None else each.shape for each in inputs)
        if shapes not in self.graphs:
            if shapes not in self.seen or len(self.graphs) == MOST:
                self.seen.add(shapes)
                return self._run(inputs)
            self.graphs[shapes] = self._recorded(inputs)
        kept, launch = self.graphs[shapes]
        copy_all(kept, inputs)
        launch()
        return self.outputs

    def _recorded(self, inputs: Inputs) -> tuple[Inputs, Work]:
        kept = [None if each is None else each.clone() for each in inputs]
        return kept, self.record(lambda: copy_all(self.outputs, self.function(kept)))

    def _run(self, inputs: Inputs) -> Outputs:
        outputs = self.function(inputs)
        self.outputs = self.outputs or [torch.empty_like(each) for each in outputs]
        return outputs


def copy_all(to: Inputs, values: Inputs) -> None:
    """Copy each of `values` into its place of `to`; None is in both."""
    for kind in {each.dtype for each in to if each is not None}:
        pairs = zip(to, values, strict=True)
        chosen = [(a, b) for a, b in pairs if a is not None and b is not None and a.dtype == kind]
        torch._foreach_copy_([a for a, _ in chosen], [b for _, b in chosen])


def in_branches(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What the calls return. In a graph each is a branch, and a GPU that one does not fill runs
    them beside one another.
    """
    if not is_recording():
        return [call() for call in calls]
    root = torch.cuda.current_stream()
    streams = [torch.cuda.Stream() for _ in calls]  # type: ignore[no-untyped-call]
    results = []
    for stream, call in zip(streams, calls, strict=True):
        stream.wait_stream(root)
        with torch.cuda.stream(stream):
            results.append(call())
    for stream in streams:
        root.wait_stream(stream)
    return results


def is_recording() -> bool:
    ready: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return ready and torch.cuda.is_current_stream_capturing()
