"""Networks in parallel: what a training trains."""

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from torch import nn

from kaggle_hw4.models.dropout import share_draws

N = TypeVar("N", bound=nn.Module)


class ParallelNetworks(nn.Module, Generic[N]):
    """Networks in parallel, from different random starts, each trained as if it were alone."""

    def __init__(self, networks: Iterable[N]) -> None:
        super().__init__()
        self.networks: Sequence[N] = nn.ModuleList(networks)  # type: ignore[assignment]
        self.draws = share_draws(self)
        self.precision = "float32"  # of the large products: a row of precision.DTYPES
